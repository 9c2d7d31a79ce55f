"""llama.cpp's server (xllamacpp): python llama_server.py MODEL.gguf PORT CONTEXT [MMPROJ.gguf]."""

from __future__ import annotations

import sys
import threading


def main() -> None:
    """Serve until the process is ended."""
    from xllamacpp import CommonParams, Server

    model, port, context, *mmproj = sys.argv[1:]
    parameters = CommonParams()
    parameters.model.path = model
    if mmproj:
        parameters.mmproj.path, parameters.mmproj_use_gpu = mmproj[0], False
    parameters.hostnames, parameters.port = ["127.0.0.1"], int(port)
    parameters.n_ctx, parameters.n_parallel = int(context), 1
    parameters.use_jinja = True
    server = Server(parameters)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
