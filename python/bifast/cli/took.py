"""What listening took: share of a core, windows at each depth, and what they cost on average."""

from __future__ import annotations

from collections import Counter
from typing import Any, final

import bifast


@final
class Took:
    """Counts of streams that followed each other, as after a gap in the audio."""

    def __init__(self) -> None:
        self._scored: Counter[str] = Counter()
        self._skipped = 0
        self._work = 0.0

    def add(self, stream: bifast.Stream) -> None:
        """Take what a stream has counted since it began, or was reset."""
        scored = stream.scored
        self._scored.update(scored)
        self._skipped += stream.skipped
        self._work += stream.cost * sum(scored.values())

    def summary(self, hop: float, seconds: float, cpu: float) -> dict[str, Any]:
        """Return all of it for JSON: seconds of sound, CPU time as a share of them, counts, shares, cost."""
        total = self._scored.total()
        return {
            "seconds": round(seconds, 3),
            "cpu": round(cpu / max(seconds, 1e-9), 6),
            "hop": round(hop, 6),
            "windows": total,
            "at_rest": self._skipped,
            "scored": dict(self._scored),
            "shares": {name: round(n / max(1, total), 4) for name, n in self._scored.items()},
            "cost": round(self._work / max(1, total), 4),
        }


def in_words(summary: dict[str, Any]) -> str:
    """Return a summary as a line."""
    shares = [f"{name} {100 * share:.1f} %" for name, share in summary["shares"].items() if share]
    cost = f"; {100 * summary['cost']:.0f} % of the work at full depth" if len(shares) > 1 else ""
    rest = f", {summary['at_rest']} at rest" if summary["at_rest"] else ""
    return (
        f"{summary['seconds']:.1f} s of sound, {100 * summary['cpu']:.2f} % of a core; "
        f"{summary['windows']} windows every {summary['hop']:.3f} s{rest}: "
        f"{', '.join(shares) or 'none'}{cost}"
    )
