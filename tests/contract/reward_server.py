"""A real HTTP server that speaks vLLM's chat protocol and answers with the shipped tiny model, and can misbehave.

Every answer is decoded token by token by ``transformers``: under choices, any token that stays within them is allowed,
as a grammar does it, and log-probabilities are reported after the constraint, as vLLM does it.
"""

from __future__ import annotations

import base64
import io
import json
import ssl
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.vlm.loading import Checkpoint, load_checkpoint

BASE = "tiny-base"
HEADS = [head.value for head in MODEL_HEADS]


@dataclass
class Faults:
    """How the server departs from a good one; may be changed while it runs.

    Attributes:
        constraint: the only field under which choices are taken.
        logprobs: False leaves log-probabilities out.
        raw: log-probabilities from before the constraint.
        lora: False answers with the base under every name.
        token: bearer token that is asked for.
        delay_s: time before every chat answer.
        die_after: so many chat answers, then every connection is cut.
        garbage: what is sent in place of a chat answer.
        status: HTTP status of every chat answer.
    """

    constraint: str = "structured_outputs"
    logprobs: bool = True
    raw: bool = False
    lora: bool = True
    token: str = ""
    delay_s: float = 0.0
    die_after: int = 1_000_000
    garbage: bytes = b""
    status: int = 200


class TinyModel:
    """The shipped checkpoint behind greedy, optionally constrained decoding."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint: Checkpoint = load_checkpoint(str(folder), None, "cpu", "float32")
        self.processor = self.checkpoint.processors[RewardHead.PROGRESS]
        self._lock = threading.Lock()
        self._answers: dict[str, dict[str, Any]] = {}

    @cached_property
    def vocabulary(self) -> list[str]:
        tokenizer = self.processor.tokenizer
        special = set(tokenizer.all_special_ids)
        return ["" if i in special else tokenizer.decode([i]) for i in range(len(tokenizer))]

    def answer(self, name: str, request: dict[str, Any], choices: list[str], raw: bool) -> dict[str, Any]:
        """One entry of ``choices`` of a chat completion; a question that was asked before is not computed again."""
        key = json.dumps([name, request, choices, raw])
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self._decode(name, request, choices, raw)
            return self._answers[key]

    def _decode(self, name: str, request: dict[str, Any], choices: list[str], raw: bool) -> dict[str, Any]:
        with torch.inference_mode():
            inputs = self._inputs(request["messages"])
            length = inputs["input_ids"].shape[1]
            model = self.checkpoint.model
            if name != BASE:
                model.set_adapter(name, inference_mode=True)
            with model.disable_adapter() if name == BASE else nullcontext():
                output = model.generate(
                    **inputs, max_new_tokens=request["max_tokens"], do_sample=False,
                    prefix_allowed_tokens_fn=self._grammar(length, choices) if choices else None,
                    return_dict_in_generate=True, output_scores=True, output_logits=True,
                )  # fmt: skip
        ids = output.sequences[0, length:].tolist()
        scores = output.logits if raw or not choices else output.scores
        rows = [torch.log_softmax(row[0].float(), -1) for row in scores]
        text = self.processor.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        entry: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if request.get("logprobs"):
            top = request.get("top_logprobs", 0)
            entry["logprobs"] = {"content": [self._token(i, row, top) for i, row in zip(ids, rows, strict=True)]}
        return entry

    def _inputs(self, messages: list[dict[str, Any]]) -> Any:
        urls = [part["image_url"]["url"] for part in messages[0]["content"] if part["type"] == "image_url"]
        parts = [part if part["type"] == "text" else {"type": "image"} for part in messages[0]["content"]]
        turn = [{"role": messages[0]["role"], "content": parts}]
        text = self.processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        images = [Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))).convert("RGB") for url in urls]
        return self.processor(text=[text], images=[np.array(image) for image in images], return_tensors="pt")

    def _grammar(self, length: int, choices: list[str]) -> Any:
        end = self.checkpoint.model.generation_config.eos_token_id
        ends = end if isinstance(end, list) else [end]

        def allowed(_: int, ids: torch.Tensor) -> list[int]:
            text = "".join(self.vocabulary[i] for i in ids[length:].tolist())
            found = [
                i for i, token in enumerate(self.vocabulary)
                if token and any(choice.startswith(text + token) for choice in choices)
            ]  # fmt: skip
            return found + (ends if text in choices else [])

        return allowed

    def _token(self, token: int, row: torch.Tensor, top: int) -> dict[str, Any]:
        likely = row.topk(min(top, len(row))).indices.tolist()
        return self._entry(token, row) | {"top_logprobs": [self._entry(i, row) for i in likely]}

    def _entry(self, token: int, row: torch.Tensor) -> dict[str, Any]:
        text = self.processor.tokenizer.decode([token])
        return {"token": text, "bytes": list(text.encode()), "logprob": max(float(row[token]), -9999.0)}


class RewardServer:
    """Serves ``model`` at :attr:`url` until :meth:`stop`; :meth:`start` brings it back at the same port.

    Args:
        model: what answers.
        faults: how it misbehaves.
        names: what is listed; default the base and all adapters.
        sglang_names: adapters that are asked for as ``base:adapter`` and not listed.
        tls: certificate and key.
    """

    def __init__(
        self, model: TinyModel, faults: Faults | None = None, *, names: list[str] | None = None,
        sglang_names: list[str] | None = None, tls: tuple[Path, Path] | None = None,
    ) -> None:  # fmt: skip
        self.sglang_names = sglang_names or []
        self.model, self.faults, self.names, self._tls = model, faults or Faults(), names or [BASE, *HEADS], tls
        self.answered = 0
        self.authorizations: list[str] = []
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def start(self) -> None:
        server = self

        class Bound(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), Bound)
        self._http.daemon_threads = True
        self._port = self._http.server_address[1]
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.dead = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing listens any more, and open connections are cut at their next request."""
        self.dead = True
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def models(self) -> dict[str, Any]:
        def entry(name: str) -> dict[str, Any]:
            adapter = name in HEADS and BASE in self.names
            return {"id": name, "object": "model", "root": f"models/{name}", "parent": BASE if adapter else None}

        return {"object": "list", "data": [entry(name) for name in self.names]}


