"""Calls with odd arguments through every public function: what was promised, what was tried, and what came of it.

    python benchmarks/edges_calls.py 60000

The calls are those of ``tests/test_fuzz.py``, which makes a few thousand of them.
"""

import runpy
import sys
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent / "tests"


def main(calls: int = 60_000, seed: int = 1) -> None:
    """Make the calls, and print a table and every call that broke a promise."""
    start = time.perf_counter()
    tally: Any = runpy.run_path(str(TESTS / "test_fuzz.py"))["run"](calls, seed)
    print("| promise | tried | result |\n|---|---|---|")
    for row in tally.rows():
        print(f"| {' | '.join(row)} |")
    print("\n| function | calls | answers | errors of the library | others |\n|---|---|---|---|---|")
    for name, outcome in sorted(tally.outcomes.items()):
        tried = sum(outcome[kind] for kind in ("answer", "error", "caller", "other"))
        print(f"| {name} | {tried:,} | {outcome['answer']:,} | {outcome['error']:,} | {outcome['other']:,} |")
    for broken in (*tally.others, *tally.changed, *tally.long, *tally.not_finite):
        print(f"* {broken}")
    print(f"\n{time.perf_counter() - start:,.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
