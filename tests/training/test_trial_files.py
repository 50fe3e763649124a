"""Files of a trial are whole or absent, and nothing in them can run."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest
import torch

from automl.training import files
from contracts.training import PLAIN, job, trial

CPU = torch.device("cpu")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "trials/3/checkpoint.pt"
    values = {"weights": torch.arange(5.0), "epoch": 3, "best": None, "more": [torch.ones(2)]}
    files.save(values, file)
    loaded = files.load(file)
    assert torch.equal(loaded["weights"], values["weights"])
    assert (loaded["epoch"], loaded["best"]) == (3, None)
    assert [path.name for path in file.parent.iterdir()] == ["checkpoint.pt"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    files.save({"a": 1}, file)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        files.save({"a": lambda: None}, file)
    assert files.load(file) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt"]


def test_a_folder_that_another_replicate_removes_meanwhile_is_made_again(tmp_path: Path) -> None:
    """Two workers with replicates of one trial: what one throws away must not take the other's place to write."""
    spec = trial(job(tmp_path), PLAIN)
    is_over = threading.Event()

    def throw_away() -> None:
        while not is_over.wait(0.0005):  # not in step with the other, as threads that wait for each other's calls would be
            files.discard(files.trial_folder(spec) / "checkpoint-1.pt")

    other = threading.Thread(target=throw_away)
    other.start()
    try:
        for _ in range(200):
            files.save({"a": 1}, files.weights_file(spec))
            assert files.load(files.weights_file(spec)) == {"a": 1}
            files.discard(files.weights_file(spec))
    finally:
        is_over.set()
        other.join()


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "sprung"),)  # type: ignore[return-value]

    torch.save({"format": Trap()}, tmp_path / "checkpoint.pt")
    assert files.load_or_none(tmp_path / "checkpoint.pt", CPU) is None
    assert not (tmp_path / "sprung").exists()


def test_a_folder_goes_with_its_last_file(tmp_path: Path) -> None:
    spec = trial(job(tmp_path), PLAIN)
    checkpoint, weights = files.checkpoint_file(spec), files.weights_file(spec)
    files.save({"a": 1}, checkpoint)
    files.save({"a": 1}, weights)
    checkpoint.with_name(".checkpoint.pt.unfinished").write_bytes(b"what a killed worker left")
    files.discard(checkpoint)
    assert [path.name for path in weights.parent.iterdir()] == ["weights.pt"]
    files.discard(weights)
    assert not weights.parent.exists()
    files.discard(weights)


def test_a_log_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    spec = trial(job(tmp_path), PLAIN)
    Path(spec.job.folder).write_text("a file where the study's folder should be")
    files.append_log(spec, "trouble")
    assert Path(spec.job.folder).read_text() == "a file where the study's folder should be"


def test_saved_tensors_have_memory_of_their_own() -> None:
    """A view would drag the whole vector that it is of into the file."""
    module = torch.nn.Linear(2, 2)
    module.weight = torch.nn.Parameter(torch.zeros(1000)[:4].view(2, 2))
    assert all(value.untyped_storage().nbytes() == value.numel() * 4 for value in files.named_copies(module).values())


def test_discarding_what_somebody_else_has_deleted_is_no_error(tmp_path: Path) -> None:
    """The driver tidies up while workers do: a folder may be gone at any moment."""
    files.discard(tmp_path / "trials/3/checkpoint.pt")
    folder = tmp_path / "trials/4"
    folder.mkdir(parents=True)
    (folder / "log.txt").touch()
    files.discard(folder / "checkpoint.pt")
    assert [path.name for path in folder.iterdir()] == ["log.txt"]
