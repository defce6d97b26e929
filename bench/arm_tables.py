"""Tables of what arm64.py counted."""

from __future__ import annotations

from typing import Any

from rows import table

NOTHING = "Nothing is counted yet: `make bench-arm64`."


def facts(arm: dict[str, Any]) -> str:
    """Say what was counted with what."""
    if not arm:
        return NOTHING
    return (
        f"Commit {arm['commit']}; {arm['compiler']}; {arm['qemu']}; onnxruntime {arm['onnxruntime']} "
        f"(its AArch64 wheel); {arm['mca']['program'].strip()}."
    )


def nets(arm: dict[str, Any]) -> str:
    """Instructions of nets and clips against the peers', one line a depth."""
    body = []
    for name, counts in arm.get("instructions", {}).items():
        log_mel = counts["NumPy log-mel"]
        depths = [row[4:] for row in counts if row.startswith("net ")]
        if len(depths) > 1:
            body.append(blocks_of(name, counts, *depths[:2]))
        for depth in depths:
            ours, clip = counts[f"net {depth}"], counts[f"clip {depth}"]
            exact, small = (counts[f"onnxruntime {kind} {depth}"] for kind in ("FP32", "int8"))
            body.append(
                [
                    f"{name} {depth}",
                    f"{ours:,}",
                    f"{exact:,} ({exact / ours:.1f})",
                    f"{small:,} ({small / ours:.1f})",
                    f"{clip:,}",
                    f"{exact + log_mel:,} ({(exact + log_mel) / clip:.1f})",
                ]
            )
    head = ["", "net, bifast", "net, onnxruntime FP32 (times)", "int8 (times)"]
    return table([*head, "clip, bifast", "clip, NumPy log-mel + onnxruntime FP32 (times)"], body)


def blocks_of(name: str, counts: dict[str, int], deep: str, shallow: str) -> list[str]:
    """The layers that one depth has and the next has not: nothing but blocks of 1-bit layers."""
    ours, exact, small = (
        counts[f"{what} {deep}"] - counts[f"{what} {shallow}"]
        for what in ("net", "onnxruntime FP32", "onnxruntime int8")
    )
    cells = [f"{n:,} ({n / ours:.1f})" for n in (exact, small)]
    return [f"{name} {deep} less {shallow}: 1-bit blocks alone", f"{ours:,}", *cells, "", ""]


def layers(arm: dict[str, Any]) -> str:
    """Instructions of each kind of layer, and of its float twin's."""
    exact = arm.get("onnxruntime FP32 layers", {})
    body = []
    for title, count in arm.get("layers", {}).items():
        compared = title in exact and ": quantise," not in title  # of which a float twin has none
        peer = f"{exact[title]:,} ({exact[title] / count:.1f})" if compared else ""
        body.append([title, f"{count:,}", peer])
    return table(["layer", "bifast", "onnxruntime FP32 (times)"], body)


def blocks(arm: dict[str, Any]) -> str:
    """Instructions and cycles by llvm-mca for each block of 128 x 128 bits."""
    found = arm.get("mca", {}).get("blocks", {})
    if not found:
        return "Not computed: llvm-mca 19 or newer is missing."
    names = list(next(iter(found.values())))
    head = [
        "whole layer with thresholds",
        *(n if n == "instructions" else f"cycles, {n}" for n in names),
    ]
    body = [[what, *(f"{facts[n]:.2f}" for n in names)] for what, facts in found.items()]
    return table(head, body)
