"""Damage anywhere in a saved folder is refused, or does no harm: never a crash, never an error that says nothing.

``benchmarks/edges.py`` does the same for hours; here a few hundred seeded trials of each kind of folder.
"""

import json
import subprocess
import sys
import textwrap

import pytest

# In another process, where a crash is seen and not shared. It prints what came of all trials.
TRIALS = """
    import collections, json, random, sys, traceback, warnings
    from pathlib import Path
    import numpy as np
    import coldstart as cs
    from coldstart import storage
    from coldstart._json import read_json, write_json
    from coldstart.errors import ColdstartError

    warnings.simplefilter("ignore")
    folder, sealed, rng, trials = Path(sys.argv[1]), sys.argv[2] == "rewritten", random.Random(0), int(sys.argv[3])
    verify = {"rewritten": "auto", "compared": "auto", "ignored": False}[sys.argv[2]]

    def answers():
        rec = cs.load(folder, verify=verify)
        asked = [{}, {"user": 3}, {"history": [5, 7]}, {"query": "rocket"}, {"user": 4, "query": "rose"}]
        found = [rec.recommend(**one, k=9) for one in asked] + [rec.recommend(where={"year": (">", 20)}, k=3)]
        return repr([(one.item_ids, one.scores) for one in found])

    def outcome():
        try:
            return "the same answers" if answers() == good else "other answers"
        except ColdstartError:
            return "a clear error"
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} in {at.name}: {error}"

    def reseal():
        try:
            config = read_json(folder / "config.json")
            config.pop("sha256")
            for name in config["files"]:
                config["files"][name] = storage._sha256(folder / name)
                config["sizes"][name] = (folder / name).stat().st_size
            write_json({**config, "sha256": storage._digest(config)}, folder / "config.json")
        except Exception:
            pass  # it is damaged, so that it cannot even be made to look whole

    good, counted = answers(), collections.Counter()
    whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    for path, content in whole.items():
        start = 8 + int.from_bytes(content[:8], "little") if path.suffix == ".safetensors" else len(content)
        for trial in range(trials):
            at = rng.randrange(start if trial % 2 else len(content))
            damaged = bytearray(content)
            damaged[at] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged if trial % 8 else content[:at])
            if sealed:
                reseal()
            counted[outcome()] += 1
            for other in {path, folder / "config.json"}:
                other.write_bytes(whole[other])
    print(json.dumps(counted))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each kind of ranker, of items of three kinds and users who each like half of a kind."""
    import numpy as np

    import coldstart as cs

    rng, words = np.random.default_rng(0), ("space rocket", "garden rose", "crime city")
    rows = [{"id": at, "title": f"{words[at % 3]} part {at}", "year": at} for at in range(60)]
    liked = rng.random((90, 55)) < np.where(np.arange(90)[:, None] % 6 == np.arange(55) % 6, 0.6, 0.15)
    users, items = (part.tolist() for part in np.nonzero(liked))
    clicks = cs.Interactions.from_frame({"user": users, "item": items}, user="user", item="item")
    catalog, home = cs.Catalog.from_frame(rows, id="id", fields=["title"]), tmp_path_factory.mktemp("models")
    weak_prior = cs.HybridConfig(prior_strength=(0.03,))  # so that the folders hold the experts, too
    rankers = {
        "cosine": cs.CosineRanker(),
        "hybrid": cs.HybridRanker(cold_share=0.3, config=weak_prior),
        "als": cs.HybridRanker(cold_share=0.3, method="als", config=weak_prior),
    }
    for name, ranker in rankers.items():
        rec = cs.Recommender(cs.TfidfEncoder(dim=6), ranker=ranker).fit(catalog, clicks, check=False)
        rec.save(home / name)
    assert rec.ranker_.blend_.experts is not None
    return home


@pytest.mark.parametrize(("hashes", "trials"), [("compared", 16), ("ignored", 40), ("rewritten", 40)])
@pytest.mark.parametrize("kind", ["cosine", "hybrid", "als"])
def test_damage_is_refused_or_does_no_harm(folders, kind, hashes, trials):
    command = [sys.executable, "-c", textwrap.dedent(TRIALS), str(folders / kind), hashes, str(trials)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"the process ended with {ran.returncode}: {ran.stderr[-500:]}"
    counted = json.loads(ran.stdout)
    assert set(counted) <= {"a clear error", "the same answers", "other answers"}, counted
    assert sum(counted.values()) == 5 * trials
    if hashes == "compared":
        assert set(counted) == {"a clear error"}
