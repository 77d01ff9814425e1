"""Lines of cells as text and as HTML; the first line is the head."""

import html
from collections.abc import Sequence


def as_text(lines: Sequence[Sequence[str]]) -> str:
    """Return columns padded with spaces."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(line.rstrip() for line in padded)


def as_html(title: str, lines: Sequence[Sequence[str]]) -> str:
    """Return a titled table."""
    marks = ["th", *["td"] * (len(lines) - 1)]
    rows = (
        "".join(f"<{mark}>{html.escape(cell)}</{mark}>" for cell in line)
        for mark, line in zip(marks, lines, strict=True)
    )
    return f"<p>{html.escape(title)}</p><table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
