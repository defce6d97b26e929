"""Programs that are started when a word is heard."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import bifast

# A program that never ends must not fill the machine.
MAX_RUNNING = 16


class Runner:
    """Starts one program for each event, without a shell, and does not wait for it.

    Raises
    ------
    ValueError
        If the command is empty, its quotes do not match, or there is no such program.
    """

    def __init__(self, command: str) -> None:
        try:
            self._argv = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"--exec: {error}") from None
        if not self._argv or shutil.which(self._argv[0]) is None:
            raise ValueError(f"--exec: expected a program and its arguments, got {command!r}")
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, event: bifast.Event) -> None:
        """Run the program with the event in its environment."""
        self._running = [process for process in self._running if process.poll() is None]
        if len(self._running) >= MAX_RUNNING:
            self._complain(f"{MAX_RUNNING} are still running; none was started for {event.word!r}")
            return
        environment = os.environ | {
            "BIFAST_WORD": event.word,
            "BIFAST_SCORE": f"{event.score:.6f}",
            "BIFAST_START": f"{event.start / event.sample_rate:.4f}",
            "BIFAST_END": f"{event.end / event.sample_rate:.4f}",
        }
        try:
            self._running.append(
                subprocess.Popen(self._argv, env=environment, stdin=subprocess.DEVNULL)
            )
        except OSError as error:
            self._complain(str(error))

    def finish(self) -> None:
        """Wait for what is still running; ten seconds, then leave it alone."""
        for process in self._running:
            try:
                process.wait(timeout=10.0)
            except subprocess.TimeoutExpired:
                self._complain(f"process {process.pid} goes on")

    def _complain(self, what: str) -> None:
        print(f"bifast listen: --exec: {what}", file=sys.stderr)
