"""Write the figures of finished series into docs/survey.md, and their tables and pictures beside it.

    python bench/survey_page.py PAGE FOLDER...

Each FOLDER is what `bifast survey` wrote. The page keeps its text; what stands between the lines
`<!-- begin NAME -->` and `<!-- end NAME -->` is replaced, NAME being a series, or `binarizers`: the list of all.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from bifast.train.binarizers import BINARIZERS, Binarizer
from bifast.train.series.summary import Table, table_from_dict
from bifast.train.series.table import markdown

FILES = ("table.csv", "table.json", "table.png", "speed.png")
ARXIV = re.compile(r"arXiv (\d{4}\.\d{5})")


class PageError(ValueError):
    """A page without the marks that are needed, or a folder without a table."""


def replace(page: str, name: str, text: str) -> str:
    """Put a text between the marks of a name."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise PageError(f"the page needs one line {begin.strip()!r}, and {end!r} after it")
    head, rest = page.split(begin)
    return head + begin + "\n" + text.strip() + "\n\n" + end + rest.split(end)[1]


def binarizer_list() -> str:
    """Say of every binarizer what it computes, where it is from and what the engine needs."""
    lines = ["| name | what | arXiv | the engine |", "|" + " --- |" * 4]
    for name in BINARIZERS:
        kind = BINARIZERS[name]
        cells = (f"`{name}`", _summary(kind), _source(kind), _engine(kind))
        # A bar inside a cell would end it.
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _summary(kind: type[Binarizer]) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _source(kind: type[Binarizer]) -> str:
    module = inspect.getdoc(inspect.getmodule(kind)) or ""
    found = ARXIV.search(inspect.getdoc(kind) or "") or ARXIV.search(module)
    return found[1] if found else ""


def _engine(kind: type[Binarizer]) -> str:
    return kind.unsupported or kind(1, 1).needs()


def series_text(table: Table, folder: Path, beside: str) -> str:
    """Return protocol, pictures and tables of one series."""
    parts = [_protocol(table, folder)]
    pictures = [name for name in FILES if name.endswith(".png") and (folder / name).exists()]
    titles = {"table.png": "accuracy of each row", "speed.png": "accuracy against time"}
    parts += [f"![{titles[name]}]({beside}/{name})" for name in pictures]
    for group in dict.fromkeys(row.group for row in table.rows):
        rows = [row for row in table.rows if row.group == group]
        chosen = Table(table.name, table.description, table.depths, rows)
        parts += [f"### {group}"] * bool(group) + [markdown(chosen)]
    return "\n\n".join(part.strip() for part in parts)


def _protocol(table: Table, folder: Path) -> str:
    """Tell what all rows share, from the first run that there is."""
    told = f"    bifast survey {table.name} --data DIR\n\n{table.description}."
    runs = [folder / f"seed{s}" / row.name for row in table.rows for s in row.seeds]
    found = [run / "config.json" for run in runs if (run / "config.json").exists()]
    if not found:
        return told
    config: dict[str, Any] = json.loads(found[0].read_text("utf-8"))
    optim, data, versions = (
        config["recipe"]["optim"],
        config["recipe"]["data"],
        config["versions"],
    )
    clips = ", ".join(f"{count:,} {split}" for split, count in config["clips"].items())
    return (
        f"{told} Task `{data['task']}` ({clips} clips), {data['variants']} variants of each training clip, "
        f"{optim['epochs']} epochs of batches of {optim['batch']}, {optim['algorithm']}; trained with PyTorch "
        f"{versions['torch']} on {config['machine']['device']}. Nanoseconds: the net alone, features to "
        f"scores, full depth, one thread."
    )


def main(page: Path, folders: list[Path]) -> None:
    """Fill the page."""
    text = replace(page.read_text("utf-8"), "binarizers", binarizer_list())
    for folder in folders:
        source = folder / "table.json"
        if not source.is_file():
            raise PageError(f"{folder} has no table.json; is it a folder of `bifast survey`?")
        table = table_from_dict(json.loads(source.read_text("utf-8")))
        beside = page.parent / "measured" / table.name
        text = replace(text, table.name, series_text(table, folder, f"measured/{table.name}"))
        beside.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, beside / name)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
