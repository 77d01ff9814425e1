"""The engine below ``TextEncoder``: weights, tokenizer, and the fastest exact way through the network."""
