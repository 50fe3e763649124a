"""A model factory: called with the parameters that it names; the training is automl's own."""

from torch import Tensor, nn


class Residual(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def build(width: int, blocks: int = 2, dropout: float = 0.0, *, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """``[samples, *input_shape]`` to ``[samples, outputs]``: logits, or one number for regression and two classes."""
    features = 1
    for size in input_shape:
        features *= size
    layers = [Residual(width, dropout) for _ in range(blocks)]
    return nn.Sequential(nn.Flatten(), nn.Linear(features, width), *layers, nn.Linear(width, outputs))
