"""The family ``finetune``: its parameters. The network is in ``automl.models.finetune``, its trunk in a checkpoint of the person's own."""

from __future__ import annotations

from automl.families.family import Family, named
from automl.families.settings import ACTIVATIONS, Setting

_SETTINGS = named(
    Setting("frozen", "float", 1.0, "share of the checkpoint's stages that keep their weights, from the picture on", low=0, high=1),
    Setting("head", "categorical", "linear", "what is put on top: one layer, or one hidden layer before it", choices=("linear", "mlp")),
    Setting("head_units", "int", 128, "width of the hidden layer of a head of the kind mlp", low=1, high=65536),
    Setting(
        "layer_decay", "float", 1.0, "times its neighbour's above that the learning rate of each stage is", low=0, high=1, low_open=True
    ),
    Setting("activation", "categorical", "relu", "the non-linearity of the head's hidden layer", choices=ACTIVATIONS),
    Setting("dropout", "float", 0.0, "the share of the last hidden units that is dropped in training", low=0, high=1, high_open=True),
)

FINETUNE = Family("finetune", "a checkpoint of your own with a new head, over pictures", _SETTINGS, kinds=("pictures",))

TRUNKS = ("cnn", "resnet")
"""Built-in families whose networks can be trained on."""

LIBRARIES = {"timm": "timm", "torchvision": "torchvision"}
"""Libraries of trained networks, by what stands before the slash: ``timm/resnet18``."""
