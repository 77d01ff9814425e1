"""Text augmentation: small functions that return other words for the same text, each usable alone."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from coldstart._arrays import check_between


def drop_words(texts: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Leave out each word with probability ``share``; at least one word of a text stays.

    Examples
    --------
    >>> drop_words(["a quiet film about the sea"], 0.5, np.random.default_rng(1))
    ['a quiet about']
    """
    check_between("share", share, 0.0, 1.0)
    shortened = []
    for text in texts:
        words = text.split()
        keep = rng.random(len(words)) >= share
        if words and not keep.any():
            keep[rng.integers(len(words))] = True
        shortened.append(" ".join(word for word, kept in zip(words, keep, strict=True) if kept) or text)
    return shortened


def replace_words(
    texts: Sequence[str], share: float, rng: np.random.Generator, model: Any, tokenizer: Any, top: int = 5
) -> list[str]:
    """Replace words by predictions of a masked language model (Kobayashi 2018; Wu et al. 2019).

    Each token is masked with probability ``share`` and replaced by one of the ``top`` most likely other tokens, drawn
    uniformly.

    Parameters
    ----------
    texts : sequence of str
    share : float
        From 0 to 1.
    rng : Generator
    model, tokenizer
        A ``transformers`` model for masked language modelling and its tokenizer.
    top : int
        Most likely tokens among which the replacement is drawn.
    """
    import torch

    check_between("share", share, 0.0, 1.0)
    check_between("top", top, 1, 1000)
    if not texts:
        return []
    batch = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt", return_special_tokens_mask=True)
    special = batch.pop("special_tokens_mask").bool()
    ids = batch["input_ids"]
    masked = torch.from_numpy(rng.random(ids.shape) < share) & ~special
    batch = {name: part.to(model.device) for name, part in batch.items()}
    batch["input_ids"] = ids.masked_fill(masked, tokenizer.mask_token_id).to(model.device)
    with torch.no_grad():
        logits = model(**batch).logits.cpu()[masked]
    # Neither the token itself nor a special one such as [SEP] may be drawn.
    logits.scatter_(1, ids[masked][:, None], -torch.inf)
    logits[:, tokenizer.all_special_ids] = -torch.inf
    best = logits.topk(min(top, logits.shape[1] - len(tokenizer.all_special_ids) - 1), dim=1).indices
    drawn = torch.from_numpy(rng.integers(best.shape[1], size=len(best)))
    ids = ids.clone()
    ids[masked] = best[torch.arange(len(best)), drawn]
    is_token = batch["attention_mask"].cpu().bool()
    decoded = [tokenizer.decode(row[kept], skip_special_tokens=True) for row, kept in zip(ids, is_token, strict=True)]
    # Decoding changes case and spaces: a text without a masked token is returned as it was.
    changed = masked.any(dim=1).tolist()
    return [new if is_changed else old for new, old, is_changed in zip(decoded, texts, changed, strict=True)]


def translate_back(texts: Sequence[str], there: tuple[Any, Any], back: tuple[Any, Any], **options: Any) -> list[str]:
    """Translate into another language and back (Sennrich et al. 2016).

    Parameters
    ----------
    texts : sequence of str
    there, back : (model, tokenizer)
        Two ``transformers`` models for translation, such as Marian's ``opus-mt-en-de`` and ``opus-mt-de-en``.
    **options
        Options of ``generate``: for example ``num_beams=4`` or ``do_sample=True``.
    """
    return _translate(_translate(list(texts), *there, options), *back, options)


def _translate(texts: list[str], model: Any, tokenizer: Any, options: dict[str, Any]) -> list[str]:
    """Return the translations of texts."""
    if not texts:
        return []
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
    translations: list[str] = tokenizer.batch_decode(model.generate(**batch, **options), skip_special_tokens=True)
    return translations


Augment: TypeAlias = Callable[[Sequence[str], np.random.Generator], list[str]]
"""A function of texts and a generator of random numbers that returns other words for the texts."""
