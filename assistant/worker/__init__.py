"""The worker, a process that keeps a model resident: client side and server side."""
