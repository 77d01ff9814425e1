"""Parsing queries: liked and disliked titles, and words to avoid."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.pipeline.sentences import LONGEST_NEGATION, LONGEST_REQUEST, ParsedQuery, Titles, has_cues, parse_query

TITLES = [
    "The Matrix (1999)",
    "Heat (1995)",
    "Alien",
    "Inception (2010)",
    "Dune",
    "Dune",
    "No Country for Old Men (2007)",
    "Something's Gotta Give (2003)",
    "Matrix Reloaded, The (2003)",
    "Godfather, The (1972)",
    "Up (2009)",
    "It (2017)",
    "Se7en",
    "Amélie (2001)",
    "Misérables, Les (2012)",
    "Blade Runner",
    "Blade Runner 2049 (2017)",
    "The Good, the Bad and the Ugly",
    "Her",
    "Saw",
    "Jaws",
    "Toy Story",
    "Don't Look Now",
    "Nothing But Trouble",
    "Not Without My Daughter",
    "Titanic (1997)",
    "The Avengers (2012)",
    "The Avengers (1998)",
    "Music",
    "Twilight",
    "Frozen (2013)",
    "300",
    "英雄",
    "8½",
    None,
    7,
    "?!",
]
KNOWN = Titles(TITLES)


def names(rows):
    return [TITLES[row] for row in rows]


def parsed(text):
    return parse_query(text, KNOWN)


def stays_whole(text):
    """Whether nothing is parsed out of a text."""
    return parsed(text) == ParsedQuery(text)


class TestTitles:
    @pytest.mark.parametrize(
        ("words", "row"),
        [
            ("the matrix", 0),
            ("the matrix 1999", 0),
            ("the matrix reloaded", 8),
            ("matrix reloaded the", 8),
            ("the matrix reloaded 2003", 8),
            ("the godfather", 9),
            ("les miserables", 14),
            ("amelie", 13),
            ("no country for old men", 6),
            ("something s gotta give", 7),
            ("the good the bad and the ugly", 17),
        ],
    )
    def test_a_title_matches_with_or_without_its_year_and_with_its_article_first_or_last(self, words, row):
        assert KNOWN.rows(words.split()) == (row,)

    @pytest.mark.parametrize("words", ["matrix", "matrix 1999", "the", "1999", "the matrix 2003", "heat heat", ""])
    def test_a_part_of_a_title_does_not_match(self, words):
        assert KNOWN.rows(words.split()) == ()

    def test_a_title_that_items_share_has_all_their_rows_and_its_year_tells_them_apart(self):
        assert KNOWN.rows(["dune"]) == (4, 5)
        assert KNOWN.rows(["the", "avengers"]) == (26, 27)
        assert KNOWN.rows(["the", "avengers", "1998"]) == (27,)

    def test_cells_that_are_not_text_match_nothing(self):
        assert Titles([None, 7, "", "?!", float("nan")]).rows([]) == ()
        assert Titles([]).rows(["a"]) == ()

    def test_a_title_of_more_than_twelve_words_does_not_match(self):
        assert Titles([" ".join(["word"] * 13)]).rows(["word"] * 13) == ()


class TestLikes:
    @pytest.mark.parametrize(
        ("text", "liked"),
        [
            ("something like The Matrix", ["The Matrix (1999)"]),
            ("something like the matrix", ["The Matrix (1999)"]),
            ("something like The Matrix (1999)", ["The Matrix (1999)"]),
            ("something like The Matrix, but newer", ["The Matrix (1999)"]),
            ('something like "The Matrix"', ["The Matrix (1999)"]),
            ("something like The Matrix Reloaded", ["Matrix Reloaded, The (2003)"]),
            ("like Alien", ["Alien"]),
            ("Like the matrix", ["The Matrix (1999)"]),
            ("I liked The Godfather", ["Godfather, The (1972)"]),
            ("I love Les Misérables", ["Misérables, Les (2012)"]),
            ("I loved Amelie", ["Amélie (2001)"]),
            ("i loved inception", ["Inception (2010)"]),
            ("fans of Blade Runner 2049", ["Blade Runner 2049 (2017)"]),
            ("I'm a fan of Blade Runner", ["Blade Runner"]),
            ("films in the style of Heat", ["Heat (1995)"]),
            ("along the lines of Toy Story", ["Toy Story"]),
            ("reminiscent of Alien", ["Alien"]),
            ("it reminds me of Jaws", ["Jaws"]),
            ("as good as Heat but shorter", ["Heat (1995)"]),
            ("films such as Alien, Heat, Jaws", ["Alien", "Heat (1995)", "Jaws"]),
            ("similar to the film Alien", ["Alien"]),
            ("movies similar to The Avengers (2012)", ["The Avengers (2012)"]),
            ("something like Heat 1995", ["Heat (1995)"]),
            ("just watched Alien, want more", ["Alien"]),
            ("I have seen Jaws", ["Jaws"]),
            ("I've read Twilight and I want more", ["Twilight"]),
            ("I bought Twilight", ["Twilight"]),
            ("if you liked Se7en, try this", ["Se7en"]),
            ("what is the film like Saw but funny", ["Saw"]),
            ("I LOVE HEAT", ["Heat (1995)"]),
        ],
    )
    def test_a_title_after_a_cue_of_liking_is_liked(self, text, liked):
        query = parsed(text)
        assert names(query.liked) == liked
        assert (query.text, query.avoided, query.disliked) == (text, None, ())

    @pytest.mark.parametrize(
        ("text", "liked"),
        [
            ("films like Inception and Heat", ["Inception (2010)", "Heat (1995)"]),
            ("films like Inception, Heat and Alien", ["Inception (2010)", "Heat (1995)", "Alien"]),
            ("I loved The Godfather, Titanic and Toy Story", ["Godfather, The (1972)", "Titanic (1997)", "Toy Story"]),
            ("I liked The Matrix (1999) and Titanic (1997)", ["The Matrix (1999)", "Titanic (1997)"]),
            ("films like The Good, The Bad and The Ugly and Heat", ["The Good, the Bad and the Ugly", "Heat (1995)"]),
            ("similar to Alien / Heat", ["Alien", "Heat (1995)"]),
            ("films like \"Saw\" and 'Jaws'", ["Saw", "Jaws"]),
            ("films like Saw, but also like Jaws", ["Saw", "Jaws"]),
            ("I loved Alien. I loved Alien!", ["Alien"]),
        ],
    )
    def test_all_titles_of_a_list_are_liked_once(self, text, liked):
        assert names(parsed(text).liked) == liked

    @pytest.mark.parametrize("end", [". ", "! ", "? ", "; ", ": "])
    def test_a_list_ends_with_the_sentence(self, end):
        assert names(parsed(f"films like Alien{end}Heat").liked) == ["Alien"]

    @pytest.mark.parametrize(
        "text",
        [
            "I liked Dune",
            "movies similar to The Avengers",
            "The Matrix, Inception and Heat",
            "who directed The Matrix",
            "Heat meets Alien",
            "something like Matrix",
            "something like an unknown film",
            "someone likeable in Heat",
            "like Heat (1986)",
            "something like Heat (1986)",
            "I loved The Matrix (2003)",
        ],
    )
    def test_a_title_of_two_items_or_without_a_cue_is_not_liked(self, text):
        assert stays_whole(text)

    @pytest.mark.parametrize("text", ["I like heat", "i love inception", "she enjoys music", "I like it", "like her"])
    def test_a_single_common_word_after_a_verb_is_no_title(self, text):
        assert stays_whole(text)

    @pytest.mark.parametrize(
        ("text", "liked"),
        [
            ("I like Heat", "Heat (1995)"),
            ("she enjoys Music", "Music"),
            ("I like It", "It (2017)"),
            ("like Her", "Her"),
            ("a film like heat", "Heat (1995)"),
            ("something like Up", "Up (2009)"),
            ("I saw Saw", "Saw"),
        ],
    )
    def test_a_single_word_is_a_title_with_a_capital_letter_or_after_a_cue_that_is_no_verb(self, text, liked):
        assert names(parsed(text).liked) == [liked]

    @pytest.mark.parametrize("text", ["I love Frozen food", "she enjoys Music lessons", "I love Heat resistant gloves"])
    def test_a_single_word_is_no_title_as_the_first_word_of_another_name(self, text):
        assert stays_whole(text)

    @pytest.mark.parametrize(
        ("text", "liked"),
        [
            ("I love Frozen", ["Frozen (2013)"]),
            ("I love Frozen!", ["Frozen (2013)"]),
            ("I love Frozen and Heat", ["Frozen (2013)", "Heat (1995)"]),
            ("I love Frozen, food is fine too", ["Frozen (2013)"]),
        ],
    )
    def test_punctuation_or_a_stop_word_may_follow_a_title_of_one_word(self, text, liked):
        assert names(parsed(text).liked) == liked

    @pytest.mark.parametrize(
        "text",
        [
            "I love cooking",
            "like new laptop",
            "a laptop like new",
            "I would like a drill",
            "what do people like",
            "movies like these",
            "films my wife would like",
            "would you like to play",
            "what is life like in Japan",
            "it looks like rain",
            "feels like home",
            "a man falls in love like a fool",
            "love story",
            "much loved classics",
            "a lesser seen gem",
            "as seen on TV",
            "why do cats hate water",
            "a woman who hates her job",
            "a man who hates Mondays",
            "music like Pink Floyd",
            "saw it",
            "",
            " ",
            "?!",
        ],
    )
    def test_other_uses_of_the_cues_are_not_parsed(self, text):
        assert stays_whole(text)


class TestDislikes:
    @pytest.mark.parametrize(
        ("text", "disliked", "rest"),
        [
            ("I hate Twilight", ["Twilight"], None),
            ("I hated Twilight and Titanic", ["Twilight", "Titanic (1997)"], None),
            ("I didn't like Titanic", ["Titanic (1997)"], None),
            ("I didn’t like Titanic", ["Titanic (1997)"], None),
            ("I don't love Titanic", ["Titanic (1997)"], None),
            ("I can't stand Titanic", ["Titanic (1997)"], None),
            ("I can’t stand Titanic", ["Titanic (1997)"], None),
            ("I couldn’t stand Titanic", ["Titanic (1997)"], None),
            ("I wasn’t a fan of Titanic", ["Titanic (1997)"], None),
            ("not a big fan of Heat", ["Heat (1995)"], None),
            ("I wasn't a fan of Titanic", ["Titanic (1997)"], None),
            ("nothing like Saw or Jaws", ["Saw", "Jaws"], None),
            ("please nothing similar to Saw", ["Saw"], None),
            ("films unlike Titanic", ["Titanic (1997)"], None),
            ("I hated Twilight but loved Titanic", ["Twilight"], "I loved Titanic"),
            ("I never liked Titanic but loved Alien", ["Titanic (1997)"], "I loved Alien"),
        ],
    )
    def test_a_denied_like_or_a_cue_of_dislike_is_a_dislike_and_is_cut_out(self, text, disliked, rest):
        query = parsed(text)
        assert (names(query.disliked), query.text, query.avoided) == (disliked, rest, None)

    def test_likes_beside_dislikes_stay_likes(self):
        query = parsed("I loved Titanic; I hated Twilight")
        assert (names(query.liked), names(query.disliked)) == (["Titanic (1997)"], ["Twilight"])
        assert names(parsed("I never liked Titanic but loved Alien").liked) == ["Alien"]

    @pytest.mark.parametrize(
        "text",
        [
            "I haven't seen Jaws",
            "I've never seen Jaws",
            "I never watched Titanic",
            "I haven't watched Titanic or Alien",
            "I haven't seen Don't Look Now",
            "I haven’t seen Jaws",
            "I’ve never seen Don’t Look Now",
        ],
    )
    def test_a_film_that_the_user_has_not_seen_is_neither_liked_nor_disliked(self, text):
        assert stays_whole(text)

    @pytest.mark.parametrize("text", ["I don't like Titanic", "I do not like Titanic but I loved Alien"])
    def test_a_disliked_title_is_not_also_a_text_to_avoid(self, text):
        query = parsed(text)
        assert (names(query.disliked), query.avoided) == (["Titanic (1997)"], None)

    def test_neither_is_a_denial(self):
        assert parsed("I neither like Twilight nor Titanic").liked == ()


class TestTitlesOfNegations:
    @pytest.mark.parametrize(
        "text",
        [
            "No Country for Old Men",
            "no country for old men",
            "Something's Gotta Give",
            "Don't Look Now",
            "Nothing But Trouble",
            "Not Without My Daughter",
            "Don’t Look Now",
            "Something’s Gotta Give",
        ],
    )
    def test_a_negation_inside_a_title_is_none(self, text):
        assert stays_whole(text)
        assert names(parsed(f"something like {text}").liked)
        assert parsed(f"something like {text}, no horror") == ParsedQuery(
            f"something like {text}", "horror", parsed(f"something like {text}").liked
        )

    @pytest.mark.parametrize(
        ("text", "disliked", "rest"),
        [
            ("except Twilight", "Twilight", None),
            ("anything except Twilight", "Twilight", None),
            ("not Alien", "Alien", None),
            ("a thriller, not Alien", "Alien", "a thriller"),
            ("not Blade Runner 2049", "Blade Runner 2049 (2017)", None),
            ("horror other than Saw", "Saw", "horror"),
            ("a spy film instead of blade runner", "Blade Runner", "a spy film"),
            ("I don’t want Jaws", "Jaws", None),
            ("not Her", "Her", None),
        ],
    )
    def test_a_title_after_a_negation_is_disliked(self, text, disliked, rest):
        query = parsed(text)
        assert (names(query.disliked), query.text) == ([disliked], rest)
        assert (query.avoided, query.liked) == (None, ())

    @pytest.mark.parametrize(
        ("text", "avoided"),
        [
            ("not twilight", "twilight"),
            ("not heat resistant", "heat resistant"),
            ("no Frozen food", "Frozen food"),
            ("not Dune", "Dune"),
        ],
    )
    def test_an_ambiguous_title_after_a_negation_is_a_text_to_avoid(self, text, avoided):
        assert parsed(text) == ParsedQuery(None, avoided)

    def test_a_disliked_title_stands_beside_a_text_to_avoid(self):
        query = parsed("no horror, not Alien")
        assert (query.text, query.avoided, names(query.disliked)) == (None, "horror", ["Alien"])


class TestNegations:
    @pytest.mark.parametrize(
        ("text", "rest", "avoided"),
        [
            ("not a war film", None, "war film"),
            ("war film without violence", "war film", "violence"),
            ("gloves not latex", "gloves", "latex"),
            ("no horror please", None, "horror"),
            ("NO HORROR PLEASE", None, "HORROR"),
            ("a heist film instead of a thriller", "a heist film", "thriller"),
            ("anything but horror", None, "horror"),
            ("everything except horror", None, "horror"),
            ("something other than Star Wars", None, "Star Wars"),
            ("sports news excluding cricket", "sports news", "cricket"),
            ("news about elections but not Trump", "news about elections", "Trump"),
            ("something lighter rather than heavy drama", "something lighter", "heavy drama"),
            ("a comedy, not too silly", "a comedy", "silly"),
            ("a thriller but not too scary", "a thriller", "scary"),
            ("something funny but not stupid", "something funny", "stupid"),
            ("not waterproof but warm", "warm", "waterproof"),
            ("nothing too long", None, "long"),
            ("nothing scary", None, "scary"),
            ("avoid gore", None, "gore"),
            ("I can't stand musicals", None, "musicals"),
            ("I don't like horror", None, "horror"),
            ("I am not interested in sports", None, "sports"),
            ("headphones without noise cancelling", "headphones", "noise cancelling"),
            ("noise cancelling headphones without wires", "noise cancelling headphones", "wires"),
            ("wireless mouse no bluetooth", "wireless mouse", "bluetooth"),
            ("laptop not refurbished", "laptop", "refurbished"),
            ("shampoo without sulfates or parabens", "shampoo", "sulfates or parabens"),
            ("tea instead of coffee", "tea", "coffee"),
            ("jazz without vocals", "jazz", "vocals"),
            ("rock music but no metal", "rock music", "metal"),
            ("news about football, no transfers", "news about football", "transfers"),
            ("news that is not about war", "news", "war"),
            ("a mattress that is not too hard", "a mattress", "hard"),
            ("kids film; no villains", "kids film", "villains"),
            ("I don't mind violence, but no torture", "I don't mind violence", "torture"),
            ("without subtitles, in English", "in English", "subtitles"),
        ],
    )
    def test_words_to_avoid_are_cut_out(self, text, rest, avoided):
        assert parsed(text) == ParsedQuery(rest, avoided)

    @pytest.mark.parametrize(
        ("text", "avoided"),
        [
            ("a ghost story that isn't scary", "scary"),
            ("I don't want anything sad", "anything sad"),
            ("songs with no lyrics", "lyrics"),
            ("I'm not in the mood for romance tonight", "romance"),
            ("gift for my dad who doesn't like golf", "golf"),
        ],
    )
    def test_the_words_before_a_negation_stay(self, text, avoided):
        query = parsed(text)
        assert query.avoided == avoided
        assert query.text is None or text.startswith(query.text.split()[0])
        assert avoided not in (query.text or "")

    @pytest.mark.parametrize(
        ("text", "avoided"),
        [
            ("no horror, no gore, no zombies", "horror, gore, zombies"),
            ("not animated, not a musical, and no romance", "animated, musical, romance"),
            ("comedy without violence, without nudity", "violence, nudity"),
        ],
    )
    def test_several_texts_to_avoid_are_joined(self, text, avoided):
        assert parsed(text).avoided == avoided

    def test_a_liked_title_stays_in_the_text_beside_words_to_avoid(self):
        query = parsed("something like the matrix but lighter, no horror please")
        assert query == ParsedQuery("something like the matrix but lighter, please", "horror", (0,))
        assert parsed("films like Heat but not Alien") == ParsedQuery("films like Heat", None, (1,), (2,))

    def test_words_to_avoid_end_with_the_clause_or_after_four_words(self):
        assert parsed("a film without guns please tonight").avoided == "guns"
        assert parsed("a film without a b c d e f g h") == ParsedQuery("a film f g h", "b c d e")
        assert LONGEST_NEGATION == 4

    @pytest.mark.parametrize(
        "text",
        [
            "not only comedies",
            "not sure",
            "not just for kids",
            "not even close",
            "not bad comedies",
            "no, i have not seen that",
            "no idea what I want",
            "no matter what",
            "no problem",
            "no thanks",
            "yes or no",
            "just say no",
            "whether or not it is funny",
            "why not watch a classic",
            "a film I have not seen",
            "movie about a man who could not die",
            "movie where no one survives",
            "whatever, no preference",
            "not one but two",
            "without you",
            "with or without you",
            "no-nonsense thriller",
            "non-stick pan",
            "non-alcoholic beer",
            "alcohol-free wine",
            "no-code tools",
            "nothing but the best",
            "everything but the girl",
            "I don't know what to watch",
            "I don't mind subtitles",
            "knot tying guide",
            "notebook",
            "nothingness",
            "",
        ],
    )
    def test_phrases_that_only_look_like_a_negation_stay_whole(self, text):
        assert stays_whole(text)

    @pytest.mark.parametrize(
        ("text", "rest"),
        [
            ("film not boring and not long, set in Paris", "film, set in Paris"),
            ("a bag without leather and without metal, for a big laptop", "a bag, for a big laptop"),
        ],
    )
    def test_two_negations_joined_by_and_are_cut_out_once(self, text, rest):
        query = parsed(text)
        assert query.text == rest
        assert " not " not in f" {query.avoided} "

    @pytest.mark.parametrize(
        ("text", "avoided"),
        [
            ("a ghost story that isn’t scary", "scary"),
            ("I don’t like horror", "horror"),
            ("I can’t stand musicals", "musicals"),
            ("I don’t want anything sad", "anything sad"),
            ("a film that doesn’t have gore", "gore"),
            ("I couldn’t stand musicals", "musicals"),
            ("no children’s films", "children’s films"),
        ],
    )
    def test_a_curly_apostrophe_is_an_apostrophe(self, text, avoided):
        assert parsed(text).avoided == avoided
        assert parsed(text.replace("’", "'")).avoided == avoided.replace("’", "'")

    def test_the_rest_keeps_its_apostrophes(self):
        assert parsed("a children’s film, no horror") == ParsedQuery("a children’s film", "horror")

    @pytest.mark.parametrize(
        ("text", "rest"),
        [
            ("dress, not black, size 12", "dress, size 12"),
            ("a western (not spaghetti) from the 50s", "a western from the 50s"),
            ("No zombies. Something sweet.", "Something sweet"),
            ("...comedy, no gore...", "comedy"),
            ("without horror: something light", "something light"),
        ],
    )
    def test_no_punctuation_stays_behind(self, text, rest):
        assert parsed(text).text == rest

    @pytest.mark.parametrize(
        "text",
        [
            "without a doubt the best",
            "nothing beats a good western",
            "there's nothing like a good thriller",
            "I can't not laugh at this",
            "there’s nothing like a good thriller",
            "I can’t not laugh at this",
            "no strings attached",
        ],
    )
    def test_a_fixed_phrase_with_a_negation_stays_whole(self, text):
        assert stays_whole(text)


class TestOtherLanguages:
    @pytest.mark.parametrize(
        "text",
        [
            "ein Film ohne Gewalt",
            "Ich suche einen Film wie Heat, aber nicht so lang",
            "kein Horror bitte",
            "Je cherche un film drôle, pas trop long, comme Amélie",
            "un film sans violence",
            "je n'aime pas les comédies",
            "不要恐怖片",
            "我喜欢英雄",
            "怖くない映画",
            "لا أريد فيلم رعب",
            "Фильм без насилия",
            "डरावनी फिल्म नहीं",
            "หนังตลก ไม่เศร้า",
            "무섭지 않은 영화",
        ],
    )
    def test_a_sentence_in_another_language_stays_whole(self, text):
        assert not has_cues(text)
        assert stays_whole(text)

    @pytest.mark.parametrize("text", ["um filme no espaço", "no me gusta el terror"])
    def test_a_sentence_in_another_language_stays_whole_with_a_word_spelled_as_in_english(self, text):
        assert stays_whole(text)


class TestAnyText:
    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_accents_of_any_form_are_read(self, form):
        text = unicodedata.normalize(form, "I loved Amélie and Les Misérables")
        assert names(parsed(text).liked) == ["Amélie (2001)", "Misérables, Les (2012)"]

    @pytest.mark.parametrize("text", ["🎬 something like Heat 🎬", "something like Ｈｅａｔ", "something like HEAT"])
    def test_punctuation_width_and_case_do_not_matter(self, text):
        assert names(parsed(text).liked) == ["Heat (1995)"]

    def test_half_a_surrogate_pair_does_not_raise(self):
        assert parsed("no \ud83c horror").avoided

    @pytest.mark.parametrize(("text", "liked"), [("I love 300", "300"), ("I love 英雄", "英雄")])
    def test_a_title_that_has_no_capital_letters_needs_none(self, text, liked):
        assert names(parsed(text).liked) == [liked]

    def test_a_title_with_a_fraction_is_found(self):
        assert names(parsed("I loved 8½").liked) == ["8½"]

    @pytest.mark.parametrize("text", ["films like: Heat, Jaws", "I love: Heat", "such as: Alien"])
    def test_a_list_after_a_colon_is_not_parsed(self, text):
        assert stays_whole(text)

    @pytest.mark.parametrize(
        "piece", ["word ", "war film, ", "not bad war ", "but ", "a,", "I like Heat ", "no horror, "]
    )
    def test_a_document_stays_whole(self, piece):
        text = piece * 10_000
        assert not has_cues(text)
        assert stays_whole(text)

    def test_a_request_of_the_longest_length_is_parsed(self):
        text = "something like Heat, no horror, ".ljust(LONGEST_REQUEST, "x")
        query = parsed(text)
        assert (names(query.liked), query.avoided) == (["Heat (1995)"], "horror")
        assert stays_whole(f"{text}x")

    @pytest.mark.parametrize(
        "text",
        ["I like ", "not ", "not violent, ", "something like Jaws, ", " ", "no ( ", "(no a) "],
        ids=["likes", "nots", "negations", "titles", "blanks", "opened", "brackets"],
    )
    def test_a_long_request_full_of_cues_is_parsed(self, text):
        query = parsed(text * (LONGEST_REQUEST // len(text)))
        assert set(names(query.liked)) <= {"Jaws"}
        assert query.disliked == ()

    @pytest.mark.parametrize("text", ["I liked Heat and", "something like Heat, or, Alien", "no idea, but"])
    def test_a_text_without_a_parsed_cue_keeps_every_word(self, text):
        assert parsed(text).text == text

    pieces = st.sampled_from(
        "no not nothing without isn't don't like loved hate liked seen saw something but and or , . ; ( ) Heat The Matrix "
        "Alien Don't Look Now horror film a too please I want that is instead of anything other than except".split()
    )

    @settings(deadline=None, max_examples=300)
    @given(st.lists(pieces, max_size=20).map(" ".join) | st.text(max_size=60))
    def test_any_text_gives_a_text_or_none_and_rows_of_the_catalogue(self, text):
        query = parsed(text)
        assert query.text is None or isinstance(query.text, str)
        assert query.avoided is None or query.avoided
        assert set(query.liked) | set(query.disliked) <= set(range(len(TITLES)))
        if query.avoided is None and not query.disliked:
            assert query.text == text

    @settings(deadline=None, max_examples=200)
    @given(st.text())
    def test_a_text_without_cues_is_whole(self, text):
        if not has_cues(text):
            assert stays_whole(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("something like Heat", True),
            ("no horror", True),
            ("I have seen it", True),
            ("a funny film", False),
            ("likely notes", False),
            ("", False),
        ],
    )
    def test_cues_are_found_quickly_without_titles(self, text, expected):
        assert has_cues(text) is expected

    def test_without_titles_words_to_avoid_are_still_parsed(self):
        assert parse_query("a film like Heat, no horror", Titles([])) == ParsedQuery("a film like Heat", "horror")


def test_a_title_longer_than_any_request_is_not_looked_at():
    titles = Titles(["x" * 2_001, "y" * 2_000])
    assert (titles.rows(["x" * 2_001]), titles.rows(["y" * 2_000])) == ((), (1,))
