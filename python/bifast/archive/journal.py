"""The journal of a scan: one line for each file that is done, so that a scan can go on.

Lines are appended and flushed; whatever ends the program, all but the last line are whole, and a torn
last line is cut off by the next run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, final

from bifast.archive.scanner import Heard, Record

_VERSION = 1


class _Place(NamedTuple):
    """Where a file's line begins, and what it says of the file."""

    offset: int
    size: int
    changed: int
    failed: bool


@final
class Journal:
    """Records of files that are done, on the disk; in memory only where they are.

    Parameters
    ----------
    path
        The file; made if it is not there.
    settings
        What the records depend on, as JSON.

    Raises
    ------
    ValueError
        If it is no journal, one of other settings, or another scan is writing it.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._places: dict[str, _Place] = {}
        # Unbuffered: what a full disk refuses must not be written once more at the end.
        self._file = path.open("a+b", buffering=0)
        try:
            self._lock()
            # As JSON has it: tuples become lists.
            self._begin(json.loads(json.dumps({"bifast scan": _VERSION, **settings})))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self._file.close()

    def is_done(self, file: str) -> bool:
        """Tell whether there is a record of this file as it is now; failed files are not done."""
        place = self._places.get(file)
        if place is None or place.failed:
            return False
        try:
            status = Path(file).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (place.size, place.changed)

    def add(self, record: Record) -> None:
        """Append a record; OSError, such as of a full disk, if it cannot be kept."""
        offset = self._append(record._asdict())
        self._keep(record, offset)

    def __getitem__(self, file: str) -> Record:
        """Return the newest record of a file; KeyError if there is none."""
        self._file.seek(self._places[file].offset)
        with os.fdopen(os.dup(self._file.fileno()), "rb") as lines:
            return _record(json.loads(lines.readline()))

    def _begin(self, head: dict[str, Any]) -> None:
        """Read what is there, cut off a torn line, or write the head of a new journal."""
        self._file.seek(0)
        end = 0
        with os.fdopen(os.dup(self._file.fileno()), "rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    if end == 0:
                        self._check_head(entry, head)
                    else:
                        self._keep(_record(entry), end)
                except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
                    if end == 0:
                        raise self._no_journal() from error
                    break  # the disk lost it, with the power perhaps
                end += len(line)
            else:
                line = b""
        if end == 0 and line and not json.dumps(head).encode().startswith(line):
            raise self._no_journal()
        self._file.truncate(end)
        if end == 0:
            self._append(head)

    def _check_head(self, found: Any, wanted: dict[str, Any]) -> None:
        if not isinstance(found, dict) or "bifast scan" not in found:
            raise self._no_journal()
        for key, value in wanted.items():
            if found.get(key) != value:
                raise ValueError(
                    f"{self._path}: is of a scan with another {key}: expected {value!r}, got "
                    f"{found.get(key)!r}; remove it to begin anew, or choose another output"
                )

    def _no_journal(self) -> ValueError:
        return ValueError(f"{self._path}: expected the journal of a scan, got another file")

    def _append(self, entry: dict[str, Any]) -> int:
        """Write one line whole, or take it back; return where it begins."""
        offset = self._file.seek(0, os.SEEK_END)
        line = json.dumps(entry).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self._file.truncate(offset)
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        return offset

    def _keep(self, record: Record, offset: int) -> None:
        place = _Place(offset, record.size, record.changed, record.error is not None)
        self._places[record.file] = place

    def _lock(self) -> None:
        """Refuse a second scan into the same journal; the lock goes with the process."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{self._path}: another scan is writing it") from None


def _record(entry: dict[str, Any]) -> Record:
    return Record(**{**entry, "heard": [Heard(*heard) for heard in entry["heard"]]})
