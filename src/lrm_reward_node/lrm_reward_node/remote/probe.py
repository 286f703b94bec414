"""Proves a server before its first reward: reachable, right names, choices obeyed, log-probabilities, LoRA applied.

A server that ignores an unknown field, serves the base under an adapter's name or hides log-probabilities answers all
the same. So nothing is taken from documentation: every ability is asked for, with a fixed question.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.remote.chat import CONSTRAINTS, MAX_ANSWER_TOKENS, Ask, messages_of
from lrm_reward_node.remote.distribution import Unreadable
from lrm_reward_node.remote.likelihoods import answer_shares, log_likelihoods
from lrm_reward_node.remote.server import Refused, Server

START = (
    "Start it with: vllm serve <base> --enable-lora --max-lora-rank 64 "
    "--lora-modules contrastive=<folder> completion=<folder> --chat-template-content-format openai; "
    "see docs/serving.md."
)
TASK = "put the red cube in the blue bowl"
SIZE_PX = 128
PICTURES = 4
STRANGE = ("zx-31", "zx-47")
"""Answers that no model gives unless it is made to."""
MIN_LORA_EFFECT, NOISE_FACTOR = 0.05, 3.0
"""An adapter moves the log-likelihood of some answer by at least so much, nats, and by so many times what asking again
moves it: the same weights in another batch or with a warm cache are not taken for an adapter."""

PROBE_LIMIT_S = 30.0
"""Limit of one question of the probe: a cold server compiles its grammars and kernels first."""
FAINTEST = -10.0
"""Log-likelihoods below, nats, count as equal: servers report them coarsely or not at all."""

logger = logging.getLogger(__name__)


async def examine(server: Server, models: Mapping[RewardHead, str], readout: str) -> None:
    """Prove ``server`` and note what it serves.

    Args:
        server: its ``models`` and ``constraint`` are set when it passes.
        models: name of the model of each head.
        readout: ``logits`` needs choices and log-probabilities; ``generate`` does not.

    Raises:
        ServerFault: it cannot be reached.
        BadInput: it answers, and may not be used; says what is missing and how to start it.
    """
    try:
        listed = await server.list_models()
    except Refused as refusal:
        raise _refused(server, refusal) from refusal
    found = listed | _adapters_by_base(models.values(), listed)
    served = {head: name for head, name in models.items() if name in found}
    if not served:
        raise _unfit(server, f"a server that serves one of {list(models.values())}; it serves {sorted(listed)}")
    try:
        proof = _prove_logits if readout == "logits" else _prove_text
        constraint = await proof(server, served, found)
    except Refused as refusal:
        raise _refused(server, refusal) from refusal
    except Unreadable as error:
        raise _unfit(server, f"answers held to given choices, with log-probabilities; {error}") from error
    _compare_with_last_time(server, found, served)
    server.models, server.constraint = {name: found[name] for name in served.values()}, constraint


def _adapters_by_base(names: Iterable[str], listed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """SGLang takes ``base:adapter`` and lists the two apart; entries as vLLM would list them."""
    found = {}
    for name in names:
        base, _, adapter = name.partition(":")
        if name not in listed and adapter and base in listed:
            found[name] = {"id": name, "root": listed.get(adapter, {}).get("root"), "parent": base}
    return found


async def _prove_logits(server: Server, served: Mapping[RewardHead, str], found: Mapping[str, Any]) -> str:
    constraint = await _find_constraint(server, next(iter(served.items())))
    for head, name in served.items():
        reference = _reference_of(name, found)
        effect = await _largest_effect(server, head, (name, reference or name, name), constraint)
        if not reference:
            logger.warning("%s serves %r alone: that it is not the plain base cannot be proved", server.url, name)
        elif not effect:
            wanted = f"{name!r} to answer otherwise than {reference!r}: its LoRA adapter is not applied"
            raise _unfit(server, wanted)
        else:
            logger.info("%s: %r differs from %r by %.2f nats", server.url, name, reference, effect)
    return constraint


async def _largest_effect(server: Server, head: RewardHead, names: Sequence[str], constraint: str) -> float:
    """Effect on the first fixed picture that shows one, nats: of a picture that tells nothing both may be sure."""
    for picture in range(PICTURES):
        effect = _effect(*[await _distribution(server, head, name, constraint, picture) for name in names])
        if effect:
            return effect
    return 0.0


def _effect(first: np.ndarray, reference: np.ndarray, again: np.ndarray) -> float:
    """How far a model's answers lie from those of its reference, nats; 0 when that may be noise."""
    first, reference, again = (np.maximum(one, FAINTEST) for one in (first, reference, again))
    noise = float(np.abs(first - again).max())
    effect = min(float(np.abs(own - reference).max()) for own in (first, again))
    return effect if effect >= max(MIN_LORA_EFFECT, NOISE_FACTOR * noise) else 0.0


