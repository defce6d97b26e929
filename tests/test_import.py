"""What `import bifast` loads, and who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bifast

PACKAGE = Path(bifast.__file__).parent
EXTRAS = (
    *("torch", "rich", "soundfile", "soxr", "sounddevice", "matplotlib", "onnx", "onnxruntime"),
    *("PIL", "distributed", "pyarrow", "wyoming"),
)
# Room -> rooms and modules of the package that it may not import.
FORBIDDEN = {
    "": ("cli", "train"),
    "format": ("cli", "train", "model", "_core", "audio"),
    "train": ("cli",),
    "archive": ("cli", "train"),
    "assistant": ("cli", "train"),
}


@pytest.mark.parametrize("module", ["bifast", "bifast.format", "bifast.audio", "bifast.cli"])
def test_import_needs_numpy_alone(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(EXTRAS) & set(loaded)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_keep_to_their_arrows(room: str) -> None:
    files = (PACKAGE / room).glob("*.py") if room == "" else (PACKAGE / room).rglob("*.py")
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in files
        if path.name != "__main__.py"
        for name in imported(path)
        for target in FORBIDDEN[room]
        if f"{name}.".startswith(f"bifast.{target}.")
    ]
    assert not wrong


def test_modules_have_no_import_cycle() -> None:
    graph = {module_name(path): module_imports(path) for path in PACKAGE.rglob("*.py")}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for target in graph.get(module, set()):
            visit(target, (*trail, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def imported(path: Path) -> set[str]:
    """Every name that a file imports, anywhere in it, spelled out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    """Every module of the package, the extension too."""
    return frozenset(map(module_name, PACKAGE.rglob("*.py"))) | {"bifast._core"}


def module_imports(path: Path) -> set[str]:
    """The package's own modules that a file imports; `from a import b` is a.b where that is one."""
    names = imported(path)
    found = {name if name in modules() else name.rpartition(".")[0] for name in names}
    return found & modules() - {module_name(path)}


def test_public_names_exist() -> None:
    for name in bifast.__all__:
        assert hasattr(bifast, name)


def test_py_typed_is_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_sources_are_ascii() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.read_bytes().isascii(), path
