"""Markdown as rows of cells: one renderer for growing and for complete replies.

Textual's own Markdown makes a widget of every list item and table cell; a list of
10,000 characters took it 1.8 CPU-seconds. Here a reply is one widget, and a block
knows its height without being drawn.
"""
