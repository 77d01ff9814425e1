"""The parts of a loaded folder are of one catalogue."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array

import coldstart as cs
from coldstart._rows import Rows
from coldstart.errors import SavedFolderError
from coldstart.pipeline.loaded_sizes import check_sizes
from coldstart.rankers.popularity import PopularityRanker
from coldstart.testing import tiny_catalog, tiny_clicks


@pytest.fixture(scope="module")
def fitted():
    fitted = cs.Recommender(encoder=cs.TfidfEncoder(dim=6), ranker=cs.HybridRanker()).fit(tiny_catalog(), tiny_clicks())
    return fitted.fitted


def test_a_whole_one_passes(fitted):
    check_sizes(fitted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {"clicks": f.clicks[:2]}, "users of the clicks must be of .* rows"),
        (lambda f: {"clicks": csr_array(f.clicks[:, :7])}, "items of the clicks must be of 8 rows.*got 7"),
        (
            lambda f: {"fields": f.fields | {"title": Rows.of(f.fields["title"].whole()[:3])}},
            "vectors of 'title' .* got 3",
        ),
        (lambda f: {"fields": f.fields | {"title": Rows.of(np.zeros((8, 2), int))}}, "rows of floats; got int64"),
        (lambda f: {"fields": {"title": f.fields["title"]}}, r"same everywhere; got \['plot', 'title'\] of 8 items"),
        (lambda f: {"texts": replace(f.texts, sparse=csr_array(f.texts.sparse[:5]))}, "words of the items .* got 5"),
        (lambda f: {"texts": replace(f.texts, read=f.texts.read[:5])}, "texts of the items .* got 5"),
    ],
)
def test_what_is_of_another_size_is_named(fitted, change, message):
    with pytest.raises(SavedFolderError, match=message):
        check_sizes(replace(fitted, **change(fitted)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blend: {"counts": blend.counts[:5]}, "counts of clicks must be of 8 items"),
        (lambda blend: {"exposure": np.ones(3, np.float32)}, "counts of clicks must be of 8 items"),
    ],
)
def test_so_is_what_the_ranker_keeps(fitted, change, message):
    ranker = fitted.parts.ranker.by_likeness()  # a copy
    ranker.blend_ = replace(ranker.blend_, **change(ranker.blend_))
    with pytest.raises(SavedFolderError, match=message):
        check_sizes(replace(fitted, parts=replace(fitted.parts, ranker=ranker)))


def test_so_are_its_experts(fitted):
    ranker, asked = fitted.parts.ranker.by_likeness(), []
    ranker.blend_ = replace(ranker.blend_, experts=SimpleNamespace(check_loaded=asked.append))
    check_sizes(replace(fitted, parts=replace(fitted.parts, ranker=ranker)))
    assert asked == [8]


def test_so_is_a_ranker_of_clicks_alone(fitted):
    ranker = PopularityRanker().fit(np.zeros((5, 1)), csr_array((2, 5), dtype=np.float32))
    with pytest.raises(SavedFolderError, match="PopularityRanker must be of 8 items; got 5"):
        check_sizes(replace(fitted, parts=replace(fitted.parts, ranker=ranker)))
