"""Programs of a person's own as they are: what they are given, where their metrics are read, how they end; nothing outlives them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from automl import events as ev
from automl.events import Code, Diverged, Failed, Finished, Reported, Started, TrialSpec, WorkerEvent
from automl.owncode import command_line
from automl.training import make_trainer
from automl.training.own import minder
from automl.training.own.command import CommandTrainer
from automl.training.own.printed import Lines, MetricsFile, Reader
from contracts.owncode import command_trial, own_trial, trained


def failure(spec: TrialSpec) -> str:
    last = trained(spec)[-1]
    assert isinstance(last, Failed), last
    return last.detail


def values(events: list[WorkerEvent]) -> list[dict[str, float]]:
    return [dict(event.metrics) for event in events if isinstance(event, Reported)]


def log_of(spec: TrialSpec) -> str:
    return Path(spec.job.folder, "trials", str(spec.key.trial), "log.txt").read_text()


# -- what it is given -------------------------------------------------------------------------------------------------


def test_names_stand_for_values_and_what_has_none_takes_its_option_with_it() -> None:
    """No shell: quotes and words are as a shell has them, and nothing else is."""
    command = "train --lr {lr} --momentum {momentum} --beta={beta} '{name} x' $HOME {{}} -v"
    known = {"lr": 1e-5, "momentum": None, "name": "a b", "beta": None}
    assert command_line(command, known) == ["train", "--lr", "1e-05", "a b x", "$HOME", "{}", "-v"]
    assert command_line("train {on} {n}", {"on": True, "n": 3}) == ["train", "true", "3"]


def test_a_script_is_told_of_its_trial(tmp_path: Path) -> None:
    """In its arguments and in its environment; it runs in its own folder and has a folder of the trial."""
    spec = command_trial(
        tmp_path,
        """
        import json, os, sys
        own = {name: value for name, value in os.environ.items() if name.startswith("AUTOML_")}
        print(json.dumps({"accuracy": 1.0, "n": len(own)}))
        with open(os.path.join(os.environ["AUTOML_FOLDER"], "seen.json"), "w") as file:
            json.dump([sys.argv[1:], own, os.getcwd(), os.environ["PYTHONUNBUFFERED"]], file)
        """,
        arguments="--units {units} --seed {seed} --out {folder} {trial} {device}",
        number=5,
        seed=9,
    )
    assert [type(event) for event in trained(spec)] == [Started, Reported, Finished]
    folder = tmp_path / "study/trials/5/files"
    arguments, known, where, unbuffered = json.loads((folder / "seen.json").read_text())
    assert arguments == ["--units", "4", "--seed", "9", "--out", str(folder), "5", "cpu"]
    assert (where, unbuffered) == (str(tmp_path), "1")
    assert known == {
        "AUTOML_DATA": str(tmp_path / "study/data"),
        "AUTOML_DEVICE": "cpu",
        "AUTOML_EPOCHS": "3",
        "AUTOML_FOLDER": str(folder),
        "AUTOML_PARAMETERS": '{"units": 4}',
        "AUTOML_SEED": "9",
        "AUTOML_TRIAL": "5",
    }


# -- what it says -----------------------------------------------------------------------------------------------------


def test_lines_with_the_objective_are_reports(tmp_path: Path) -> None:
    """Among other output, on stdout and stderr, behind a logger's prefix, between carriage returns; all of it is in the log."""
    spec = command_trial(
        tmp_path,
        """
        import sys
        print("loading")
        print('INFO:x: {"epoch": 1, "accuracy": 0.25, "loss": 2, "note": "hm"}')
        sys.stderr.write('50 %\\r{"epoch": 2, "accuracy": 0.5}\\r\\n')
        print('{"loss": 1}'); print("{not json}"); print('[{"accuracy": 1}]')
        print('{"accuracy": 0.75, "test_accuracy": 0.7}', end="")
        """,
    )
    events = trained(spec)
    assert values(events) == [{"accuracy": 0.25, "loss": 2.0}, {"accuracy": 0.5}, {"accuracy": 0.75}]
    assert [event.epoch for event in events if isinstance(event, Reported)] == [1, 2, 3]
    assert isinstance(events[-1], Finished)
    assert "loading\n" in log_of(spec)
    told = make_trainer("cpu", "worker-0").test(spec)
    assert told == ev.Tested(spec.key, told.at, {"accuracy": 0.7})


