"""Binarizers by name. A new one: a file with a class and `@BINARIZERS.register`, a line here."""

from __future__ import annotations

from bifast.train.binarizers import adabin as adabin
from bifast.train.binarizers import bifsmn as bifsmn
from bifast.train.binarizers import bifsmnv2 as bifsmnv2
from bifast.train.binarizers import bireal as bireal
from bifast.train.binarizers import bnn as bnn
from bifast.train.binarizers import dirnet as dirnet
from bifast.train.binarizers import dsq as dsq
from bifast.train.binarizers import fda as fda
from bifast.train.binarizers import full as full
from bifast.train.binarizers import int8 as int8
from bifast.train.binarizers import irnet as irnet
from bifast.train.binarizers import rad as rad
from bifast.train.binarizers import recu as recu
from bifast.train.binarizers import released as released
from bifast.train.binarizers import weight_only as weight_only
from bifast.train.binarizers import xnor as xnor
from bifast.train.binarizers.base import BINARIZERS as BINARIZERS
from bifast.train.binarizers.base import Binarizer as Binarizer
