"""The engine of ``TextEncoder``: weights, tokenizer, and the fastest network that gives the same vectors."""
