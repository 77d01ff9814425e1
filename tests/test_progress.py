"""Bars are for those who look."""

import io
import sys

import pytest

from coldstart._progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(monkeypatch, stream, **options):
    """What a bar of a few steps writes to a stream, when nothing waits for a second to pass."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress_bar(**{"total": 3, "what": "Encoding", "unit": "text"} | options) as bar:
        bar.delay = bar.mininterval = 0.0
        bar.update(bar.total)
    return stream.getvalue()


def test_several_steps_have_a_bar_in_a_terminal(monkeypatch):
    assert "Encoding: 100%" in drawn(monkeypatch, Terminal())


def test_one_text_has_none(monkeypatch):
    assert drawn(monkeypatch, Terminal(), total=1) == ""


def test_it_can_be_switched_off(monkeypatch):
    assert drawn(monkeypatch, Terminal(), shown=False) == ""


def test_the_log_of_a_service_has_none(monkeypatch):
    assert drawn(monkeypatch, io.StringIO()) == ""


@pytest.mark.parametrize("shown", [True, False])
def test_values_are_gone_through(shown):
    assert list(progress_bar("abc", total=3, what="tune", unit="trial", shown=shown)) == ["a", "b", "c"]
