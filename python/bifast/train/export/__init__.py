"""From a trained net to a `.bifast` file."""

from __future__ import annotations

from bifast.train.export.builder import Builder as Builder
from bifast.train.export.builder import Lowered as Lowered
from bifast.train.export.builder import exports as exports
