"""The desk of the app's tests, for attacks that go through a screen."""

from tests.tui.conftest import _calm, byte_folder, desk, empty_database, make_desk

__all__ = ["_calm", "byte_folder", "desk", "empty_database", "make_desk"]
