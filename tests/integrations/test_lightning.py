"""Trials trained by PyTorch Lightning: the example, pruning, and going on after an interruption to the same numbers."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from automl import launch
from automl.errors import MissingExtraError
from automl.events import Failed, Finished, Reported, Started, WorkerEvent
from automl.integrations import lightning
from automl.plan import RunOptions, plan
from contracts.owncode import function_trial, interrupted, trained

EXAMPLE = Path(__file__).parents[2] / "examples/lightning/space.yaml"
CODE = """
    import torch
    from lightning.pytorch import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset
    from automl.integrations.lightning import TrialCallback

    class Net(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch, index):
            return (self.layer(batch[0]) - batch[1]).square().mean()

        def validation_step(self, batch, index):
            self.log("accuracy", -(self.layer(batch[0]) - batch[1]).square().mean())

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.1)

    def run(trial):
        inputs = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
        data = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
        callback = TrialCallback(trial)
        options = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        trainer = Trainer(max_epochs=trial.epochs, callbacks=[callback], accelerator="cpu", log_every_n_steps=1, **options)
        trainer.fit(Net(), data, data, ckpt_path=callback.resume())
"""

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers:UserWarning",  # of the data loader: that is meant
    "ignore:.*LeafSpec.*is deprecated:FutureWarning",  # Lightning 2.6 on torch 2.13
)


def curve(events: list[WorkerEvent]) -> dict[int, float]:
    return {event.epoch: event.metrics["accuracy"] for event in events if isinstance(event, Reported)}


@pytest.mark.usefixtures("prepares_here")
def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = RunOptions(space=str(EXAMPLE), study="first", engine="inline", mlflow="off", confirm="0", trials=2, epochs=2)
    study = launch.run(plan(options)).study
    assert study.counts.get("failed", 0) == 0
    assert study.winner is not None
    assert set(study.winner.metrics) == {"val_loss", "val_accuracy"}
    weights = torch.load("studies/first/best/weights.pt", weights_only=True)
    assert weights["model"]["layers.0.weight"].shape == (study.winner.configuration["units"], 64)
    assert list(Path("studies/first/trials").glob("**/*.ckpt")) == []


def test_each_validation_is_an_epoch(tmp_path: Path) -> None:
    """That of the sanity check is none."""
    events = trained(function_trial(tmp_path, CODE))
    assert [type(event) for event in events] == [Started, Reported, Reported, Reported, Finished], events
    values = list(curve(events).values())
    assert values == sorted(values)


def test_an_interrupted_trial_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, CODE, epochs=5)
    whole = curve(trained(spec))
    left = interrupted(spec, 4)  # started, three reports; two checkpoints
    resumed = curve(trained(spec))
    assert list(resumed) == [3, 4, 5]
    assert resumed == pytest.approx({epoch: whole[epoch] for epoch in resumed}, rel=1e-6)
    left.stop(spec.key)


def test_where_the_checkpoint_is_gone_it_is_trained_again_in_silence(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, CODE, epochs=5)
    whole = curve(trained(spec))
    left = interrupted(spec, 4)
    for file in (tmp_path / "study/trials/0/files").iterdir():
        file.unlink()
    assert curve(trained(spec)) == pytest.approx({epoch: whole[epoch] for epoch in (3, 4, 5)}, rel=1e-6)
    left.stop(spec.key)


def test_a_pruned_trial_ends_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, CODE, epochs=5)
    trainer = interrupted(spec, 3)
    assert list((tmp_path / "study").glob("**/*.ckpt")) != []
    trainer.stop(spec.key)
    assert trainer.advance() == []
    assert list((tmp_path / "study").glob("**/*.ckpt")) == []


def test_a_metric_that_was_not_logged_is_named(tmp_path: Path) -> None:
    last = trained(function_trial(tmp_path, CODE.replace('log("accuracy"', 'log("acuracy"')))[-1]
    assert isinstance(last, Failed)
    assert "trial.report: must give the objective 'accuracy', but gives acuracy. Write 'accuracy' instead of 'acuracy'." in last.detail


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("again", str(lightning.__file__))
    assert spec is not None
    assert spec.loader is not None
    sentence = "automl.integrations.lightning: needs PyTorch Lightning, which is not installed. pip install 'automl-lanes[lightning]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(sentence)}$"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
