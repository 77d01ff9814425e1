"""Choose what ``HybridConfig`` leaves open, on clicks that a fold hides from the experts.

Some items lose all their clicks, as new ones have none; some of the other clicks are hidden; some users are taken away
and come back as strangers with a few likes. Each number is chosen on the part of the fold that it is for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.stats import gmean

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray, largest, split_entries
from coldstart.data.holdout import MAX_EVAL_USERS, Fold, K, mean_ndcg, ndcg_per_user, sample_rows
from coldstart.rankers._ease import PriorEASE
from coldstart.rankers.hybrid.blend import Blend, prior_odds
from coldstart.rankers.hybrid.calibration import TOP, Calibration, user_scale
from coldstart.rankers.hybrid.config import PRIOR_ALONE, HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, FittedExperts, Model
from coldstart.rankers.hybrid.kernel import KernelRidge
from coldstart.rankers.hybrid.prior import TastePrior, clicks_of, log_base_rates

Report: TypeAlias = dict[str, Any]

FEWEST = 20
"""Clicks below which nothing is learned."""

ERRORS = 2.0
"""Standard errors by which a value must be better than one that leaves more to the prior.

With one, strangers to films after 1,000 clicks lost three quarters of NDCG@20 in one draw of five.
"""

GIVEN = (1, 2, 3, 5, 10)
"""Likes that strangers have."""

REPEATS = 5
"""How often, at most, other likes of the same strangers are drawn."""

OF_A_KIND = 400
"""Users of each number of likes by whom the prior is judged."""

CANDIDATES = 300
"""Items per user and expert, at most, that the calibration is learned from; at most a third of all, too.

