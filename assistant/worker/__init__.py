"""The process that keeps a model resident: how it is found, started, spoken to and shared."""
