"""Training functions of a person's own: what they are handed, what they may do, and how each of their mistakes is named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from automl import events as ev
from automl.events import Diverged, Failed, Finished, Reported, Started, TrialSpec, WorkerEvent
from automl.training import make_trainer
from contracts.owncode import finish, function_trial, interrupted, trained

CURVE = """
    def run(trial):
        for epoch in range(trial.epoch, trial.epochs):
            trial.report(accuracy=(epoch + 1) / 10, loss=1.0)
"""


def curve(events: list[WorkerEvent]) -> list[tuple[int, float]]:
    return [(event.epoch, event.metrics["accuracy"]) for event in events if isinstance(event, Reported)]


def failure(folder: Path, code: str) -> Failed:
    """How a trial of this code fails."""
    last = trained(function_trial(folder, code))[-1]
    assert isinstance(last, Failed)
    return last


def log_of(spec: TrialSpec) -> str:
    file = Path(spec.job.folder, "trials", str(spec.key.trial), "log.txt")
    return file.read_text() if file.exists() else ""


# -- what is said -----------------------------------------------------------------------------------------------------


def test_each_report_is_an_epoch_and_its_return_the_end(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, CURVE)
    events = trained(spec)
    assert [type(event) for event in events] == [Started, Reported, Reported, Reported, Finished]
    assert curve(events) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert dict(events[1].metrics) == {"accuracy": 0.1, "loss": 1.0}
    assert all(event.key == spec.key for event in events)


def test_what_a_trial_is_told(tmp_path: Path) -> None:
    """Parameters by name and as a mapping, seed, device, epochs, number, a folder of its own."""
    spec = function_trial(
        tmp_path,
        """
        def run(trial):
            assert trial.parameters.units == trial.parameters["units"] == 8
            assert "momentum" not in trial.parameters and trial.parameters.get("momentum", 0.5) == 0.5
            assert dict(trial.parameters) == {"units": 8}
            assert (trial.device, trial.epochs, trial.number, trial.epoch, trial.should_stop) == ("cpu", 2, 7, 0, False)
            assert trial.seed == 2**40 + 5 & 0xFFFFFFFF
            (trial.folder / "notes.txt").write_text("kept")
            trial.report({"accuracy": 1, "val/loss": 0.5}, epoch=17)
        """,
        number=7,
        configuration={"units": 8},
        seed=2**40 + 5,
        epochs=2,
    )
    events = trained(spec)
    assert [type(event) for event in events] == [Started, Reported, Finished], events
    assert dict(events[1].metrics) == {"accuracy": 1.0, "val/loss": 0.5}
    assert events[-1] == Finished(spec.key, events[-1].at, stopped_early=True)
    assert (tmp_path / "study/trials/7/files/notes.txt").read_text() == "kept"


def test_a_parameter_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    found = failure(tmp_path, "def run(trial):\n    trial.parameters.unit")
    assert "AttributeError: 'unit' is not a parameter of this trial. Parameters: units. Did you mean 'units'?" in found.detail


def test_tensors_and_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    spec = function_trial(
        tmp_path,
        """
        import numpy, torch
        def run(trial):
            trial.report(accuracy=torch.tensor(0.25, requires_grad=True), a=numpy.float32(0.5), b=numpy.array(2), c=True)
        """,
    )
    assert dict(trained(spec)[1].metrics) == {"accuracy": 0.25, "a": 0.5, "b": 2.0, "c": 1.0}


def test_draws_without_a_seed_are_repeatable(tmp_path: Path) -> None:
    """The global generators are seeded for each trial, whatever ran before it."""
    spec = function_trial(
        tmp_path,
        """
        import random, numpy, torch
        def run(trial):
            trial.report(accuracy=random.random() + numpy.random.rand() + torch.rand(()))
        """,
        epochs=1,
    )
    trainer = make_trainer("cpu", "worker-0", 2)
    for number, seed in enumerate((3, 4, 3)):
        trainer.start(replace(spec, key=replace(spec.key, trial=number), seed=seed))
    first, other, again = [value for _, value in curve(finish(trainer))]
    assert first == again != other


def test_only_one_function_runs_at_a_time(tmp_path: Path) -> None:
    """Each runs only while the trainer waits for it, so that trials with shared modules do not disturb each other."""
    trainer = make_trainer("cpu", "worker-0", 2)
    for number in range(2):
        trainer.start(function_trial(tmp_path, CURVE, number))
    assert [event.key.trial for event in finish(trainer)] == [0] * 5 + [1] * 5


# -- ends -------------------------------------------------------------------------------------------------------------


STUBBORN = """
    from pathlib import Path
    def run(trial):
        try:
            for epoch in range(trial.epochs):
                try:
                    trial.report(accuracy=0.5)
                except Exception:
                    pass
        finally:
            Path(trial.folder, "stopped").write_text(str(trial.should_stop))