The likelihood of longer lists is one of popularity, and lists are judged by their first twenty.
"""

ALIKE = 4_000
"""Items with clicks by which ways to place items are compared."""

SHARE_USERS = 500
"""Users by whose lists the share of old stock without clicks is measured."""

MOST_SCORES = 100_000_000
"""Users times items that are scored at once."""

LEAST_OFFSET = -20.0
"""Log-odds of old stock below which nothing of its text is left."""


class Tuned(NamedTuple):
    """What was chosen."""

    lexical_weight: float
    collaborative: Collaborative
    prior: TastePrior
    calibration: Calibration


def tune(
    fold: Fold,
    placed: Mapping[float, FloatArray],
    tastes: FloatArray,
    exposure: FloatArray | None,
    start: Collaborative,
    config: HybridConfig,
    rng: np.random.Generator,
) -> tuple[Tuned, Report]:
    """Return the settings that do best on what a fold hides, and what each value came to (NDCG@20).

    Parameters
    ----------
    fold : Fold
    placed : mapping of float to ndarray of shape (n, dim)
        Where items meet items, by the weight of the words in their likeness.
    tastes : ndarray of shape (n, dim)
        Where tastes meet items.
    exposure : ndarray of shape (n,) or None
    start : Collaborative
    config : HybridConfig
    rng : Generator
    """
    warm = np.unique(fold.train.indices).astype(np.int64)
    exposure = np.where(fold.cold, np.float32(0.0), np.float32(1.0) if exposure is None else exposure)
    prior = TastePrior.learn(fold.train, tastes, exposure, config, rng)
    lexical_weight = next(iter(placed))
    if not len(_some_users(csr_array(fold.held[:, warm]), fold.train, len(warm))):
        return Tuned(lexical_weight, start, prior, Calibration()), {}  # nobody is left to ask
    collaborative, model, report = _collaborative(fold, placed[lexical_weight][warm], warm, start, config)
    ndcgs = _lexical_weights(fold, model, warm, placed, config)
    if ndcgs:
        report["lexical_weight"] = ndcgs
        lexical_weight = max(ndcgs, key=lambda weight: ndcgs[weight])
    rates = log_base_rates(np.asarray(fold.train.sum(axis=0), dtype=np.float32), exposure, config.prior_clicks)
    prior, of_prior = _prior(model, fold, warm, tastes, rates, prior, config)
    report |= of_prior
    calibration = Calibration()
    if prior.strength < PRIOR_ALONE:
        cold = np.flatnonzero(fold.cold)
        experts = FittedExperts.fit(fold.train, placed[lexical_weight], cold, collaborative, config, model)
        calibration = _calibration(experts, fold, prior, tastes, rates)
    return Tuned(lexical_weight, collaborative, prior, calibration), report


def cold_offset(blend: Blend, clicks: Csr, tastes: FloatArray, share: float) -> tuple[float, float, float]:
    """Return what to add to the log-odds by text of old stock, at most 0, and its share of lists before and after.

    With it, these items take no more than ``share`` of the first 20 places of known users, in the mean, as far as it is
    their texts beside the clicks of others that bring them there.
    """
    old, others = np.flatnonzero(blend.is_old_stock), np.flatnonzero(~blend.is_old_stock)
    rows = sample_rows(np.flatnonzero(np.diff(clicks.indptr)), min(SHARE_USERS, MOST_SCORES // clicks.shape[1]))
    if not len(old) or not len(rows):
        return 0.0, 0.0, 0.0
    history = csr_array(clicks[rows])
    odds, by_text = blend.parts(history, tastes)
    odds[history.nonzero()] = 0.0
    by_text[history.nonzero()] = 0.0
    best = largest(odds[:, others] + by_text[:, others], min(K, len(others)))
    odds, by_text = odds[:, old], by_text[:, old]
    places = min(K, len(blend.counts))

    def taken(offset: float) -> float:
        best_old = largest(odds + np.float32(np.exp(offset)) * by_text, min(K, len(old)))
        both = np.hstack([best_old, best])
        first = np.argpartition(-both, places - 1, axis=1)[:, :places]
        return float((first < best_old.shape[1]).mean())

    before = taken(0.0)
    if before <= share:
        return 0.0, before, before
    low, high = LEAST_OFFSET, 0.0
    for _ in range(12):  # halving: the share only falls with the offset
        middle = (low + high) / 2
        low, high = (middle, high) if taken(middle) <= share else (low, middle)
    return low, before, taken(low)


def auto_cold_share(counts: FloatArray, old: BoolArray, most: float) -> float:
    """Return the share of lists that ``old`` stock without clicks may take.

    At most its share of the catalogue, and at most ``most`` or, where that is more, the share of the next clicks that
    by Good and Turing (1953) go to items without any: that of the clicks on items with one.
    """
    unseen = float((counts == 1).sum()) / max(float(counts.sum()), 1.0)
    return min(float(old.mean()), max(most, unseen))


def _collaborative(
    fold: Fold, vectors: FloatArray, warm: IntArray, start: Collaborative, config: HybridConfig
) -> tuple[Collaborative, Model, Report]:
    """The collaborative expert with its best settings, one searched after the other.

    The ridge is searched without a text prior: with one, a small ridge would stand for it.
    """
    columns, held = csr_array(fold.train[:, warm]), csr_array(fold.held[:, warm])
    rows = _some_users(held, columns, len(warm))
    history, relevant = csr_array(columns[rows]), csr_array(held[rows])
    exact = start.method == "exact"
    grid: Sequence[tuple[str, tuple[float, ...]]] = [("unobserved", config.unobserved)]
    if exact:
        grid = [("l2", config.l2), ("text_prior", config.text_prior)]
    report: Report = {}
    best, model = replace(start, text_prior=min(config.text_prior)) if exact else start, None
    for name, values in grid:
        tried, report[name] = best, {}
        for value in _uphill(values, report[name]):
            one = replace(tried, **{name: value})  # type: ignore[arg-type]
            fitted = one.fit(columns, vectors, config, model)
            report[name][value] = mean_ndcg(fitted.scores(history), history, relevant)
            if report[name][value] == max(report[name].values()):
                best, model = one, fitted  # the best one only: each is large
    return best, model or best.fit(columns, vectors, config), report


def _uphill(values: Sequence[float], ndcgs: Mapping[float, float]) -> Iterator[float]:
    """Go through ascending values from the middle one, upwards and then downwards, as long as each is better."""
    middle = len(values) // 2
    yield values[middle]
    for way in (values[middle + 1 :], values[:middle][::-1]):
        best = max(ndcgs.values())
        for value in way:
            yield value
            if ndcgs[value] < max(ndcgs.values()):
                break
        if max(ndcgs.values()) > best:
            return  # it is better on this side, and so not on the other


def _lexical_weights(
    fold: Fold, model: Model, warm: IntArray, placed: Mapping[float, FloatArray], config: HybridConfig
) -> dict[float, float]:
    """What each weight of the words comes to among items that lost all their clicks."""
    cold = np.flatnonzero(fold.cold)
    held = csr_array(fold.held[:, cold])
    rows = _some_users(held, fold.train, len(warm))
    if len(placed) < 2 or len(rows) < FEWEST:
        return {}
    some = np.searchsorted(warm, sample_rows(warm, ALIKE))
    liked, seen = csr_array(fold.train[rows][:, warm]), csr_array(fold.train[rows][:, cold])
    plain = model.plain.scores(liked) if isinstance(model, PriorEASE) else model.scores(liked)
    targets = plain[:, some] * np.float32(config.cf_target_weight) + liked[:, some].toarray()
    ndcgs = {}
    for weight, vectors in placed.items():
        regression = KernelRidge.of(vectors[warm[some]], config.kernel_width, config.kernel_l2)
        ndcgs[weight] = mean_ndcg(targets @ regression.weights(vectors[cold]), seen, csr_array(held[rows]))
    return ndcgs


def _prior(
    model: Model,
    fold: Fold,
    warm: IntArray,
    tastes: FloatArray,
    rates: FloatArray,
    prior: TastePrior,
    config: HybridConfig,
) -> tuple[TastePrior, Report]:
    """The prior with its best strength and share of taste, by known users and by strangers with few likes.

    The prior speaks until clicks have proved that they say more: of the strengths that are not surely worse than the
    best the largest is taken, and with it the best share of taste.
    """
    rng = np.random.default_rng(0)
    held = csr_array(fold.held[:, warm])
    rows = _some_users(held, fold.train, len(warm))[:OF_A_KIND]
    asked = [(csr_array(fold.train[rows][:, warm]), csr_array(held[rows]))]
    strangers = csr_array(fold.new_users[:OF_A_KIND, warm])
    repeats = min(max(OF_A_KIND // max(strangers.shape[0], 1), 1), REPEATS)
    for likes in GIVEN:
        parts = [_given(strangers, likes, rng) for _ in range(repeats)]
        if parts[0][0].shape[0] >= FEWEST:
            history, relevant = (csr_array(vstack(part, format="csr")) for part in zip(*parts, strict=True))
            asked.append((history, relevant))
    scores = [np.maximum(model.scores(history), 0.0) for history, _ in asked]

    def values(one: TastePrior) -> list[AnyArray]:
        """NDCG of each user of each group, (n_strengths, m)."""
        found = []
        for by_clicks, (history, relevant) in zip(scores, asked, strict=True):
            odds = prior_odds(replace(one, strength=1.0), history, tastes[warm], rates[warm])
            strengths = map(np.float32, sorted(config.prior_strength))
            found.append(np.array([ndcg_per_user(by_clicks + s * odds, history, relevant) for s in strengths]))
        return found

    shares, strengths = sorted(config.taste_share), sorted(config.prior_strength)
    by_share = [values(replace(prior, taste=share * prior.taste)) for share in shares]
    means, proven = _means(np.stack(group) for group in zip(*by_share, strict=True))
    strength = int(np.flatnonzero(proven.any(axis=0)).max())
    share = int(means[:, strength].argmax())  # no caution: both extremes cost as much as they may gain
    chosen = replace(prior, taste=shares[share] * prior.taste, strength=strengths[strength])
    return chosen, {
        "prior_strength": dict(zip(strengths, means[share].tolist(), strict=True)),
        "taste_share": dict(zip(shares, means[:, strength].tolist(), strict=True)),
    }


def _means(groups: Iterable[AnyArray]) -> tuple[AnyArray, BoolArray]:
    """Return what each value comes to, (n_shares, n_strengths), and which are within ``ERRORS`` of the best.

    ``groups`` have the NDCG of each value and user, (n_shares, n_strengths, m). Groups count alike, in the geometric
    mean: a value that pays in one and costs in another is judged by the shares that it gains and loses.
    """
    of_groups = [group[:, :, ~np.isnan(group[0, 0])] for group in groups]  # without users for whom nothing is relevant
    means = [np.maximum(group.mean(axis=2), 1e-6) for group in of_groups]
    mean = np.asarray(gmean(means, axis=0))
    best = np.unravel_index(mean.argmax(), mean.shape)
    errors = [
        (group - group[best]).std(axis=2) / np.sqrt(group.shape[2]) / of_group[best]
        for group, of_group in zip(of_groups, means, strict=True)
    ]
    error = np.sqrt(np.square(errors).sum(axis=0)) / len(of_groups)
    return mean, mean >= (1.0 - ERRORS * error) * mean[best]


def _given(clicks: Csr, likes: int, rng: np.random.Generator) -> tuple[Csr, Csr]:
    """The likes that are given of each user who has more, drawn at random, and the rest."""
    users = csr_array(clicks[np.flatnonzero(np.diff(clicks.indptr) > likes)])
    user = np.repeat(np.arange(users.shape[0]), np.diff(users.indptr))
    order = np.lexsort((rng.random(users.nnz), user))
    place = np.empty(users.nnz, dtype=np.int64)
    place[order] = np.arange(users.nnz) - users.indptr[user]
    return split_entries(users, place < likes)


def _calibration(
    experts: FittedExperts, fold: Fold, prior: TastePrior, tastes: FloatArray, rates: FloatArray
) -> Calibration:
    """Learn the odds of items that lost all clicks beside those of the others, where there is enough to learn from."""
    rows = _some_users(fold.held, fold.train, len(rates))
    history, held = csr_array(fold.train[rows]), csr_array(fold.held[rows])
    clicked, text = experts.scores(history)
    odds = prior_odds(prior, history, tastes, rates)
    odds[:, experts.warm] += np.maximum(clicked, 0.0)
    scale, text_scale = user_scale(odds, history), user_scale(text, csr_array(history[:, experts.by_text]))
    odds /= scale
    text /= text_scale
    known, new = (
        _candidates(scores, history, held, items)
        for scores, items in ((odds[:, experts.warm], experts.warm), (text, experts.by_text))
    )
    base = np.take_along_axis(odds[:, experts.by_text], new.at, axis=1)
    if min(known.clicked.sum(), new.clicked.sum()) < FEWEST:
        return Calibration()
    some = (known.clicked.sum(axis=1) + new.clicked.sum(axis=1)) > 0
    return Calibration.learn(
        (known.scores[some], known.clicked[some]),
        (new.scores[some], new.clicked[some]),
        base[some],
        experts.density[new.at[some]],
        new.at[some],
        scale[some],
        text_scale[some],
        clicks_of(history)[some],
    )


class _Candidates(NamedTuple):
    """The best items of each user, (m, top): their columns, their scores, -inf for what is known, and the clicks."""

    at: IntArray
    scores: FloatArray
    clicked: BoolArray


def _candidates(scores: FloatArray, history: Csr, held: Csr, items: IntArray) -> _Candidates:
    unseen = np.where(history[:, items].toarray() > 0, -np.inf, scores)
    top = min(CANDIDATES, max(len(items) // 3, TOP), len(items))
    at = np.argpartition(-unseen, top - 1, axis=1)[:, :top] if top else np.zeros((len(scores), 0), dtype=np.int64)
    clicked = held[:, items].toarray() > 0
    return _Candidates(at, np.take_along_axis(unseen, at, axis=1), np.take_along_axis(clicked, at, axis=1))


def _some_users(held: Csr, train: Csr, n_items: int) -> IntArray:
    """Users with clicks in both, at most ``MAX_EVAL_USERS``, and fewer where a row of scores is long."""
    rows = np.flatnonzero(np.diff(held.indptr) * np.diff(train.indptr))
    return sample_rows(rows, min(MAX_EVAL_USERS, max(MOST_SCORES // n_items, 1)))
