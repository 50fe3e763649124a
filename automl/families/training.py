"""The parameters of training: the same for every family."""

from __future__ import annotations

from collections.abc import Mapping

from automl.families.settings import Setting

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "step", "cosine", "one_cycle")

TRAINING: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("optimizer", "categorical", "adam", "the optimiser", choices=OPTIMIZERS),
        Setting("learning_rate", "float", 0.001, "the (largest) learning rate", low=0, low_open=True),
        Setting("momentum", "float", 0.0, "momentum of sgd and rmsprop", low=0, high=1, high_open=True),
        Setting("nesterov", "bool", False, "Nesterov's momentum for sgd (needs momentum above 0)"),
        Setting("beta1", "float", 0.9, "decay of the first moment of adam and adamw", low=0, high=1, high_open=True),
        Setting("beta2", "float", 0.999, "decay of the second moment of adam and adamw", low=0, high=1, high_open=True),
        Setting("schedule", "categorical", "constant", "how the learning rate moves over the epochs", choices=SCHEDULES),
        Setting("warmup_epochs", "float", 0.0, "epochs over which the learning rate rises linearly from 0", low=0),
        Setting("batch_size", "int", 64, "samples a step", low=1),
        Setting("l1", "float", 0.0, "weight of the sum of absolute weights in the loss", low=0),
        Setting("l2", "float", 0.0, "the optimiser's weight decay (decoupled for adamw)", low=0),
        Setting("label_smoothing", "float", 0.0, "share of the target spread over all classes", low=0, high=1, high_open=True),
        Setting(
            "class_weights",
            "categorical",
            "none",
            "what rare classes count for more: balanced (all classes count alike), sqrt (half-way)",
            choices=("none", "balanced", "sqrt"),
            tasks=("binary", "multiclass"),
        ),
        Setting("clip_norm", "float", 0.0, "largest norm of the gradient (0: no clipping)", low=0),
        Setting("early_stopping", "int", 0, "epochs without improvement after which a trial ends complete (0: never)", low=0),
        Setting("precision", "categorical", "float32", "bfloat16 trains under autocast on a GPU", choices=("float32", "bfloat16")),
        Setting("flip", "bool", False, "whether half of the training pictures are mirrored, left to right", kinds=("pictures",)),
        Setting("crop", "int", 0, "pixels by which training pictures are shifted at most, each way", low=0, kinds=("pictures",)),
        Setting("rotation", "float", 0.0, "degrees by which training pictures are turned at most", low=0, high=180, kinds=("pictures",)),
        Setting("erase", "float", 0.0, "share of training pictures of which a rectangle is erased", low=0, high=1, kinds=("pictures",)),
        Setting(
            "mixup",
            "float",
            0.0,
            "alpha: training samples are mixed with another of their batch, by shares of a beta distribution (0: not)",
            low=0,
            kinds=("features", "pictures"),
        ),
        Setting(
            "noise",
            "float",
            0.0,
            "standard deviation of the Gaussian noise that is added to the inputs in training",
            low=0,
            kinds=("features", "pictures"),
        ),
    )
}

ALONE = ("class_weights", "flip", "crop", "rotation", "erase", "mixup", "noise")
"""Parameters of which a value other than the default keeps a trial out of lanes."""
