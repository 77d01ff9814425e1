import numpy as np
import pytest

import coldstart as cs
from coldstart import baselines
from coldstart.encoders.none import NoEncoder
from coldstart.encoders.tfidf import TfidfEncoder
from coldstart.testing import HashEncoder

BASELINES = {
    "popularity": baselines.popularity,
    "random": baselines.random,
    "text_knn": lambda: baselines.text_knn(HashEncoder()),
    "tfidf_knn": baselines.tfidf_knn,
    "item_knn": lambda: baselines.item_knn(3, 0.0),
    "ease": lambda: baselines.ease(1.0),
    "ials": lambda: baselines.ials(4),
}
BY_CLICKS = ("item_knn", "ease", "ials")
BY_TEXT = ("text_knn", "tfidf_knn")
PERSONAL = (*BY_TEXT, *BY_CLICKS)

every = pytest.mark.parametrize("name", BASELINES)
personal = pytest.mark.parametrize("name", PERSONAL)
by_clicks = pytest.mark.parametrize("name", BY_CLICKS)

USERS = [f"{side}{who}" for side in "uv" for who in range(4)]
NEW = [{"id": "n1", "title": "garden gnome", "plot": "a story of garden and gnome"}]


@pytest.fixture
def make(catalog, clicks):
    return lambda name: BASELINES[name]().fit(catalog, clicks)


def answers(rec, k=5):
    requests = [cs.Request(user=user) for user in USERS]
    return rec.recommend_many([*requests, cs.Request(history=["g0", "g2"]), cs.Request()], k=k)


def load(folder, name):
    return cs.load(folder, encoder=HashEncoder() if name == "text_knn" else None)


@pytest.mark.parametrize("name", ["text_knn", *BY_CLICKS])
def test_the_unseen_item_of_each_kind_comes_first(make, name):
    expected = [[f"{kind}{who}"] for kind in "sg" for who in range(4)]
    assert make(name).recommend_many(users=USERS, k=1).item_ids == expected


@personal
def test_a_history_of_no_known_user_is_answered(make, name):
    assert sorted(make(name).recommend(history=["g0", "g1"], k=2).item_ids[0]) == ["g2", "g3"]


def test_popularity_is_by_clicks(catalog):
    rows = {"u": ["a", "b", "c", "a"], "i": ["g2", "g2", "s1", "s1"], "w": [1, 1, 3, 1]}
    clicks = cs.Interactions.from_frame(rows, user="u", item="i", weight="w")
    rec = baselines.popularity().fit(catalog, clicks)
    assert rec.recommend(user="b", k=1).item_ids == [["s1"]]
    assert rec.recommend(k=2, history=["g0"]).item_ids == [["s1", "g2"]]
    assert rec.recommend(k=2).scores == [[4.0, 2.0]]


def test_random_is_the_same_for_the_same_history_and_another_for_another_rng(catalog, clicks):
    one, same, other = (baselines.random(rng).fit(catalog, clicks) for rng in (0, 0, 1))
    assert answers(one) == answers(same)
    assert answers(one).item_ids != answers(other).item_ids
    assert len({tuple(row) for row in one.recommend_many(users=USERS, k=5).item_ids}) == len(USERS)


def test_a_user_id_and_the_same_history_get_the_same_random_items(make):
    rec = make("random")
    assert rec.recommend(user="u0", k=5).item_ids == rec.recommend(history=["s1", "s2", "s3"], k=5).item_ids


def test_random_is_random_for_a_new_user_too(catalog):
    rows = {"u": ["a", "b", "c"], "i": ["g2", "g2", "s1"]}
    clicks = cs.Interactions.from_frame(rows, user="u", item="i")
    firsts = [baselines.random(rng).fit(catalog, clicks).recommend(k=1).item_ids[0][0] for rng in range(10)]
    assert set(firsts) != {"g2"}


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "random"])
def test_a_new_item_is_answered_at_once_and_changes_nothing_among_the_others(make, name):
    rec = make(name)
    before = rec.recommend_many(users=USERS, k=5).item_ids
    after = rec.add_items(NEW).recommend_many(users=USERS, k=9).item_ids
    assert [[item for item in row if item != "n1"] for row in after] == before
    assert all("n1" in row for row in after)


@pytest.mark.parametrize("name", ["popularity", *BY_CLICKS])
def test_rankers_by_clicks_cannot_rank_a_new_item(make, name):
    rec = make(name).add_items(NEW)
    scores = [dict(row)["n1"] for row in rec.recommend_many(users=USERS, k=9)]
    np.testing.assert_allclose(scores, 0.0, atol=1e-6)


def test_rankers_by_text_rank_a_new_item(make):
    assert make("text_knn").add_items(NEW).recommend(query="gnome", k=1).item_ids == [["n1"]]


@every
def test_without_some_items_the_others_are_answered_as_before(make, name):
    rec = make(name)
    before = rec.recommend_many(users=USERS, k=5).item_ids
    after = rec.remove_items(["s0", "g3"]).recommend_many(users=USERS, k=6).item_ids
    assert not {"s0", "g3"} & {item for row in after for item in row}
    if name not in ("random", "ials"):
        assert after == [[item for item in row if item not in ("s0", "g3")] for row in before]


