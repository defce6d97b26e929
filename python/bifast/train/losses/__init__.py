"""Losses: cross entropy comes from PyTorch, distillation from here."""

from __future__ import annotations

from bifast.train.losses.hed import emphasise as emphasise
from bifast.train.losses.hed import hed_loss as hed_loss
from bifast.train.losses.logits import logit_loss as logit_loss
