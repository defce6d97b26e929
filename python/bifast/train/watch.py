"""What a training run tells: a silent watcher, and one with a progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class Watcher:
    """Hears of steps and epochs and says nothing."""

    def __enter__(self) -> Self:
        """Start."""
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.close()

    def open(self) -> None:
        """Start showing."""

    def close(self) -> None:
        """Stop showing and leave the terminal in order."""

    def track(self, items: Iterable[Any], title: str) -> Iterable[Any]:
        """Wrap a loop over things to prepare."""
        return items

    def start(self, steps: int, done: int) -> None:
        """Begin a run of `steps`, of which some are done already."""

    def step(self, epoch: int, loss: float, accuracies: list[float]) -> None:
        """Hear of a finished step: smoothed loss and training accuracy at each depth."""

    def epoch(self, row: dict[str, float]) -> None:
        """Hear of a finished epoch: its row of metrics."""

    def say(self, text: str) -> None:
        """Hear of something else."""


class BarWatcher(Watcher):
    """On stderr: a bar with loss, accuracy of each depth and time left (terminals only), a line an epoch."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            refresh_per_second=2,
            console=Console(stderr=True),  # stdout is for results, JSON among them
        )
        self._task: Any = None

    def open(self) -> None:
        """Show the bar."""
        if self._progress.console.is_terminal:
            self._progress.start()

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._progress.console.is_terminal:
            self._progress.stop()

    def track(self, items: Iterable[Any], title: str) -> Iterable[Any]:
        """Show a bar of its own for a loop."""
        total = len(items) if isinstance(items, Sized) else None
        task = self._progress.add_task(title, total=total, news="")
        for item in items:
            yield item
            self._progress.advance(task)

    def start(self, steps: int, done: int) -> None:
        """Show the bar of the run."""
        self._task = self._progress.add_task("train", total=steps, completed=done, news="")

    def step(self, epoch: int, loss: float, accuracies: list[float]) -> None:
        """Move the bar."""
        shares = " ".join(f"{100 * a:.1f}" for a in accuracies)
        self._progress.update(
            self._task,
            advance=1,
            description=f"epoch {epoch}",
            news=f"loss {loss:.3f}  acc {shares}",
        )

    def epoch(self, row: dict[str, float]) -> None:
        """Print the epoch's line."""
        depths = "  ".join(
            f"{key.removeprefix('validation_')} {100 * value:.2f}"
            for key, value in row.items()
            if key.startswith("validation_")
        )
        self.say(f"epoch {row['epoch']:.0f}  loss {row['loss']:.4f}  validation: {depths}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)
