"""Recommend from your own CSV, whatever its columns are called.

python examples/your_csv.py items.csv
python examples/your_csv.py items.csv --id sku --fields name,description

Without --id it is the first column of distinct values; without --fields all other columns that are not numbers.
"""

import argparse

import coldstart as cs
from coldstart.data.tables import Columns, read_columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--id", help="the column of ids")
    parser.add_argument("--fields", help="the columns to read, with commas between them")
    arguments = parser.parse_args()
    columns = read_columns(arguments.table, "the table")
    name = arguments.id or distinct(columns)
    fields = arguments.fields.split(",") if arguments.fields else texts(columns, without=name)
    print(f"Ids: {name}. Fields: {', '.join(fields)}.")
    rec = cs.Recommender().fit(columns, id=name, fields=fields)
    print(rec.recommend(input("What are you looking for? ")))


def distinct(columns: Columns) -> str:
    """Return the first column whose cells are all there and all different."""
    found = [name for name, cells in columns.items() if all(cells) and len(set(cells)) == len(cells)]
    return found[0] if found else next(iter(columns))


def texts(columns: Columns, without: str) -> list[str]:
    """Return the columns that are not numbers."""
    return [name for name, cells in columns.items() if name != without and not all(map(is_number, cells))]


def is_number(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
