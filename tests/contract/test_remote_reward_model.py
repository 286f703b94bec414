"""The remote backend against real HTTP servers with the shipped tiny model, good ones and bad ones."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lrm_core.errors import BadInput
from lrm_core.resources import model_path
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node.contract import RewardModelContract, contract_query
from lrm_reward_node.model import RewardModel
from lrm_reward_node.remote.model import RemoteRewardModel, connect
from lrm_reward_node.vlm.qwen import load
from reward_server import BASE, HEADS, Faults, RewardServer, TinyModel

FOLDER = model_path("lrm-tiny")
QUERIES = [contract_query(head, 3) for head in MODEL_HEADS]
Serve = Callable[..., RewardServer]
Connect = Callable[..., RemoteRewardModel]


@pytest.fixture(scope="module")
def tiny() -> TinyModel:
    return TinyModel(FOLDER)


@pytest.fixture
def serve(tiny: TinyModel) -> Iterator[Serve]:
    """Start a server; all end with the test."""
    servers: list[RewardServer] = []

    def start(faults: Faults | None = None, **arguments: object) -> RewardServer:
        servers.append(RewardServer(tiny, faults, **arguments))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    for server in servers:
        if not server.dead:
            server.stop()


@pytest.fixture
def connected() -> Iterator[Connect]:
    """Connect patiently; all connections end with the test."""
    models: list[RemoteRewardModel] = []

    def start(*servers: RewardServer, **arguments: object) -> RemoteRewardModel:
        options = {"timeout_s": 20.0, "deadline_s": 30.0, **arguments}
        models.append(connect([server.url for server in servers], **options))  # type: ignore[arg-type]
        return models[-1]

    yield start
    for model in models:
        model.close()


class TestRemoteRewardModel(RewardModelContract):
    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _use(request: pytest.FixtureRequest, tiny: TinyModel) -> Iterator[None]:
        server = RewardServer(tiny)
        request.cls.model = connect([server.url], timeout_s=20.0, deadline_s=60.0)
        yield
        request.cls.model.close()
        server.stop()

    def make_model(self) -> RewardModel:
        return self.model  # type: ignore[attr-defined, no-any-return]


def statuses(estimates: list[RewardEstimate]) -> set[RewardStatus]:
    return {estimate.status for estimate in estimates}


def refusal(connected: Connect, *servers: RewardServer, **arguments: object) -> str:
    with pytest.raises(BadInput) as caught:
        connected(*servers, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("raw", [False, True], ids=["after the constraint", "before the constraint"])
def test_the_logits_readout_agrees_with_the_model_in_process(serve: Serve, connected: Connect, raw: bool) -> None:
    remote, local = connected(serve(Faults(raw=raw))), load(str(FOLDER))
    queries = [contract_query(head, stamp_ns) for head in MODEL_HEADS for stamp_ns in (1, 2, 3, 4)]
    for there, here in zip(remote.score(queries), local.score(queries), strict=True):
        assert there.ok and here.ok
        assert there.value == pytest.approx(here.value, abs=1e-3)
        assert there.uncertainty == pytest.approx(here.uncertainty, abs=1e-3)
        assert there.confidence == pytest.approx(here.confidence, abs=1e-3)
        assert there.raw_text == here.raw_text


def test_the_generate_readout_agrees_with_the_model_in_process(serve: Serve, connected: Connect) -> None:
    remote = connected(serve(Faults(logprobs=False, constraint="none")), readout="generate")
    local = load(str(FOLDER), readout="generate")
    for there, here in zip(remote.score(QUERIES), local.score(QUERIES), strict=True):
        assert there.raw_text == here.raw_text and there.status is here.status
        assert there.value == here.value or (np.isnan(there.value) and np.isnan(here.value))


@pytest.mark.parametrize("constraint", ["guided_choice", "regex"])
def test_older_vllm_and_sglang_are_asked_in_their_own_words(serve: Serve, connected: Connect, constraint: str) -> None:
    assert statuses(connected(serve(Faults(constraint=constraint))).score(QUERIES)) == {RewardStatus.OK}


def test_adapters_may_be_named_by_base_and_adapter_as_sglang_wants_it(serve: Serve, connected: Connect) -> None:
    server = serve(Faults(constraint="regex"), names=[BASE], sglang_names=HEADS)
    names = [f"{BASE}:{head}" for head in HEADS]
    assert statuses(connected(server, models=names).score(QUERIES)) == {RewardStatus.OK}
    server.faults.lora = False
    assert "not applied" in refusal(connected, server, models=names)


@pytest.mark.parametrize(
    ("faults", "word"),
    [
        (Faults(logprobs=False), "log-probabilities"),
        (Faults(constraint="none"), "choices are kept to in none of the forms"),
        (Faults(lora=False), "its LoRA adapter is not applied"),
        (Faults(token="t0ken"), "accepts our token"),
        (Faults(status=400, garbage=b'{"error": "At most 1 image(s) may be provided"}'), "At most 1 image"),
    ],
    ids=["no log-probabilities", "choices ignored", "base under every name", "token asked for", "refuses pictures"],
)
def test_a_server_that_cannot_be_used_is_refused_at_the_start(
    serve: Serve, connected: Connect, faults: Faults, word: str
) -> None:
    server = serve(faults)
    message = refusal(connected, server)
    assert word in message and server.url in message


def test_for_generated_text_the_adapters_are_proved_where_that_is_possible(serve: Serve, connected: Connect) -> None:
    assert "not applied" in refusal(connected, serve(Faults(lora=False)), readout="generate")


def test_a_server_that_lacks_a_head_is_refused_with_the_way_to_start_it(serve: Serve, connected: Connect) -> None:
    message = refusal(connected, serve(names=[BASE, "contrastive", "completion"]))
    assert "'progress'" in message and "vllm serve" in message


def test_a_name_given_to_the_plain_base_is_refused(serve: Serve, connected: Connect) -> None:
    """As with ``--served-model-name contrastive progress completion``."""
    assert "not applied" in refusal(connected, serve(Faults(lora=False), names=HEADS))


def test_nobody_at_the_url_is_refused(serve: Serve, connected: Connect) -> None:
    server = serve()
    server.stop()
    assert "cannot be asked" in refusal(connected, server)


def test_heads_may_lie_on_different_servers(serve: Serve, connected: Connect) -> None:
    first, second = serve(names=[BASE, "contrastive", "completion"]), serve(names=["progress"])
    assert statuses(connected(first, second).score(QUERIES)) == {RewardStatus.OK}


def test_other_names_may_be_given(serve: Serve, connected: Connect) -> None:
    names = ["contrastive", "progress", "contrastive"]
    model = connected(serve(), models=names)
    assert model.score(QUERIES)[2].ok
    assert model.fingerprint != connected(serve()).fingerprint


def test_the_token_is_sent_and_appears_in_no_message_and_no_log(
    serve: Serve, connected: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GPU_TOKEN", "s3cret-value")
    server = serve(Faults(token="s3cret-value"))
    model = connected(server, token_env="GPU_TOKEN")
    assert statuses(model.score(QUERIES)) == {RewardStatus.OK}
    assert set(server.authorizations) == {"Bearer s3cret-value"}
    server.faults.token = "another"
    said = [estimate.raw_text for estimate in model.score(QUERIES)]
    assert "401" in said[0]
    monkeypatch.setenv("GPU_TOKEN", "wr0ng-value")
    said.append(refusal(connected, server, token_env="GPU_TOKEN"))
    for secret in ("s3cret-value", "wr0ng-value"):
        assert secret not in caplog.text and all(secret not in text for text in said)


@pytest.mark.parametrize(
    "garbage",
    [b"<html>502</html>", b"\xff\xfe", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}',
     b'{"choices": [{"message": {"content": "yes"}}]}', b"[" * 5000, b" " * 5_000_000],
    ids=["html", "not unicode", "empty", "no choice", "null", "no log-probabilities", "deep", "huge"],
)  # fmt: skip
def test_garbage_is_a_model_error_and_never_a_number(serve: Serve, connected: Connect, garbage: bytes) -> None:
    server = serve()
    model = connected(server)
    server.faults.garbage = garbage
    for estimate in model.score(QUERIES):
        assert estimate.status is RewardStatus.MODEL_ERROR and np.isnan(estimate.value) and estimate.raw_text


def test_a_slow_server_never_holds_a_call_beyond_its_deadline(serve: Serve, connected: Connect) -> None:
    server = serve()
    model = connected(server, timeout_s=5.0, deadline_s=0.6)
    server.faults.delay_s = 6.0
    started_s = time.monotonic()
    estimates = model.score(QUERIES)
    assert time.monotonic() - started_s < 2.5
    assert statuses(estimates) == {RewardStatus.MODEL_ERROR} and "did not answer within" in estimates[0].raw_text


def test_all_queries_of_a_call_are_asked_at_once(serve: Serve, connected: Connect) -> None:
    server = serve()
    model = connected(server)
    server.faults.delay_s = 0.5
    started_s = time.monotonic()
    estimates = model.score([contract_query(RewardHead.COMPLETION, 5)] * 12)
    assert statuses(estimates) == {RewardStatus.OK} and time.monotonic() - started_s < 4.0


def test_a_slow_server_of_two_costs_a_retry_and_no_reward(serve: Serve, connected: Connect) -> None:
    slow, good = serve(), serve()
    model = connected(slow, good, timeout_s=3.0)
    slow.faults.delay_s = 9.0
    assert statuses(model.score(QUERIES)) == {RewardStatus.OK}


def test_a_server_that_dies_in_mid_batch_gives_unknown_for_its_queries_and_recovers(
    serve: Serve, connected: Connect
) -> None:
    server = serve()
    model = connected(server)
    server.faults.die_after = server.answered + 2
    estimates = model.score([contract_query(RewardHead.COMPLETION, stamp_ns) for stamp_ns in range(8)])
    assert [e.status for e in estimates].count(RewardStatus.OK) == 2
    assert statuses(estimates) == {RewardStatus.OK, RewardStatus.MODEL_ERROR}
    server.stop()
    started_s = time.monotonic()
    assert statuses(model.score(QUERIES)) == {RewardStatus.MODEL_ERROR}
    assert time.monotonic() - started_s < 2.0  # nobody is waited for
    server.faults.die_after = 10**6
    server.start()
    assert recovered(model)


def test_a_server_that_comes_back_without_its_adapters_stays_out_of_use(serve: Serve, connected: Connect) -> None:
    server = serve()
    model = connected(server)
    server.stop()
    model.score(QUERIES)
    server.faults.lora = False
    server.start()
    reason = until(model, lambda es: "not applied" in es[0].raw_text)
    assert statuses(reason) == {RewardStatus.MODEL_ERROR}
    server.faults.lora = True
    assert recovered(model)


def test_a_dead_server_of_two_is_left_out_and_joins_again(serve: Serve, connected: Connect) -> None:
    dead, good = serve(), serve()
    dead.stop()
    model = connected(dead, good)
    assert statuses(model.score(QUERIES)) == {RewardStatus.OK}
    dead.start()
    before = dead.answered
    until(model, lambda _: dead.answered > before + 12)  # more than its probe: it scores
    good.stop()
    assert recovered(model)


def test_https_needs_the_authority_that_signed(serve: Serve, connected: Connect, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
    server = serve(tls=(certificate, key))
    assert "certificate verify failed" in refusal(connected, server)
    assert statuses(connected(server, ca_file=str(certificate)).score(QUERIES)) == {RewardStatus.OK}


@pytest.mark.parametrize("end", ["closed", "dropped"])
def test_a_model_that_is_closed_or_dropped_leaves_no_thread(serve: Serve, end: str) -> None:
    model = connect([serve().url], timeout_s=20.0, deadline_s=30.0)
    thread = model._loop._thread
    assert statuses(model.score(QUERIES)) == {RewardStatus.OK} and thread.is_alive()
    if end == "closed":
        model.close()
    del model
    thread.join(5.0)
    assert not thread.is_alive()


def until(model: RemoteRewardModel, wanted: Callable[[list[RewardEstimate]], bool]) -> list[RewardEstimate]:
    """Score until the estimates are as ``wanted``."""
    deadline_s = time.monotonic() + 30.0
    while time.monotonic() < deadline_s:
        estimates = model.score(QUERIES)
        if wanted(estimates):
            return estimates
        time.sleep(0.05)
    pytest.fail("not within 30 s")


def recovered(model: RemoteRewardModel) -> bool:
    return statuses(until(model, lambda es: all(e.ok for e in es))) == {RewardStatus.OK}
