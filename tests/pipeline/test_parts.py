"""Parts by name, by default or as given."""

import pytest

import coldstart as cs
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import InvalidInputError
from coldstart.pipeline.parts import (
    NAMED,
    checked_encoder,
    checked_fuser,
    checked_index,
    checked_lexical,
    checked_ranker,
    named_part,
)
from coldstart.testing import HashEncoder


def test_parts_have_defaults():
    usual = [checked_fuser(None), checked_ranker(None), checked_index(None), checked_encoder(None)]
    assert [type(part) for part in usual] == [cs.ConcatFuser, cs.HybridRanker, cs.ExactIndex, cs.TextEncoder]


def test_a_given_part_is_returned_as_it_is():
    fuser, ranker, encoder, lexical = cs.WeightedFuser(), cs.MLPRanker(), HashEncoder(), LexicalEncoder()
    assert checked_fuser(fuser) is fuser
    assert checked_ranker(ranker) is ranker
    assert checked_encoder(encoder) is encoder
    assert checked_lexical(lexical) is lexical


@pytest.mark.parametrize(("given", "kind"), [(True, LexicalEncoder), (False, type(None)), (None, type(None))])
def test_lexical_is_switched_on_and_off(given, kind):
    assert type(checked_lexical(given)) is kind


@pytest.mark.parametrize(("role", "name"), [(role, name) for role in NAMED for name in NAMED[role]])
def test_a_name_in_any_case_makes_a_new_part(role, name):
    assert type(named_part(role, name.upper())) is NAMED[role][name]
    assert named_part(role, name) is not named_part(role, name)


def test_an_unknown_name_raises_with_the_known_ones():
    with pytest.raises(
        InvalidInputError,
        match=r"^`ranker` must be 'hybrid', 'cosine' or 'mlp', or an object such as HybridRanker\(\); got 'als'\.$",
    ):
        checked_ranker("als")


def test_a_part_of_another_role_is_refused():
    with pytest.raises(InvalidInputError, match="`ranker` must have the methods fit and score or fit and item_vectors"):
        checked_ranker(cs.WeightedFuser())
    with pytest.raises(InvalidInputError, match=r"`encoder` must have the method encode; got HybridRanker\(\)"):
        checked_encoder(cs.HybridRanker())


def test_a_model_name_in_place_of_an_encoder_is_explained():
    with pytest.raises(InvalidInputError, match=r"Pass TextEncoder\('all-MiniLM-L6-v2'\)"):
        checked_encoder("all-MiniLM-L6-v2")
