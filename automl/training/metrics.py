"""The metrics of ``automl.metrics``, computed from the outputs of a model. Checked against scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from automl.training.losses import loss_of


def measure(
    task: str, names: Sequence[str], outputs: Tensor, targets: Tensor, target_scale: float = 1.0, naive: float = math.nan
) -> dict[str, float]:
    """These metrics of a split. NaN where one is not defined (the area under the curve where only one class is there).

    Args:
        outputs: ``[samples, outputs]``, logits or standardised predictions.
        targets: ``[samples]``, class numbers or standardised targets; of a forecast ``[samples, outputs]``.
        target_scale: what a standardised target is multiplied with to be in its own units.
        naive: the root mean squared error of a naive forecast of these targets, standardised like them.
    """
    outputs = outputs.double()
    targets = targets.double() if task == "regression" else targets.long()
    values = {"loss": loss_of(task, outputs, targets.double() if task == "binary" else targets)} if "loss" in names else {}
    wanted = [name for name in names if name != "loss"]
    if task == "regression":
        values |= _regression(wanted, outputs.view(targets.shape), targets, target_scale, naive)
    elif wanted:
        values |= _classification(task, wanted, outputs, targets)
    return dict(zip(values, torch.stack([value.double() for value in values.values()]).tolist(), strict=True))


def _regression(names: Sequence[str], predicted: Tensor, targets: Tensor, scale: float, naive: float) -> dict[str, Tensor]:
    error = predicted - targets
    mse = error.square().mean()
    values: dict[str, Tensor] = {}
    for name in names:
        match name:
            case "mse":
                values[name] = mse * scale**2
            case "rmse":
                values[name] = mse.sqrt() * scale
            case "mae":
                values[name] = error.abs().mean() * scale
            case "r2":
                values[name] = 1 - mse / (targets - targets.mean()).square().mean()
            case "skill":
                values[name] = 1 - mse.sqrt() / (naive or math.nan)
    return values


def _classification(task: str, names: Sequence[str], outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    predicted = (outputs.squeeze(1) > 0).long() if task == "binary" else outputs.argmax(1)
    if tuple(names) == ("accuracy",):
        return {"accuracy": (predicted == targets).double().mean()}
    classes = max(2, outputs.shape[1])
    confusion = torch.bincount(targets * classes + predicted, minlength=classes**2).view(classes, classes).double()
    hits, true, called = confusion.diag(), confusion.sum(1), confusion.sum(0)
    recalls, precisions, f1s = _share(hits, true), _share(hits, called), _share(2 * hits, true + called)
    there = (true + called) > 0
    values: dict[str, Tensor] = {}
    for name in names:
        match name:
            case "accuracy":
                values[name] = hits.sum() / true.sum()
            case "balanced_accuracy":
                values[name] = recalls.sum() / (true > 0).sum()
            case "precision":
                values[name] = _of_classes(task, precisions, there)
            case "recall":
                values[name] = _of_classes(task, recalls, there)
            case "f1":
                values[name] = _of_classes(task, f1s, there)
            case "roc_auc":
                values[name] = _roc_auc(task, outputs, targets)
    return values


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole``, 0 where there is nothing to divide by."""
    return torch.where(whole > 0, part / whole.clamp(min=1), torch.zeros_like(part))


def _of_classes(task: str, values: Tensor, there: Tensor) -> Tensor:
    """That of the positive class, or the mean over the classes that occur in targets or predictions."""
    return values[1] if task == "binary" else values.sum() / there.sum()


def _roc_auc(task: str, outputs: Tensor, targets: Tensor) -> Tensor:
    if task == "binary":
        return _area(outputs.squeeze(1), targets == 1)
    scores = outputs.softmax(1)
    return torch.stack([_area(scores[:, label], targets == label) for label in range(outputs.shape[1])]).mean()


def _area(scores: Tensor, positive: Tensor) -> Tensor:
    """The share of (positive, negative) pairs that the scores order rightly, ties counting half; NaN where there is no pair.

    Source: Hanley and McNeil (Radiology 1982): the area is the Mann-Whitney statistic, here by the mean ranks of the positives.
    """
    _, tie, count = torch.unique(scores, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    ranks: Tensor = (last - (count - 1) / 2)[tie]  # of equal scores each has their mean rank
    positives = positive.sum().double()
    negatives = len(scores) - positives
    area: Tensor = (ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return area
