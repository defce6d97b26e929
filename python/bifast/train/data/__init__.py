"""Data sets by name. A new task: a file with a class and its registration, a line here."""

from __future__ import annotations

from bifast.train.data import cifar10 as cifar10
from bifast.train.data import commands8 as commands8
from bifast.train.data import commands12 as commands12
from bifast.train.data import embed as embed
from bifast.train.data import own_words as own_words
from bifast.train.data import words as words
from bifast.train.data.folder import DataFolder as DataFolder
from bifast.train.data.folder import find_data as find_data
from bifast.train.data.task import TASKS as TASKS
from bifast.train.data.task import Task as Task
