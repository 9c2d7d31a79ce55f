"""Errors that are reported to the user as one plain sentence."""

from __future__ import annotations


class PhichatError(Exception):
    """Something failed that the user can understand and act upon.

    ``str(error)`` is one plain sentence that says what happened and what to do.
    ``code`` is a stable word for scripts (``ask --json`` prints it).
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class PictureError(PhichatError):
    """A picture could not be opened."""

    code = "picture"


class ModelError(PhichatError):
    """A model could not be found, loaded or run."""

    code = "model"


class SchemaError(ModelError):
    """A schema of answers is none, or can't be obeyed."""

    code = "schema"


class StorageError(PhichatError):
    """The database could not be read or written."""

    code = "storage"


class DiskFullError(StorageError):
    """There is no room to store anything; what is stored can be read."""


class ReadOnlyError(StorageError):
    """Nothing may be stored; what is stored can be read."""


class DamagedError(StorageError):
    """The stored data is damaged: to try again does not help."""


class SessionNotFoundError(StorageError):
    """No session has this id."""

    code = "session"


class LeaseLostError(StorageError):
    """Another process has taken over the reply that this one was writing."""

    code = "lease"
