"""Studies of pictures with the shipped spaces, from the command to predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from automl import load_best
from automl.cli import automl

pytestmark = pytest.mark.usefixtures("prepares_here")

QUICK = ("--trials", "2", "--epochs", "1", "--engine", "inline", "--lanes", "1", "--confirm", "0", "--mlflow", "off")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(automl, ["run", *arguments, *QUICK], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_a_study_is_trained_on_by_another(folder: Path) -> None:
    """Also where the first one is gone afterwards, and on pictures in colour; the parameters of the network are a measure."""
    run("image_cnn", "--study", "first")
    space = "name: on\ndata: colour.npz\nmodel: finetune\ncheckpoint: studies/first\nspace:\n  frozen: {type: float, low: 0.0, high: 1.0}\n"
    (folder / "on.yaml").write_text(space + "require: [parameters <= 1e6]\n")
    random = np.random.default_rng(0)
    np.savez(folder / "colour.npz", x=random.integers(0, 255, (60, 20, 20, 3), np.uint8), y=np.arange(60) % 3)
    run("on.yaml", "--study", "second")
    (folder / "on.yaml").write_text(space + "require: [parameters <= 10]\n")
    result = CliRunner().invoke(automl, ["run", "on.yaml", "--study", "third", *QUICK])
    assert str(result.exception) == (
        "on.yaml: the space must hold a valid configuration for colour, but none of 10,000 draws satisfies parameters <= 10."
    )
    (folder / "studies/first/best/weights.pt").unlink()
    assert load_best("studies/second").predict_proba(random.integers(0, 255, (4, 3, 20, 20), np.uint8)).shape == (4, 3)


def test_pictures_without_a_space_get_a_shipped_one(folder: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(folder / "pictures.npz", x=random.integers(0, 255, (40, 20, 20), np.uint8), y=np.arange(40) % 2)
    run("--data", "pictures.npz", "--study", "s")
    assert (folder / "studies/s/study.yaml").read_text().startswith("name: image_cnn\n")
