"""Words in archives of recordings: file by file, on many cores or machines, resumable."""

from bifast.archive.journal import Journal
from bifast.archive.scanner import Heard, Record, Settings, listen, scan_file, scan_files
from bifast.archive.tables import SUFFIXES, Row, check_table, write_table
from bifast.archive.workers import workers

__all__ = [
    "SUFFIXES",
    "Heard",
    "Journal",
    "Record",
    "Row",
    "Settings",
    "check_table",
    "listen",
    "scan_file",
    "scan_files",
    "workers",
    "write_table",
]
