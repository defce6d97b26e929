"""Tables of words as CSV, JSON lines or Parquet, written row by row and whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bifast.atomic import write_atomic
from bifast.extras import extra

_PARQUET_ROWS = 1 << 16


class Row(NamedTuple):
    """A word in a file: its smoothed probability, start and end in seconds."""

    file: str
    word: str
    score: float
    start: float
    end: float


def check_table(path: Path) -> None:
    """Refuse what cannot be written, before hours of work.

    Raises
    ------
    ValueError
        If the suffix is none of `SUFFIXES`.
    UnsupportedError
        If it needs a package that is not installed.
    OSError
        If its folder is not there.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a name that ends with {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        _pyarrow()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder does not exist")


def write_table(path: Path, rows: Iterator[Row]) -> None:
    """Write a table in the form of its suffix; errors as `check_table`, and OSError of the disk."""
    writer = SUFFIXES[path.suffix]
    write_atomic(path, lambda beside: writer(beside, rows))


def _write_csv(path: Path, rows: Iterator[Row]) -> None:
    # File names are bytes: what is no UTF-8 comes out as it went in.
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows(rows)


def _write_json_lines(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)


def _write_parquet(path: Path, rows: Iterator[Row]) -> None:
    pyarrow = _pyarrow()
    text, number = pyarrow.string(), pyarrow.float64()
    kinds = (text, text, number, number, number)
    schema = pyarrow.schema(list(zip(Row._fields, kinds, strict=True)))
    with extra("pyarrow.parquet", "Parquet", "parquet").ParquetWriter(path, schema) as table:
        while part := list(islice(rows, _PARQUET_ROWS)):
            files, *columns = zip(*part, strict=True)
            names = [file.encode("utf-8", "backslashreplace").decode() for file in files]
            table.write_table(pyarrow.table([names, *map(list, columns)], schema=schema))


def _pyarrow() -> Any:
    return extra("pyarrow", "Parquet", "parquet")


SUFFIXES: dict[str, Callable[[Path, Iterator[Row]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
}
