"""Export and import of conversations, one module for each format, and backups.

:mod:`storage.exchange.document` is the format of a JSON export, :mod:`storage.exchange.outline` is
common to the formats for readers.
"""
