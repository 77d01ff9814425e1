"""The catalogue that comes with the library."""

import coldstart as cs


def test_films_have_no_missing_cell_and_distinct_descriptions():
    films = cs.datasets.films()
    assert len(films) >= 200
    assert not films.missing.any()
    assert len(set(films.columns["description"])) == len(films)
    assert all(isinstance(year, int) and 1900 < year < 2030 for year in films.columns["year"])


def test_descriptions_are_one_sentence():
    for text in cs.datasets.films().columns["description"]:
        assert text.endswith(".")
        assert 8 <= len(text.split()) <= 40
