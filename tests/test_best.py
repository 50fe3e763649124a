"""The winner in its folder: what is written there can be used, elsewhere too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from sklearn.datasets import load_iris

from automl import events
from automl.best import load_best, write_best
from automl.data import prepare
from automl.data.preparation import read_info
from automl.errors import StudyError, UsageError
from automl.events import Configuration, Job, TrialSpec
from automl.spec import DataSpec
from automl.training import make_trainer
from contracts.training import finish, trial

CONFIGURATION: Configuration = {"layers": 1, "units": 16, "learning_rate": 0.01, "batch_size": 16, "normalization": "batch", "l2": 1e-05}
EXTRA = {"study": "first", "number": 3, "objective": 0.96, "test": {"accuracy": 0.9}, "gain": None}


def train(study: Path, source: str, configuration: Configuration = CONFIGURATION, model: str = "mlp") -> tuple[TrialSpec, events.Tested]:
    """A study of one trial, number 3, with its winner written to ``best/``."""
    info = prepare(DataSpec(source), study / "data")
    objective = "rmse" if info.task == "regression" else "accuracy"
    a_job = Job("s", model, str(study / "data"), str(study), objective, objective == "accuracy", ("loss", objective))
    spec = trial(a_job, configuration, 3, epochs=20)
    trainer = make_trainer("cpu", "worker", 1)
    trainer.start(spec)
    finish(trainer)
    tested = trainer.test(spec)
    assert isinstance(tested, events.Tested)
    folders = {"study_folder": study, "trial_folder": study / "trials/3", "data_folder": study / "data"}
    write_best(**folders, model=model, configuration=configuration, extra=EXTRA, again="automl run again")
    return spec, tested


def test_a_winner_predicts_raw_rows_by_their_labels(tmp_path: Path) -> None:
    _, tested = train(tmp_path / "study", "iris")
    model = load_best(tmp_path / "study")
    frame = load_iris(as_frame=True).frame
    rows, labels = frame.drop(columns="target"), np.array(load_iris().target_names)[frame["target"]]
    predicted = model.predict(rows)
    assert set(predicted) <= set(model.info.classes) == set(labels)
    assert (predicted == labels).mean() > 0.8
    assert tested.metrics["accuracy"] > 0.8
    probabilities = model.predict_proba(rows)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(150))
    assert (np.array(model.info.classes)[probabilities.argmax(1)] == predicted).all()


def test_a_winner_predicts_pictures_and_can_be_moved(tmp_path: Path) -> None:
    """The best folder alone is enough, and it says the same as the test on the prepared split."""
    configuration = {"conv_layers": 1, "channels": 4, "dense_units": 8, "learning_rate": 0.01}
    spec, tested = train(tmp_path / "study", "digits", configuration, "cnn")
    shutil.move(tmp_path / "study/best", tmp_path / "elsewhere")
    model = load_best(tmp_path / "elsewhere")
    x, y = (np.load(Path(spec.job.data) / f"{axis}_test.npy") for axis in "xy")
    scaled = torch.from_numpy(x.astype(np.float32) * np.float32(model.info.input_scale))
    assert not model.module.training
    assert float((model.module(scaled).argmax(1).numpy() == y).mean()) == pytest.approx(tested.metrics["accuracy"])
    assert (model.predict(x) == y).mean() == pytest.approx(tested.metrics["accuracy"])


def test_a_winner_predicts_numbers_in_the_units_of_the_target(tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes

    train(tmp_path / "study", "diabetes")
    model = load_best(tmp_path / "study")
    frame = load_diabetes(as_frame=True, scaled=False).frame
    predicted = model.predict(frame.drop(columns="target"))
    assert 100 < predicted.mean() < 200
    message = f"{tmp_path / 'study' / 'best'}: probabilities need classes, but this model predicts a number. Use predict."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        model.predict_proba(frame)


def test_two_classes_have_two_probabilities(tmp_path: Path) -> None:
    from sklearn.datasets import load_breast_cancer

    train(tmp_path / "study", "breast_cancer")
    model = load_best(tmp_path / "study")
    rows = load_breast_cancer(as_frame=True).frame.drop(columns="target")
    probabilities = model.predict_proba(rows)
    assert probabilities.shape == (569, 2)
    assert (np.array(model.info.classes)[(probabilities[:, 1] > 0.5).astype(int)] == model.predict(rows)).all()


def test_the_configuration_is_written_as_it_was(tmp_path: Path) -> None:
    train(tmp_path / "study", "iris")
    text = (tmp_path / "study/best/config.yaml").read_text()
    assert YAML(typ="safe").load(text) == {**EXTRA, "model": "mlp", "parameters": CONFIGURATION}
    assert f"load_best({str(tmp_path / 'study')!r})" in text


def test_a_new_winner_replaces_the_old_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    study = tmp_path / "study"
    spec, _ = train(study, "iris")
    (study / ".best-new-1").mkdir()  # what a killed driver left
    other = {**CONFIGURATION, "activation": "tanh"}
    folders = {"study_folder": study, "trial_folder": study / "trials/3", "data_folder": study / "data"}
    write_best(**folders, model="mlp", configuration=other, extra={}, again="automl run again")
    assert load_best(study).config["parameters"] == other
    assert sorted(path.name for path in study.iterdir()) == ["best", "data", "trials"]
    assert sorted(path.name for path in (study / "best").iterdir()) == ["config.yaml", "info.json", "preprocessing.skops", "weights.pt"]
    assert read_info(study / "best") == read_info(Path(spec.job.data))


def test_a_study_without_a_winner_is_answered(tmp_path: Path) -> None:
    missing = tmp_path / "best" / "config.yaml"
    message = f"{tmp_path}: must be a study with a winner, but {missing} is not there. `automl run` makes it at its end."
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        load_best(tmp_path)


def test_a_study_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the commands; one that is not there is answered with those that are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies" / "first").mkdir(parents=True)
    (tmp_path / "studies" / "first" / "study.db").touch()
    for name in ("first", Path("studies/first")):
        missing = "studies/first: must be a study with a winner, but studies/first/best/config.yaml is not there. "
        with pytest.raises(StudyError, match=f"^{missing}`automl run` makes it at its end\\.$"):
            load_best(name)
    near = r"^studies/fist: there must be a study here, but there is no study\.db\. Studies under studies: first\. Did you mean 'first'\?$"
    with pytest.raises(StudyError, match=near):
        load_best("fist")


def test_weights_of_another_model_are_answered(tmp_path: Path) -> None:
    train(tmp_path / "study", "iris")
    (tmp_path / "study/best/weights.pt").write_bytes(b"torn")
    start = f"{tmp_path / 'study/best/weights.pt'}: must hold the weights of the model in config.yaml, but cannot be read so ("
    with pytest.raises(StudyError, match=f"^{re.escape(start)}"):
        load_best(tmp_path / "study")


def test_writing_needs_no_torch() -> None:
    """The driver writes, and its process stays small."""
    code = "import sys, automl.best; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
