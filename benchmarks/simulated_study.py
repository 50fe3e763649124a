"""The study that the driver is measured by: 8 parameters, 10 reports a trial."""

from __future__ import annotations

from automl.space import Categorical, Condition, Float, Int, SearchSpace

REPORTS = 10
SPACE = SearchSpace(
    (
        Int("layers", 1, 4),
        Int("units", 16, 512, log=True),
        Categorical("activation", ("relu", "gelu", "tanh")),
        Categorical("optimizer", ("adam", "sgd")),
        Float("learning_rate", 1e-5, 1e-1, log=True),
        Float("momentum", 0.0, 0.99, when=(Condition("optimizer", "in", ("sgd",)),)),
        Float("dropout", 0.0, 0.5),
        Float("l2", 1e-7, 1e-2, log=True),
    )
)
