"""The section ``checkpoint`` of a space file: what it means, and every mistake at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from automl import spacefile
from automl.errors import SpaceError
from automl.events import Checkpoint
from automl.folders import shipped_folder

SPACE = "space:\n  learning_rate: {type: float, low: 1e-4, high: 1e-2, log: true}\n"
WHAT = "the folder of a study, a library's network such as timm/resnet18, or a mapping with file and model"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "net.pt")
    (tmp_path / "net.txt").write_text("x")
    for name, model in (("cnn", "cnn"), ("mlp", "mlp")):
        best = tmp_path / name / "best"
        best.mkdir(parents=True)
        torch.save({}, best / "weights.pt")
        (best / "config.yaml").write_text(f"model: {model}\nparameters: {{channels: 8}}\n")
        (best / "info.json").write_text(json.dumps({"kind": "pictures", "input_shape": [1, 8, 8], "outputs": 10}))
    return tmp_path


def load(checkpoint: str, model: str = "finetune") -> Checkpoint | None:
    Path("x.yaml").write_text(f"data: digits\nmodel: {model}\n{checkpoint}\n{SPACE}")
    return spacefile.load("x.yaml").checkpoint


def test_a_study_says_itself_what_it_is(folder: Path) -> None:
    for where in ("cnn", "cnn/best", str(folder / "cnn")):
        found = load(f"checkpoint: {where}")
        assert found is not None
        assert (found.model, found.parameters, found.shape, found.outputs) == ("cnn", {"channels": 8}, (1, 8, 8), 10)
        assert found.file == str(folder / "cnn/best/weights.pt")


def test_a_file_is_said_what_it_is(folder: Path) -> None:
    found = load("checkpoint: {file: net.pt, model: resnet, parameters: {stages: 2}, shape: [3, 9, 9], outputs: 5}")
    assert found is not None
    assert found == Checkpoint("resnet", str(folder / "net.pt"), {"stages": 2}, (3, 9, 9), 5, digest=found.digest)
    assert len(found.digest) == 64
    (folder / "own_net.py").write_text("def build(width=3): ...")
    own = load("checkpoint: {file: net.pt, model: 'own_net:build'}")
    assert own is not None
    assert (own.model, own.folders) == ("own_net:build", (str(folder),))
    assert load("checkpoint: timm/resnet18") == Checkpoint("timm/resnet18")


@pytest.mark.parametrize(
    "line", ["checkpoint: cnn", "checkpoint: timm/resnet18", "checkpoint: {file: net.pt, model: cnn, shape: [1, 9, 9]}"]
)
def test_what_was_read_is_written_and_read_again(line: str) -> None:
    load(line)
    spec = spacefile.load("x.yaml")
    assert spacefile.from_dict(spacefile.to_dict(spec)) == spec
    Path("y.yaml").write_text(spacefile.dump(spec))
    again = spacefile.load("y.yaml")
    assert spacefile.difference(again, spec) == []
    assert again.checkpoint is not None
    assert again.checkpoint == spec.checkpoint


def test_other_weights_are_another_study() -> None:
    load("checkpoint: {file: net.pt, model: cnn}")
    before = spacefile.load("x.yaml")
    torch.save({"weight": torch.ones(1)}, "net.pt")
    now = spacefile.load("x.yaml")
    assert before.checkpoint is not None
    assert now.checkpoint is not None
    assert spacefile.difference(before, now) == [
        f"checkpoint.weights was {before.checkpoint.digest[:12]}, now {now.checkpoint.digest[:12]}"
    ]
    assert spacefile.sha256(before) != spacefile.sha256(now)


def test_a_shipped_checkpoint_lies_beside_the_space_that_names_it(folder: Path) -> None:
    found = spacefile.load(shipped_folder() / "finetune_image.yaml").checkpoint
    assert found is not None
    assert found.model == "resnet"
    assert Path(found.file).stat().st_size < 300_000


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("checkpoint:", f"2: checkpoint is missing: finetune begins from one. Give {WHAT}."),
        ("checkpoint: 3", f"3: checkpoint must be {WHAT}, but is 3."),
        ("checkpoint: nothing", f"3: checkpoint must be {WHAT}, but 'nothing' is not there."),
        ("checkpoint: .", f"3: checkpoint must be {WHAT}, but '.' is no study with a winner."),
        (
            "checkpoint: net.pt",
            "3: checkpoint must say what network net.pt is of. Write {file: net.pt, model: MODULE:NAME or a family}.",
        ),
        ("checkpoint: mlp", "3: checkpoint must hold a network for pictures, of cnn or resnet or of your own, but 'mlp' holds mlp."),
        ("checkpoint: {model: cnn}", "3: checkpoint: file is missing. Give one that ends in .pt, .pth, .bin, .safetensors."),
        ("checkpoint: {file: new.pt, model: cnn}", "3: checkpoint: file must be there, but 'new.pt' is not."),
        ("checkpoint: {file: net.txt, model: cnn}", "3: checkpoint: file must end in .pt, .pth, .bin, .safetensors, but is 'net.txt'."),
        ("checkpoint: {file: net.pt}", "3: checkpoint: model must be cnn, resnet or a function of yours, as MODULE:NAME, but is missing."),
        (
            "checkpoint: {file: net.pt, model: resnt}",
            "3: checkpoint: model must be cnn, resnet or a function of yours, as MODULE:NAME, but is 'resnt'. Did you mean 'resnet'?",
        ),
        ("checkpoint: {file: net.pt, model: cnn, fil: 3}", "3: checkpoint: unknown key 'fil'. Did you mean 'file'?"),
        (
            "checkpoint: {file: net.pt, model: cnn, parameters: {chanels: 3}}",
            "3: checkpoint: parameters: 'chanels' is not a parameter of cnn. Did you mean 'channels'?",
        ),
        (
            "checkpoint: {file: net.pt, model: cnn, shape: [3, 4]}",
            "3: checkpoint: shape must be [channels, height, width] of the pictures it was trained on, but is a list.",
        ),
        ("checkpoint: {file: net.pt, model: cnn, outputs: 0}", "3: checkpoint: outputs must be a whole number of at least 1, but is 0."),
    ],
)
def test_mistakes_have_their_line(line: str, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        load(line)
    assert str(caught.value) == f"x.yaml:{sentence}"


def test_a_checkpoint_is_for_finetuning_alone() -> None:
    sentence = "checkpoint is what the family finetune begins from, but the model is another. Write model: finetune."
    with pytest.raises(SpaceError) as caught:
        load("checkpoint: cnn", model="mlp")
    assert str(caught.value) == f"x.yaml:3: {sentence}"
