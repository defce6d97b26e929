"""Plain aligned tables."""

from __future__ import annotations

from collections.abc import Sequence

Row = Sequence[str]


def format_table(header: Row, rows: Sequence[Row], right: str = "") -> str:
    """Lay out a table as text.

    Parameters
    ----------
    header, rows
        The cells; every row is as long as the header.
    right
        One letter for each column, "r" to align it right, anything else left; missing ones are left.
    """
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    aligned = right.ljust(len(widths))

    def line(cells: Row) -> str:
        parts = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(cells, widths, aligned, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])
