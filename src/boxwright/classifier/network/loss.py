"""What a classifier loses: cross entropy of the one label of an image, or of each label by itself.

classification_loss(logits, targets, kind) -> Tensor          mean over images
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from boxwright.inference import model_folder


def classification_loss(
    logits: Tensor, targets: Tensor, classification_type: str, smoothing: float, label_weights: Tensor
) -> Tensor:
    """The loss of a batch, a mean over its images.

    Args:
        logits: (B, C).
        targets: (B, C) in [0, 1]; rows of MULTICLASS sum to 1.
        classification_type: MULTICLASS or MULTILABEL.
        smoothing: share of a target that is spread over all labels (Szegedy et al., 2016); of MULTILABEL, drawn to 0.5.
        label_weights: (C,) of the positive terms of MULTILABEL.
    """
    if classification_type == model_folder.MULTICLASS:
        wanted = targets * (1.0 - smoothing) + smoothing / targets.shape[1]
        return -(wanted * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
    wanted = targets * (1.0 - smoothing) + 0.5 * smoothing
    return (
        functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=label_weights, reduction="none")
        .sum(dim=1)
        .mean()
    )


def scores_of(logits: Tensor, classification_type: str) -> Tensor:
    """Scores (B, C) in [0, 1]: softmax over the labels, or one sigmoid a label."""
    return logits.softmax(dim=1) if classification_type == model_folder.MULTICLASS else torch.sigmoid(logits)
