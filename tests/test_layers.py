"""The house: imports only go down, and importing the package costs nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import coldstart

ROOT = Path(coldstart.__file__).parent

FLOORS = {
    "_forks": 1,
    "_messages": 1,
    "errors": 1,
    "_arguments": 2,
    "_arrays": 2,
    "_component": 2,
    "_device": 2,
    "_extras": 2,
    "_file_locks": 2,
    "_json": 2,
    "_locks": 2,
    "_paths": 2,
    "_progress": 2,
    "_replacing": 3,
    "_rows": 2,
    "_tables": 2,
    "_tensors": 2,
    "_linalg": 3,
    "_svd": 3,
    "base": 3,
    "metrics": 3,
    "data": 4,
    "training": 4,
    "encoders": 5,
    "fusers": 5,
    "index": 5,
    "packing": 5,
    "reranking": 5,
    "storage": 5,
    "finetuning": 6,
    "rankers": 6,
    "pipeline": 7,
    "recommender": 8,
    "baselines": 9,
    "evaluation": 9,
    "testing": 9,
}
"""Files of one folder may import each other."""

MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def own_imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, functions and type-checking blocks included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: relative import"
            names = [node.module or ""]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.removeprefix("coldstart").removeprefix(".") for name in names if name.startswith("coldstart"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down_or_stay_in_the_folder(path):
    room = name_of(path).split(".")[0]
    for imported in own_imports(path):
        other = imported.split(".")[0]
        lower = FLOORS[other] < FLOORS[room]
        same_folder = other == room and "." in imported
        assert lower or same_folder, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_name_the_file_never_a_package(path):
    for imported in own_imports(path):
        assert (ROOT / Path(*imported.split("."))).with_suffix(".py").is_file(), imported


def test_every_room_has_a_floor():
    assert {name_of(path).split(".")[0] for path in MODULES} == set(FLOORS)


def loaded_after(code: str) -> set[str]:
    """Top-level packages in memory after some code ran in a fresh interpreter."""
    script = f"import sys\n{code}\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_the_package_loads_neither_torch_nor_transformers():
    assert not loaded_after("import coldstart") & {"torch", "transformers", "tqdm", "huggingface_hub", "pandas"}


def test_everything_public_can_be_reached_without_torch():
    assert not loaded_after("import coldstart as cs\n[getattr(cs, name) for name in cs.__all__]") & {
        "torch",
        "transformers",
        "pandas",
    }


def test_a_pipeline_without_a_language_model_never_loads_torch():
    code = (
        "import coldstart as cs\n"
        "from coldstart.testing import tiny_catalog, tiny_clicks\n"
        "cs.Recommender(encoder=cs.TfidfEncoder()).fit(tiny_catalog(), tiny_clicks()).recommend(query='moon', k=1)"
    )
    assert not loaded_after(code) & {"torch", "transformers"}
