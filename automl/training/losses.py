"""What training makes small, by task. Outputs are ``[samples, outputs]``; targets are as ``automl.training.samples`` has them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

_FEW_CLASSES = 16


def loss_of(task: str, outputs: Tensor, targets: Tensor, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """The mean loss over the samples, a scalar; with ``weights`` (of each class) each sample's is multiplied with that of its class.

    Binary: cross entropy of one logit, the target smoothed to ``y (1 - s) + s / 2``. Multiclass: cross entropy, the target smoothed to
    ``(1 - s)`` for its class plus ``s / classes`` for all. Regression: mean squared error of the standardised target, of a
    forecast over all its steps.
    """
    how = "mean" if weights is None else "none"
    of_samples = None if weights is None else weights[targets.long()]
    if task == "multiclass":
        loss = F.cross_entropy(outputs, targets, label_smoothing=smoothing, reduction=how)
    elif task == "regression":
        return F.mse_loss(outputs.view(targets.shape), targets)
    else:
        if smoothing:
            targets = targets * (1 - smoothing) + smoothing / 2
        loss = F.binary_cross_entropy_with_logits(outputs.view(targets.shape), targets, reduction=how)
    return loss if of_samples is None else (loss * of_samples).mean()


def class_weights(kind: str, targets: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """What each class counts in the training loss, ``[classes]``, from the class numbers of the training split.

    A class with n of the samples counts 1 / n (``balanced``) or 1 / sqrt(n) (``sqrt``), times what makes the mean over the samples 1, so
    that losses and learning rates stay what they are. A class without samples counts nothing.
    """
    counts = torch.bincount(targets.long(), minlength=classes).to(dtype)
    raw = torch.where(counts > 0, counts.clamp(min=1) ** (-1.0 if kind == "balanced" else -0.5), 0.0)
    return raw * (counts.sum() / (raw * counts).sum())


def smoothed(task: str, targets: Tensor, smoothing: Tensor, outputs: int) -> Tensor:
    """What outputs are compared with, as ``rows_loss`` takes it: ``[..., lanes, samples, outputs]``, ``smoothing`` ``[lanes, 1, 1]``."""
    if task == "multiclass":
        target = torch.zeros(*targets.shape, outputs, device=targets.device, dtype=smoothing.dtype)
        return target.scatter_(-1, targets[..., None], 1.0).mul_(1 - smoothing).add_(smoothing / outputs)
    if task == "regression" and outputs > 1:
        return targets
    target = targets[..., None]
    return target if task == "regression" else target * (1 - smoothing) + smoothing / 2


def rows_loss(task: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of every sample, ``[lanes, samples]``, and what it changes by with its outputs, ``[lanes, samples, outputs]``.

    ``targets`` are ``smoothed``. ``loss_of`` is the mean of such losses of one lane.
    """
    if task == "multiclass":
        logarithms = _log_softmax(outputs)
        return (logarithms * targets).sum(2).neg_(), logarithms.exp_().sub_(targets)
    if task == "regression":
        difference = outputs - targets
        return difference.square().mean(2), difference.mul_(2 / outputs.shape[2])
    loss = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    return loss.squeeze(2), outputs.sigmoid().sub_(targets)


def _log_softmax(outputs: Tensor) -> Tensor:
    """Over the last of three axes. On a CPU, for 512 samples of 10 classes, torch takes 64 microseconds, and 17 across the samples."""
    if outputs.device.type != "cpu" or outputs.shape[2] > _FEW_CLASSES:
        return outputs.log_softmax(2)
    return outputs.transpose(1, 2).contiguous().log_softmax(1).transpose(1, 2)
