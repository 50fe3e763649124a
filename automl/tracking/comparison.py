"""One MLflow run for a comparison, beside the runs of its studies: the verdict as its note, standings as metrics, and the files."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from automl.tracking import client as mlflow_client
from automl.tracking.address import redacted, sqlite_path
from automl.tracking.content import LONGEST_TAG, entity_key, shortened
from automl.tracking.sqlite_store import checkpoint
from automl.tracking.trouble import reason


@dataclass(frozen=True, slots=True)
class ComparisonContent:
    """What MLflow is to hold of a comparison. ``identity`` is unique for every comparison ever made.

    ``metrics`` are points by name: a value at each step (the repeat), or one at step 0. ``note`` is Markdown.
    """

    identity: str
    name: str
    experiment: str
    note: str
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()


def write_comparison(uri: str, content: ComparisonContent) -> str:
    """Make MLflow's run of this comparison say this; returns what went wrong, empty where nothing did.

    The run is found again by its identity: what it said before is replaced where it differs.
    """
    try:
        _write(uri, content)
    except Exception as error:  # MLflow must not take down what is done without it
        return f"MLflow ({redacted(uri)}) has no run of the comparison: {reason(error)}. The same command tries again."
    finally:
        mlflow_client.forget_thread()
    return ""


def _write(uri: str, content: ComparisonContent) -> None:
    from mlflow.entities import Metric, RunTag

    client = mlflow_client.connect(uri)
    found = client.get_experiment_by_name(content.experiment)
    experiment = found.experiment_id if found is not None else client.create_experiment(content.experiment)
    runs = client.search_runs([experiment], f"tags.`automl.comparison_id` = '{content.identity}'", max_results=1)
    tags = {
        "automl.kind": "comparison",
        "automl.comparison": content.name,
        "automl.comparison_id": content.identity,
        "mlflow.note.content": shortened(content.note, LONGEST_TAG),
        **{name: shortened(value, LONGEST_TAG) for name, value in content.tags.items()},
    }
    run = runs[0] if runs else client.create_run(experiment, run_name=content.name, tags=tags)
    number, now = run.info.run_id, int(time.time() * 1000)
    known = {(point.key, point.step): point.value for name in run.data.metrics for point in client.get_metric_history(number, name)}
    points = [
        Metric(entity_key(name), value, now, step)
        for name, series in content.metrics.items()
        for step, value in series
        if known.get((entity_key(name), step)) != value
    ]
    for first in range(0, len(points), 1000):
        client.log_batch(number, points[first : first + 1000])
    client.log_batch(number, tags=[RunTag(name, value) for name, value in tags.items()])
    for file in content.artifacts:
        client.log_artifact(number, str(file))
    client.set_terminated(number, "FINISHED")
    database = sqlite_path(uri)
    if database is not None:
        checkpoint(database)
