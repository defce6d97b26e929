"""Accuracy of a net on features, and what a report says about it (K classes)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bifast.train.data.features import Split
from bifast.train.nets.base import Net
from bifast.train.place import device_of


@torch.no_grad()
def predict(net: Net, split: Split, depth: int, batch: int = 1024) -> NDArray[np.float32]:
    """Return logits [N, K] of the first variant of each example, in evaluation mode."""
    was_training = net.training
    net.eval()
    device, out = device_of(net), []
    for i in range(0, split.labels.size, batch):
        features = torch.from_numpy(split.features[i : i + batch, 0].astype(np.float32))
        out.append(net(features.to(device), depth).cpu().numpy())
    net.train(was_training)
    return np.concatenate(out)


def accuracies(net: Net, split: Split) -> dict[str, float]:
    """Return the share of right answers at each depth, 0 .. 1."""
    return {
        name: float((predict(net, split, d).argmax(1) == split.labels).mean())
        for d, name in enumerate(net.depths)
    }


@dataclass(frozen=True)
class Report:
    """Scores of one depth on one split.

    Attributes
    ----------
    accuracy
        Share of right answers.
    keyword_recall
        Mean over the classes that are words; NaN without examples of any.
    recalls
        Of each class with examples.
    groups
        {group: (count, share right)}: words, kinds of sound.
    confusion
        [K, K] counts, rows are the truth.
    false_accepts
        Share of unknown examples taken for a word when the score threshold keeps 95 % of the
        words right; None if no threshold does, or there is no unknown class.
    """

    accuracy: float
    keyword_recall: float
    recalls: dict[str, float]
    groups: dict[str, tuple[int, float]]
    confusion: NDArray[np.int64]
    false_accepts: float | None


def score(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: list[str],
    names: tuple[str, ...],
) -> Report:
    """Compare logits [N, K] with labels [N]."""
    guesses = logits.argmax(1)
    right = guesses == labels
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, guesses), 1)
    recalls = {
        name: float(right[labels == k].mean())
        for k, name in enumerate(names)
        if (labels == k).any()
    }
    words = [v for name, v in recalls.items() if name not in ("unknown", "silence")]
    tags = np.array(groups)
    return Report(
        accuracy=float(right.mean()),
        keyword_recall=float(np.mean(words)) if words else float("nan"),
        recalls=recalls,
        groups={
            str(g): (int((tags == g).sum()), float(right[tags == g].mean()))
            for g in np.unique(tags)
        },
        confusion=confusion,
        false_accepts=_false_accepts(logits, labels, names),
    )


def _false_accepts(
    logits: NDArray[np.float32], labels: NDArray[np.int64], names: tuple[str, ...]
) -> float | None:
    if "unknown" not in names:
        return None
    words = np.array([k for k, n in enumerate(names) if n not in ("unknown", "silence")])
    shifted = logits - logits.max(1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    best = words[shares[:, words].argmax(1)]
    confidence = shares[np.arange(labels.size), best]
    spoken = np.isin(labels, words)
    other = labels == names.index("unknown")
    if not spoken.any() or not other.any():
        return None
    # Words whose best guess is wrong are lost at any threshold.
    kept = np.sort(np.where(best == labels, confidence, -1.0)[spoken])
    threshold = kept[int(0.05 * kept.size)]
    return float((confidence[other] >= threshold).mean()) if threshold >= 0 else None
