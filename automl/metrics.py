"""What can be measured of a model: names, directions and tasks. Pure data; ``automl.training.metrics`` computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLASSIFICATION = ("binary", "multiclass")
TASKS = (*CLASSIFICATION, "regression")


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that says how good a model is on a split. ``tasks`` are those that it is defined for; ``forecasts``: of these, forecasts."""

    name: str
    maximize: bool
    tasks: tuple[str, ...]
    about: str
    forecasts: bool = False


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", False, TASKS, "cross entropy; for regression the mean squared error of the standardised target"),
        Metric("accuracy", True, CLASSIFICATION, "share of samples whose class is predicted"),
        Metric("balanced_accuracy", True, CLASSIFICATION, "mean of the recalls of all classes"),
        Metric("precision", True, CLASSIFICATION, "of the positive class; multiclass: mean over the classes"),
        Metric("recall", True, CLASSIFICATION, "of the positive class; multiclass: mean over the classes"),
        Metric("f1", True, CLASSIFICATION, "of the positive class; multiclass: mean over the classes"),
        Metric("roc_auc", True, CLASSIFICATION, "area under the ROC curve; multiclass: mean over one class against the rest"),
        Metric("mse", False, ("regression",), "mean squared error, in the target's units squared"),
        Metric("rmse", False, ("regression",), "root of the mean squared error, in the target's units"),
        Metric("mae", False, ("regression",), "mean absolute error, in the target's units"),
        Metric("r2", True, ("regression",), "share of the target's variance that is explained"),
        Metric(
            "skill", True, ("regression",), "of forecasts: the share by which rmse is less than that of a naive forecast", forecasts=True
        ),
    )
}


MEASURES: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("parameters", False, TASKS, "number of weights of the network"),
        Metric("multiply_adds", False, TASKS, "products of an input and a weight that the prediction of one sample takes"),
    )
}
"""What is known of a trial before it trains, from its configuration and the shape of the data alone."""

OBJECTIVES: Mapping[str, Metric] = {**METRICS, **MEASURES}


def metrics_of(task: str, *, forecasts: bool = False) -> tuple[str, ...]:
    """The names of all metrics that the task has, in the order in which they are shown."""
    return tuple(name for name, metric in METRICS.items() if task in metric.tasks and (forecasts or not metric.forecasts))


def default_objective(task: str) -> str:
    """What is searched for where nobody says: accuracy for classification, rmse for regression."""
    return "accuracy" if task in CLASSIFICATION else "rmse"


def reported(task: str, *objectives: str) -> tuple[str, ...]:
    """What a trial reports at every epoch: losses, the task's usual metric, and those of the objectives that are not measures.

    ``train_loss`` is the mean loss over the steps of the epoch as it was trained: with dropout and label smoothing, without penalties.
    """
    return tuple(dict.fromkeys(("loss", "train_loss", default_objective(task), *(each for each in objectives if each not in MEASURES))))


def improves(value: float, best: float | None, loss: float | None, best_loss: float | None, *, maximize: bool) -> bool:
    """Whether an epoch is better than the best one before it: by its objective or, where that is the same, by a smaller validation loss.

    On small validation splits an accuracy soon has its best value, long before the network has learnt what there is to learn.
    """
    if best is None or value != best:
        return best is None or (value > best if maximize else value < best)
    return loss is not None and best_loss is not None and loss < best_loss
