"""What MLflow holds of a comparison: one run of it, and the ordinary runs of its studies and trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.compare.concluding import compare
from automl.compare.plan import CompareOptions, plan
from automl.plan import RunOptions
from automl.tracking import client as mlflow_client
from automl.tracking import mirror
from automl.tracking.comparison import ComparisonContent, write_comparison

SPACE = """\
name: small
data: iris
model: mlp
epochs: 1
space:
  learning_rate: {type: float, low: 1e-3, high: 1e-1, log: true}
study: {strategy: random, pruner: none, trials: 2}
"""


@pytest.mark.usefixtures("prepares_here")
def test_a_comparison_is_one_run_beside_the_runs_of_its_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE)
    planned = plan(
        RunOptions(space="small.yaml", engine="inline", lanes="1", mlflow="sqlite:///mlflow.db"),
        CompareOptions(strategies="random,sobol", repeats=6),
    )
    said: list[str] = []
    outcome = compare(planned, say=said.append)
    assert outcome.report is not None
    assert outcome.tracking is not None
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")  # MLflow keeps stores by their address, those of other folders as well
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    kinds = [run.data.tags["automl.kind"] for run in runs]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"comparison": 1, "study": 12, "trial": 24}, said
    assert {run.info.status for run in runs} == {"FINISHED"}
    studies = [run for run in runs if run.data.tags["automl.kind"] == "study"]
    assert {run.data.tags["automl.comparison"] for run in studies} == {"small-compare"}
    (own,) = (run for run in runs if run.data.tags["automl.kind"] == "comparison")
    assert own.info.run_name == own.data.tags["automl.comparison"] == "small-compare"
    assert outcome.report.sentences[0] in own.data.tags["mlflow.note.content"]
    for standing in outcome.report.judged.standings:
        assert own.data.metrics[f"mean_rank/{standing.name}"] == standing.mean_rank
        history = {point.step: point.value for point in client.get_metric_history(own.info.run_id, f"test/{standing.name}")}
        assert history == {result.repeat: result.test for result in standing.results}
    assert {file.path for file in client.list_artifacts(own.info.run_id)} == {"page.html", "results.csv"}

    again = compare(planned, say=said.append)
    assert again.tracking == outcome.tracking
    assert len(client.search_runs([experiment.experiment_id], max_results=1000)) == len(runs)
    assert said.count("bringing MLflow level with 12 studies ...") == 1


def test_without_mlflow_the_comparison_stands(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = write_comparison(f"sqlite:///{tmp_path}/file/mlflow.db", ComparisonContent("id", "first", "small", "note"))
    assert problem.startswith(f"MLflow (sqlite:///{tmp_path}/file/mlflow.db) has no run of the comparison: ")
    assert problem.endswith(" The same command tries again.")


@pytest.mark.usefixtures("prepares_here")
def test_an_mlflow_that_is_away_is_waited_for_once_and_the_same_command_writes_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mirror, "_PATIENCE", 0.5)
    Path("small.yaml").write_text(SPACE)
    opened = mlflow_client.connect

    def away(uri: str) -> object:
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(mlflow_client, "connect", away)
    options = RunOptions(space="small.yaml", engine="inline", lanes="1", mlflow="sqlite:///mlflow.db")
    planned = plan(options, CompareOptions(strategies="random,sobol", repeats=6))
    said: list[str] = []
    outcome = compare(planned, say=said.append)
    assert outcome.report is not None
    address = f"sqlite:///{tmp_path}/mlflow.db"
    trouble = [sentence for sentence in said if sentence.startswith("MLflow (")]
    assert trouble[1:] == [
        f"MLflow ({address}) is not level with the study: nobody is there. `automl sync studies/small-compare/random-1` does it."
    ]
    assert said[-1] == "The other 11 studies and the comparison are not in MLflow either. The same command writes them once it is back."
    monkeypatch.setattr(mlflow_client, "connect", opened)
    said.clear()
    again = compare(planned, say=said.append)
    assert again.tracking
    assert "bringing MLflow level with 12 studies ..." in said
    assert not [sentence for sentence in said if "not" in sentence and "MLflow" in sentence]
