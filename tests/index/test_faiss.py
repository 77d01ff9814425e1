import subprocess
import sys

import numpy as np
import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.index.exact import ExactIndex
from coldstart.index.faiss import KINDS, FaissIndex
from coldstart.testing import HashEncoder, check_index, tiny_catalog

pytest.importorskip("faiss", reason="FAISS is not installed: pip install 'coldstart-rec[faiss]'")


def vectors_of(n, dim=16, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_of_an_index_holds(kind):
    check_index(FaissIndex(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_recall_is_high_and_scores_are_those_of_the_exact_index(kind):
    vectors = vectors_of(3000)
    index, exact = FaissIndex(kind, probes=60).build(vectors), ExactIndex().build(vectors)
    actual, true = index.search(vectors[:50], 10), exact.search(vectors[:50], 10)
    same = [len(np.intersect1d(a, b)) for a, b in zip(actual.positions, true.positions, strict=True)]
    assert np.mean(same) > 9
    assert index.recall_ > 0.9
    whole = np.array([list(a) == list(b) for a, b in zip(actual.positions, true.positions, strict=True)])
    assert np.array_equal(actual.scores[whole], true.scores[whole])


def test_recall_is_low_when_few_lists_are_read():
    vectors = vectors_of(3000, 64)
    assert FaissIndex("ivf", lists=60, probes=1).build(vectors).recall_ < 0.8
    assert FaissIndex("flat").build(vectors).recall_ == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_filters_act_inside_the_search(kind):
    vectors = vectors_of(2000)
    index = FaissIndex(kind, probes=5).build(vectors)
    best = ExactIndex().build(vectors).search(vectors[:5], 200).positions
    for allow in (np.arange(0, 2000, 3), np.arange(40)):
        positions, _ = index.search(vectors[:5], 10, allow=allow, exclude=list(best))
        assert positions.shape == (5, 10)
        assert np.isin(positions, allow).all()
        assert not any(np.isin(row, out).any() for row, out in zip(positions, best, strict=True))


def test_a_recommender_with_it_is_built_again_on_load(tmp_path):
    rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.CosineRanker(), index=FaissIndex("flat")).fit(tiny_catalog())
    rec.save(tmp_path / "model")
    loaded = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert repr(loaded.fitted.parts.index) == "FaissIndex(kind='flat')"
    assert loaded.recommend(query="space", k=3).item_ids == rec.recommend(query="space", k=3).item_ids


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kind": "annoy"}, "`kind` of FaissIndex must be one of flat, hnsw, ivf; got 'annoy'"),
        ({"width": 0}, "`width of FaissIndex` must be between 1 and"),
        ({"neighbours": 1}, "`neighbours of FaissIndex` must be between 2 and"),
        ({"lists": 0}, "`lists of FaissIndex` must be between 1 and"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(InvalidInputError, match=message):
        FaissIndex(**parameters).build(vectors_of(10))


def test_arguments_out_of_range_are_refused():
    with pytest.raises(InvalidInputError, match="`vectors` must have at least 1 row; got 0"):
        FaissIndex().build(vectors_of(0))
    with pytest.raises(NotFittedError, match="call FaissIndex.build first"):
        FaissIndex().search(vectors_of(1), 1)
    index = FaissIndex("flat").build(vectors_of(10))
    with pytest.raises(InvalidInputError, match="`queries` must have 16 columns; got 3"):
        index.search(vectors_of(1, 3), 1)
    with pytest.raises(InvalidInputError, match="`k` must be between 1 and 10; got 11"):
        index.search(vectors_of(1), 11)
    with pytest.raises(InvalidInputError, match="`exclude` must have one entry per query, 1; got 2"):
        index.search(vectors_of(1), 1, exclude=[[0], [0]])


def test_without_the_package_the_error_says_how_to_get_it():
    code = (
        "import sys; sys.modules['faiss'] = None\n"
        "import numpy, coldstart\n"
        "try: coldstart.FaissIndex().build(numpy.eye(2))\n"
        "except ImportError as error: assert 'coldstart-rec[faiss]' in str(error)\n"
        "else: raise SystemExit(1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
