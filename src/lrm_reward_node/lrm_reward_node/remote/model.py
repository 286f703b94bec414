"""The reward model at the other end of the network."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from lrm_core.errors import BadInput, LrmError
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node import prompts
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.readout import (
    ANSWERS,
    UNREADABLE,
    Reading,
    check_readout,
    estimate,
    failed,
    read_distribution,
    read_text,
    readout_identity,
)
from lrm_reward_node.remote.chat import MAX_ANSWER_TOKENS, Ask, messages_of
from lrm_reward_node.remote.likelihoods import answer_shares, log_likelihoods
from lrm_reward_node.remote.pool import Pool
from lrm_reward_node.remote.probe import START, examine, identity
from lrm_reward_node.remote.server import Server, ServerFault, checked_url, make_client, read_token
from lrm_reward_node.rows import query_row

DEFAULT_MODELS = tuple(head.value for head in MODEL_HEADS)
TOKEN_ENV = "LRM_SERVER_TOKEN"
"""Environment variable that programs without parameters take the bearer token from."""

logger = logging.getLogger(__name__)


class EventLoop:
    """An asyncio event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reward servers", daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """True in the loop's own thread."""
        return threading.current_thread() is self._thread

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` there; it has to end by itself."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """End the thread; whatever still runs is cancelled."""
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class RemoteRewardModel:
    """A :class:`lrm_reward_node.model.RewardModel` that asks servers. All queries of one call are asked at once.

    Readout ``logits``: the server is held to the legal answers and their distribution is read from its top
    log-probabilities; ``remote.distribution`` says what that keeps of a local model's likelihoods. Readout
    ``generate``: greedy text within the published limits.

    Args:
        loop: where ``pool`` lives.
        pool: proved servers.
        models: name of each head's model at the servers.
        readout: see ``READOUTS``.
        parsing: rules for generated text, see ``PARSINGS``.
        deadline_s: a call never takes longer, seconds; what is not answered by then is MODEL_ERROR.

    Attributes:
        fingerprint: hash of what the servers call their models, of prompts and readout. Weights stay at the server: two
            servers that name the same files alike have the same fingerprint.
    """

    def __init__(
        self,
        loop: EventLoop,
        pool: Pool,
        models: Mapping[RewardHead, str],
        readout: str,
        parsing: str,
        deadline_s: float,
    ) -> None:
        self._loop, self._pool, self._models = loop, pool, dict(models)
        self._readout, self._parsing, self._deadline_s = readout, parsing, deadline_s
        self.fingerprint = _fingerprint(pool, models, readout_identity(readout, parsing))
        self.close = weakref.finalize(self, _shut, loop, pool)

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """One estimate per query, in order; see :class:`lrm_reward_node.model.RewardModel`."""
        started_s = time.monotonic()
        asks = [self._prepare(query) for query in queries]
        left_s = self._deadline_s - (time.monotonic() - started_s)
        readings = self._loop.run(self._read_all(queries, asks, left_s)) if queries else []
        return [estimate(query, *reading, self.fingerprint) for query, reading in zip(queries, readings, strict=True)]

    def _prepare(self, query: RewardQuery) -> Ask | Reading:
        """The question, or what is said without asking."""
        if query.head is RewardHead.CONTRASTIVE and query.reference is None:
            return Reading(UNREADABLE, RewardStatus.NO_REFERENCE)
        try:
            row = query_row(query)
        except BadInput as error:
            return failed(str(error))
        messages = messages_of(row.prompt, row.images)
        if self._readout == "generate":
            return Ask(self._models[query.head], messages, prompts.MAX_NEW_TOKENS[query.head])
        return Ask(self._models[query.head], messages, MAX_ANSWER_TOKENS, ANSWERS[query.head].texts)

    async def _read_all(
        self, queries: Sequence[RewardQuery], asks: Sequence[Ask | Reading], left_s: float
    ) -> list[tuple[Reading, float]]:
        deadline_s = asyncio.get_running_loop().time() + left_s
        return await asyncio.gather(
            *(self._timed(query.head, ask, deadline_s) for query, ask in zip(queries, asks, strict=True))
        )

    async def _timed(self, head: RewardHead, ask: Ask | Reading, deadline_s: float) -> tuple[Reading, float]:
        if isinstance(ask, Reading):
            return ask, float("nan")
        started_s = time.perf_counter()
        try:
            reading = await self._read(head, ask, deadline_s)
        except LrmError as error:
            reading = failed(str(error))
        except Exception as error:  # one query never takes the others with it
            logger.exception("asking about %s failed", head.value)
            reading = failed(f"{type(error).__name__}: {error}")
        return reading, time.perf_counter() - started_s

    async def _read(self, head: RewardHead, ask: Ask, deadline_s: float) -> Reading:
        if not ask.choices:
            return read_text(head, (await self._pool.ask(ask, deadline_s)).text, self._parsing)
        shares = await answer_shares(lambda one: self._pool.ask(one, deadline_s), ask)
        return read_distribution(head, log_likelihoods(shares, ask.choices))


def connect(
    urls: Sequence[str],
    models: Sequence[str] = DEFAULT_MODELS,
    readout: str = "logits",
    parsing: str = "strict",
    *,
    timeout_s: float = 2.0,
    deadline_s: float = 3.0,
    token_env: str = "",
    ca_file: str = "",
) -> RemoteRewardModel:
    """Probe servers and make one model of them.

    Every head needs a server that passes :func:`lrm_reward_node.remote.probe.examine`. A server that cannot be reached
    is left out until it answers, as long as the others serve all heads; one that answers wrongly is an error.

    Args:
        urls: roots of the servers, for example ``http://gpu:8000``.
        models: names of the contrastive, progress and completion model at the servers.
        readout: see ``READOUTS``.
        parsing: rules for generated text, see ``PARSINGS``.
        timeout_s: limit of one request, seconds.
        deadline_s: limit of one call of ``score``, retries included, seconds.
        token_env: name of the environment variable that holds the bearer token; empty: none is sent.
        ca_file: PEM file of the authority that signed the servers' certificates; empty: the system's.

    Raises:
        BadInput: names the URL, what is missing and how to start the server.
    """
    check_readout(readout, parsing)
    if not urls:
        raise BadInput("parameter server_urls", list(urls), "at least one URL, for example http://gpu:8000")
    if len(models) != len(MODEL_HEADS) or not all(models):
        raise BadInput("parameter server_models", list(models), "three names: contrastive, progress, completion")
    token = read_token(token_env)
    names = dict(zip(MODEL_HEADS, models, strict=True))
    client = make_client(token, ca_file)
    servers = [Server(checked_url(url, token), client, timeout_s, token) for url in dict.fromkeys(urls)]
    pool = Pool(servers, lambda server: examine(server, names, readout))
    loop = EventLoop()
    try:
        loop.run(probe(pool, names, readout))
    except BaseException:
        _shut(loop, pool)
        raise
    return RemoteRewardModel(loop, pool, names, readout, parsing, deadline_s)


def connect_from_environment(urls: Sequence[str], readout: str, parsing: str = "strict") -> RemoteRewardModel:
    """As :func:`connect`, patiently, with the bearer token of ``LRM_SERVER_TOKEN`` where that is set.

    For programs that score pictures and no robot waits for.
    """
    token_env = TOKEN_ENV if TOKEN_ENV in os.environ else ""
    return connect(urls, readout=readout, parsing=parsing, timeout_s=60.0, deadline_s=600.0, token_env=token_env)


async def probe(pool: Pool, models: Mapping[RewardHead, str], readout: str) -> None:
    """Prove every server of ``pool``; see :func:`connect`. Raises :class:`BadInput`."""
    outcomes = await asyncio.gather(
        *(examine(server, models, readout) for server in pool.servers), return_exceptions=True
    )
    down: list[str] = []
    for server, outcome in zip(pool.servers, outcomes, strict=True):
        if isinstance(outcome, ServerFault):
            server.breaker.open()
            pool.note(server, str(outcome))
            down.append(str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
    served = {name for server in pool.servers if server.breaker.closed for name in server.models}
    missing = [name for name in models.values() if name not in served]
    if missing:
        urls = [server.url for server in pool.servers]
        why = "; ".join(down) or "no server lists them"
        raise BadInput("parameter server_urls", urls, f"servers for {missing}; {why}", START)
    for trouble in down:
        logger.warning("left out for now: %s", trouble)


def _shut(loop: EventLoop, pool: Pool) -> None:
    if loop.is_current:  # the last reference was that of a question: a thread cannot wait for itself
        threading.Thread(target=_shut, args=(loop, pool), daemon=True).start()
        return
    loop.run(pool.close())
    loop.close()


def _fingerprint(pool: Pool, models: Mapping[RewardHead, str], readout: str) -> str:
    found = {
        name: identity(next(server.models[name] for server in pool.servers if name in server.models))
        for name in models.values()
    }
    said = json.dumps(["openai", list(models.values()), found, readout, prompts.all_templates()], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