def test_the_last_word_on_test_data_counts(tmp_path: Path) -> None:
    spec = command_trial(tmp_path, """print('{"accuracy": 0.5, "test_accuracy": 0.1}'); print('{"test": {"accuracy": 0.4, "x": "y"}}')""")
    *_, tested, finished = trained(replace(spec, tested=True))
    assert isinstance(finished, Finished)
    assert tested == ev.Tested(spec.key, tested.at, {"accuracy": 0.4})


def test_what_is_no_finite_number_of_test_data_is_left_out(tmp_path: Path) -> None:
    """And a whole number that is too large for a float is no number at all."""
    huge = "1" + "0" * 400
    spec = command_trial(
        tmp_path, f"""print('{{"accuracy": 0.5, "steps": {huge}, "test": {{"accuracy": NaN, "steps": {huge}, "loss": 2}}}}')"""
    )
    events = trained(replace(spec, tested=True))
    assert values(events) == [{"accuracy": 0.5}]
    assert events[-2] == ev.Tested(spec.key, events[-2].at, {"loss": 2.0})


def test_the_same_words_about_an_epoch_count_once(tmp_path: Path) -> None:
    """As a script gives them that prints and logs its metrics, or that runs in several processes; without a number of the epoch two equal
    lines are two epochs."""
    code = """
        for epoch in (1, 2, 3):
            for _ in range(2):
                print('{"epoch": %d, "accuracy": 0.5, "loss": NaN}' % epoch)
                print('INFO: {"epoch": %d, "accuracy": 0.5, "loss": NaN}' % epoch)
        print('{"accuracy": 0.25}'); print('{"accuracy": 0.25}')
    """
    events = trained(command_trial(tmp_path, code, epochs=9))
    assert values(events) == [{"accuracy": 0.5}] * 3 + [{"accuracy": 0.25}] * 2


def test_a_pattern_finds_metrics_in_any_line(tmp_path: Path) -> None:
    code = "print('epoch 1: val acc 0.5, loss 2.5'); print('epoch 2: val acc 5e-1, loss none'); print('epoch 3: val acc nope')"
    spec = command_trial(tmp_path, code, pattern=r"val acc (?P<accuracy>[-0-9.e]+)(, loss (?P<loss>[0-9.]+))?")
    assert values(trained(spec)) == [{"accuracy": 0.5, "loss": 2.5}, {"accuracy": 0.5}]


FILES = [
    ("m.jsonl", """out.write('{"accuracy": 0.5}\\n{"accuracy": 0.75}')"""),
    ("m.csv", """out.write('epoch,accuracy,loss\\n1,0.5,\\n1,,3\\n2,0.75,\\n')"""),
    ("m.json", """json.dump([{"accuracy": 0.5}, {"accuracy": 0.75}], out, indent=2)"""),
]


@pytest.mark.parametrize(("file", "line"), FILES)
def test_metrics_may_stand_in_a_file(tmp_path: Path, file: str, line: str) -> None:
    """In the trial's own folder where its path says nothing else. What an earlier run has left there does not count."""
    code = f"""
        import json, os
        with open(os.path.join(os.environ["AUTOML_FOLDER"], "{file}"), "a") as out:
            {line}
        print('{{"accuracy": 0}}')
    """
    spec = command_trial(tmp_path, code, file=file)
    for _ in range(2):
        assert [metrics["accuracy"] for metrics in values(trained(spec))] == [0.5, 0.75]


