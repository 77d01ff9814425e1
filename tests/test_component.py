"""What all parts share."""

import pytest

import coldstart as cs
from coldstart.encoders.reduced import ReducedEncoder
from coldstart.pipeline.persistence import registry
from coldstart.pipeline.texts import FieldPooling
from coldstart.rankers.als import ALSRanker
from coldstart.rankers.ease import EASERanker
from coldstart.testing import HashEncoder

clone = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed").clone

PARTS = [
    cs.TextEncoder("some/model", max_length=8),
    cs.TfidfEncoder(),
    cs.LexicalEncoder(b=0.5),
    cs.CachedEncoder(HashEncoder(8), "folder"),
    ReducedEncoder(cs.CachedEncoder(HashEncoder(8), "folder"), 4),
    cs.ConcatFuser({"title": 2.0}),
    cs.WeightedFuser("equal"),
    cs.AttentionFuser(),
    cs.CosineRanker(center=False),
    cs.MLPRanker(),
    cs.HybridRanker(novelty=1.0),
    EASERanker(3.0),
    ALSRanker(),
    cs.ExactIndex(),
    cs.FaissIndex(),
    cs.Recommender({"title": HashEncoder(8)}, "weighted", cs.MLPRanker(), lexical=cs.LexicalEncoder(b=0.5)),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_scikit_learn_clones_a_part_with_those_inside_it(part):
    copied = clone(part)
    assert copied is not part
    assert repr(copied) == repr(part)
    for name, value in part.get_params(deep=False).items():
        if hasattr(value, "get_params"):
            assert getattr(copied, name) is not value


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_parameters_are_those_of_the_constructor_deep_or_not(part):
    assert part.get_params(deep=True) == part.get_params(deep=False) == part.get_params()
    assert repr(type(part)(**part.get_params())) == repr(part)


def test_a_renamed_class_keeps_its_name_in_saved_folders():
    assert FieldPooling.saved_name == "Reading"
    assert registry()["Reading"] is FieldPooling
    assert "FieldPooling" not in registry()
    assert cs.CosineRanker.saved_name == "CosineRanker"


def test_a_clone_is_not_fitted():
    fitted = cs.TfidfEncoder(dim=2).fit(["space war", "space opera", "garden"])
    assert fitted.get_state()
    assert not clone(fitted).get_state()


def test_every_part_of_the_library_has_the_deep_parameter_of_scikit_learn():
    for part in registry().values():
        assert "deep" in part.get_params.__annotations__
