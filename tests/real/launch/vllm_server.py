"""vLLM's server with its count of the tower's runs, for which 0.32 has no option.

Runs in the Python that has vLLM; arguments are the server's.
"""

from __future__ import annotations

import runpy
from typing import Any


def main() -> None:
    """Switch the count on in the configuration of the engine, then be the server."""
    from vllm.engine.arg_utils import EngineArgs

    original = EngineArgs.create_engine_config

    def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        self.enable_mm_processor_stats = True
        return original(self, *arguments, **named)

    EngineArgs.create_engine_config = counted
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")


if __name__ == "__main__":
    main()
