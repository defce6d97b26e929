"""Count the instructions of a whole clip at each depth and compare them with the committed table.

    python3 tools/instruction_counts.py build/native build/aarch64            # compare
    python3 tools/instruction_counts.py build/native build/aarch64 --update   # write the table

Folders are builds with BIFAST_TESTS=ON. AVX2 is counted by valgrind's callgrind, NEON by qemu with
tools/qemu_count.c. Counts do not depend on the machine but on the compiler: the table names it, and
another one is not compared. More than 3 % worse fails; more than 3 % better asks for an update.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tools" / "instruction_counts.json"
MODELS = ROOT / "python" / "bifast" / "models"
TOLERANCE = 0.03
TIMES = 8  # clips, after a first one

Counts = dict[str, dict[str, int]]  # model, depth


def cache_value(build: Path, name: str) -> str:
    """Return a variable of a build folder's CMake cache."""
    text = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    match = re.search(rf"^{name}:\w+=(.*)$", text, re.MULTILINE)
    return match.group(1) if match else ""


def compiler_of(build: Path) -> str:
    """Return the first line that a build folder's compiler says of its version."""
    (facts,) = build.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")
    match = re.search(r'set\(CMAKE_CXX_COMPILER "(.*)"\)', facts.read_text(encoding="utf-8"))
    assert match is not None
    command = [match.group(1), "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[
        0
    ]


def isa_of(build: Path) -> str:
    """Return the instruction set that is counted in a build folder."""
    return "neon" if "aarch64" in cache_value(build, "CMAKE_TOOLCHAIN_FILE") else "avx2"


def counter(isa: str, folder: Path) -> tuple[list[str], str]:
    """Return the command that counts a program's instructions, and what its output says before them."""
    if isa == "avx2":
        out = folder / "callgrind.out"
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"], "Collected : "
    plugin = folder / "qemu_count.so"
    source = ROOT / "tools" / "qemu_count.c"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", plugin, source], check=True)
    command = [
        "qemu-aarch64",
        "-L",
        "/usr/aarch64-linux-gnu",
        "-plugin",
        str(plugin),
        "-d",
        "plugin",
    ]
    return command, "instructions: "


def instructions(command: list[str], marker: str, isa: str) -> int:
    """Run a counting command and read the number behind the marker."""
    environment = {**os.environ, "BIFAST_ISA": isa}
    run = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    match = re.search(rf"{marker}(\d+)", run.stderr + run.stdout)
    if run.returncode != 0 or match is None:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr}{run.stdout}")
    return int(match.group(1))


def measure(build: Path) -> Counts:
    """Count one clip of each shipped model at each depth."""
    isa = isa_of(build)
    counts: Counts = {}
    with tempfile.TemporaryDirectory() as folder:
        command, marker = counter(isa, Path(folder))
        for model in sorted(MODELS.glob("*.bifast")):
            counts[model.stem] = {}
            for depth in depths_of(model):
                run = [*command, str(build / "tests/cpp/run_clip"), str(model), depth]
                first, all_ = (instructions([*run, n], marker, isa) for n in ("1", str(1 + TIMES)))
                counts[model.stem][depth] = (all_ - first) // TIMES
    return counts


def depths_of(model: Path) -> list[str]:
    """Return the names in a file's DPTH section (docs/format.md)."""
    data = model.read_bytes()
    for entry in range(64, 64 + 32 * int.from_bytes(data[24:28], "little"), 32):
        if data[entry : entry + 4] == b"DPTH":
            offset, n_bytes = (
                int.from_bytes(data[entry + at : entry + at + 8], "little") for at in (8, 16)
            )
            return data[offset : offset + n_bytes].decode().rstrip("\0").split("\0")
    sys.exit(f"{model}: no depths")


def compare(isa: str, table: Counts, counts: Counts) -> bool:
    """Print a line for each depth; false if one is worse."""
    good = True
    for model, depths in counts.items():
        for depth, count in depths.items():
            expected = table.get(model, {}).get(depth)
            if expected is None:
                print(f"{isa:6} {model} {depth:8} {count:9}  not in the table: update it")
                good = False
                continue
            change = count / expected - 1
            verdict = ""
            if change > TOLERANCE:
                verdict, good = "  WORSE", False
            elif change < -TOLERANCE:
                verdict = "  better: update the table"
            print(f"{isa:6} {model} {depth:8} {count:9}  {change:+7.1%}{verdict}")
    return good


def main() -> int:
    """Compare or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("builds", nargs="+", type=Path, help="build folders")
    parser.add_argument("--update", action="store_true", help="write the table")
    arguments = parser.parse_args()
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    good = True
    for build in arguments.builds:
        isa, compiler = isa_of(build), compiler_of(build)
        program = "valgrind" if isa == "avx2" else "qemu-aarch64"
        pinned = table.get(isa, {}).get("compiler")
        if shutil.which(program) is None:
            print(f"{isa}: NOT COUNTED, {program} is not installed", file=sys.stderr)
        elif arguments.update:
            table[isa] = {"compiler": compiler, "instructions": measure(build)}
        elif pinned != compiler:
            print(f"{isa}: NOT COMPARED, the table is for {pinned}, this is {compiler}",
                  file=sys.stderr)  # fmt: skip
        else:
            good &= compare(isa, table[isa]["instructions"], measure(build))
    if arguments.update:
        TABLE.write_text(json.dumps(table, indent=2) + "\n")
    elif not good:
        print("A clip takes more instructions than the table says. If that is meant, write it anew:\n"
              f"  python3 tools/instruction_counts.py {' '.join(map(str, arguments.builds))} --update",
              file=sys.stderr)  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
