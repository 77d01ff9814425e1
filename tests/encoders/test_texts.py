"""Texts to words: what counts as the same letter, and where a word ends."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.encoders._texts import checked_texts, folded, without_lone_surrogates, words_of
from coldstart.errors import InvalidInputError


class TestCheckedTexts:
    @pytest.mark.parametrize("make", [list, tuple, np.array], ids=["list", "tuple", "array"])
    def test_texts_come_back_as_a_list(self, make):
        actual = checked_texts(make(["a", "", "Été 日本 🎬"]), "X.fit")
        assert type(actual) is list
        assert actual == ["a", "", "Été 日本 🎬"]

    def test_no_texts_are_fine(self):
        assert checked_texts([], "X.fit") == []

    @pytest.mark.parametrize(
        "text", ["x" * 10_000_000, "a word " * 1_500_000, "é" * 5_000_000], ids=["word", "words", "é"]
    )
    def test_a_text_is_cut_to_a_hundred_letters_for_each_token(self, text):
        assert checked_texts([text], "X.fit", tokens=3) == [text[:300]]
        assert len(checked_texts([text], "X.fit")[0]) == 200_000

    def test_what_is_no_list_is_refused(self):
        with pytest.raises(InvalidInputError, match=r"`values` of X.fit must be a list of texts; got 5"):
            checked_texts(5, "X.fit")

    @pytest.mark.parametrize("bad", [None, 1, float("nan"), b"bytes", ["a"]], ids=repr)
    def test_the_first_value_that_is_no_text_is_named_with_its_row(self, bad):
        with pytest.raises(InvalidInputError, match=r"`values` of X\.fit must be texts; got .* in row 1\.$") as raised:
            checked_texts(["a", bad, 2], "X.fit")
        assert repr(bad) in str(raised.value)

    def test_one_text_instead_of_a_list_is_refused_with_the_way_out(self):
        with pytest.raises(InvalidInputError, match=r"must be a list of texts; got 'a war'\. Pass \['a war'\]\.$"):
            checked_texts("a war", "X.fit")

    def test_a_lone_surrogate_becomes_a_question_mark(self):
        given = ["fine", "broken \ud83c film"]
        assert checked_texts(given, "X.fit") == ["fine", "broken ? film"]
        assert given == ["fine", "broken \ud83c film"]


class TestWhole:
    @pytest.mark.parametrize("text", ["", "plain", "Amélie", "恐怖", "🎬", "e\u0301", "\x00"])
    def test_a_text_without_a_lone_surrogate_stays_as_it_is(self, text):
        assert without_lone_surrogates(text) == text

    @given(st.text(st.characters(exclude_categories=())))
    def test_whatever_the_text_it_can_be_encoded_and_keeps_its_length(self, text):
        assert len(without_lone_surrogates(text).encode("utf-8").decode("utf-8")) == len(text)


class TestFolded:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Amélie", "amelie"),
            ("Ame\u0301lie", "amelie"),
            ("ÉCLAIR", "eclair"),
            ("İstanbul", "istanbul"),
            ("Война", "воина"),
            ("Έλληνας", "ελληνας"),
            ("ＡＢ１２", "ab12"),
            ("ﾊﾘｰ", "ハリー"),
            ("AB-1234", "ab-1234"),
        ],
    )
    def test_case_accents_and_widths_do_not_matter(self, text, expected):
        assert folded(text) == expected

    @pytest.mark.parametrize("text", ["が", "パ", "한국", "हिन्दी", "ไม่", "قِصّة"])
    def test_marks_that_make_another_letter_stay(self, text):
        assert folded(text) == unicodedata.normalize("NFC", text)

    @pytest.mark.parametrize("text", ["한국", "が", "é", "й"])
    def test_composed_and_decomposed_are_the_same(self, text):
        assert folded(unicodedata.normalize("NFD", text)) == folded(text)

    @pytest.mark.parametrize("text", ["ﬁlm", "𝐌𝐚𝐭𝐫𝐢𝐱", "ℍ", "№ 5", "½", "①", "™", "straße"])
    def test_ligatures_letters_of_another_style_and_signs_stay(self, text):
        assert folded(text) == text


class TestWordsOf:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", []),
            ("?! -- ...", []),
            ("A war, in space!", ["a", "war", "in", "space"]),
            ("AB-1234", ["ab", "1234"]),
            ("don't", ["don", "t"]),
            ("don’t", ["don", "t"]),
            ("one one", ["one", "one"]),
            ("Éclair au café", ["eclair", "au", "cafe"]),
            ("Война и мир", ["воина", "и", "мир"]),
            ("हिन्दी फिल्म", ["हिन्दी", "फिल्म"]),
            ("தமிழ் திரைப்படம்", ["தமிழ்", "திரைப்படம்"]),
            ("فيلم رعب", ["فيلم", "رعب"]),
            ("סרט אימה", ["סרט", "אימה"]),
            ("한국 영화", ["한국", "영화"]),
            ("🎬 film", ["film"]),
        ],
    )
    def test_words_are_folded_and_in_order(self, text, words):
        assert words_of(text) == [unicodedata.normalize("NFC", word) for word in words]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("恐怖电影", ["恐怖", "怖电", "电影"]),
            ("恐怖", ["恐怖"]),
            ("水", ["水"]),
            ("東京物語", ["東京", "京物", "物語"]),
            ("ゴジラ", ["ゴジ", "ジラ"]),
            ("หนัง", ["หน", "นั", "ัง"]),
            ("恐怖。电影", ["恐怖", "电影"]),
            ("第2集", ["第", "2", "集"]),
            ("iPhone手机壳", ["iphone", "手机", "机壳"]),
        ],
    )
    def test_scripts_without_spaces_are_split_into_bigrams(self, text, words):
        assert words_of(text) == words

    @pytest.mark.parametrize(("text", "word"), [("LEGO™ castle", "lego"), ("Windows℠ castle", "windows")])
    def test_a_trade_mark_sign_is_no_part_of_the_name(self, text, word):
        assert words_of(text) == [word, "castle"]

    @pytest.mark.parametrize(
        ("text", "words"), [("8½", ["8½"]), ("½ price", ["½", "price"]), ("№ 5", ["5"]), ("ﬁlm", ["ﬁlm"])]
    )
    def test_a_fraction_and_a_ligature_are_parts_of_a_word_and_a_sign_is_none(self, text, words):
        assert words_of(text) == words

    def test_the_middle_dot_of_japanese_names_separates_words(self):
        assert words_of("ハリー・ポッター") == [*words_of("ハリー"), *words_of("ポッター")]

    @settings(deadline=None)
    @given(st.text(), st.text())
    def test_texts_side_by_side_have_the_words_of_both(self, one, other):
        assert words_of(f"{one} . {other}") == words_of(one) + words_of(other)

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=())))
    def test_any_text_has_words_without_spaces_and_none_is_empty(self, text):
        words = words_of(without_lone_surrogates(text))
        assert all(words)
        assert not any(any(letter.isspace() for letter in word) for word in words)
