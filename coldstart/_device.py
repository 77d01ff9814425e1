"""Where tensors go when nobody says."""


def best_device() -> str:
    """Return "cuda" when there is one, else "mps", else "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
