"""Migrations, one in each file; the behaviour of a released one never changes."""
