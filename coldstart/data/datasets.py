"""Example data that comes with the library."""

from importlib.resources import as_file, files

from coldstart.data.catalog import Catalog


def films() -> Catalog:
    """Return a catalogue of well-known films, each described in one sentence.

    The facts are facts; the sentences were written for this library.

    Returns
    -------
    Catalog
        Fields ``title``, ``description`` and ``genres``; columns ``year`` (int) and ``director``.

    Examples
    --------
    >>> films().fields
    ('title', 'description', 'genres')
    """
    with as_file(files("coldstart.data") / "films.csv") as path:
        table = Catalog.from_frame(path, id="film_id", fields=["title", "description", "genres"])
    columns = {**table.columns, "year": tuple(map(int, table.columns["year"]))}
    return Catalog(table.ids, table.fields, columns, table.id_name)
