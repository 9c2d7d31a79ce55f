"""Sessions on disk: tables, migrations, one ``Store``. Knows SQL; no model, no terminal."""