def test_a_file_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text('{"accuracy": 0.1}\n')
    file = MetricsFile(path, Reader("accuracy"))
    assert file.news() == []
    with path.open("a") as out:
        out.write('{"accuracy": 0.2}\n{"accur')
        out.flush()
        assert [found.metrics["accuracy"] for found in file.news()] == [0.2]
        out.write('acy": 0.3}')
    assert file.news() == []
    assert [found.metrics["accuracy"] for found in file.news(last=True)] == [0.3]
    path.write_text('{"accuracy": 1}\n')
    assert [found.metrics["accuracy"] for found in file.news()] == [1.0]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    lines = Lines()
    for _ in range(100):
        assert list(lines.take(b"x" * 10_000)) == []
    assert len(b"".join(line.encode() for line in lines.take(b"\nnext\n"))) < 2**17


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_an_exit_code_is_a_failure_with_the_last_lines(tmp_path: Path) -> None:
    spec = command_trial(tmp_path, "print('{\"accuracy\": 0.5}')\nraise ValueError('too wide')")
    events = trained(spec)
    assert [type(event) for event in events] == [Started, Reported, Failed]
    detail = failure(spec)
    assert detail.startswith("the command exited with code 1\n")
    assert detail.endswith("ValueError: too wide")


def test_a_signal_is_named(tmp_path: Path) -> None:
    assert failure(command_trial(tmp_path, "import os; os.kill(os.getpid(), 11)")) == "the command was killed by SIGSEGV"
    killed = failure(command_trial(tmp_path, "import os; os.kill(os.getpid(), 9)"))
    assert killed == "the command was killed by SIGKILL (the kernel does this when memory runs out)"


def test_memory_that_ran_out_is_a_failure_of_its_own(tmp_path: Path) -> None:
    last = trained(command_trial(tmp_path, "raise MemoryError"))[-1]
    assert isinstance(last, Failed)
    assert last.reason == "out_of_memory"


SILENT = [
    (
        {},
        "print('done')",
        'must print lines such as {"epoch": 1, "accuracy": 0.5}, but ended without any.\ndone\nWhere it prints others, give their pattern '
        'in the space file: metrics: {pattern: "accuracy=(?P<accuracy>[0-9.]+)"}.',
    ),
    (
        {},
        "print('{\"acuracy\": 1}')",
        'must print lines such as {"epoch": 1, "accuracy": 0.5}, but ended without any. It gave acuracy.\n{"acuracy": 1}\n'
        "Write 'accuracy' instead of 'acuracy'.",
    ),
    (
        {"pattern": "acc=(?P<accuracy>.)"},
        "",
        "must print lines that match 'acc=(?P<accuracy>.)', but ended without any.\nCorrect the pattern, or what is printed.",
    ),
    ({"file": "m.csv"}, "", "must write to m.csv rows with a column 'accuracy', but ended without any.\nWrite them while it trains."),
]


@pytest.mark.parametrize(("where", "code", "said"), SILENT)
def test_a_script_without_metrics_is_told_what_was_expected(tmp_path: Path, where: dict[str, str], code: str, said: str) -> None:
    assert failure(command_trial(tmp_path, code, **where)) == f"the command {said}"


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    spec = own_trial(tmp_path, "./none --x {units}", Code("command", (str(tmp_path),)), 0)
    assert failure(spec) == "./none: no such file or directory"


def test_an_objective_that_is_not_finite_is_divergence_and_ends_the_program(tmp_path: Path) -> None:
    spec = command_trial(tmp_path, "import time\nprint('{\"accuracy\": NaN}')\ntime.sleep(600)")
    last = trained(spec)[-1]
    assert isinstance(last, Diverged)
    assert last.detail == "the objective accuracy became NaN or infinite in epoch 1"


