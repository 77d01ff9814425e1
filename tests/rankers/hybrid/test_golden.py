"""Scores as they were: steps that are meant to change nothing must change none of these.

Write the file anew, after a change that is meant to change results: python tests/rankers/hybrid/test_golden.py
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.ranker import HybridRanker

GOLDEN = Path(__file__).with_name("golden.json")
N_ITEMS, N_USERS, KINDS = 60, 150, 4
NEVER_CLICKED = np.arange(N_ITEMS) % 15 >= 13

EXPERTS = {"l2": (30.0,), "text_prior": (1.0,), "prior_strength": (0.03,), "taste_share": (0.5,)}
"""One value of each, so that the experts are there, and no choice between equals depends on the machine."""


def the_items(exposure=None):
    rng = np.random.default_rng(7)
    dense = np.eye(8)[np.arange(N_ITEMS) // 15] + 0.2 * rng.standard_normal((N_ITEMS, 8))
    words = csr_array((rng.random((N_ITEMS, 20)) < 0.15) * rng.random((N_ITEMS, 20)), dtype=np.float32)
    return Features(dense.astype(np.float32), words, np.zeros((N_ITEMS, 1), dtype=bool), exposure=exposure)


def the_clicks():
    rng = np.random.default_rng(8)
    likes = np.arange(N_USERS)[:, None] % KINDS == np.arange(N_ITEMS) // 15
    clicked = (rng.random((N_USERS, N_ITEMS)) < np.where(likes, 0.5, 0.05)) & ~NEVER_CLICKED
    return csr_array(clicked.astype(np.float32))


def the_users(items, n_items=N_ITEMS):
    """One likes two items, one likes five and dislikes one, one asks, one asks and likes."""
    history, disliked = np.zeros((4, n_items), np.float32), np.zeros((4, n_items), np.float32)
    history[0, [0, 3]] = history[1, [15, 16, 20, 31, 5]] = history[3, 40] = 1
    disliked[1, 2] = 1
    query, words = np.zeros((4, 8), np.float32), np.zeros((4, 20), np.float32)
    query[2, 2] = query[3, 0] = 1
    words[2, 4] = words[3, 5] = 1
    asked = Features(query, csr_array(words))
    nothing = Features(np.zeros_like(query), csr_array(np.zeros_like(words)))
    return Users(csr_array(history), csr_array(disliked), asked, nothing)


def scores_of(case):
    clicks, new = the_clicks(), np.where(NEVER_CLICKED, 0.0, 1.0).astype(np.float32)
    config = HybridConfig(**EXPERTS)
    if case == "no clicks":
        items = the_items()
        return HybridRanker().fit(items).score(the_users(items), items)
    if case == "few clicks":
        items, few = the_items(), csr_array(clicks[:20])
        return HybridRanker().fit(items, few).score(the_users(items), items)
    if case == "experts, nothing said of new items":
        items = the_items()
        return HybridRanker(config=config).fit(items, clicks).score(the_users(items), items)
    items = the_items(new)
    if case == "experts, new items told, dials":
        ranker = HybridRanker(novelty=0.3, popularity=0.5, config=config).fit(items, clicks)
        return ranker.score(the_users(items), items)
    if case == "factors":
        ranker = HybridRanker(method="als", config=HybridConfig(**EXPERTS, unobserved=(10.0,))).fit(items, clicks)
        return ranker.score(the_users(items), items)
    ranker = HybridRanker(config=config).fit(items, clicks)  # an item goes, one comes, and one gets its first clicks
    origin = np.append(np.delete(np.arange(N_ITEMS), 4), -1)
    dense = np.vstack([items.dense[origin[:-1]], items.dense[9] + np.float32(0.05)])
    words = csr_array(np.vstack([items.sparse.toarray()[origin[:-1]], items.sparse.toarray()[9]]))
    exposure = np.append(new[origin[:-1]], np.float32(0.0))
    changed = Features(dense, words, np.zeros((N_ITEMS, 1), dtype=bool), exposure=exposure)
    now = clicks.toarray()[:, origin]
    now[:, -1] = 0
    now[:3, 13] = 1
    ranker = ranker.refreshed(changed, csr_array(now), origin)
    return ranker.score(the_users(changed), changed)


CASES = (
    "no clicks",
    "few clicks",
    "experts, nothing said of new items",
    "experts, new items told, dials",
    "factors",
    "changed after the fit",
)


@pytest.mark.filterwarnings("ignore::coldstart.errors.ColdstartWarning")
@pytest.mark.parametrize("case", CASES)
def test_scores_are_as_they_were(case):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[case]
    np.testing.assert_allclose(scores_of(case), golden, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    rows = {case: scores_of(case).round(5).tolist() for case in CASES}
    GOLDEN.write_text(json.dumps(rows) + "\n", encoding="utf-8")
