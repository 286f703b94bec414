"""Several servers as one: the least busy is asked, a failing one is left alone until it has been proved again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from lrm_reward_node.remote.breaker import RetryBudget
from lrm_reward_node.remote.chat import Ask, Completion
from lrm_reward_node.remote.server import Refused, Server, ServerFault

MAX_ATTEMPTS = 3
FIRST_BACKOFF_S = 0.05
NOT_OURS_ANY_MORE = {401, 403, 404}
"""Another token, or the model is gone: the server has changed since it was proved."""

logger = logging.getLogger(__name__)


class Pool:
    """Servers that were proved by ``examine``. Lives on one event loop.

    Args:
        servers: at least one.
        examine: proves a server again after a failure; raises when it may not be used.
    """

    def __init__(self, servers: Sequence[Server], examine: Callable[[Server], Awaitable[None]]) -> None:
        self.servers = tuple(servers)
        self._examine = examine
        self._budget = RetryBudget()
        self._trouble: dict[Server, str] = {}
        self._probes: set[asyncio.Task[None]] = set()

    async def ask(self, ask: Ask, deadline_s: float) -> Completion:
        """The answer of any server that holds ``ask.model``.

        Args:
            ask: the question.
            deadline_s: time of the event loop's clock, seconds; nothing is waited for longer.

        Raises:
            ServerFault: no server answered in time.
            Refused: a server refused this question.
        """
        clock = asyncio.get_running_loop().time
        tried: Counter[Server] = Counter()
        while True:
            server = self._choose(ask.model, tried)
            tried[server] += 1
            try:
                answer = await self._complete(server, ask, deadline_s - clock())
            except ServerFault as fault:
                self.note(server, str(fault))
                may_retry = self._budget.failed() and tried.total() < MAX_ATTEMPTS
                pause_s = FIRST_BACKOFF_S * 2 ** (tried[server] - 1)
                if not may_retry or clock() + pause_s >= deadline_s:
                    raise
                if self._choose(ask.model, tried) is server:  # nobody else to turn to
                    await asyncio.sleep(pause_s)
            else:
                self._budget.passed()
                server.breaker.passed()
                return answer

    async def _complete(self, server: Server, ask: Ask, limit_s: float) -> Completion:
        if limit_s <= 0:
            raise ServerFault("the time for this reward is used up")
        try:
            return await server.complete(ask, min(limit_s, server.timeout_s))
        except Refused as refusal:
            if refusal.status not in NOT_OURS_ANY_MORE:
                raise
            server.breaker.open()
            raise ServerFault(str(refusal)) from refusal
        except ServerFault:
            server.breaker.failed()
            raise

    def _choose(self, model: str, tried: Counter[Server]) -> Server:
        self._start_due_probes()
        usable = [server for server in self.servers if server.breaker.closed and model in server.models]
        if not usable:
            why = "; ".join(self._trouble.values()) or "none serves it"
            raise ServerFault(f"no server for {model!r}: {why}")
        return min(usable, key=lambda server: (tried[server], server.outstanding))

    def note(self, server: Server, trouble: str) -> None:
        """Keep why ``server`` is not used, for the message of a query that finds no server."""
        self._trouble[server] = trouble

    async def close(self) -> None:
        """Close all connections."""
        for client in {server.client for server in self.servers}:
            await client.aclose()

    def _start_due_probes(self) -> None:
        for server in self.servers:
            if server.breaker.take_probe():
                task = asyncio.get_running_loop().create_task(self._probe(server))
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)

    async def _probe(self, server: Server) -> None:
        try:
            await self._examine(server)
        except Exception as error:  # whatever it was, the server is not used and is tried again later
            server.breaker.probed(False)
            self.note(server, str(error))
            logger.warning("%s stays out of use: %s", server.url, error)
        else:
            server.breaker.probed(True)
            self._trouble.pop(server, None)
            logger.info("%s is back in use", server.url)