"""


def test_a_stopped_trial_ends_at_its_report_and_runs_its_finally_blocks(tmp_path: Path) -> None:
    """Also where the code catches every Exception."""
    trainer, spec = make_trainer("cpu", "worker-0"), function_trial(tmp_path, STUBBORN)
    trainer.start(spec)
    assert [type(event) for event in trainer.advance() + trainer.advance()] == [Started, Reported]
    trainer.stop(spec.key)
    assert trainer.advance() == []
    assert (tmp_path / "study/trials/0/files/stopped").read_text() == "True"


def test_reports_beyond_the_epochs_end_the_trial(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, "def run(trial):\n    while True:\n        trial.report(accuracy=0.5)", epochs=2)
    events = trained(spec)
    assert [type(event) for event in events] == [Started, Reported, Reported, Finished]
    assert log_of(spec) == "[automl] ended at report 3: trial.epochs is 2\n"


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')"])
def test_an_objective_that_is_not_finite_is_divergence(tmp_path: Path, value: str) -> None:
    spec = function_trial(tmp_path, f"def run(trial):\n    trial.report(accuracy=0.5)\n    trial.report(accuracy={value})")
    last = trained(spec)[-1]
    assert isinstance(last, Diverged)
    assert last.detail == "the objective accuracy became NaN or infinite in epoch 2"
    assert "in report 2, so the trial has diverged" in log_of(spec)


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_an_error_is_told_with_the_file_and_line_of_the_function(tmp_path: Path) -> None:
    """Also where it was raised deep inside a library; the whole traceback is in the log, without the house's own lines."""
    spec = function_trial(tmp_path, "import torch\n\ndef run(trial):\n    torch.zeros(2) @ torch.zeros(3)\n")
    failed = trained(spec)[-1]
    assert isinstance(failed, Failed)
    file = spec.job.model.partition(":")[0] + ".py"
    first, *rest = failed.detail.splitlines()
    assert first.startswith(f"{file}:4: RuntimeError: inconsistent tensor size")
    assert any(f'{file}", line 4, in run' in line for line in rest)
    assert "Traceback (most recent call last)" in log_of(spec)
    assert "training/own/function.py" not in log_of(spec)


