"""The original's way of serving a reward model, as the baseline of :mod:`bench.reward_engine`.

One blocking HTTP POST per environment and head to a server in a process of its own; raw pixels in base64 inside JSON;
one global lock; batch 1; the adapter is switched per call; processor, ``generate()`` (greedy, published limits, natural
stop) and JSON parsing. Nothing in it is slower than it has to be: connections stay open and Nagle's algorithm is off.
With random weights (``--architecture``) answers have no natural end: their lengths come with the questions.

    python -m bench.original_serving --model models/lrm-tiny --port 8901
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from bench.weights import Weights, configure_weights
from lrm_core.rewards import RewardHead

CALL_TIMEOUT_S = 60.0


class OriginalClient:
    """Starts the server and asks it one question at a time.

    Args:
        weights: what the server shall load.
        threads: torch threads of the server.
    """

    def __init__(self, weights: Weights, threads: int) -> None:
        command = [sys.executable, "-m", "bench.original_serving", *weights.options(), "--threads", str(threads)]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        port = self._server.stdout.readline().strip()  # written once the model is loaded
        if not port.isdigit():
            raise RuntimeError(f"the server did not start, exit code {self._server.wait(10)}")
        self._connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=CALL_TIMEOUT_S)

    def ask(self, head: RewardHead, task: str, images: Sequence[np.ndarray], length: int | None = None) -> float | None:
        """Value of the generated answer, None when it was not in the published format.

        Args:
            length: tokens to generate; None: to the natural end, at most the published limit.
        """
        pictures = [{"shape": i.shape, "data": base64.b64encode(i.tobytes()).decode()} for i in images]
        body = json.dumps({"head": head.value, "task": task, "images": pictures, "length": length})
        self._connection.request("POST", "/score", body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != http.client.OK:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the server."""
        self._connection.close()
        self._server.terminate()
        self._server.wait(10)


class _Original:
    """Answers one question with ``generate``, under one lock."""

    def __init__(self, weights: Weights) -> None:
        self._checkpoint = weights.load()
        self._lock = threading.Lock()

    def answer(self, head: RewardHead, task: str, images: list[np.ndarray], length: int | None) -> float | None:
        import torch

        from lrm_reward_node import prompts
        from lrm_reward_node.parsing import parse_answer

        model, processor = self._checkpoint.model, self._checkpoint.processors[head]
        prompt = prompts.build(head, task, initial=len(images) > 1)
        limits = {"max_new_tokens": length or prompts.MAX_NEW_TOKENS[head], "min_new_tokens": length}
        with self._lock, torch.inference_mode():
            model.set_adapter(head.value, inference_mode=True)
            text = processor.apply_chat_template(prompt.messages(), add_generation_prompt=True, tokenize=False)
            inputs = processor(text=[text], images=images, return_tensors="pt").to(model.device)
            output = model.generate(**inputs, **limits, do_sample=False)
            new = output[0, inputs["input_ids"].shape[1] :]
            answer = processor.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return parse_answer(head, answer).value


def _handler(original: _Original) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            try:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                images = [_picture(one) for one in request["images"]]
                value = original.answer(RewardHead(request["head"]), request["task"], images, request["length"])
                self._reply(http.client.OK, {"value": value})
            except Exception as error:  # the client gets the reason instead of a closed connection
                self._reply(http.client.INTERNAL_SERVER_ERROR, {"error": f"{type(error).__name__}: {error}"})

        def _reply(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """No line per request."""

    return Handler


def _picture(one: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(one["data"]), np.uint8).reshape(one["shape"])


def main() -> None:
    """Load the model, print the port, serve until terminated."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configure_weights(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    server = ThreadingHTTPServer(("127.0.0.1", args.port), _handler(_Original(Weights.of(args))))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
