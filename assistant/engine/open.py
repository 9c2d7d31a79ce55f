"""An engine from the settings: the database, and the model here or on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.servers.address import is_server

if TYPE_CHECKING:
    from assistant.settings.schema import Settings
    from assistant.values.model import Core
    from storage.store import Store


def open_engine(settings: Settings) -> Engine:
    """Make an engine on the database and the model (here or on a server) that ``settings`` name.

    Neither is opened before it is used.
    """

    def open_store() -> Store:
        from storage.store import Store  # SQLAlchemy takes 0.3 s to import

        return Store.open(settings.store_location)

    def make_core(settings: Settings) -> Core:
        if is_server(settings.model):
            from assistant.servers.client import ServerCore  # imports the HTTP client

            return ServerCore(settings.model, detail=settings.num_crops, context=settings.context)
        from assistant.worker.client import LocalCore

        return LocalCore(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            weights=settings.weights,
            kv=settings.kv,
            detail=settings.num_crops,
            context=settings.context,
            runtime=settings.runtime_dir if settings.shared_worker else None,
            keep_alive=settings.keep_alive,
            log=settings.cache_dir / "worker.log",
            features=settings.cache_dir / "features",
            feature_cache_mb=settings.feature_cache_mb,
        )

    return Engine(open_store, Model(settings, make_core(settings), make_core))
