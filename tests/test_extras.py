import json
import sys

import pytest

from coldstart._extras import require
from coldstart.errors import MissingExtraError


def test_an_installed_package_is_returned():
    assert require("json", extra="none", by="this test") is json


def test_a_submodule_is_returned_itself():
    assert require("xml.etree", extra="none", by="this test").__name__ == "xml.etree"


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.parquet"])
def test_an_absent_package_is_named_with_the_command_that_brings_it(module):
    expected = (
        r"^FaissIndex needs the package `no_such_package`, which is not installed\. "
        r"Run: pip install 'coldstart-rec\[faiss\]', or '\.\[faiss\]' in a clone of the repository\.$"
    )
    with pytest.raises(MissingExtraError, match=expected) as caught:
        require(module, extra="faiss", by="FaissIndex")
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_package_that_fails_to_import_counts_as_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"to_frame needs the package `pandas`.*\[pandas\]"):
        require("pandas", extra="pandas", by="to_frame")
