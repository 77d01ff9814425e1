"""A wrong call says what was meant."""

import inspect
from dataclasses import dataclass

import pytest

import coldstart as cs
from coldstart._arguments import SYNONYMS, did_you_mean, explain_arguments
from coldstart.errors import ArgumentError


@explain_arguments("Read the manual.")
def greet(name, *, loud=False):
    """Say hello."""
    return f"hello {name}" + "!" * loud


@explain_arguments()
@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


def test_a_right_call_is_passed_on():
    assert (greet("you"), greet("you", loud=True)) == ("hello you", "hello you!")
    assert Point(1, y=2) == Point(x=1, y=2)


def test_name_signature_and_help_stay():
    assert (greet.__name__, greet.__doc__) == ("greet", "Say hello.")
    assert list(inspect.signature(greet).parameters) == ["name", "loud"]
    assert list(inspect.signature(Point).parameters) == ["x", "y"]


def test_a_slip_of_the_pen_is_answered_by_the_nearest_name():
    with pytest.raises(ArgumentError, match=r"^greet has no argument `lout`; did you mean `loud`\? Read the manual\.$"):
        greet("you", lout=True)


def test_a_word_like_no_other_is_answered_by_all_names():
    with pytest.raises(ArgumentError, match=r"^Point has no argument `colour`; its arguments are x, y\.$"):
        Point(1, colour="red")


def test_what_is_lacking_or_too_much_is_named_with_the_way_out():
    with pytest.raises(ArgumentError, match=r"^greet: missing a required argument: 'name'\. Read the manual\.$"):
        greet()
    with pytest.raises(ArgumentError, match=r"^Point: too many positional arguments\.$"):
        Point(1, 2, 3)


def test_what_needs_its_name_is_told():
    with pytest.raises(ArgumentError, match=r"^greet: pass all but `name` by name\. Read the manual\.$"):
        greet("you", True)
    with pytest.raises(ArgumentError, match="^fit: pass all but `catalog`, `interactions` by name.$"):
        cs.Recommender().fit({}, {}, "id")


def test_an_error_inside_the_function_is_its_own():
    with pytest.raises(TypeError, match="unsupported") as caught:
        explain_arguments()(lambda one: one + "x")(1)
    assert not isinstance(caught.value, ArgumentError)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rec: rec.recommend(n=5), "recommend has no argument `n`; did you mean `k`"),
        (lambda rec: rec.recommend(N=5), "recommend has no argument `N`; did you mean `k`"),
        (lambda rec: rec.recommend(top_k=5), "recommend has no argument `top_k`; did you mean `k`"),
        (lambda rec: rec.recommend(user_id="u0"), "recommend has no argument `user_id`; did you mean `user`"),
        (lambda rec: rec.recommend(liked=["s0"]), "recommend has no argument `liked`; did you mean `history`"),
        (lambda rec: rec.recommend(likes=["s0"]), "recommend has no argument `likes`; did you mean `history`"),
        (lambda rec: rec.recommend(dislikes=["s0"]), "recommend has no argument `dislikes`; did you mean `disliked`"),
        (lambda rec: rec.recommend(text="moon"), "recommend has no argument `text`; did you mean `query`"),
        (lambda rec: rec.recommend(item_id="s0"), "recommend has no argument `item_id`; did you mean `history`"),
        (lambda rec: rec.recommend_many(user_ids=["u0"]), "recommend_many has no argument `user_ids`; .* `users`"),
        (lambda rec: rec.recommend_stream(queries=["x"]), "recommend_stream has no argument `queries`; .* `requests`"),
        (lambda rec: rec.similar_items("s0", n=2), "similar_items has no argument `n`; did you mean `k`"),
        (lambda rec: rec.similar_items(item="s0"), "similar_items has no argument `item`; did you mean `item_id`"),
        (lambda rec: rec.fit(rec.catalog, clicks=None), "fit has no argument `clicks`; did you mean `interactions`"),
        (lambda rec: cs.Request(text="moon"), "Request has no argument `text`; did you mean `query`"),
        (
            lambda rec: cs.Catalog.from_frame([], id="a", columns=["b"]),
            "from_frame has no argument `columns`; .*`fields`",
        ),
        (lambda rec: cs.Interactions.from_frame([], user_id="a"), "from_frame has no argument `user_id`; .*`user`"),
        (lambda rec: cs.Recommender(encode=None), "Recommender has no argument `encode`; did you mean `encoder`"),
    ],
)
def test_users_of_other_libraries_are_told_our_names(rec, call, said):
    with pytest.raises(ArgumentError, match=said):
        call(rec)
    with pytest.raises(TypeError):
        call(rec)


def test_every_name_that_is_meant_is_an_argument_of_ours():
    methods = [getattr(cs.Recommender, name) for name in ("fit", "recommend", "recommend_many", "similar_items")]
    ours = {name for method in methods for name in inspect.signature(method).parameters}
    assert {name for names in SYNONYMS.values() for name in names} <= ours


def test_nothing_is_guessed_where_nothing_is_near():
    assert did_you_mean("zebra", ["cosine", "hybrid"]) == ""
