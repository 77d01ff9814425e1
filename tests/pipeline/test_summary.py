"""A fitted recommender in few words."""

import coldstart as cs
from coldstart.pipeline.summary import as_line, as_table
from coldstart.testing import HashEncoder


def test_the_line_names_three_fields_and_counts_the_rest():
    films = {"id": ["a"], "one": ["x"], "two": ["x"], "three": ["x"], "four": ["x"]}
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine")
    rec.fit(films, id="id", fields=["one", "two", "three", "four"])
    assert as_line(rec.fitted) == "Recommender(CosineRanker, 1 items, no clicks, fields: one, two, three and 1 more)"


def test_the_table_shows_whether_exact_words_count(catalog):
    encoder = HashEncoder()
    with_words, without = (
        cs.Recommender(encoder=encoder, lexical=lexical).fit(catalog).fitted for lexical in (True, False)
    )
    assert "<td>exact words</td><td>read</td>" in as_table(with_words)
    assert "<td>exact words</td><td>not read</td>" in as_table(without)
    assert "<td>other columns</td><td>price</td>" in as_table(without)
