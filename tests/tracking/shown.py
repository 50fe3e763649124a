"""What MLflow shows of a study of the stories, asked of MLflow itself."""

from __future__ import annotations

from typing import Any

from automl.tracking.client import connect


def runs(uri: str, identity: str) -> dict[str, Any]:
    """The runs of a study by trial number, the parent's as ``study``."""
    client = connect(uri)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`automl.study_id` = '{identity}'", max_results=50_000)
    named = {run.data.tags.get("automl.trial", "study"): run for run in found}
    assert len(named) == len(found), "a trial has two runs"
    return named


def history(uri: str, run: Any) -> dict[str, list[tuple[int, float, int]]]:
    client = connect(uri)
    return {
        name: [(metric.step, metric.value, metric.timestamp) for metric in client.get_metric_history(run.info.run_id, name)]
        for name in sorted(run.data.metrics)
    }


def content(uri: str, identity: str) -> dict[str, Any]:
    """All that MLflow shows of a study, without the numbers that MLflow itself makes up."""
    shown = {}
    for name, run in runs(uri, identity).items():
        tags = {key: value for key, value in run.data.tags.items() if key not in ("mlflow.parentRunId", "mlflow.note.content")}
        info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time)
        shown[name] = (info, tags, run.data.params, {key: sorted(points) for key, points in history(uri, run).items()})
    return shown
