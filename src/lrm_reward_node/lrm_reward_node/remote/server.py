"""One server: HTTP, time limits, and errors that say whether asking again can help."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from lrm_core.errors import BadInput, LrmError
from lrm_reward_node.remote.breaker import Breaker
from lrm_reward_node.remote.chat import Ask, Completion, read_completion, read_model_names
from lrm_reward_node.remote.distribution import Unreadable

MAX_RESPONSE_BYTES = 4_000_000
MAX_CONNECTIONS = 64
_QUOTED = 200
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_BUSY = {408, 429}

logger = logging.getLogger(__name__)


class ServerFault(LrmError):
    """The server did not answer, or not sensibly: another server, or the same one later, may."""


class Refused(LrmError):
    """The server answered that it will not: asking again does not help.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


@dataclass(eq=False)
class Server:
    """One server of the pool.

    Attributes:
        url: root, without ``/v1``.
        models: what ``/v1/models`` listed at the last probe, by name; empty before it.
        constraint: how it takes choices; see ``chat.CONSTRAINTS``.
        timeout_s: limit of one request, seconds; the probe gives a cold server longer.
        outstanding: questions that it works on.
    """

    url: str
    client: httpx.AsyncClient
    timeout_s: float
    token: str = ""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    constraint: str = "structured_outputs"
    outstanding: int = 0
    breaker: Breaker = field(default_factory=Breaker)

    async def list_models(self) -> dict[str, dict[str, Any]]:
        """Ask what is served. Raises :class:`ServerFault` or :class:`Refused`."""
        return _understood(self.url, read_model_names, await self._call("GET", "/v1/models", None, self.timeout_s))

    async def complete(self, ask: Ask, limit_s: float, constraint: str = "") -> Completion:
        """Ask one question; raises :class:`ServerFault` or :class:`Refused`, at the latest after ``limit_s``."""
        self.outstanding += 1
        try:
            body = ask.body(constraint or self.constraint)
            payload = await self._call("POST", "/v1/chat/completions", body, limit_s)
            return _understood(self.url, read_completion, payload)
        finally:
            self.outstanding -= 1

    async def _call(self, method: str, path: str, body: Any, limit_s: float) -> Any:
        try:
            async with asyncio.timeout(limit_s):
                status, content = await self._exchange(method, self.url + path, body)
        except TimeoutError:
            raise ServerFault(f"{self.url} did not answer within {limit_s:.2g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise ServerFault(f"{self.url} cannot be asked: {type(error).__name__} {error}".rstrip(" .")) from error
        if status >= 500 or status in _BUSY:
            raise ServerFault(f"{self.url} answered {status}: {self._quoted(content)}")
        if status != 200:
            raise Refused(status, f"{self.url} answered {status}: {self._quoted(content)}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):  # broken JSON, broken UTF-8, brackets without end
            raise ServerFault(f"{self.url} answered something that is not JSON: {self._quoted(content)}") from None

    async def _exchange(self, method: str, url: str, body: Any) -> tuple[int, bytes]:
        content = bytearray()
        async with self.client.stream(method, url, json=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_RESPONSE_BYTES:
                    raise httpx.DecodingError(f"more than {MAX_RESPONSE_BYTES} bytes")
        return response.status_code, bytes(content)

    def _quoted(self, content: bytes) -> str:
        """Start of a response for a message; a server that repeats the token does not get it into our log."""
        text = content.decode("utf-8", "replace")
        return (text.replace(self.token, "<token>") if self.token else text)[:_QUOTED]


def _understood(url: str, read: Any, payload: Any) -> Any:
    try:
        return read(payload)
    except Unreadable as error:
        raise ServerFault(f"{url}: {error}") from error


def make_client(token: str, ca_file: str) -> httpx.AsyncClient:
    """A client for all servers. Proxies and netrc of the environment are not used; redirects are not followed.

    Raises:
        BadInput: the CA file is missing or holds no certificate.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every request
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(headers=headers, verify=_tls(ca_file), limits=limits, timeout=None, trust_env=False)


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(Path(ca_file).expanduser()) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise BadInput("parameter server_ca_file", ca_file, "a PEM file with certificates", str(error)) from error


def read_token(variable: str) -> str:
    """The bearer token in the environment variable ``variable``; empty without a name.

    Raises:
        BadInput: the variable is not set, or holds no token.
    """
    if not variable:
        return ""
    token = os.environ.get(variable, "")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        fix = f"Set it where the node starts, for example export {variable}=…"
        raise BadInput("parameter server_token_env", variable, "an environment variable that holds a bearer token", fix)
    return token


def checked_url(url: str, token: str) -> str:
    """Root URL of a server, without a trailing ``/v1``.

    Raises:
        BadInput: not http or https, no host, or with a password in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadInput("parameter server_urls", url, "URLs such as http://gpu:8000")
    if parts.username or parts.password:
        shown = f"{parts.scheme}://…@{parts.hostname}"
        raise BadInput("parameter server_urls", shown, "URLs without a password", "Use server_token_env.")
    if token and parts.scheme == "http" and parts.hostname not in _LOCAL:
        logger.warning("the bearer token goes to %s unencrypted: use https", url)
    return url.rstrip("/").removesuffix("/v1")
