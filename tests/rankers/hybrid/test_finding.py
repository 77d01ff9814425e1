"""What is found is what a ranking of all log-odds puts first."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.index.topk import top_k
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid import answers, finding
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.experts import Experts
from coldstart.rankers.hybrid.finding import Finder
from coldstart.rankers.hybrid.raw import Collaborative, Content
from coldstart.rankers.hybrid.settings import Settings

CALIBRATIONS = (
    Calibration(),
    Calibration(2.4, 1.9, -2.0, 1.6, -1.1, -2.6, 3.1),
    Calibration(0.0, 1.0, intercept=0.5),
    Calibration(1.0, 0.0, intercept=-0.5),
    Calibration(0.01, 0.01),
    Calibration(5.0, 0.2, crowd=-4.0),
)


@pytest.fixture(scope="module")
def world(make_world):
    return make_world(per_kind=30, n_cold=8, n_users=60, inside=0.25)


@pytest.fixture(scope="module")
def fitted(world):
    """Experts of a catalogue; a third of the items have at most ten clicks."""
    vectors = CosineRanker().fit(world.features).item_vectors(world.features)
    return {
        (method, few): Experts.of(world.clicks, vectors, Settings(Collaborative(method), few=few), Content())
        for method in ("exact", "als")
        for few in (0.0, 1.5, 8.0)
    }


def ranked(experts, history, strangers, k, allow, exclude, popular=1.0, novelty=0.0):
    """By the log-odds of every item."""

    def scores_of(block):
        new = None if strangers is None else strangers[block]
        odds = experts.log_odds(csr_array(history[block]), popular, new)
        odds[:, experts.counts == 0] += np.float32(novelty)
        return odds if allow is None else odds[:, allow]

    return top_k(scores_of, history.shape[0], len(experts.counts), k, allow, exclude)


def assert_same(found, expected):
    for one, other in zip(found.positions, expected.positions, strict=True):
        assert list(one) == list(other)
    for one, other in zip(found.scores, expected.scores, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_items_found_are_the_first_of_all(world, fitted, data):
    method = data.draw(st.sampled_from(["exact", "als"]))
    experts = fitted[method, data.draw(st.sampled_from([0.0, 1.5, 8.0]))]
    learned = replace(
        experts.settings,
        calibration=data.draw(st.sampled_from(CALIBRATIONS)),
        unseen=data.draw(st.sampled_from([0.0, -2.0])),
        popularity=data.draw(st.sampled_from([((1.0, 0.0),), ((1.0, 3.0), (20.0, 0.1))])),
        popularity_told=((1.0, 4.0), (20.0, 0.0)),
    )
    experts = replace(experts, settings=learned)
    if data.draw(st.booleans()):  # some items are gone, some are new
        origin = np.append(
            np.random.default_rng(data.draw(st.integers(0, 9))).permutation(world.n_items)[:70], [-1, -1]
        )
        vectors = CosineRanker().fit(world.features).item_vectors(world.features)
        experts = experts.moved(vectors[np.maximum(origin, 0)], origin)
    n_items = len(experts.counts)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    told = rng.random((7, n_items)) < rng.choice([0.0, 0.02, 0.2], (7, 1))
    allow = data.draw(st.sampled_from([None, np.arange(0, n_items, 3), np.array([5])]))
    exclude = [np.flatnonzero(row) for row in told]
    strangers = data.draw(st.sampled_from([None, np.arange(7) % 2 == 0]))
    asked = (strangers, data.draw(st.sampled_from([1, 5, n_items])), allow, exclude)
    dials = data.draw(st.sampled_from([0.0, 1.0])), data.draw(st.sampled_from([0.0, -20.0, 3.0]))
    history = csr_array(told.astype(np.float32))
    assert_same(Finder.of(experts, *dials).best(history, *asked), ranked(experts, history, *asked, *dials))


def test_lists_do_not_depend_on_how_histories_are_cut_to_blocks(world, fitted, monkeypatch):
    finder, nothing = Finder.of(fitted["exact", 8.0], 1.0, 0.0), [np.zeros(0, dtype=np.int64)] * 60
    whole = finder.best(world.clicks, None, 10, None, nothing)
    monkeypatch.setattr(finding, "BLOCK", 7)
    assert_same(finder.best(world.clicks, None, 10, None, nothing), whole)


def test_only_a_part_of_the_items_is_weighed(make_world, monkeypatch):
    world = make_world(per_kind=400, n_cold=40, n_users=150)
    vectors = CosineRanker().fit(world.features).item_vectors(world.features)
    finder, weighed = Finder.of(Experts.of(world.clicks, vectors, Settings(), Content()), 1.0, 0.0), []
    in_rows = finding.in_rows
    monkeypatch.setattr(finding, "in_rows", lambda rows, *rest: weighed.append(len(rows)) or in_rows(rows, *rest))
    finder.best(world.clicks, None, 10, None, [np.zeros(0, dtype=np.int64)] * 150)
    assert sum(weighed) < 0.5 * 150 * world.n_items


def test_weights_of_two_bytes_are_found_by_as_well(world, monkeypatch):
    monkeypatch.setattr(answers, "MOST_WHOLE", 3)
    vectors = CosineRanker().fit(world.features).item_vectors(world.features)
    experts = Experts.of(world.clicks, vectors, Settings(), Content())
    asked = (None, 10, None, [np.zeros(0, dtype=np.int64)] * 60)
    assert_same(Finder.of(experts, 1.0, 0.0).best(world.clicks, *asked), ranked(experts, world.clicks, *asked))
