"""Servers on this machine, found when the user asks: at the ports that programs listen on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from assistant.servers.address import Address, parse
from assistant.servers.catalogue import ServerModel, models
from assistant.values.errors import ModelError

PORTS = (8080, 11434, 1234, 8000)
"""llama.cpp, Ollama, LM Studio, vLLM; others take one of these, too."""


def find(ports: tuple[int, ...] = ()) -> tuple[ServerModel, ...]:
    """Ask every port for its models, all at once, those that see first.

    No key is sent, because nothing is known of who listens there: a server that wants one is
    listed by its address alone.
    """
    places = [parse(f"http://127.0.0.1:{port}") for port in ports or PORTS]
    with ThreadPoolExecutor(len(places)) as asking:
        found = [one for listed in asking.map(_models, places) for one in listed]
    return tuple(sorted(found, key=lambda one: not one.sees))


def _models(address: Address) -> tuple[ServerModel, ...]:
    try:
        return models(address, has_key=False)
    except ModelError as error:
        wants_key = error.code == "unauthorized"
        return (ServerModel(replace(address, model=None)),) if wants_key else ()
