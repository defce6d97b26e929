"""Nets by name. A new one: a file with a class and `@NETS.register`, a line here."""

from __future__ import annotations

from bifast.train.nets import bcresnet as bcresnet
from bifast.train.nets import bifsmn as bifsmn
from bifast.train.nets import dscnn as dscnn
from bifast.train.nets import fsmn as fsmn
from bifast.train.nets import kws as kws
from bifast.train.nets import resnet as resnet
from bifast.train.nets import vgg as vgg
from bifast.train.nets.base import DEPTH_NAMES as DEPTH_NAMES
from bifast.train.nets.base import NETS as NETS
from bifast.train.nets.base import KeywordNet as KeywordNet
from bifast.train.nets.base import Net as Net
from bifast.train.nets.base import NetSpec as NetSpec
