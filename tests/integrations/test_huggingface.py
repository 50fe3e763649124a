"""Trials trained by a Hugging Face trainer: the example, pruning, and going on after an interruption to the same numbers."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from automl import launch
from automl.errors import MissingExtraError
from automl.events import Code, Reported, TrialSpec, WorkerEvent
from automl.integrations import huggingface
from automl.owncode import imported
from automl.plan import RunOptions, plan
from contracts.owncode import interrupted, own_trial, trained

EXAMPLE = Path(__file__).parents[2] / "examples/huggingface"


def example_trial(folder: Path, epochs: int) -> TrialSpec:
    """A trial of the example's function."""
    values = {"width": 8, "layers": 1, "learning_rate": 0.01}
    imported("sentences:run", [str(EXAMPLE)])
    spec = own_trial(folder, "sentences:run", Code("function", (str(EXAMPLE),)), 0, configuration=values, epochs=epochs)
    return replace(spec, job=replace(spec.job, objective="eval_accuracy", metrics=("eval_accuracy",)))


def curve(events: list[WorkerEvent]) -> dict[int, float]:
    return {event.epoch: event.metrics["eval_loss"] for event in events if isinstance(event, Reported)}


@pytest.mark.usefixtures("prepares_here")
def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = RunOptions(space=str(EXAMPLE / "space.yaml"), study="first", engine="inline", mlflow="off", confirm="0", trials=2, epochs=2)
    study = launch.run(plan(options)).study
    assert study.counts.get("failed", 0) == 0, study.trials[0].reason
    assert study.winner is not None
    assert set(study.winner.metrics) == {"eval_loss", "eval_accuracy"}
    weights = torch.load("studies/first/best/weights.pt", weights_only=True)
    assert weights["model"]["bert.pooler.dense.weight"].shape == (study.winner.configuration["width"],) * 2
    assert list(Path("studies/first/trials").glob("**/checkpoint-*")) == []


def test_an_interrupted_trial_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    spec = example_trial(tmp_path, epochs=3)
    whole = curve(trained(spec))
    assert list(whole) == [1, 2, 3]
    left = interrupted(spec, 3)  # started, two reports; one checkpoint
    resumed = curve(trained(spec))
    assert list(resumed) == [2, 3]
    assert resumed == pytest.approx({epoch: whole[epoch] for epoch in resumed}, rel=1e-5)
    left.stop(spec.key)


def test_where_the_checkpoint_is_gone_it_is_trained_again_in_silence(tmp_path: Path) -> None:
    spec = example_trial(tmp_path, epochs=2)
    whole = curve(trained(spec))
    left = interrupted(spec, 3)
    for folder in (tmp_path / "study/trials/0/files").iterdir():
        shutil.rmtree(folder)
    assert curve(trained(spec)) == pytest.approx({2: whole[2]}, rel=1e-5)
    left.stop(spec.key)


def test_a_pruned_trial_ends_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    spec = example_trial(tmp_path, epochs=5)
    trainer = interrupted(spec, 3)
    assert list((tmp_path / "study").glob("**/checkpoint-*")) != []
    trainer.stop(spec.key)
    assert trainer.advance() == []
    assert list((tmp_path / "study").glob("**/checkpoint-*")) == []


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    spec = importlib.util.spec_from_file_location("again", str(huggingface.__file__))
    assert spec is not None
    assert spec.loader is not None
    sentence = "automl.integrations.huggingface: needs Transformers, which is not installed. pip install 'automl-lanes[huggingface]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(sentence)}$"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
