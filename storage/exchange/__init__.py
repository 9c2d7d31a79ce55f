"""Conversations on their way out of a database, and into one: one file a format.

``document`` says what a JSON export holds, ``json_file`` writes it, ``arriving``
stores what comes in; ``markdown`` and ``page`` write what people read;
``llm_logs`` reads the database of the ``llm`` command; ``backup`` copies a live
database. ``store`` is the part of the door to the database that leads here.
"""