@every
def test_new_clicks_count_from_the_next_request_on(make, name):
    rec = make(name)
    rec.update(cs.Interactions.from_frame({"u": ["w"] * 2, "i": ["g0", "g1"]}, user="u", item="i"))
    found = rec.recommend(user="w", k=8).item_ids[0]
    assert len(found) == 6
    assert not {"g0", "g1"} & set(found)
    if name in PERSONAL:
        assert sorted(found[:2]) == ["g2", "g3"]
    if name == "popularity":
        assert rec.recommend(k=2).item_ids == [["g0", "g1"]]


@by_clicks
def test_clicks_on_a_new_item_count_after_the_next_fit(make, catalog, clicks, name):
    rec = make(name).add_items(NEW)
    rows = [{"u": f"w{at}", "i": item} for at in range(4) for item in ("n1", "g0", "g1")]
    more = cs.Interactions.from_frame(rows, user="u", item="i")
    assert rec.update(more).recommend(history=["n1"], k=9).scores[0][0] == pytest.approx(0.0, abs=1e-6)
    again = BASELINES[name]().fit(rec.catalog, more)
    assert sorted(again.recommend(history=["n1"], k=2).item_ids[0]) == ["g0", "g1"]


@every
def test_a_saved_one_gives_the_same_answers_and_lives_on(make, name, tmp_path):
    rec = make(name).add_items(NEW).remove_items(["s3"])
    rec.update(cs.Interactions.from_frame({"u": ["w"] * 2, "i": ["g0", "n1"]}, user="u", item="i"))
    rec.save(tmp_path / "model")
    again = load(tmp_path / "model", name)
    assert answers(again) == answers(rec)
    assert again.recommend(user="w", k=8) == rec.recommend(user="w", k=8)
    for one in (rec, again):
        one.remove_items(["n1"]).add_items([{"id": "n2", "title": "space probe", "plot": None}])
    assert answers(again) == answers(rec)


@by_clicks
@pytest.mark.parametrize("n_users", [3, 30], ids=["more items", "more users"])
def test_whichever_side_is_larger_it_can_be_saved(catalog, name, n_users, tmp_path):
    rows = [{"u": at, "i": item} for at in range(n_users) for item in ("s0", f"s{at % 3 + 1}")]
    rec = BASELINES[name]().fit(catalog, cs.Interactions.from_frame(rows, user="u", item="i"))
    rec.save(tmp_path)
    assert cs.load(tmp_path).recommend(history=["s0"], k=7) == rec.recommend(history=["s0"], k=7)


@every
def test_without_clicks_there_are_answers(catalog, name, tmp_path):
    rec = BASELINES[name]().fit(catalog)
    assert len(rec.recommend(history=["s0"], k=8).item_ids[0]) == 7
    rec.save(tmp_path)
    assert load(tmp_path, name).recommend(history=["s0"], k=8) == rec.recommend(history=["s0"], k=8)


@pytest.mark.parametrize("name", ["popularity", "random", *BY_CLICKS])
def test_rankers_by_clicks_read_no_text(name):
    encoder = BASELINES[name]().encoder
    assert isinstance(encoder, NoEncoder)
    assert not encoder.learns


def test_text_knn_takes_any_encoder_or_one_per_field(catalog, clicks):
    encoder = {"title": HashEncoder(32), "plot": TfidfEncoder(4)}
    rec = baselines.text_knn(encoder).fit(catalog, clicks)
    assert rec.encoders_["title"] is encoder["title"]
    assert baselines.text_knn().encoder is None
    assert isinstance(baselines.tfidf_knn().encoder, TfidfEncoder)


def test_text_knn_scores_are_cosines_to_the_mean_of_the_liked_items():
    titles = ["space war", "space opera", "garden war", "rose garden", "quiet opera"]
    catalog = cs.Catalog.from_frame({"id": range(5), "title": titles}, id="id", fields=["title"])
    vectors = HashEncoder().encode(titles)
    mean = vectors[[0, 3]].mean(axis=0)
    scores = dict(baselines.text_knn(HashEncoder()).fit(catalog).recommend(history=[0, 3], k=5)[0])
    assert scores == {at: pytest.approx(vectors[at] @ mean / np.linalg.norm(mean), abs=1e-6) for at in (1, 2, 4)}


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (baselines.ease(20.0), "EASERanker(l2=20.0)"),
        (baselines.item_knn(5), "ItemKNNRanker(neighbours=5)"),
        (baselines.ials(8, rng=3), "ALSRanker(factors=8, rng=3)"),
        (baselines.random(), "RandomRanker()"),
    ],
)
def test_parameters_go_to_the_ranker(made, shown):
    assert repr(made.ranker) == shown


@pytest.mark.parametrize("name", baselines.SPACES)
def test_the_spaces_name_parameters_that_are_there(name):
    params = getattr(baselines, name)().ranker.get_params()
    for path, choices in baselines.SPACES[name].items():
        part, _, parameter = path.partition(".")
        assert part == "ranker"
        assert parameter in params
        assert hasattr(choices, "rvs") or len(choices) > 1
