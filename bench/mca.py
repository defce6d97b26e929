"""Cycles that llvm-mca computes for instructions that really ran: traces of qemu_trace.c as its input.

A model of a CPU's pipes, no more: it knows no cache misses and no mispredicted branches. So its figures
are called cycles by llvm-mca, never time.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

CPUS = ("neoverse-n1", "cortex-a53")
# llvm-mca takes 100 cycles for a call, for what is called and not seen. Here that follows.
CALL = re.compile(r"^bl(r?)\b")
# What a branch or an address is relative to does not matter here, and would not fit.
RELATIVE = re.compile(r"^(b|b\.\w+|cbn?z|tbn?z|adrp?|ldr|prfm)\s+(.*?)([0-9a-f]+) <.*>$")


def program() -> str | None:
    """Return llvm-mca, the newest first: before version 19 neoverse-n1 has no model of its own."""
    names = (f"llvm-mca-{version}" for version in range(24, 18, -1))
    return next((name for name in names if shutil.which(name)), None)


def read_trace(path: Path, within: range) -> list[list[str]]:
    """Return the machine code that ran between the marks of each row, if its address is `within`."""
    blocks: dict[str, list[str]] = {}
    rows: list[list[str]] = []
    n_marks = 0
    with path.open() as lines:
        for line in lines:
            words = line.split()
            if words[0] == "b":
                inside = int(words[2], 16) in within
                blocks[words[1]] = words[3:] if inside else []
            elif words[0] == "mark":
                n_marks += 1
                if n_marks % 3 == 1:
                    rows.append([])
            else:
                rows[-1] += blocks[words[0]]
    return rows


def assembly(code: list[str]) -> str:
    """Turn machine code into assembly that llvm-mca reads."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "code.s", Path(folder) / "code.o"
        source.write_text(".arch armv8.2-a\n" + "".join(f".inst 0x{word}\n" for word in code))
        subprocess.run(["aarch64-linux-gnu-as", "-o", made, source], check=True)
        listing = subprocess.run(
            ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", made],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    lines = []
    for line in listing.splitlines():
        found = re.match(r"\s+[0-9a-f]+:\t(.*)", line)
        if found is None:
            continue
        text = found[1].split("//")[0].replace("\t", " ").strip()
        lines.append(RELATIVE.sub(r"\1 \2#0", CALL.sub(r"b\1", text)))
    return ".arch armv8.2-a\n" + "\n".join(lines) + "\n"


def cycles(text: str, cpu: str) -> int:
    """Return llvm-mca's cycles for assembly that runs once."""
    command = [
        program() or "llvm-mca", "-mtriple=aarch64-linux-gnu", f"-mcpu={cpu}", "-iterations=1",
        "-resource-pressure=false", "-instruction-info=false",
    ]  # fmt: skip
    run = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    found = re.search(r"Total Cycles:\s+(\d+)", run.stdout)
    if found is None:
        raise SystemExit(f"llvm-mca: {run.stderr[:2000]}")
    return int(found[1])
