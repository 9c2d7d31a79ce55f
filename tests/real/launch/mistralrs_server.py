"""mistral.rs' engine behind an address: its wheel has no server.

    python mistralrs_server.py FOLDER PORT [PREFIX_CACHE_N]

Pictures are named in the text by ``<|image_1|>``, those of a LLaVA by ``<image>``: it counts none
that the text does not name. One request at a time.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    """Load the folder and answer the two addresses that are asked."""
    from mistralrs import (
        ChatCompletionRequest,
        ModelDType,
        MultimodalArchitecture,
        Runner,
        Which,
    )

    folder, port, *cached = sys.argv[1:]
    is_phi = json.loads((Path(folder) / "config.json").read_text())["model_type"] == "phi3_v"
    arch = MultimodalArchitecture.Phi3V if is_phi else MultimodalArchitecture.LLaVA
    which = Which.MultimodalPlain(model_id=folder, arch=arch, dtype=ModelDType.F32)
    runner = Runner(which=which, **({"prefix_cache_n": int(cached[0])} if cached else {}))

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        if "seed" in asked:
            raise ValueError("a request has no seed, the engine has one")
        request = ChatCompletionRequest(
            model="default",
            messages=tagged(asked["messages"], "<|image_{}|>\n" if is_phi else "<image>"),
            max_tokens=asked["max_tokens"],
            temperature=asked["temperature"],
            stop_seqs=asked.get("stop"),
        )
        said = runner.send_chat_completion_request(request)
        return {
            "choices": [
                {
                    "message": {"content": said.choices[0].message.content},
                    "finish_reason": said.choices[0].finish_reason,
                }
            ],
            "usage": {"prompt_tokens": said.usage.prompt_tokens},
        }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"data": []})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self._say(200, answer(json.loads(body)))
            except Exception as error:  # the engine raises bare ValueError and panics
                self._say(500, {"error": str(error)})

        def _say(self, status: int, value: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

    HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


def tagged(messages: list[dict[str, Any]], tag: str) -> list[dict[str, Any]]:
    """Name each picture in the text before which it stands, by its number in ``tag``."""
    number = 0
    made = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            tags = ""
            for _ in range(len(content) - 1):
                number += 1
                tags += tag.format(number)
            content = [*content[:-1], {"type": "text", "text": tags + content[-1]["text"]}]
        made.append(message | {"content": content})
    return made


if __name__ == "__main__":
    main()
