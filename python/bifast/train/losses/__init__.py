"""Losses on features by name, and on scores.

A new one: a file with a class and its registration, a line here, and the field of its weight in
`Distill`.
"""

from __future__ import annotations

from bifast.train.losses import fid as fid
from bifast.train.losses import hed as hed
from bifast.train.losses import rbd as rbd
from bifast.train.losses.base import FEATURE_LOSSES as FEATURE_LOSSES
from bifast.train.losses.base import FeatureLoss as FeatureLoss
from bifast.train.losses.base import MapOptions as MapOptions
from bifast.train.losses.logits import logit_loss as logit_loss
