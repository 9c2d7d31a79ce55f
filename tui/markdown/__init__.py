"""Markdown as rows of cells: one renderer for replies that stream and for replies that are done.

Textual's own Markdown makes a widget of every list item and table cell; a list of
10,000 characters took it 1.8 CPU-seconds. Here a reply is one widget, and a block
knows its height without being drawn.
"""