class _Handler(BaseHTTPRequestHandler):
    owner: RewardServer
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self._admitted():
            self._send(200, json.dumps(self.owner.models()).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._admitted():
            return
        faults = self.owner.faults
        time.sleep(faults.delay_s)
        if self.owner.answered >= faults.die_after:
            self.close_connection = True
            return
        if request["model"].removeprefix(f"{BASE}:") not in {*self.owner.names, *self.owner.sglang_names}:
            self._send(404, b'{"error": {"message": "The model does not exist."}}')
            return
        self.owner.answered += 1
        self._send(faults.status, faults.garbage or json.dumps(self._completion(request, faults)).encode())

    def _completion(self, request: dict[str, Any], faults: Faults) -> dict[str, Any]:
        name = request["model"].removeprefix(f"{BASE}:") if faults.lora else BASE
        if not faults.logprobs:
            request["logprobs"] = False
        choice = self.owner.model.answer(name, request, _choices(request, faults.constraint), faults.raw)
        return {"id": "chatcmpl-1", "object": "chat.completion", "model": request["model"], "choices": [choice]}

    def _admitted(self) -> bool:
        given = self.headers.get("Authorization", "")
        self.owner.authorizations.append(given)
        if self.owner.dead:
            self.close_connection = True
            return False
        if self.owner.faults.token and given != f"Bearer {self.owner.faults.token}":
            self._send(401, json.dumps({"error": "Unauthorized", "given": given}).encode())
            return False
        return True

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _choices(request: dict[str, Any], field: str) -> list[str]:
    """Choices given under ``field``; other fields are ignored without a word, as vLLM does it."""
    if field == "structured_outputs":
        return list(request.get("structured_outputs", {}).get("choice", []))
    if field == "regex":
        return [text.replace("\\", "") for text in request.get("regex", "()").strip("()").split("|") if text]
    return list(request.get(field, []))
