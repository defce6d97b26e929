"""Binarizers by name. A new one: a file with a class and `@BINARIZERS.register`, a line here."""

from __future__ import annotations

from bifast.train.binarizers import bifsmn as bifsmn
from bifast.train.binarizers import bifsmnv2 as bifsmnv2
from bifast.train.binarizers import dirnet as dirnet
from bifast.train.binarizers import full as full
from bifast.train.binarizers import irnet as irnet
from bifast.train.binarizers import released as released
from bifast.train.binarizers.base import BINARIZERS as BINARIZERS
from bifast.train.binarizers.base import Binarizer as Binarizer
