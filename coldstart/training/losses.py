"""What training makes small: pure functions of scores, on torch tensors.

``b`` positives in a batch, ``k`` negatives of each, ``c`` candidates that all share; every loss is a mean, in nats.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize, softplus


def bce(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the logistic loss ``-y log s(x) - (1 - y) log(1 - s(x))`` of scores and labels of one shape.

    Every score is a question of its own: is this pair liked (1) or not (0)?

    Examples
    --------
    >>> bce(torch.zeros(4), torch.tensor([0.0, 1.0, 1.0, 0.0])).item()  # a coin: log 2
    0.6931471824645996
    """
    return binary_cross_entropy_with_logits(scores, labels)


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Return ``-log s(positive - negative)``: scores (b,) of what was liked, (b, k) of what was not.

    Bayesian personalised ranking, Rendle et al. 2009: the liked one should stand higher, no matter by how much it
    exceeds 0.

    Examples
    --------
    >>> bpr(torch.tensor([9.0]), torch.tensor([[-9.0, -9.0]])).item() < 1e-6
    True
    """
    return softplus(negative - positive[:, None]).mean()


def sampled_softmax(
    scores: Tensor, target: Tensor, log_q: Tensor | None = None, masked: Tensor | None = None
) -> Tensor:
    """Return ``-log softmax(scores - log_q)[target]``: what it takes to tell which of the candidates it was.

    Candidates that are drawn often, as popular items are in a batch, would be pushed down too often: subtracting the
    logarithm of how often each is drawn makes the loss an estimate of that over all items (Bengio and Senecal 2008;
    Yi et al. 2019).

    Parameters
    ----------
    scores : Tensor of shape (b, c)
    target : Tensor of shape (b,), int64
        Column of the one that was liked.
    log_q : Tensor of shape (c,), optional
        Logarithm of the expected number of draws of each candidate, up to a constant.
    masked : Tensor of shape (b, c), bool, optional
        Candidates that are no negatives of a row, as ``negatives.false_negatives`` finds them; the target never is.

    Examples
    --------
    >>> scores = torch.tensor([[5.0, 0.0, 5.0]])
    >>> target, masked = torch.tensor([0]), torch.tensor([[False, False, True]])
    >>> round(sampled_softmax(scores, target).item(), 2), round(sampled_softmax(scores, target, None, masked).item(), 2)
    (0.7, 0.01)
    """
    if log_q is not None:
        scores = scores - log_q
    if masked is not None:
        its_own = torch.arange(scores.shape[1], device=scores.device) == target[:, None]
        scores = scores.masked_fill(masked & ~its_own, -torch.inf)
    return cross_entropy(scores, target)


def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 0.05,
    log_q: Tensor | None = None,
    masked: Tensor | None = None,
) -> Tensor:
    """Return the softmax loss of cosines: row i of ``queries`` (b, dim) belongs to row i of ``keys`` (b or more, dim).

    The keys of the other rows are the negatives, and what stands in ``keys`` below row b is shared by all rows
    (van den Oord et al. 2018). Cosines are divided by ``temperature``; ``log_q`` and ``masked`` as in
    ``sampled_softmax``.

    Examples
    --------
    >>> info_nce(torch.eye(3), torch.eye(3)).item() < 1e-6
    True
    """
    cosines = normalize(queries, dim=1) @ normalize(keys, dim=1).T
    return sampled_softmax(cosines / temperature, torch.arange(len(queries), device=queries.device), log_q, masked)
