"""Every search space that comes with the package runs as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import load_digits

from automl import load_best
from automl.cli import automl
from automl.folders import shipped_spaces

pytestmark = pytest.mark.usefixtures("prepares_here")

MNIST = Path(__file__).parents[2] / "shared/data/image"
OF_DIGITS = ("image_cnn", "image_resnet", "finetune_image")
QUICK = ("--study", "s", "--trials", "2", "--epochs", "1", "--engine", "inline", "--confirm", "0", "--mlflow", "off")


def run(space: str) -> Result:
    part = ("--rows", "2000") if space.startswith("mnist") else ()
    result = CliRunner().invoke(automl, ["run", space, *part, *QUICK], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("space", shipped_spaces())
def test_a_shipped_space_runs_and_leaves_a_model(space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if space.startswith("mnist"):
        if not MNIST.is_dir():
            pytest.skip("MNIST is not on this machine")
        monkeypatch.setenv("AUTOML_DATA", str(MNIST))
    monkeypatch.chdir(tmp_path)
    assert "s: 2 of 2 trials (" in run(space).output
    model = load_best("studies/s")
    assert model.info.sizes["train"] > 0
    if space in OF_DIGITS:
        found = model.predict(load_digits().images[:50])
        assert found.shape == (50,)
        assert set(found) <= set(range(10))
    assert "nothing left to do" in run(space).output
