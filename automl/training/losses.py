"""What training makes small, by task. Outputs are ``[samples, outputs]``; targets are as ``automl.training.samples`` has them."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)


def loss_of(task: str, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean loss over the samples, a scalar.

    Binary: cross entropy of one logit, the target smoothed to ``y (1 - s) + s / 2``. Multiclass: cross entropy, the target smoothed to
    ``(1 - s)`` for its class plus ``s / classes`` for all. Regression: mean squared error of the standardised target.
    """
    if task == "multiclass":
        return F.cross_entropy(outputs, targets, label_smoothing=smoothing)
    predicted = outputs.squeeze(1)
    if task == "regression":
        return F.mse_loss(predicted, targets)
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(predicted, targets)
