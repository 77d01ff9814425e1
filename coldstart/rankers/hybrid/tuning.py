"""Tuning: choose what ``HybridConfig`` leaves open by NDCG@20 on a fold of the clicks.

A fold (``data/holdout.py``) holds out all clicks of some items, single clicks on others, and some users. Each setting
is chosen on the part that it is for: those of the collaborative expert on warm items; the lexical weight on pseudo-cold
items; the prior on warm items, by known users and by new users who are given 1 to 10 likes; the calibration on warm
beside pseudo-cold items.
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
from coldstart.rankers.hybrid.blend import Blend
from coldstart.rankers.hybrid.calibration import Calibration, Candidates, user_scale
from coldstart.rankers.hybrid.config import PRIOR_ALONE, HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, FittedExperts, Model
from coldstart.rankers.hybrid.kernel import KernelRidge
from coldstart.rankers.hybrid.prior import TOP, TastePrior, log_base_rates, n_likes

Report: TypeAlias = dict[str, Any]

MIN_CLICKS = 20
"""Held-out clicks, or users, below which a setting is not learned."""

PRIOR_ERRORS = 2.0
"""The strongest prior within so many standard errors of the best is chosen.

With 1, new users of films lost three quarters of NDCG@20 after 1,000 clicks, in one of five random draws; with the best
taste share whatever its error, those of office lost a fifth.
"""

GIVEN_LIKES = (1, 2, 3, 5, 10)
"""Likes that new users are given, one group of evaluation users each."""

GROUP_SIZE = 400
"""Evaluation users of a group of new users."""

MAX_REPEATS = 5
"""Random draws of likes from the same new user, at most, where there are fewer than ``GROUP_SIZE``."""

MAX_CANDIDATES = 300
"""Items per user and expert that the calibration is learned from; at most a third of the items, too. The likelihood of
longer lists is one of popularity, while lists are judged by their first 20."""

MAX_KERNEL_ITEMS = 4_000
"""Warm items that the kernels of different lexical weights are compared on."""

SHARE_USERS = 500
"""Users whose lists tell the share of old stock."""

MAX_SCORES = 40_000_000
"""Users times items scored at once: 160 MB, and up to six such arrays are held."""

FEW_SCORES = 10_000_000
"""Users times items up to which all users are compared, beyond ``MAX_EVAL_USERS``: on office settings that differ by
chance on 1,000 users cost 5 % of NDCG@20, and in a small catalogue more users cost little time."""

MIN_OFFSET = -20.0
"""Log-odds offset of old stock at which nothing of its text is left."""


class Tuned(NamedTuple):
    """The settings that were chosen."""

    lexical_weight: float
    collaborative: Collaborative
    prior: TastePrior
    calibration: Calibration


def tune(
    fold: Fold,
    item_vectors: Mapping[float, FloatArray],
    tastes: FloatArray,
    exposure: FloatArray | None,
    start: Collaborative,
    config: HybridConfig,
    rng: np.random.Generator,
) -> tuple[Tuned, Report]:
    """Return the best settings, and the NDCG@20 of every value that was tried.

    ``item_vectors`` has for each lexical weight the vectors (n, dim) by whose cosine two items are alike; users' tastes
    are compared with ``tastes`` (n, dim). ``start`` is the collaborative expert before tuning.
    """
    warm = np.unique(fold.train.indices).astype(np.int64)
    # Pseudo-cold items stand for new ones: to old stock without clicks the base rate would give hardly a chance.
    exposure = np.where(fold.cold, np.float32(0.0), np.float32(1.0) if exposure is None else exposure)
    prior = TastePrior.learn(fold.train, tastes, exposure, config, rng)
    lexical_weight = next(iter(item_vectors))
    if not len(_eval_users(csr_array(fold.held[:, warm]), fold.train, len(warm))):
        return Tuned(lexical_weight, start, prior, Calibration()), {}
    collaborative, model, report = _tune_collaborative(fold, item_vectors[lexical_weight][warm], warm, start, config)
    ndcgs = _lexical_weight_ndcgs(fold, model, warm, item_vectors, config)
    if ndcgs:
        report["lexical_weight"] = {weight: float(np.nanmean(of_users)) for weight, of_users in ndcgs.items()}
        lexical_weight = min(_within_an_error(ndcgs))
    log_rates = log_base_rates(np.asarray(fold.train.sum(axis=0), dtype=np.float32), exposure, config.prior_clicks)
    prior, prior_report = _tune_prior(model, fold, warm, tastes, log_rates, prior, config)
    report |= prior_report
    calibration = Calibration()
    if prior.strength < PRIOR_ALONE:
        cold, vectors = np.flatnonzero(fold.cold), item_vectors[lexical_weight]
        experts = FittedExperts.fit(fold.train, vectors, cold, collaborative, config, model)
        calibration = _learn_calibration(experts, fold, prior, tastes, log_rates)
    return Tuned(lexical_weight, collaborative, prior, calibration), report


def _tune_collaborative(
    fold: Fold, vectors: FloatArray, warm: IntArray, start: Collaborative, config: HybridConfig
) -> tuple[Collaborative, Model, Report]:
    """Search the settings of the collaborative expert one after the other, on warm items."""
    clicks, held = csr_array(fold.train[:, warm]), csr_array(fold.held[:, warm])
    users = _eval_users(held, clicks, len(warm))
    history, relevant = csr_array(clicks[users]), csr_array(held[users])
    # The ridge is searched without a text prior, since with one a small ridge would mean a weak prior as well.
    grids: Sequence[tuple[str, tuple[float, ...]]] = [("unobserved", config.unobserved)]
    best, model = start, None
    if start.method == "exact":
        grids = [("l2", config.l2), ("text_prior", config.text_prior)]
        best = replace(start, text_prior=min(config.text_prior))
    report: Report = {}
    for name, values in grids:
        base, ndcgs = best, report.setdefault(name, {})
        for value in _climb(values, ndcgs):
            candidate = replace(base, **{name: value})  # type: ignore[arg-type]
            fitted = candidate.fit(clicks, vectors, config, model)
            ndcgs[value] = mean_ndcg(fitted.scores(history), history, relevant)
            if ndcgs[value] == max(ndcgs.values()):
                best, model = candidate, fitted  # only the best is kept, as each holds up to 1.6 GB
    return best, model or best.fit(clicks, vectors, config), report


def _climb(values: Sequence[float], ndcgs: Mapping[float, float]) -> Iterator[float]:
    """Yield ascending values from the middle upwards and, if none there is better, downwards, until one is worse.

    A fit is expensive, and NDCG is taken to have one maximum. The caller puts that of each value into ``ndcgs``.
    """
    middle = len(values) // 2
    yield values[middle]
    for side in (values[middle + 1 :], values[:middle][::-1]):
        best = max(ndcgs.values())
        for value in side:
            yield value
            if ndcgs[value] < max(ndcgs.values()):
                break
        if max(ndcgs.values()) > best:
            return


def _lexical_weight_ndcgs(
    fold: Fold, model: Model, warm: IntArray, item_vectors: Mapping[float, FloatArray], config: HybridConfig
) -> dict[float, AnyArray]:
    """Return NDCG@20 of kernel ridge among pseudo-cold items by lexical weight and user; empty where users are few."""
    cold = np.flatnonzero(fold.cold)
    held = csr_array(fold.held[:, cold])
    users = _eval_users(held, fold.train, len(warm))
    if len(item_vectors) < 2 or len(users) < MIN_CLICKS:
        return {}
    sample = np.searchsorted(warm, sample_rows(warm, MAX_KERNEL_ITEMS))
    history, seen = csr_array(fold.train[users][:, warm]), csr_array(fold.train[users][:, cold])
    plain = model.plain.scores(history) if isinstance(model, PriorEASE) else model.scores(history)
    targets = plain[:, sample] * np.float32(config.cf_target_weight) + history[:, sample].toarray()
    ndcgs = {}
    for weight, vectors in item_vectors.items():
        regression = KernelRidge.of(vectors[warm[sample]], config.kernel_width, config.kernel_l2)
        ndcgs[weight] = ndcg_per_user(targets @ regression.weights(vectors[cold]), seen, csr_array(held[users]))
    return ndcgs


def _tune_prior(
    model: Model,
    fold: Fold,
    warm: IntArray,
    tastes: FloatArray,
    log_rates: FloatArray,
    prior: TastePrior,
    config: HybridConfig,
) -> tuple[TastePrior, Report]:
    """Choose strength and taste share of the prior together, by known users and by new users with few likes.

    The prior ranks until clicks have proven that they know more: of all strengths that, with some taste share, are not
    significantly worse than the best pair the largest is taken, and with it the largest such taste share.
    """
    rng = np.random.default_rng(0)
    held = csr_array(fold.held[:, warm])
    # Known users are many, and the more there are the smaller is the error that the rule below allows at their cost.
    users = _eval_users(held, fold.train, len(warm))
    groups = [(csr_array(fold.train[users][:, warm]), csr_array(held[users]))]
    new_users = csr_array(fold.new_users[:GROUP_SIZE, warm])
    repeats = min(max(GROUP_SIZE // max(new_users.shape[0], 1), 1), MAX_REPEATS)
    for likes in GIVEN_LIKES:
        draws = [_give(new_users, likes, rng) for _ in range(repeats)]
        if draws[0][0].shape[0] >= MIN_CLICKS:
            history, relevant = (csr_array(vstack(part, format="csr")) for part in zip(*draws, strict=True))
            groups.append((history, relevant))
    # Negative scores would make odds negative; an item cannot be less likely than by the prior.
    scores = [np.maximum(model.scores(history), 0.0) for history, _ in groups]
    shares, strengths = sorted(config.taste_share), sorted(config.prior_strength)

    def group_ndcgs(share: float) -> list[AnyArray]:
        """NDCG of each strength and user of each group, (n_strengths, m)."""
        ndcgs, candidate = [], replace(prior, taste=share * prior.taste, strength=1.0)
        for by_clicks, (history, relevant) in zip(scores, groups, strict=True):
            odds = candidate.odds(history, tastes[warm], log_rates[warm])
            steps = map(np.float32, strengths)
            ndcgs.append(np.array([ndcg_per_user(by_clicks + s * odds, history, relevant) for s in steps]))
        return ndcgs

    by_share = [group_ndcgs(share) for share in shares]
    by_pair = [np.stack(group) for group in zip(*by_share, strict=True)]
    means, admissible = _compare(by_pair, PRIOR_ERRORS)
    strength = int(np.flatnonzero(admissible.any(axis=0)).max())
    share = int(np.flatnonzero(admissible[:, strength]).max())
    chosen = replace(prior, taste=shares[share] * prior.taste, strength=strengths[strength])
    return chosen, {
        "prior_strength": dict(zip(strengths, means[share].tolist(), strict=True)),
        "taste_share": dict(zip(shares, means[:, strength].tolist(), strict=True)),
    }


def _within_an_error(ndcgs: Mapping[float, AnyArray]) -> list[float]:
    """Return the values whose mean NDCG is within one standard error of the best, given that of each user, (m,).

    Of these the simplest is taken (the one-standard-error rule of Breiman et al. 1984): what is best on one fold is
    often so by chance.
    """
    _, kept = _compare([np.stack(list(ndcgs.values()))[None]], errors=1.0)
    return [value for value, admissible in zip(ndcgs, kept[0], strict=True) if admissible]


def _compare(groups: Iterable[AnyArray], errors: float) -> tuple[AnyArray, BoolArray]:
    """Return the mean NDCG of each pair, (n_shares, n_strengths), and which are within so many errors of the best.

    ``groups`` have the NDCG of each pair and user, (n_shares, n_strengths, m), NaN where nothing is relevant.
    """
    ndcgs = [group[:, :, ~np.isnan(group[0, 0])] for group in groups]
    means = [np.maximum(group.mean(axis=2), 1e-6) for group in ndcgs]
    # NDCG differs by group. In the geometric mean a loss of 1 % weighs the same in each of them.
    mean = np.asarray(gmean(means, axis=0))
    best = np.unravel_index(mean.argmax(), mean.shape)
    # Paired differences, as both rank the same users. The error of a mean of logarithms is relative (delta method).
    relative = [
        (group - group[best]).std(axis=2) / np.sqrt(group.shape[2]) / group_mean[best]
        for group, group_mean in zip(ndcgs, means, strict=True)
    ]
    error = np.sqrt(np.square(relative).sum(axis=0)) / len(ndcgs)
    return mean, mean >= (1.0 - errors * error) * mean[best]


def _give(clicks: Csr, likes: int, rng: np.random.Generator) -> tuple[Csr, Csr]:
    """Split the clicks of users with more than ``likes`` into so many, drawn at random, and the rest."""
    users = csr_array(clicks[np.flatnonzero(np.diff(clicks.indptr) > likes)])
    user = np.repeat(np.arange(users.shape[0]), np.diff(users.indptr))
    order = np.lexsort((rng.random(users.nnz), user))
    rank = np.empty(users.nnz, dtype=np.int64)
    rank[order] = np.arange(users.nnz) - users.indptr[user]
    return split_entries(users, rank < likes)


def _learn_calibration(
    experts: FittedExperts, fold: Fold, prior: TastePrior, tastes: FloatArray, log_rates: FloatArray
) -> Calibration:
    """Learn the calibration from the best items of each expert; the default where clicks are too few."""
    users = _eval_users(fold.held, fold.train, len(log_rates))
    history, held = csr_array(fold.train[users]), csr_array(fold.held[users])
    by_clicks, by_text = experts.scores(history)
    odds = prior.odds(history, tastes, log_rates)
    odds[:, experts.warm] += np.maximum(by_clicks, 0.0)
    scale, text_scale = user_scale(odds, history), user_scale(by_text, csr_array(history[:, experts.by_text]))
    odds /= scale
    by_text /= text_scale
    warm = _best(odds[:, experts.warm], history, held, experts.warm)
    cold = _best(by_text, history, held, experts.by_text)
    if min(warm.clicked.sum(), cold.clicked.sum()) < MIN_CLICKS:
        return Calibration()
    base = np.take_along_axis(odds[:, experts.by_text], cold.items, axis=1)
    some = warm.clicked.any(axis=1) | cold.clicked.any(axis=1)
    warm, cold = (Candidates(c.scores[some], c.clicked[some], c.items[some]) for c in (warm, cold))
    density, likes = experts.density[cold.items], n_likes(history)
    return Calibration.learn(warm, cold, base[some], density, scale[some], text_scale[some], likes[some])


def _best(scores: FloatArray, history: Csr, held: Csr, items: IntArray) -> Candidates:
    """Return the best unseen ones of some items for each user by scores (m, len(items)); ``items`` are columns."""
    unseen = np.where(history[:, items].toarray() > 0, -np.inf, scores)
    top = min(MAX_CANDIDATES, max(len(items) // 3, TOP), len(items))
    at = np.argpartition(-unseen, top - 1, axis=1)[:, :top] if top else np.zeros((len(scores), 0), dtype=np.int64)
    clicked = held[:, items].toarray() > 0
    return Candidates(np.take_along_axis(unseen, at, axis=1), np.take_along_axis(clicked, at, axis=1), at)


def _eval_users(held: Csr, train: Csr, n_items: int) -> IntArray:
    """Users with held-out and given clicks: ``MAX_EVAL_USERS``, more of few items and fewer of very many."""
    users = np.flatnonzero(np.diff(held.indptr) * np.diff(train.indptr))
    most = min(MAX_EVAL_USERS, max(MAX_SCORES // n_items, 1))
    return sample_rows(users, max(most, FEW_SCORES // n_items))


def cold_offset(blend: Blend, clicks: Csr, tastes: FloatArray, share: float) -> tuple[float, float, float]:
    """Bound the share of old stock without clicks in the first 20 places of known users.

    Return nats to add to their log-odds by text, at most 0, and their mean share of the lists before and after. What
    the prior says of them stays as it is, so that their share may remain above the bound.
    """
    old, others = np.flatnonzero(blend.is_old_stock), np.flatnonzero(~blend.is_old_stock)
    users = sample_rows(np.flatnonzero(np.diff(clicks.indptr)), min(SHARE_USERS, MAX_SCORES // clicks.shape[1]))
    if not len(old) or not len(users):
        return 0.0, 0.0, 0.0
    history = csr_array(clicks[users])
    odds, by_text = blend.parts(history, tastes)
    odds[history.nonzero()] = 0.0
    by_text[history.nonzero()] = 0.0
    # The offset changes only old stock, so the best of the others are found once.
    best_others = largest(odds[:, others] + by_text[:, others], min(K, len(others)))
    odds, by_text = odds[:, old], by_text[:, old]
    places = min(K, len(blend.counts))

    def share_of_old(offset: float) -> float:
        best_old = largest(odds + np.float32(np.exp(offset)) * by_text, min(K, len(old)))
        top = np.argpartition(-np.hstack([best_old, best_others]), places - 1, axis=1)[:, :places]
        return float((top < best_old.shape[1]).mean())

    before = share_of_old(0.0)
    if before <= share:
        return 0.0, before, before
    low, high = MIN_OFFSET, 0.0
    for _ in range(12):  # bisection, to 0.005 nats: the share only falls with the offset
        middle = (low + high) / 2
        low, high = (middle, high) if share_of_old(middle) <= share else (low, middle)
    return low, before, share_of_old(low)


def auto_cold_share(counts: FloatArray, old: BoolArray, most: float) -> float:
    """Return the share of lists that old stock without clicks may take.

    At most its share of the catalogue; and at most ``most`` or, if larger, the share of the next clicks that is
    expected to go to items without clicks: by Good and Turing (1953) that of the clicks on items with one.
    ``counts`` (n,) are clicks, ``old`` (n,) marks old stock without any.
    """
    unseen = float((counts == 1).sum()) / max(float(counts.sum()), 1.0)
    return min(float(old.mean()), max(most, unseen))