MISTAKES = [
    ("trial.report(loss=1.0)", "trial.report: must give the objective 'accuracy', but gives loss."),
    (
        "trial.report(acuracy=1.0)",
        "trial.report: must give the objective 'accuracy', but gives acuracy. Write 'accuracy' instead of 'acuracy'.",
    ),
    ("trial.report()", "trial.report: must give the objective 'accuracy', but gives nothing."),
    ("trial.report(accuracy='high')", "trial.report: accuracy must be a number, but is 'high'."),
    ("trial.report(accuracy=None)", "trial.report: accuracy must be a number, but is None."),
    ("trial.report(accuracy=[1, 2])", "trial.report: accuracy must be a number, but is of type list."),
    (
        "trial.report(0.5, 1)",
        "trial.report: must be given metrics by name, but was given 0.5, 1. Write trial.report(accuracy=...).",
    ),
    ("trial.report({3: 1.0})", "trial.report: the name of a metric must be a text, but is 3."),
    ("trial.checkpoint(3)", "trial.checkpoint: must be given a dict, but was given int. Write {'model': ...}."),
    (
        "import pathlib; trial.checkpoint({'a': [pathlib.Path('x')]})",
        "trial.checkpoint: state['a'][0] must be tensors, numbers, texts, or lists and dicts of them, but is of type pathlib.PosixPath. "
        "Give it as such, like model.state_dict().",
    ),
    (
        "trial.report(accuracy=1); trial.resume()",
        "trial.resume: must be called before the first report, but one was made. Call it first of all.",
    ),
    ("import sys; sys.exit(3)", "it called sys.exit(3)"),
    ("trial.data", "trial.data: must be given by the space file, but it has no data. Add data, or read your own."),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_mistakes_name_their_line(tmp_path: Path, line: str, said: str) -> None:
    spec = function_trial(tmp_path, f"def run(trial):\n    {line}\n")
    failed = trained(spec)[-1]
    assert isinstance(failed, Failed)
    assert failed.detail == f"{spec.job.model.partition(':')[0]}.py:2: {said}"


def test_a_function_that_reports_nothing_is_told_how(tmp_path: Path) -> None:
    failed = failure(tmp_path, "def run(trial):\n    pass")
    name = failed.detail.partition(".")[0]
    text = "must report accuracy at the end of every epoch, but ended without a report. Call trial.report(accuracy=...)."
    assert failed.detail == f"{name}.py:1: {name}:run: {text}"
    failed = failure(tmp_path, "def run(trial):\n    return 0.5")
    assert failed.detail.endswith(" It returned 0.5: what a function returns counts as its test result.")


def test_running_out_of_memory_is_a_failure_of_its_own(tmp_path: Path) -> None:
    failed = failure(tmp_path, "def run(trial):\n    raise MemoryError")
    assert failed.reason == "out_of_memory"


def test_a_trial_after_one_that_failed_is_as_if_alone(tmp_path: Path) -> None:
    trainer = make_trainer("cpu", "worker-0", 2)
    trainer.start(function_trial(tmp_path, "def run(trial):\n    1 / 0"))
    trainer.start(function_trial(tmp_path, CURVE, 1))
    events = finish(trainer)
    assert [type(event) for event in events] == [Started, Failed, Started, Reported, Reported, Reported, Finished]


def test_what_a_function_prints_is_in_the_log_of_its_trial_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its logging as well, also in trials after the one that has set it up; threads of others print as ever."""
    code = """
        import logging, sys
        def run(trial):
            logging.basicConfig(level="INFO", force=False)
            print("hello from", trial.number)
            sys.stderr.write("and this\\n")
            logging.getLogger("mine").info("logged %s", trial.number)
            trial.report(accuracy=0.5)
    """
    import logging

    handlers = logging.getLogger().handlers[:]
    logging.getLogger().handlers[:] = []
    try:
        first = function_trial(tmp_path, code)
        second = replace(first, key=replace(first.key, trial=1))
        trainer = make_trainer("cpu", "worker-0", 2)
        trainer.start(first)
        trainer.start(second)
        finish(trainer)
    finally:
        logging.getLogger().handlers[:] = handlers
    for spec in (first, second):
        number = spec.key.trial
        assert log_of(spec) == f"hello from {number}\nand this\nINFO:mine:logged {number}\n"
    print("ours")
    assert capsys.readouterr().out == "ours\n"
    assert sys.stdout.isatty() in (True, False)


def test_what_stands_in_for_stdout_can_what_scripts_do_with_it(tmp_path: Path) -> None:
    spec = function_trial(
        tmp_path,
        """
        import sys
        def run(trial):
            sys.stdout.reconfigure(line_buffering=True)
            sys.stdout.buffer.write(b"bytes \\xff\\n")
            sys.stdout.buffer.flush()
            sys.stdout.writelines(["a\\n", "b\\n"])
            print("c", flush=True)
            trial.report(accuracy=1)
        """,
    )
    events = trained(spec)
    assert isinstance(events[-1], Finished), events
    assert log_of(spec) == "bytes \ufffd\na\nb\nc\n"


def test_a_function_that_ends_by_sys_exit_without_an_error_has_ended(tmp_path: Path) -> None:
    """After a report, as a script with exit code 0 has."""
    events = trained(function_trial(tmp_path, "import sys\ndef run(trial):\n    trial.report(accuracy=1)\n    sys.exit(0)"))
    assert [type(event) for event in events] == [Started, Reported, Finished]


def test_what_a_trial_changes_for_the_whole_process_holds_for_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And until its end; neither the next trial nor whoever waits for a report notices. What the import of its module has changed holds
    for all trials."""
    monkeypatch.chdir(tmp_path)
    spec = function_trial(
        tmp_path,
        """
        import os, torch
        torch.set_default_dtype(torch.float64)
        def run(trial):
            assert (os.path.basename(os.getcwd()), torch.get_default_dtype()) == (trial.parameters["began"], torch.float64)
            assert not torch.are_deterministic_algorithms_enabled()
            os.chdir(trial.folder)
            torch.set_default_dtype(torch.float16)
            torch.use_deterministic_algorithms(True)
            for _ in range(trial.epochs):
                trial.report(accuracy=1)
                assert (os.getcwd(), torch.get_default_dtype()) == (str(trial.folder), torch.float16)
                assert torch.are_deterministic_algorithms_enabled()
        """,
        configuration={"began": tmp_path.name},
    )
    trainer = make_trainer("cpu", "worker-0", 2)
    trainer.start(spec)
    trainer.start(replace(spec, key=replace(spec.key, trial=1)))
    ends: list[WorkerEvent] = []
    while news := trainer.advance():
        ends += [event for event in news if not isinstance(event, Started | Reported)]
        assert (Path.cwd(), torch.get_default_dtype()) == (tmp_path, torch.float32)
        assert not torch.are_deterministic_algorithms_enabled()
    assert [type(event) for event in ends] == [Finished, Finished], ends


# -- checkpoints ------------------------------------------------------------------------------------------------------

RESUMING = """
    import torch
    def run(trial):
        state = trial.resume()
        total = 0.0 if state is None else float(state["total"])
        print("begins at", trial.epoch)
        for epoch in range(trial.epoch, trial.epochs):
            total += trial.parameters.units * (epoch + 1)
            trial.report(accuracy=total if epoch != 3 else 0.0)
            trial.checkpoint({"total": torch.tensor(total), "epoch": epoch + 1})
"""


def test_an_interrupted_trial_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """And reports what it would have reported."""
    spec = function_trial(tmp_path, RESUMING, epochs=4)
    left = interrupted(spec, 4)  # started, three reports; two checkpoints
    resumed = trained(spec)
    assert "begins at 2" in log_of(spec)
    whole = trained(replace(spec, job=replace(spec.job, folder=str(tmp_path / "other"))))
    assert curve(resumed) == curve(whole)[2:]
    left.stop(spec.key)


def test_a_checkpoint_of_another_trial_is_none(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, RESUMING, epochs=4)
    left = interrupted(spec, 4)
    assert [epoch for epoch, _ in curve(trained(replace(spec, seed=99)))] == [1, 2, 3, 4]
    left.stop(spec.key)


def test_the_state_of_the_best_epoch_is_kept_where_the_trial_is_among_the_best(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, RESUMING, epochs=4, save_if_beats=1.0)
    finished = trained(spec)[-1]
    assert isinstance(finished, Finished)
    assert finished.saved
    folder = tmp_path / "study/trials/0"
    assert sorted(path.name for path in folder.glob("*.pt")) == ["weights.pt"]
    assert torch.load(folder / "weights.pt", weights_only=True) == {"total": torch.tensor(24.0), "epoch": 3}
    (folder / "weights.pt").unlink()
    finished = trained(replace(spec, save_if_beats=99.0))[-1]
    assert isinstance(finished, Finished)
    assert not finished.saved
    assert list(folder.glob("*.pt")) == []


# -- test data --------------------------------------------------------------------------------------------------------


def test_what_it_returns_is_its_test_result_told_when_asked_for(tmp_path: Path) -> None:
    code = "def run(trial):\n    trial.report(accuracy=0.9)\n    return {'accuracy': 0.8, 'f1': 0.7}"
    spec = function_trial(tmp_path, code)
    assert ev.Tested not in {type(event) for event in trained(spec)}
    told = make_trainer("cpu", "worker-0").test(spec)
    assert told == ev.Tested(spec.key, told.at, {"accuracy": 0.8, "f1": 0.7})
    *_, tested, finished = trained(replace(spec, key=replace(spec.key, replicate=1), tested=True))
    assert isinstance(finished, Finished)
    assert isinstance(tested, ev.Tested)
    assert dict(tested.metrics) == {"accuracy": 0.8, "f1": 0.7}


def test_test_metrics_of_reports_are_kept_apart_and_count_at_the_best_epoch(tmp_path: Path) -> None:
    code = """
        def run(trial):
            for value in (0.5, 0.9, 0.6):
                trial.report(accuracy=value, test_accuracy=value - 0.1)
    """
    spec = function_trial(tmp_path, code)
    assert all("test_accuracy" not in event.metrics for event in trained(spec) if isinstance(event, Reported))
    told = make_trainer("cpu", "worker-0").test(spec)
    assert isinstance(told, ev.Tested)
    assert dict(told.metrics) == {"accuracy": pytest.approx(0.8)}


def test_a_function_that_says_nothing_of_test_data_is_tested_with_nothing(tmp_path: Path) -> None:
    spec = function_trial(tmp_path, "def run(trial):\n    trial.report(accuracy=0.9)\n    return 'done'", tested=True)
    assert [type(event) for event in trained(spec)] == [Started, Reported, Finished]
    assert "is left out, for it is no mapping of test metrics but str" in log_of(spec)
    told = make_trainer("cpu", "worker-0").test(spec)
    assert told == ev.Tested(spec.key, told.at, {})
