"""Opening pictures safely, from any source, and their pixels for the model and the screen.

``source.open_source`` takes a path, an address or bytes, and returns a
:class:`~assistant.values.conversation.PictureFile` that was decoded once from end to end.
``decode.pixels`` decodes the stored bytes, which are never changed, for the model and the screen.
Both are done by the decoder, a process with limits (:mod:`assistant.pictures.decoder`).
"""
