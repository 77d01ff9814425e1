"""Losses: pure functions of scores, on torch tensors.

``b`` positives in a batch, ``k`` negatives of each, ``c`` candidates that all share; every loss is a mean, in nats.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize, softplus


def bce(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the logistic loss ``-y log s(x) - (1 - y) log(1 - s(x))`` of scores and labels of one shape.

    Pointwise: each score is the logit of one pair, liked (1) or not (0).

    Examples
    --------
    >>> bce(torch.zeros(4), torch.tensor([0.0, 1.0, 1.0, 0.0])).item()  # a coin: log 2
    0.6931471824645996
    """
    return binary_cross_entropy_with_logits(scores, labels)


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Return ``-log s(positive - negative)`` of scores (b,) of liked items and (b, k) of negatives.

    Bayesian personalised ranking (Rendle et al. 2009), pairwise: only the order of the two matters, not their level.

    Examples
    --------
    >>> bpr(torch.tensor([9.0]), torch.tensor([[-9.0, -9.0]])).item() < 1e-6
    True
    """
    # softplus(-x) is -log s(x) without the overflow of exp and the logarithm of 0.
    return softplus(negative - positive[:, None]).mean()


def sampled_softmax(
    scores: Tensor, target: Tensor, log_q: Tensor | None = None, masked: Tensor | None = None
) -> Tensor:
    """Return ``-log softmax(scores - log_q)[target]``, the cross-entropy over sampled candidates.

    Popular items occur in more batches, so that they would be pushed down too often as negatives. Subtracting the
    logarithm of how often each is drawn (logQ correction) makes the loss an estimate of the softmax over all items
    (Bengio and Senecal 2008; Yi et al. 2019).

    Parameters
    ----------
    scores : Tensor of shape (b, c)
    target : Tensor of shape (b,), int64
        Column of the liked candidate.
    log_q : Tensor of shape (c,), optional
        Logarithm of the expected number of draws of each candidate, up to a constant.
    masked : Tensor of shape (b, c), bool, optional
        Candidates that are left out of a row, as ``negatives.false_negatives`` finds them; the target never is.

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
        # The user likes the target, too, so that it is among their false negatives: it must stay.
        is_target = torch.arange(scores.shape[1], device=scores.device) == target[:, None]
        scores = scores.masked_fill(masked & ~is_target, -torch.inf)
    return cross_entropy(scores, target)


def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 0.05,
    log_q: Tensor | None = None,
    masked: Tensor | None = None,
) -> Tensor:
    """Return the softmax loss of cosines: row i of ``queries`` (b, dim) belongs to row i of ``keys`` (b or more, dim).

    The keys of the other rows are the negatives (in-batch), and keys below row b are negatives of all rows (van den
    Oord et al. 2018). In-batch negatives cost no encoding of their own: each key is a positive once, and else a
    negative. Cosines are divided by ``temperature``; ``log_q`` and ``masked`` as in ``sampled_softmax``.

    Examples
    --------
    >>> info_nce(torch.eye(3), torch.eye(3)).item() < 1e-6
    True
    """
    cosines = normalize(queries, dim=1) @ normalize(keys, dim=1).T
    return sampled_softmax(cosines / temperature, torch.arange(len(queries), device=queries.device), log_q, masked)
