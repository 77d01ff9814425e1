"""A recommender from your own CSV, in under ten lines.

python examples/your_csv.py items.csv
"""

import sys

import coldstart as cs

items = cs.Catalog.from_frame(sys.argv[1], id="id", fields=["title", "description"])
rec = cs.Recommender().fit(items)
print(rec.recommend(query=input("What are you looking for? ")))
