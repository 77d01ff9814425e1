"""Exact words: how much a text tells of a query's words, in nats."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.encoders.lexical import STOP_WORDS, LexicalEncoder, has_words, spelling_similarity
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.packing import pack, unpack

TEXTS = ["a war in space", "a space opera, an opera of war and war", "the garden party", "Éclair au café"]
SPLIT = [
    ["a", "war", "in", "space"],
    ["a", "space", "opera", "an", "opera", "of", "war", "and", "war"],
    ["the", "garden", "party"],
    ["eclair", "au", "cafe"],
]


@pytest.fixture
def encoder():
    return LexicalEncoder().fit(TEXTS)


def nats(encoder, texts, queries):
    return (encoder.encode_query(queries) @ encoder.encode(texts).T).toarray() ** 2


def information(holding, n_texts):
    return np.log(1 + (n_texts - holding + 0.5) / (holding + 0.5))


def by_the_book(words_of_query, text, likeness=None, k1=0.05, b=0.3):
    """The formula, one word at a time; ``likeness`` are the words that stand for unknown ones, and how alike they are."""
    stand_ins = {word: (likeness or {}).get(word, (word, 1.0)) for word in words_of_query}
    spelled = {*words_of_query, *(word for word, _ in stand_ins.values())}
    idf = {word: information(sum(word in one for one in SPLIT), len(SPLIT)) for word in spelled}
    mean = np.mean([len(one) for one in SPLIT])
    total = 0.0
    for word in words_of_query:
        stand_in, alike = stand_ins[word]
        tf = text.count(stand_in)
        saturated = tf / (tf + k1 * (1 - b + b * len(text) / mean)) if tf else 0.0
        total += alike * min(1.0, idf[stand_in] / idf[word]) ** 0.5 * idf[word] ** 2 * saturated
    covered = total / sum(idf[word] ** 2 for word in words_of_query)
    return sum(idf[word] for word in words_of_query) * covered**2


class TestFormula:
    @pytest.mark.parametrize(
        ("query", "words_of_query"),
        [
            ("war", ["war"]),
            ("space war", ["space", "war"]),
            ("Opera, opera & WAR!", ["opera", "war"]),
            ("garden café", ["garden", "cafe"]),
            ("war zebra", ["war", "zebra"]),
            ("zebra yacht opera party", ["zebra", "yacht", "opera", "party"]),
            ("the war and a party", ["war", "party"]),
        ],
    )
    def test_the_squared_product_is_the_information_of_the_query_times_the_squared_coverage(
        self, encoder, query, words_of_query
    ):
        expected = [by_the_book(words_of_query, text) for text in SPLIT]
        np.testing.assert_allclose(nats(encoder, TEXTS, [query])[0], expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(("k1", "b"), [(0.0, 0.0), (0.0, 1.0), (1.2, 0.75), (10.0, 1.0)])
    def test_the_formula_holds_for_other_k1_and_b(self, k1, b):
        encoder = LexicalEncoder(k1=k1, b=b).fit(TEXTS)
        expected = [by_the_book(["war", "opera"], text, k1=k1, b=b) for text in SPLIT]
        np.testing.assert_allclose(nats(encoder, TEXTS, ["war opera"])[0], expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        ("query", "words_of_query", "likeness"),
        [
            ("gardem", ["gardem"], {"gardem": ("garden", 5 / 6)}),
            ("gardem war", ["gardem", "war"], {"gardem": ("garden", 5 / 6)}),
            ("gardem zebra", ["gardem", "zebra"], {"gardem": ("garden", 5 / 6)}),
            ("spaec war", ["spaec", "war"], {"spaec": ("space", 4 / 5)}),
            ("spaec space", ["spaec", "space"], {"spaec": ("space", 4 / 5)}),
            ("spaec opear", ["spaec", "opear"], {"spaec": ("space", 4 / 5), "opear": ("opera", 4 / 5)}),
            ("gardem gardens", ["gardem", "gardens"], {"gardem": ("garden", 5 / 6), "gardens": ("garden", 6 / 7)}),
        ],
    )
    def test_a_replacement_counts_its_own_information_times_the_similarity(
        self, encoder, query, words_of_query, likeness
    ):
        expected = [by_the_book(words_of_query, text, likeness) for text in SPLIT]
        np.testing.assert_allclose(nats(encoder, TEXTS, [query])[0], expected, rtol=1e-5, atol=1e-6)

    def test_a_replacement_does_not_change_the_weights_of_other_words(self, encoder):
        exact = LexicalEncoder(fuzzy=False).fit(TEXTS)
        fuzzy, plain = (one.encode_query(["gardem war"]).toarray()[0] for one in (encoder, exact))
        assert fuzzy[encoder.words_.index("garden")] > plain[encoder.words_.index("garden")] == 0
        assert fuzzy[encoder.words_.index("war")] == plain[encoder.words_.index("war")] > 0

    def test_a_text_outside_of_the_catalogue_is_encoded_by_the_same_words(self, encoder):
        actual = nats(encoder, ["war and peace"], ["war peace"])[0, 0]
        assert actual == pytest.approx(by_the_book(["war", "peace"], ["war", "x", "x"]), rel=1e-5)

    def test_a_rare_word_counts_more(self):
        texts = ["story shark", "story war", "story war", "story love"]
        shark, war, story = nats(LexicalEncoder().fit(texts), texts, ["shark", "war", "story"])[:, [0, 1]].max(axis=1)
        assert shark > war > story > 0

    def test_a_word_of_a_long_query_counts_less_than_alone(self, encoder):
        alone, beside = nats(encoder, TEXTS[:1], ["war", "war opera garden"])[:, 0]
        assert 0 < beside < alone

    def test_a_repeated_word_of_a_query_counts_once(self, encoder):
        np.testing.assert_array_equal(*nats(encoder, TEXTS, ["war space", "war war space war"]))

    words = st.lists(st.text("abc", min_size=1, max_size=5), max_size=6).map(" ".join)

    @settings(deadline=None, max_examples=80)
    @given(st.lists(words, min_size=1, max_size=6), words, st.floats(0, 10), st.floats(0, 1), st.booleans())
    def test_the_score_lies_between_0_and_the_information_of_the_query(self, texts, query, k1, b, fuzzy):
        encoder = LexicalEncoder(k1, b, fuzzy).fit(["aaa", *texts])
        actual = nats(encoder, ["aaa", *texts], [query])
        assert actual.min() >= 0
        assert actual.max() <= len(set(query.split())) * encoder.unknown_idf_ * (1 + 1e-5)

    def test_the_score_is_bounded_where_a_text_has_several_replacements(self):
        texts = ["card care cart", "war", "moon"]
        encoder = LexicalEncoder().fit(texts)
        assert nats(encoder, texts, ["carx"]).max() <= encoder.unknown_idf_


class TestStopWords:
    @pytest.mark.parametrize("query", ["a war film", "war movies", "books about war"])
    def test_kinds_of_items_are_stop_words_even_where_few_texts_have_them(self, query):
        texts = ["war", "war", "saves his new film", *["party"] * 20]
        encoder = LexicalEncoder().fit(texts)
        np.testing.assert_array_equal(*nats(encoder, texts, ["war", query]))

    def test_phrases_of_requests_are_stop_words(self, encoder):
        row = encoder.encode_query(["please could you show me something about the"])
        assert not {encoder.words_[at] for at in row.indices} & STOP_WORDS
        np.testing.assert_array_equal(*nats(encoder, TEXTS, ["war", "something about the war please"]))

    @pytest.mark.parametrize("query", ["the", "something with a", "don't", "The, THE"])
    def test_a_query_of_stop_words_is_an_empty_row(self, encoder, query):
        assert encoder.encode_query([query]).nnz == 0

    def test_texts_keep_their_stop_words(self, encoder):
        assert {"the", "a", "in"} <= set(encoder.words_)

    @pytest.mark.parametrize("words", [["War", "café"], ("war cafe",), ["wär", "CAFÉ"]], ids=repr)
    def test_given_stop_words_replace_the_english_ones_in_any_case(self, words):
        encoder = LexicalEncoder(stop_words=words).fit(TEXTS)
        assert encoder.encode_query(["war café"]).nnz == 0
        assert nats(encoder, TEXTS, ["the"])[0].argmax() == 2

    @pytest.mark.parametrize("words", [[], ()], ids=repr)
    def test_an_empty_list_leaves_out_no_words(self, words):
        encoder = LexicalEncoder(stop_words=words).fit(TEXTS)
        assert nats(encoder, TEXTS, ["the"])[0].tolist()[2] > 0

    def test_a_stop_word_is_not_replaced(self):
        encoder = LexicalEncoder().fit(["some thing", "somethin", "thing", "somethings"])
        assert encoder.encode_query(["something"]).nnz == 0


class TestSpelling:
    @pytest.mark.parametrize(
        ("word", "other"),
        [
            ("casablanka", "casablanca"),  # a wrong letter
            ("scarry", "scary"),  # one too much
            ("scry", "scary"),  # one missing
            ("sacry", "scary"),  # two swapped
            ("cta", "cat"),
            ("incepton", "inception"),
            ("arnold", "arnolds"),
            ("schwarzeneger", "schwarzenegger"),
            ("shwarzeneger", "schwarzenegger"),  # two from 9 letters on
            ("detective", "detectives"),  # inflections
            ("detectives", "detective"),
            ("garden", "gardens"),
            ("garden", "gardening"),
            ("walk", "walked"),
            ("drillbit", "drill"),  # compounds
            ("bohrer", "bohrern"),
        ],
    )
    def test_misspelled_and_inflected_words_are_similar(self, word, other):
        assert 0.4 < spelling_similarity(word, other) < 1

    @pytest.mark.parametrize(
        ("word", "other"),
        [
            ("scary", "mary"),
            ("funny", "fanning"),
            ("ab", "ac"),  # short words are exact
            ("tv", "tb"),
            ("a", "i"),
            ("ab", "abc"),
            ("it", "its"),
            ("car", "carpet"),
            ("carpets", "car"),
            ("star", "starvation"),  # most of it is something else
            ("horror", "mirror"),
            ("inception", "deception"),  # two letters, and the first is another
            ("monster", "minister"),
            ("", "a"),
            ("1234", "5678"),
        ],
    )
    def test_other_words_are_not_similar(self, word, other):
        assert spelling_similarity(word, other) == 0.0

    @pytest.mark.parametrize(
        ("word", "other", "likeness"),
        [("drillbit", "drill", 5 / 8), ("scry", "scary", 4 / 5), ("sacry", "scary", 4 / 5), ("word", "word", 1.0)],
    )
    def test_the_similarity_is_the_share_of_correct_letters(self, word, other, likeness):
        assert spelling_similarity(word, other) == pytest.approx(likeness)

    @settings(deadline=None)
    @given(st.text("abcd", min_size=1, max_size=12), st.text("abcd", min_size=1, max_size=12))
    def test_the_similarity_is_between_0_and_1_and_1_only_for_the_same_word(self, word, other):
        actual = spelling_similarity(word, other)
        assert 0 <= actual <= 1
        assert (actual == 1) == (word == other)

    @pytest.mark.parametrize(
        ("query", "text"),
        [("gardn", "the garden party"), ("gardens", "the garden party"), ("eclairs", "Éclair au café")],
    )
    def test_a_misspelled_word_finds_the_correct_one(self, encoder, query, text):
        assert nats(encoder, TEXTS, [query])[0].argmax() == TEXTS.index(text)

    def test_a_misspelled_common_word_counts_no_more_than_the_word(self):
        texts = ["stories"] * 20 + ["stories shark", "opera"]
        encoder = LexicalEncoder().fit(texts)
        right, slip = nats(encoder, texts[:1], ["stories", "storeis"])[:, 0]
        assert 0 < slip <= right

    @pytest.mark.parametrize(
        ("texts", "query", "word"),
        [
            (["thing", "things", "something"], "thing", "thing"),
            (["scary", "mary", "scar"], "scary", "scary"),
            (["detective", "detectives"], "detectives", "detectives"),
            (["AB-1234", "AB-1235"], "1235", "1235"),
        ],
    )
    def test_a_word_that_the_catalogue_has_is_never_replaced(self, texts, query, word):
        encoder = LexicalEncoder().fit(texts)
        assert [encoder.words_[at] for at in encoder.encode_query([query]).indices] == [word]

    @pytest.mark.parametrize(
        ("texts", "query", "word"),
        [
            (["detective", "detectives", "detectived", "detecting"], "detectiv", "detective"),
            (["detective", "detectives", "detectives", "detectives"], "detectiv", "detective"),
            (["card", "care", "care", "cart"], "carx", "care"),
            (["card", "card", "care", "cart"], "carx", "card"),
            (["card", "care", "cart", "cart"], "carx", "cart"),
        ],
    )
    def test_the_replacement_is_the_most_similar_word_and_of_equal_ones_the_most_common(self, texts, query, word):
        encoder = LexicalEncoder().fit(texts)
        assert [encoder.words_[at] for at in encoder.encode_query([query]).indices] == [word]

    def test_fuzzy_matching_can_be_turned_off(self):
        encoder = LexicalEncoder(fuzzy=False).fit(TEXTS)
        assert encoder.encode_query(["gardn gardens"]).nnz == 0

    def test_an_unknown_word_weakens_the_others(self):
        texts = ["story of love", "a war", "a story of war", "garden"]
        encoder = LexicalEncoder().fit(texts)
        story, funny_story = nats(encoder, texts, ["story", "funny story"])
        assert 0 < funny_story[0] < story[0]
        assert funny_story[2] / story[2] == pytest.approx(funny_story[0] / story[0], rel=1e-4)

    def test_an_unknown_word_weakens_a_replacement_too(self):
        texts = ["story garden", "story", "war"]
        actual = nats(LexicalEncoder().fit(texts), texts, ["story gardn"])[0]
        assert actual[0] > actual[1] > actual[2] == 0

    def test_a_replacement_is_found_among_thousands_of_words(self):
        rng = np.random.default_rng(0)
        words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8)) for _ in range(3000)]
        encoder = LexicalEncoder().fit([*words, "schwarzenegger"])
        row = encoder.encode_query(["schwarzeneger"])
        assert [encoder.words_[at] for at in row.indices] == ["schwarzenegger"]


class TestNamesAndCodes:
    CATALOG = ["drill AB-1234", "drill AB-1235", "drill CD-1234", "Sholay", "Shalom", "a film of a village"]

    @pytest.mark.parametrize(
        ("query", "row"),
        [
            ("AB-1234", 0),
            ("ab 1235", 1),
            ("the drill CD-1234 please", 2),
            ("Sholay", 3),
            ("sholay film", 3),
            ("something like SHOLAY", 3),
            ("sholai", 3),
        ],
    )
    def test_the_text_with_a_rare_code_is_ranked_first(self, query, row):
        assert nats(LexicalEncoder().fit(self.CATALOG), self.CATALOG, [query])[0].argmax() == row


class TestLanguages:
    @pytest.mark.parametrize(
        ("texts", "query", "row"),
        [
            (["恐怖电影大全", "爱情电影", "战争片"], "恐怖电影", 0),
            (["東京物語", "ゴジラ対メカ", "京都の朝"], "ゴジラ", 1),
            (["หนังผี", "หนังรัก", "เพลง"], "รัก", 1),
            (["Amélie", "Amalie", "Anna"], "amelie", 0),
            (["Amelie", "Amalie", "Anna"], "Amélie", 0),
            (["हिन्दी फिल्म", "मराठी नाटक", "गीत"], "नाटक", 1),
            (["فيلم رعب", "فيلم حب", "كتاب"], "حب", 1),
            (["Война и мир", "Идиот", "Мир"], "ВОЙНА", 0),
            (["한국 영화", "일본 만화", "노래"], "만화", 1),
        ],
    )
    def test_words_of_every_script_are_found(self, texts, query, row):
        encoder = LexicalEncoder(stop_words=[]).fit(texts)
        actual = nats(encoder, texts, [query])[0]
        assert actual.argmax() == row
        assert actual[row] > np.delete(actual, row).max()

    def test_a_lone_surrogate_does_not_raise(self, encoder):
        broken = ["war \ud83c space", "\udfac"]
        assert np.isfinite(nats(encoder, TEXTS, broken)).all()
        assert nats(encoder, broken, ["war"])[0, 0] > 0
        assert LexicalEncoder().fit(broken).words_ == ["space", "war"]


class TestRows:
    def test_an_empty_text_is_an_empty_row_and_no_text_no_row(self, encoder):
        assert np.diff(encoder.encode(["", "war", "?!"]).indptr).tolist() == [0, 1, 0]
        assert np.diff(encoder.encode_query(["", "war", "?!"]).indptr).tolist() == [0, 1, 0]
        assert encoder.encode([]).shape == encoder.encode_query([]).shape == (0, len(encoder.words_))

    @pytest.mark.parametrize("method", ["encode", "encode_query"])
    def test_the_same_text_gives_the_same_row_alone_and_in_company(self, encoder, method):
        queries = [*TEXTS, "gardn opra", "", "zebra"]
        together = getattr(encoder, method)(queries).toarray()
        for row, text in enumerate(queries):
            np.testing.assert_array_equal(getattr(encoder, method)([text]).toarray()[0], together[row])
        np.testing.assert_array_equal(getattr(encoder, method)(queries[::-1]).toarray()[::-1], together)

    def test_rows_are_float32_one_column_per_word(self, encoder):
        for rows in (encoder.encode(TEXTS), encoder.encode_query(TEXTS)):
            assert rows.dtype == np.float32
            assert rows.shape == (4, len(encoder.words_))
        assert encoder.words_ == sorted(set(sum(SPLIT, [])))

    def test_a_query_of_ten_thousand_words_works(self, encoder):
        words = [f"word{at}" for at in range(10_000)]
        actual = nats(LexicalEncoder(fuzzy=False).fit(TEXTS), TEXTS, [" ".join([*words, "war"])])
        assert np.isfinite(actual).all()
        assert actual[0, 0] > 0
        assert np.isfinite(nats(encoder, TEXTS, [" ".join(words)])).all()

    def test_the_information_is_that_of_bm25(self, encoder):
        actual = dict(zip(encoder.words_, encoder.idf_.tolist(), strict=True))
        held = Counter(word for one in SPLIT for word in set(one))
        assert actual == pytest.approx({word: information(count, 4) for word, count in held.items()}, rel=1e-5)
        assert encoder.unknown_idf_ == pytest.approx(information(0, 4))
        assert encoder.mean_length_ == pytest.approx(19 / 4)


class TestFit:
    def test_fitting_again_starts_anew(self, encoder):
        nats(encoder, TEXTS, ["gardn war"])  # fills the cached columns and spelling
        later = ["one two", "gardener", "two"]
        encoder.fit(later)
        assert encoder.words_ == ["gardener", "one", "two"]
        new = LexicalEncoder().fit(later)
        queries = ["gardner two", "one", "war garden"]
        np.testing.assert_array_equal(nats(encoder, later, queries), nats(new, later, queries))
        assert nats(encoder, later, ["gardner"])[0].argmax() == 1

    def test_the_fitted_encoder_can_be_saved(self):
        encoder = LexicalEncoder(k1=0.5, fuzzy=True, stop_words=["war"]).fit(TEXTS)
        queries = ["gardn war", "the zebra", "opera"]
        expected = nats(encoder, TEXTS, queries)
        tensors = {}
        packed = json.loads(json.dumps(pack(encoder, tensors, "lexical")))
        again = unpack(packed, tensors, {"LexicalEncoder": LexicalEncoder})
        np.testing.assert_array_equal(nats(again, TEXTS, queries), expected)
        assert again.get_params() == encoder.get_params()

    @pytest.mark.parametrize(
        ("params", "texts", "message"),
        [
            ({"k1": -1.0}, TEXTS, "`k1` must be between 0 and 10"),
            ({"b": 1.5}, TEXTS, "`b` must be between 0 and 1"),
            ({"stop_words": "german"}, TEXTS, "`stop_words` must be \"english\" or a list of words; got 'german'"),
            ({"stop_words": ["a", 1]}, TEXTS, r"`stop_words` must be \"english\" or a list of words; got \['a', 1\]"),
            ({}, ["", "?!"], "at least one word to learn from; got 2 texts"),
            ({}, [], "at least one word to learn from; got 0 texts"),
            ({}, ["a", None], r"`values` of LexicalEncoder\.fit must be texts; got None in row 1"),
            ({}, "text", "must be a list of texts"),
        ],
    )
    def test_bad_input_is_named(self, params, texts, message):
        with pytest.raises(InvalidInputError, match=message):
            LexicalEncoder(**params).fit(texts)

    @pytest.mark.parametrize("bad", [None, 5, True], ids=repr)
    def test_stop_words_that_are_no_list_are_named(self, bad):
        with pytest.raises(InvalidInputError, match=f"`stop_words` must be .*; got {bad!r}"):
            LexicalEncoder(stop_words=bad).fit(TEXTS)

    def test_a_failed_fit_leaves_the_encoder_as_it_was(self, encoder):
        before = nats(encoder, TEXTS, ["war"])
        with pytest.raises(InvalidInputError, match="at least one word"):
            encoder.fit(["", "?!"])
        assert "war" in encoder.words_
        np.testing.assert_array_equal(nats(encoder, TEXTS, ["war"]), before)

    @pytest.mark.parametrize("method", ["encode", "encode_query"])
    def test_encoding_before_fit_and_values_that_are_no_texts_are_refused(self, encoder, method):
        with pytest.raises(NotFittedError, match="must be fitted"):
            getattr(LexicalEncoder(), method)(["a"])
        with pytest.raises(InvalidInputError, match=rf"LexicalEncoder\.{method} must be texts; got 3 in row 1"):
            getattr(encoder, method)(["a", 3])


@pytest.mark.parametrize(("text", "expected"), [("a", True), ("?! --", False), ("", False), ("水", True), ("7", True)])
def test_a_text_has_words_or_not(text, expected):
    assert has_words(text) is expected


class TestLongQueries:
    def test_a_hundred_unknown_words_are_replaced_and_those_after_count_as_unknown(self, encoder):
        unknown = [f"gardens{at}" for at in range(100)]
        with_all = encoder.encode_query([" ".join([*unknown, "partyy"])])
        assert (with_all @ encoder.encode(["party"]).T).nnz == 0
        assert (encoder.encode_query(["partyy"]) @ encoder.encode(["party"]).T).nnz == 1

    def test_known_words_count_however_many_there_are(self, encoder):
        query = encoder.encode_query([" ".join([*(f"unknown{at}" for at in range(500)), "opera"])])
        assert (query @ encoder.encode(["opera"]).T).nnz == 1

    def test_a_run_of_letters_longer_than_a_word_is_not_compared(self, encoder, monkeypatch):
        monkeypatch.setattr(LexicalEncoder, "_most_similar", lambda self, word: pytest.fail(word[:10]))
        assert encoder.encode_query(["g" * 101]).nnz == 0

    def test_ten_megabytes_take_a_moment(self, encoder):
        import time

        start = time.process_time()
        encoder.encode_query(["garden" * 1_700_000, " ".join(f"w{at}" for at in range(1_000_000))])
        assert time.process_time() - start < 5
        assert has_words("x" * 10_000_000)


def test_fuzzy_is_true_or_false():
    with pytest.raises(InvalidInputError, match="`fuzzy` must be True or False; got array"):
        LexicalEncoder(fuzzy=np.ones(2)).fit(TEXTS)
