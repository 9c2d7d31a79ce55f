"""Sessions and replies for every front end: the store, the model and the memory behind one API."""