def test_reports_beyond_the_epochs_end_the_program(tmp_path: Path) -> None:
    spec = command_trial(tmp_path, "while True:\n    print('{\"accuracy\": 0.5}')", epochs=2)
    assert [type(event) for event in trained(spec)] == [Started, Reported, Reported, Finished]
    assert "[automl] ended at report 3: a trial of this study has 2 epochs\n" in log_of(spec)


def test_a_script_that_goes_on_from_a_checkpoint_of_its_own_is_counted_on(tmp_path: Path) -> None:
    """In a second run of the trial, where it says the number of its epoch."""
    spec = command_trial(
        tmp_path,
        """
        import os
        file = os.path.join(os.environ["AUTOML_FOLDER"], "epoch")
        first = int(open(file).read()) + 1 if os.path.exists(file) else 1
        for epoch in range(first, first + 2):
            print('{"epoch": %d, "accuracy": 0.5}' % epoch)
            open(file, "w").write(str(epoch))
        """,
        epochs=10,
    )
    assert [event.epoch for event in trained(spec) if isinstance(event, Reported)] == [1, 2]
    assert [event.epoch for event in trained(spec) if isinstance(event, Reported)] == [3, 4]


def test_a_script_that_begins_anew_with_a_large_number_is_counted_from_one(tmp_path: Path) -> None:
    """It reports every tenth epoch alone: with two reports known, its tenth is none that it goes on with."""
    code = """for epoch in (10, 20, 30):\n    print('{"epoch": %d, "accuracy": 0.5}' % epoch)"""
    spec = command_trial(tmp_path, code)
    for known in (0, 2):
        events = trained(replace(spec, reported=known))
        assert [event.epoch for event in events if isinstance(event, Reported)] == [1, 2, 3]


# -- nothing outlives it ----------------------------------------------------------------------------------------------

FAMILY = """
import os, signal, subprocess, sys, time
{trap}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print('{{"accuracy": 0.5, "own": %d, "child": %d}}' % (os.getpid(), child.pid))
time.sleep(600)
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
POLITE = "signal.signal(signal.SIGTERM, lambda *_: (print('good bye'), sys.exit(0)))"


def is_over(process: int) -> bool:
    """Whether a process that was killed ends; one that nobody waits for stays behind as a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            os.sched_yield()
    return True


@pytest.mark.parametrize("trap", ["", DEAF, POLITE])
def test_a_stopped_program_ends_with_all_that_it_has_started(tmp_path: Path, trap: str) -> None:
    """Told by SIGTERM, and by SIGKILL where it does not listen."""
    spec, trainer = command_trial(tmp_path, FAMILY.format(trap=trap)), CommandTrainer("cpu", "worker-0", 1, grace=0.3)
    trainer.start(spec)
    *_, report = trainer.advance() + trainer.advance()
    assert isinstance(report, Reported)
    trainer.stop(spec.key)
    assert all(is_over(int(report.metrics[name])) for name in ("own", "child"))
    assert trainer.advance() == []


def test_a_program_that_ends_leaves_nothing_running(tmp_path: Path) -> None:
    code = FAMILY.format(trap="").rpartition("time.sleep")[0]
    events = trained(command_trial(tmp_path, code))
    child = int(values(events)[0]["child"])
    assert isinstance(events[-1], Finished)
    assert is_over(child)


def test_a_program_ends_with_its_worker(tmp_path: Path) -> None:
    """Whoever held the minder's stdin is gone, however that came."""
    answers, theirs = os.pipe()
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", minder.__file__, str(theirs), "1", *sleeper],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs],
        start_new_session=True,
    )
    os.close(theirs)
    group = json.loads(os.read(answers, 4096))["group"]
    assert psutil.pid_exists(group)
    assert process.stdin is not None
    process.stdin.close()
    assert select.select([answers], [], [], 60)[0]
    assert json.loads(os.read(answers, 4096)) == {"code": -15}
    assert process.wait(60) == 0
    assert is_over(group)
    os.close(answers)
