"""What the machine and the programs are that figures come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from bifast import _core

MEASURED = ("CMakeLists.txt", "csrc", "python", "bench")
PACKAGES = ("numpy", "onnxruntime", "ai-edge-litert", "torch", "librosa", "bnn-lab")


def first_match(pattern: str, text: str, default: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else default


def output_line(*command: str) -> str:
    """The first line that a command prints, "unknown" if it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.splitlines()[0] if result.stdout else "unknown"


def commit() -> str:
    """Name the commit, "-dirty" behind it if what is measured differs from it: figures in docs/ may."""
    name = output_line("git", "rev-parse", "--short", "HEAD")
    changed = output_line("git", "status", "--porcelain", "--untracked-files=no", *MEASURED)
    return name if changed == "unknown" else f"{name}-dirty"  # unknown: it prints nothing


def cpu_name() -> str:
    """Name the CPU as the system does, with family and model, which tell apart what shares a name."""
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    name = first_match(r"^model name\s*:(.*)$", text, platform.machine())
    family = first_match(r"^cpu family\s*:(.*)$", text, "?")
    number = first_match(r"^model\s*:(.*)$", text, "?")
    return f"{name}, family {family}, model {number}"


def machine_lines() -> list[str]:
    """Name the CPU, the compiler, the commit and the versions of all peers."""
    return [
        f"- CPU: {cpu_name()}; instruction sets {', '.join(_core.isas())}.",
        f"- Compiler: {output_line(os.environ.get('CXX', 'c++'), '--version')}.",
        f"- bifast {_core.version}, commit {commit()}.",
        f"- Python {platform.python_version()}; {', '.join(map(version, PACKAGES))}.",
    ]


def version(package: str) -> str:
    """A package with its version, or that it is missing: then its rows are not measured."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed (not measured)"
