"""A series as its TOML file describes it, and the recipe of each of its rows."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bifast.train.recipe import (
    RECIPES,
    Recipe,
    RecipeError,
    apply_settings,
    read_named,
    read_recipe,
    recipe_from_dict,
)
from bifast.train.registry import nearest
from bifast.train.sanity import check_recipe

SERIES = RECIPES / "series"
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEYS = ("name", "description", "recipe", "seeds", "reference", "set", "rows")
_ROW_KEYS = ("title", "recipe", "reference", "group", "paper", "set")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    name
        Also the name of its run folders, so that other rows may call it their teacher.
    title
        What the table says.
    recipe
        Name or path of its recipe.
    reference
        Row that its drop is counted from; empty for none.
    changes
        Nested tables, laid over the recipe and the changes of the series.
    paper
        What the row's paper reports, and where that was seen; for the notes under the table.
    group
        Heading of the part of the page that the row belongs to; empty for the main table.
    """

    name: str
    title: str
    recipe: str
    reference: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    paper: str = ""
    group: str = ""


@dataclass(frozen=True)
class Series:
    """Rows under one protocol.

    Attributes
    ----------
    name, description
        Also the default name of the folder.
    seeds
        Each row is run once for each; the table gives mean and spread.
    rows
        In the order of the table; a teacher comes before its students.
    recipe, reference
        Of rows that name no other.
    changes
        For every row.
    """

    name: str
    description: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    recipe: str = ""
    reference: str = ""
    changes: dict[str, Any] = field(default_factory=dict)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return nested tables with others laid over them."""
    out = dict(base)
    for key, value in changes.items():
        below = out.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            value = merged(below, value)
        out[key] = value
    return out


def row_recipe(series: Series, row: Row, seed: int, settings: list[str]) -> Recipe:
    """Return the recipe of a row: its file, the changes of series and row, settings, the seed.

    Raises
    ------
    RecipeError
        If there is no such recipe, or a key, name or value is wrong; says which row.
    """
    try:
        table = merged(merged(read_recipe(row.recipe), series.changes), row.changes)
        recipe = recipe_from_dict(
            apply_settings(table, settings) | {"name": row.name, "seed": seed}
        )
        check_recipe(recipe)
    except ValueError as error:
        raise RecipeError(f"row {row.name}: {error}") from None
    return recipe


def with_binarizer(series: Series, binarizer: str) -> Series:
    """Return the series with one more row: its recipe with a binarizer.

    Raises
    ------
    RecipeError
        If there is a row of that name, or the series has no recipe of its own.
    """
    if binarizer in [row.name for row in series.rows]:
        raise RecipeError(
            f"{series.name} has a row {binarizer!r} already; name the binarizer otherwise"
        )
    if not series.recipe:
        raise RecipeError(
            f"{series.name} has no recipe for all its rows, so none for {binarizer!r}"
        )
    changes = {"net": {"binarizer": binarizer}}
    row = Row(binarizer, binarizer, series.recipe, series.reference, changes=changes)
    return dataclasses.replace(series, rows=(*series.rows, row))


def series_names() -> list[str]:
    """Return the names of the series that come with bifast."""
    return sorted(p.stem for p in SERIES.glob("*.toml"))


def load_series(name_or_path: str) -> Series:
    """Read a series.

    Parameters
    ----------
    name_or_path
        A name of `series_names()` or the path of a TOML file. A recipe it names by a path is looked
        for beside the file.

    Raises
    ------
    RecipeError
        If there is no such series, or it can not be read; says what is wrong.
    """
    path, table = read_named("series", name_or_path, SERIES, series_names())
    try:
        return series_from_dict(table, path.parent)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def series_from_dict(table: dict[str, Any], beside: Path) -> Series:
    """Build a series from the tables of its file, which lies in the folder `beside`."""
    _known(table, _KEYS, "series")
    rows = table.get("rows")
    if not isinstance(rows, dict) or not rows:
        raise RecipeError("a series needs at least one table [rows.NAME]")
    seeds = table.get("seeds", [1])
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int for s in seeds):
        raise RecipeError(f"seeds: expected a list of whole numbers, got {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise RecipeError(f"seeds: one is given twice: {seeds}")
    built = tuple(_row(name, row, table, beside) for name, row in rows.items())
    for row in built:
        if row.reference and row.reference not in rows:
            known = nearest(row.reference, list(rows))
            raise RecipeError(f"row {row.name}: unknown reference {row.reference!r}; {known}")
    return Series(
        name=str(table["name"]),
        description=str(table.get("description", "")),
        seeds=tuple(seeds),
        rows=built,
        recipe=_place(str(table.get("recipe", "")), beside),
        reference=str(table.get("reference", "")),
        changes=_table(table, "set"),
    )


def _row(name: str, row: Any, series: dict[str, Any], beside: Path) -> Row:
    if not isinstance(row, dict):
        raise RecipeError(f"rows.{name}: expected a table, got {row!r}")
    _known(row, _ROW_KEYS, f"rows.{name}")
    if not _FOLDER_NAME.fullmatch(name):
        raise RecipeError(f"rows.{name}: a name is letters, digits, '.', '_' and '-'")
    recipe = row.get("recipe", series.get("recipe"))
    if not isinstance(recipe, str):
        raise RecipeError(f"rows.{name}: no recipe here or for the whole series")
    reference = str(row.get("reference", series.get("reference", "")))
    return Row(
        name=name,
        title=str(row.get("title", name)),
        recipe=_place(recipe, beside),
        reference="" if reference == name else reference,
        paper=str(row.get("paper", "")),
        group=str(row.get("group", "")),
        changes=_table(row, "set"),
    )


def _place(recipe: str, beside: Path) -> str:
    """Say where a recipe is: one named by a path lies beside the file of the series."""
    return str(beside / recipe) if recipe.endswith(".toml") else recipe


def _known(table: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise RecipeError(f"{where}: unknown key {key!r}; {nearest(key, list(keys))}")


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise RecipeError(f"{key}: expected a table, got {value!r}")
    return value
