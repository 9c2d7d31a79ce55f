"""Records what vLLM answers to our client: tests/servers/vllm_recorded.json, which tests replay.

python -m tests.real.record [--python PYTHON] [--address URL]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.conftest import OFFICIAL_TOKENIZER
from tests.real.checkpoint import make
from tests.real.venvs import CACHE, python_of
from tests.real.vllm_ids import vllm
from tests.servers.openai_server import Answer, Asked, Server, serving
from tests.servers.vllm_talk import NAME, RECORDED, SETTINGS, talk


def forwarded(server: Server, address: str, exchanges: list[dict[str, Any]]) -> None:
    """Have ``server`` ask the real one at ``address``, and keep what both say."""

    def answer_to(asked: Asked) -> Answer:
        data = None if asked.json is None else json.dumps(asked.json).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address + asked.path, data, headers)
        try:
            said = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            said = error
        with said:
            kind, body = said.headers["Content-Type"], said.read()
            kept = re.sub(r'"root":"[^"]*"', '"root":"phi-3-vision"', body.decode())
            exchanges.append(
                {
                    "asked": {"method": asked.method, "path": asked.path, "json": asked.json},
                    "answer": {"status": said.status, "type": kind, "body": kept},
                }
            )
            return Answer([body], said.status, kind)

    server.answer_to = answer_to  # type: ignore[method-assign]


def main() -> int:
    """Speak the recorded conversation once more, with a real server behind a recorder."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.record")
    parser.add_argument("--python", type=Path, help="a Python that has vLLM and phichat-vllm")
    parser.add_argument("--address", help="of a server that runs already")
    chosen = parser.parse_args()
    folder = make(CACHE / NAME, OFFICIAL_TOKENIZER)
    own = chosen.address is None
    real = (
        vllm(chosen.python or python_of("vllm"), folder, 4096, CACHE / "record.log")
        if own
        else nullcontext(chosen.address)
    )
    exchanges: list[dict[str, Any]] = []
    with real as address, serving() as server, tempfile.TemporaryDirectory() as home:
        forwarded(server, address, exchanges)
        os.environ["PHICHAT_HOME"] = home
        from assistant.engine.open import open_engine
        from assistant.settings.load import load

        engine = open_engine(load({"model": server.address, **SETTINGS}))
        try:
            for turn in talk(engine):
                print(f"{turn.role}: {turn.text!r} {turn.usage or ''}")
        finally:
            engine.close()
    RECORDED.write_text(json.dumps(exchanges, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(exchanges)} exchanges, {RECORDED.stat().st_size:,} bytes in {RECORDED}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
