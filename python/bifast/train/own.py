"""A binarizer from a file of the user's own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from bifast.train.binarizers import BINARIZERS, Binarizer
from bifast.train.registry import nearest


class OwnBinarizerError(ValueError):
    """A file or class that can not be used as a binarizer: says why."""


def load_binarizer(place: str) -> str:
    """Import a binarizer and make sure that it is registered.

    Parameters
    ----------
    place
        `FILE.py:CLASS`.

    Returns
    -------
    str
        Its name in `BINARIZERS`: that of its decorator, or else the class's in lower case.

    Raises
    ------
    OwnBinarizerError
        If there is no such file or class, the file raises, the class is no `Binarizer`, or its name is taken.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise OwnBinarizerError(f"--with {place}: expected FILE.py:CLASS")
    path = Path(file)
    if not path.is_file():
        raise OwnBinarizerError(f"--with {place}: there is no file {path}")
    module = _import(path, place)
    kind = getattr(module, name, None)
    if kind is None:
        classes = [n for n, v in vars(module).items() if isinstance(v, type)]
        raise OwnBinarizerError(f"--with {place}: no class {name!r}; {nearest(name, classes)}")
    if not (isinstance(kind, type) and issubclass(kind, Binarizer)):
        raise OwnBinarizerError(
            f"--with {place}: {name} is no subclass of bifast.train.binarizers.Binarizer"
        )
    try:
        return BINARIZERS.name_of(kind)
    except KeyError:
        pass
    if name.lower() in BINARIZERS:
        raise OwnBinarizerError(
            f"--with {place}: there is a binarizer {name.lower()!r} already; give yours a name: "
            '@BINARIZERS.register("...")'
        )
    BINARIZERS.register(name.lower())(kind)
    return name.lower()


def _import(path: Path, place: str) -> ModuleType:
    """Run the file as a module, once a process."""
    known = f"bifast_own_{path.stem}"
    if known in sys.modules and getattr(sys.modules[known], "__file__", None) == str(path):
        return sys.modules[known]
    spec = importlib.util.spec_from_file_location(known, path)
    if spec is None or spec.loader is None:
        raise OwnBinarizerError(f"--with {place}: {path} can not be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise OwnBinarizerError(f"--with {place}: {type(error).__name__}: {error}") from error
    sys.modules[known] = module
    return module
