"""What a session brings back of what the model no longer sees: quotations and a summary."""