async def _prove_text(server: Server, served: Mapping[RewardHead, str], found: Mapping[str, Any]) -> str:
    for head, name in served.items():
        await server.complete(_question(head, name), PROBE_LIMIT_S)
    try:
        return await _prove_logits(server, served, found)
    except Unreadable as error:
        logger.warning("%s: that LoRA adapters are applied cannot be proved: %s", server.url, error)
        return server.constraint


async def _find_constraint(server: Server, asked: tuple[RewardHead, str]) -> str:
    head, name = asked
    said = ""
    for constraint in CONSTRAINTS:
        try:
            answer = await server.complete(_question(head, name, STRANGE), PROBE_LIMIT_S, constraint)
        except Refused as refusal:
            if refusal.status in (401, 403, 404):
                raise
            said = f"; {refusal}"
            continue
        if answer.text.strip() in STRANGE:
            if not answer.positions:
                raise Unreadable("logprobs and top_logprobs are ignored")
            return constraint
    raise Unreadable(f"choices are kept to in none of the forms {list(CONSTRAINTS)}{said}")


async def _distribution(server: Server, head: RewardHead, name: str, constraint: str, picture: int) -> np.ndarray:
    """(A,) log-likelihoods of the legal answers to the fixed question about one of the fixed pictures."""
    answers = ANSWERS[head].texts
    shares = await answer_shares(
        lambda ask: server.complete(ask, PROBE_LIMIT_S, constraint), _question(head, name, answers, picture)
    )
    return log_likelihoods(shares, answers)


def _question(head: RewardHead, name: str, choices: tuple[str, ...] = (), picture: int = 0) -> Ask:
    prompt = prompts.build(head, TASK)
    limit = MAX_ANSWER_TOKENS if choices else prompts.MAX_NEW_TOKENS[head]
    return Ask(name, messages_of(prompt, [_picture(picture, i) for i in range(prompt.images)]), limit, choices)


def _picture(kind: int, turns: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned by quarters: colour ramps, plain grey, or coarse blocks of random colours."""
    if kind == 0:
        ramp = np.linspace(0, 255, SIZE_PX, dtype=np.uint8)
        across, down = np.meshgrid(ramp, ramp)
        picture = np.stack((across, down, 255 - across), -1)
    elif kind == 1:
        picture = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    else:
        blocks = np.random.default_rng(kind).integers(0, 256, (4, 4, 3), np.uint8)
        picture = blocks.repeat(SIZE_PX // 4, 0).repeat(SIZE_PX // 4, 1)
    return np.ascontiguousarray(np.rot90(picture, turns))


def _reference_of(name: str, found: Mapping[str, Any]) -> str:
    """The base that ``name`` is an adapter of; otherwise any other name, which must not be the same model either."""
    parent = found[name].get("parent")
    if parent in found:
        return str(parent)
    return next((other for other in sorted(found) if other != name), "")


def _compare_with_last_time(server: Server, found: Mapping[str, Any], served: Mapping[RewardHead, str]) -> None:
    for name in served.values():
        if name in server.models and identity(found[name]) != identity(server.models[name]):
            raise _unfit(server, f"the same {name!r} as when the node started, {identity(server.models[name])}")


def identity(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a served model from another of its name."""
    return {key: entry.get(key) for key in ("id", "root", "parent")}


def _unfit(server: Server, wanted: str) -> BadInput:
    return BadInput("parameter server_urls", server.url, wanted, START)


def _refused(server: Server, refusal: Refused) -> BadInput:
    if refusal.status in (401, 403):
        fix = "Name the environment variable that holds the token in server_token_env."
        return BadInput("parameter server_urls", server.url, f"a server that accepts our token; {refusal}", fix)
    return _unfit(server, f"a server that answers questions about pictures; {refusal}")
