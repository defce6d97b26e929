"""Recipes: small TOML files that describe a training run completely."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from bifast.format import FrontendParams
from bifast.train.data.spec import DataSpec
from bifast.train.nets.base import NetSpec
from bifast.train.registry import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parent / "recipes"
T = TypeVar("T")


class RecipeError(ValueError):
    """A recipe that can not be read: says the key, what was expected and what was found."""


@dataclass(frozen=True)
class Optim:
    """How to learn.

    Attributes
    ----------
    epochs, batch
        Passes over the training split; clips a step.
    algorithm, momentum
        `adamw`, or `sgd` with its momentum.
    lr, weight_decay
        The rate rises over `warmup` epochs and falls to zero with a cosine.
    real_lr
        Factor on the rate of the real weights (first and last layer) of a binary net.
    binarizer_lr
        Factor on the rate of the binarizers' own parameters (thresholds, estimators).
    clip
        Largest norm of the gradient.
    smoothing
        Label smoothing of the cross entropy.
    balance
        Correct for unequal numbers of clips in the classes: 1 wholly, 0 not at all.
    ema
        Share that a running average of the weights keeps at each step, e.g. 0.999; the average is
        what is validated, calibrated and finished. 0: the last weights are.
    depth_weights
        Weight of each depth's loss, deepest first.
    init
        Name of a recipe whose finished run lies beside this one, or a path: its weights are the
        start. Empty: random.
    """

    epochs: int = 30
    batch: int = 128
    algorithm: str = "adamw"
    momentum: float = 0.9
    lr: float = 2e-3
    real_lr: float = 0.3
    binarizer_lr: float = 0.1
    weight_decay: float = 0.0
    warmup: float = 1.0
    clip: float = 1.0
    smoothing: float = 0.0
    balance: float = 0.0
    ema: float = 0.0
    depth_weights: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    init: str = ""


@dataclass(frozen=True)
class Distill:
    """What the teacher adds.

    Attributes
    ----------
    teacher
        Name of a recipe whose finished run lies beside this one, or a path; empty for none.
    logits, temperature
        Share of the loss that is distillation of the class scores, 0 .. 1, and its temperature.
    mse
        Weight of the mean squared difference of the class scores, as BiFSMNv2.
    hed, fid, rbd
        Weight of each loss on features; names in `FEATURE_LOSSES`.
    per_sample
        Normalise features in each sample; False: over the batch, as the papers' code.
    haar
        The wavelet of hed and fid: `patch`, over time and channels, as the papers' code; or `time`.
    in_place
        Share of a thin depth's loss that is distillation of the full depth's scores, 0 .. 1.
    teacher_mode
        `eval`; `train`: dropout and batch statistics in the teacher, as the paper's code.
    teacher_binarizer
        Run the teacher's weights under this binarizer, as the paper's code does; empty: its own.
    """

    teacher: str = ""
    logits: float = 0.0
    temperature: float = 2.0
    mse: float = 0.0
    hed: float = 0.0
    fid: float = 0.0
    rbd: float = 0.0
    per_sample: bool = True
    haar: str = "patch"
    in_place: float = 0.0
    teacher_mode: str = "eval"
    teacher_binarizer: str = ""


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes
    ----------
    name, description
        Also the default name of the run folder and of the model.
    seed
        Of initialisation and order.
    frontend, net, data, optim, distill
        The tables of the file. The front-end's window stays one second at 16 kHz, as the clips are.
    """

    name: str
    description: str = ""
    seed: int = 0
    frontend: FrontendParams = field(default_factory=FrontendParams)
    net: NetSpec = field(default_factory=NetSpec)
    data: DataSpec = field(default_factory=DataSpec)
    optim: Optim = field(default_factory=Optim)
    distill: Distill = field(default_factory=Distill)


def _convert(value: Any, kind: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise RecipeError(f"{where}: expected a table, got {value!r}")
        return _build(kind, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise RecipeError(f"{where}: expected a list, got {value!r}")
        return tuple(_convert(v, get_args(kind)[0], where) for v in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RecipeError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def _build(kind: type[T], table: dict[str, Any], where: str = "") -> T:
    hints = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        path = f"{where}.{key}" if where else key
        if key not in hints:
            raise RecipeError(f"unknown key {path!r}; {nearest(key, list(hints))}")
        values[key] = _convert(value, hints[key], path)
    return kind(**values)


def recipe_from_dict(table: dict[str, Any]) -> Recipe:
    """Build a recipe from nested dictionaries; `RecipeError` names a wrong key or type."""
    if "name" not in table:
        raise RecipeError("a recipe needs a name")
    return _build(Recipe, table)


def apply_settings(table: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """Return the table with settings `a.b=3` applied; values are TOML, bare words are strings."""
    table = {k: dict(v) if isinstance(v, dict) else v for k, v in table.items()}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting}: expected KEY=VALUE")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        *tables, key = path.strip().split(".")
        place = table
        for name in tables:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise RecipeError(f"--set {setting}: {name!r} is not a table")
        place[key] = value
    return table


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with bifast."""
    return sorted(p.stem for p in RECIPES.glob("*.toml"))


def read_named(kind: str, name_or_path: str, folder: Path, names: list[str]) -> tuple[Path, Any]:
    """Read a TOML file of a kind, by one of `names`, which lie in `folder`, or by a path.

    Returns
    -------
    path
        Of the file.
    table
        Its tables, with the file's stem as the name unless it gives one.

    Raises
    ------
    RecipeError
        If there is none of that name, or the file is not TOML.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = folder / f"{name_or_path}.toml"
        if not path.exists():
            raise RecipeError(f"unknown {kind} {name_or_path!r}; {nearest(name_or_path, names)}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: {error}") from None
    return path, {"name": path.stem, **table}


def read_recipe(name_or_path: str) -> dict[str, Any]:
    """Read a recipe's file, by a name of `recipe_names()` or a path, as nested tables.

    Raises
    ------
    RecipeError
        If there is no such recipe, or the file is not TOML.
    """
    table: dict[str, Any] = read_named("recipe", name_or_path, RECIPES, recipe_names())[1]
    return table


def load_recipe(name_or_path: str, settings: list[str]) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name_or_path
        A name of `recipe_names()` or the path of a TOML file.
    settings
        Changes, each `a.b=value`.

    Returns
    -------
    Recipe
        Complete and checked for keys and types.

    Raises
    ------
    RecipeError
        If there is no such recipe, or it has an unknown key or a value of the wrong type.
    """
    return recipe_from_dict(apply_settings(read_recipe(name_or_path), settings))
