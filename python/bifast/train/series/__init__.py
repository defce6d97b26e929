"""Series of runs: named rows, each a recipe with changes, under one protocol, in one table."""

from __future__ import annotations

from bifast.train.series.plan import Row as Row
from bifast.train.series.plan import Series as Series
from bifast.train.series.plan import load_series as load_series
from bifast.train.series.plan import row_recipe as row_recipe
from bifast.train.series.plan import series_names as series_names
from bifast.train.series.runner import run_series as run_series
