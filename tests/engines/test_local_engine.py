"""The engine with processes: the laws of all engines, and those about processes that die. All deaths are real."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest

from automl.engines import Engine
from automl.engines.devices import Placement
from automl.engines.forkserver import cause_of_death, last_words, trim
from automl.engines.local import LocalEngine
from automl.errors import AutomlError
from automl.events import Finished, Orders, Reported, Slot, Started, WorkerLost
from automl.training.simulated import Fault, FaultKind, Rehearsal
from contracts.childminder import WithChild
from contracts.engine import PATIENCE_SECONDS, EngineContract, a_trial, answer_of, events_of, train
from contracts.late import Late


def make_local(folder: Path, rehearsal: Rehearsal | None = None, workers: int = 1, lanes: int = 1) -> LocalEngine:
    placements = [Placement(Slot(index, "cpu", lanes, f"worker-{index}"), "", 1) for index in range(workers)]
    return LocalEngine(placements, folder / "workers", rehearsal or Rehearsal())


@contextmanager
def local(folder: Path, rehearsal: Rehearsal | None = None, workers: int = 1) -> Iterator[LocalEngine]:
    with closing(make_local(folder, rehearsal, workers)) as engine:
        yield engine


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    """The workers of the fork servers of a process."""
    return [worker for server in process.children() for worker in server.children()]


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def lost_of(engine: Engine, slot: Slot) -> WorkerLost:
    answer = answer_of(engine, slot)
    assert isinstance(answer, WorkerLost), answer
    return answer


class TestLocal(EngineContract):
    def make(self, folder: Path, rehearsal: Rehearsal, lanes: int = 1) -> Engine:
        return make_local(folder, rehearsal, workers=2, lanes=lanes)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("segfault", "segmentation fault (SIGSEGV)"),
        ("kill", "killed by SIGKILL"),
        ("exit", "exited with code 3"),
        ("crash", "exited with code 1"),
    ],
)
def test_a_dead_worker_says_how_it_died_brings_its_last_words_and_is_replaced(tmp_path: Path, kind: FaultKind, why: str) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault(kind, epoch=2)})) as engine:
        slot = engine.slots[0]
        events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
        engine.send(slot, Orders())
        lost = lost_of(engine, slot)
        assert lost.why == why
        assert lost.detail.startswith(f"rehearsal: {kind}")
        assert isinstance(train(engine, slot, a_trial(tmp_path, 1))[-1], Finished)


def test_a_segmentation_fault_brings_the_stack_home(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault("segfault")})) as engine:
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path, 0),)))
        detail = lost_of(engine, engine.slots[0]).detail
    assert re.search(r'simulated\.py", line \d+ in strike', detail)


def test_a_death_hurts_no_other_worker(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault("kill", epoch=2)}), workers=2) as engine:
        dying, living = engine.slots
        engine.send(dying, Orders(start=(a_trial(tmp_path, 0),)))
        answer_of(engine, dying)
        started = events_of(engine, living, Orders(start=(a_trial(tmp_path, 1),)))
        engine.send(dying, Orders())
        lost_of(engine, dying)
        rest = [*events_of(engine, living), *events_of(engine, living)]
    assert isinstance(started[0], Started)
    assert isinstance(rest[-1], Finished)


def test_a_fault_that_happens_once_lets_the_second_attempt_pass(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault("kill", times=1)})) as engine:
        slot = engine.slots[0]
        engine.send(slot, Orders(start=(a_trial(tmp_path, 0),)))
        lost_of(engine, slot)
        assert isinstance(train(engine, slot, a_trial(tmp_path, 0))[-1], Finished)


def test_a_worker_killed_from_outside_while_it_hangs_is_lost(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault("hang", epoch=2)})) as engine:
        slot = engine.slots[0]
        events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
        engine.send(slot, Orders())
        (worker,) = workers_below(psutil.Process())
        worker.send_signal(signal.SIGTERM)
        assert lost_of(engine, slot).why == "killed by SIGTERM"


def test_a_worker_that_dies_between_its_answer_and_the_next_orders_answers_those_with_its_loss(tmp_path: Path) -> None:
    with local(tmp_path) as engine:
        slot = engine.slots[0]
        events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
        (worker,) = workers_below(psutil.Process())
        worker.kill()
        psutil.wait_procs([worker], timeout=PATIENCE_SECONDS)
        engine.send(slot, Orders(start=(a_trial(tmp_path, 1),)))
        assert "SIGKILL" in lost_of(engine, slot).why
        assert [event.key.trial for event in train(engine, slot, a_trial(tmp_path, 2))] == [2] * 5


def test_a_worker_that_dies_before_it_had_orders_costs_nothing(tmp_path: Path) -> None:
    with local(tmp_path, workers=2) as engine:
        events_of(engine, engine.slots[0])
        workers = workers_below(psutil.Process())
        for worker in workers:
            worker.kill()
        psutil.wait_procs(workers, timeout=PATIENCE_SECONDS)
        assert len(train(engine, engine.slots[1], a_trial(tmp_path, 1))) == 5


def test_when_the_fork_server_dies_its_workers_are_lost_and_new_ones_stand_there(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault("hang", epoch=2)}), workers=2) as engine:
        slot, idle = engine.slots
        events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
        old = workers_below(psutil.Process())
        (server,) = psutil.Process().children()
        engine.send(slot, Orders())
        server.kill()
        lost = lost_of(engine, slot)
        assert lost.why == "its fork server died: killed by SIGKILL (the kernel does this when memory runs out)"
        assert len(train(engine, slot, a_trial(tmp_path, 1))) == 5
        assert len(train(engine, idle, a_trial(tmp_path, 2))) == 5
        assert psutil.wait_procs(old, timeout=PATIENCE_SECONDS)[1] == []


def test_a_worker_that_never_comes_up_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(start_fault="segfault")) as engine:
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path),)))
        log = tmp_path / "workers" / "worker-0.log"
        sentence = (
            f"worker-0 on cpu: must come up before it can train, but died 3 times in a row: segmentation fault (SIGSEGV). See {log}\n"
        )
        with pytest.raises(AutomlError, match=f"^{re.escape(sentence)}rehearsal: segfault\nFatal Python error") as raised:
            engine.wait(PATIENCE_SECONDS)
        assert raised.value.exit_code == 1
    assert log.read_text().count("rehearsal: segfault") == 3


@dataclass(frozen=True)
class Unpicklable:
    """A factory that can be sent but not opened at the other end."""

    def __reduce__(self) -> tuple[object, ...]:
        return __import__, ("automl.is_not_called_this",)


def test_a_factory_that_cannot_be_opened_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with closing(LocalEngine([Placement(Slot(0, "cpu", 1, "worker-0"), "", 1)], tmp_path, Unpicklable())) as engine:  # type: ignore[arg-type]
        engine.send(engine.slots[0], Orders())
        with pytest.raises(AutomlError, match=r"No module named 'automl\.is_not_called_this'$"):
            engine.wait(PATIENCE_SECONDS)


def test_an_error_for_the_person_is_raised_at_once_with_its_own_words(tmp_path: Path) -> None:
    """A trainer that cannot be made says why in an AutomlError; nobody tries three times."""
    with local(tmp_path, Rehearsal(start_fault="unfit")) as engine:
        engine.send(engine.slots[0], Orders())
        with pytest.raises(
            AutomlError, match=r"^worker-0: cpu must be able to train, but the rehearsal says it cannot\. Use another device\.$"
        ):
            engine.wait(PATIENCE_SECONDS)


def test_time_runs_out_on_a_worker_that_hangs(tmp_path: Path) -> None:
    with local(tmp_path, Rehearsal(faults={0: Fault("hang")})) as engine:
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path),)))
        assert engine.wait(0.01) == []


# workers that do not answer


def test_a_worker_that_does_not_answer_in_time_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Within five seconds; it says where it hung, and another stands in its place."""
    placement = Placement(Slot(0, "cpu", 1, "worker-0"), "", 1)
    with closing(LocalEngine([placement], tmp_path / "workers", WithChild(str(tmp_path / "child")))) as engine:  # type: ignore[arg-type]
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path),)), 0.2)
        lost = lost_of(engine, engine.slots[0])
        child = psutil.Process(int((tmp_path / "child").read_text()))
    assert lost.reason == "timeout"
    assert re.fullmatch(r"did not answer for [1-5] s and was ended", lost.why)
    assert re.search(r'simulated\.py", line \d+ in strike', lost.detail)
    assert not psutil.wait_procs([child], timeout=5)[1]


def test_a_worker_that_answers_late_but_in_time_is_not_held_to_that_when_it_dies(tmp_path: Path) -> None:
    """It was asked for its stack already."""
    placement = Placement(Slot(0, "cpu", 1, "worker-0"), "", 1)
    with closing(LocalEngine([placement], tmp_path / "workers", Late(1.3))) as engine:  # type: ignore[arg-type]
        (slot,) = engine.slots
        engine.send(slot, Orders(start=(a_trial(tmp_path),)), 0.5)
        assert answer_of(engine, slot) == []
        engine.send(slot, Orders())
        lost = lost_of(engine, slot)
    assert (lost.why, lost.reason) == ("exited with code 3", "lost")


def test_a_stopped_worker_is_ended_as_well(tmp_path: Path) -> None:
    with local(tmp_path, workers=2) as engine:
        stopped, other = engine.slots
        for slot in engine.slots:
            engine.send(slot, Orders(start=(a_trial(tmp_path, slot.index),)))
        for _ in engine.slots:
            engine.wait(PATIENCE_SECONDS)
        (worker,) = [worker for worker in workers_below(psutil.Process()) if names_of(worker) == stopped.name]
        worker.suspend()
        engine.send(stopped, Orders(), 0.1)
        assert isinstance(events_of(engine, other)[-1], Reported)
        assert lost_of(engine, stopped).reason == "timeout"
        assert isinstance(train(engine, stopped, a_trial(tmp_path, 3))[-1], Finished)


def names_of(worker: psutil.Process) -> str:
    """Which worker a process is, by the log that it writes."""
    return next(Path(file.path).stem for file in worker.open_files() if file.path.endswith(".log"))


def test_where_the_fork_server_does_not_answer_either_all_are_ended(tmp_path: Path) -> None:
    with local(tmp_path) as engine:
        slot = engine.slots[0]
        events_of(engine, slot, Orders(start=(a_trial(tmp_path),)))
        (server,) = psutil.Process().children()
        everything = [server, *server.children()]
        for process in everything:
            process.suspend()
        engine.send(slot, Orders(), 0.1)
        lost = lost_of(engine, slot)
        assert (lost.why, lost.reason) == ("its fork server did not answer either", "timeout")
        assert not psutil.wait_procs(everything, timeout=5)[1]
        assert isinstance(train(engine, slot, a_trial(tmp_path, 1))[-1], Finished)


def test_who_was_stopped_himself_blames_nobody_for_the_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour passes between two looks of the driver, as when a laptop was closed: that is one second of silence."""
    with local(tmp_path, Rehearsal(faults={0: Fault("hang")})) as engine:
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path),)), 1800.0)
        hours = itertools.count()
        monkeypatch.setattr("automl.engines.local.time.monotonic", lambda: 3600.0 * next(hours))
        for _ in range(20):
            assert engine.wait(0.0) == []
        assert engine._seats[engine.slots[0]].worker.given_up == 0


# who killed it


@pytest.mark.parametrize(
    ("kills", "reason", "why"),
    [
        ([3, 4], "out_of_memory", "killed by the kernel, since memory ran out"),
        ([3, 3], "lost", "killed by SIGKILL"),
        ([None], "lost", "killed by SIGKILL (the kernel does this when memory runs out)"),
    ],
)
def test_the_kernel_s_kill_is_told_from_others_by_its_count(tmp_path: Path, kills: list[int | None], reason: str, why: str) -> None:
    counts = iter(kills)
    last = kills[-1]
    placement = Placement(Slot(0, "cpu", 1, "worker-0"), "", 1)
    engine = LocalEngine([placement], tmp_path / "workers", Rehearsal(faults={0: Fault("kill")}), kernel_kills=lambda: next(counts, last))
    with closing(engine):
        engine.send(engine.slots[0], Orders(start=(a_trial(tmp_path),)))
        lost = lost_of(engine, engine.slots[0])
    assert (lost.reason, lost.why) == (reason, why)


def test_close_ends_busy_and_hanging_workers_and_leaves_no_zombie(tmp_path: Path) -> None:
    engine = make_local(tmp_path, Rehearsal(faults={0: Fault("hang", epoch=2)}), workers=2)
    events_of(engine, engine.slots[0], Orders(start=(a_trial(tmp_path, 0),)))
    events_of(engine, engine.slots[1])
    engine.send(engine.slots[0], Orders())
    everything = psutil.Process().children(recursive=True)
    assert len(everything) == 3
    engine.close()
    assert [process for process in everything if process.is_running()] == []


def test_close_before_anything_is_up_leaves_nothing(tmp_path: Path) -> None:
    engine = make_local(tmp_path, workers=2)
    engine.close()
    assert psutil.Process().children(recursive=True) == []


def test_an_interrupt_of_the_whole_terminal_reaches_no_worker(tmp_path: Path) -> None:
    """The workers are in a session of their own, and ignore SIGINT when somebody sends it to them."""
    with local(tmp_path) as engine:
        slot = engine.slots[0]
        events_of(engine, slot, Orders(start=(a_trial(tmp_path),)))
        for process in psutil.Process().children(recursive=True):
            assert os.getsid(process.pid) != os.getsid(0)
            process.send_signal(signal.SIGINT)
        events_of(engine, slot)
        assert isinstance(events_of(engine, slot)[-1], Finished)


# -- the driver's end -------------------------------------------------------------------------------------------------

SCRIPT = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored, nohup with SIGHUP
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.path.insert(0, {tests!r})
print("main runs", flush=True)
from contracts.engine import a_trial
from automl.engines import make_engine
from automl.events import Orders
from automl.training.simulated import Fault, Rehearsal
folder = Path({folder!r})
engine = make_engine("local", devices="cpu", workers="2", log_folder=folder, trainer=Rehearsal(faults={{0: Fault("hang", epoch=2)}}))
for _ in range(2):
    engine.send(engine.slots[0], Orders(start=(a_trial(folder, 0),)))
    answer = engine.wait(0.05 if _ else None)
print("trains", flush=True)
{then}
"""


def run_script(folder: Path, then: str) -> subprocess.Popen[str]:
    """A person's script that trains through the engine, without an ``if __name__ == "__main__"``."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1]), folder=str(folder), then=then))
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


@pytest.fixture
def training_script(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A script in the middle of training, and all processes below it."""
    with run_script(tmp_path, "time.sleep(600)") as script:
        assert script.stdout is not None
        assert [script.stdout.readline(), script.stdout.readline()] == ["main runs\n", "trains\n"]
        below = psutil.Process(script.pid).children(recursive=True)
        assert len(below) == 3
        yield script, below
        script.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_survives_a_driver_that_is_killed_while_training(
    training_script: tuple[subprocess.Popen[str], list[psutil.Process]], number: signal.Signals
) -> None:
    script, below = training_script
    script.send_signal(number)
    assert psutil.wait_procs(below, timeout=10)[1] == []


def test_nothing_survives_when_the_driver_and_its_fork_server_are_killed_together(
    training_script: tuple[subprocess.Popen[str], list[psutil.Process]],
) -> None:
    script, below = training_script
    (server,) = psutil.Process(script.pid).children()
    server.kill()
    script.kill()
    assert psutil.wait_procs(below, timeout=10)[1] == []


def test_a_forgotten_engine_is_closed_at_exit_and_main_runs_once(tmp_path: Path) -> None:
    with run_script(tmp_path, "print([p.pid for p in __import__('psutil').Process().children(recursive=True)])") as script:
        out, err = script.communicate(timeout=PATIENCE_SECONDS)
    first, second, pids = out.splitlines()
    assert (first, second, script.returncode, err) == ("main runs", "trains", 0, "")
    assert len(json.loads(pids)) == 3
    assert [pid for pid in json.loads(pids) if psutil.pid_exists(pid)] == []


def test_a_process_that_the_driver_forked_keeps_no_worker_alive(tmp_path: Path) -> None:
    """A raw fork of the driver inherits all its pipes; the workers still end with the driver itself."""
    with run_script(tmp_path, "import os\nif os.fork() == 0:\n    time.sleep(600)\nprint('forked', flush=True)\ntime.sleep(600)") as script:
        assert script.stdout is not None
        assert [script.stdout.readline() for _ in range(3)] == ["main runs\n", "trains\n", "forked\n"]
        below = psutil.Process(script.pid).children(recursive=True)
        copy = next(
            process for process in below if not process.children() and process.cmdline()[1:] == psutil.Process(script.pid).cmdline()[1:]
        )
        script.kill()
        try:
            assert psutil.wait_procs([process for process in below if process != copy], timeout=10)[1] == []
        finally:
            copy.kill()


def test_a_fork_server_that_is_not_up_yet_ends_with_its_driver_as_well(tmp_path: Path) -> None:
    """Kernels that are compiled for the first time take it ten seconds, torch from a slow disk as well."""
    (tmp_path / "slow_to_come.py").write_text("import time\ndef wait():\n    print('waits', flush=True)\n    time.sleep(600)\n")
    script = f"""
import sys
from pathlib import Path
from automl.engines.devices import Placement
from automl.engines.local import LocalEngine
from automl.events import Slot
sys.path.append({str(tmp_path)!r})
engine = LocalEngine([Placement(Slot(0, "cpu", 1, "worker-0"), "", 1)], Path({str(tmp_path)!r}), None, ("slow_to_come:wait",))
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as driver:
        log = tmp_path / "forkserver.log"
        wait_until(lambda: log.exists() and "waits" in log.read_text())
        (server,) = psutil.Process(driver.pid).children()
        driver.kill()
        assert psutil.wait_procs([server], timeout=10)[1] == []


# -- what is there before the first fork ------------------------------------------------------------------------------

READY = """
import os
from pathlib import Path
def note():
    with Path({file!r}).open("a") as file:
        print(os.getpid(), file=file)
def fail():
    raise RuntimeError("cannot be had here")
"""


def test_what_all_workers_need_is_made_once_before_they_are_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_ready.py").write_text(READY.format(file=str(tmp_path / "calls")))
    monkeypatch.syspath_prepend(tmp_path)
    placements = [Placement(Slot(index, "cpu", 1, f"worker-{index}"), "", 1) for index in range(2)]
    preload = ("made_ready:fail", "made_ready:note")
    with closing(LocalEngine(placements, tmp_path / "workers", Rehearsal(), preload)) as engine:
        for slot in engine.slots:
            assert train(engine, slot, a_trial(tmp_path, slot.index))
        (server,) = psutil.Process().children()
        assert (tmp_path / "calls").read_text().split() == [str(server.pid)]
    assert "RuntimeError: cannot be had here" in (tmp_path / "workers" / "forkserver.log").read_text()


@pytest.mark.parametrize(("model", "device", "has_kernels"), [("mlp", "cpu", True), ("cnn", "cpu", False), ("mlp", "cuda:0", False)])
def test_kernels_are_there_before_the_fork_where_the_study_needs_them(tmp_path: Path, model: str, device: str, has_kernels: bool) -> None:
    with closing(LocalEngine([Placement(Slot(0, device, 1, "worker-0"), "", 1)], tmp_path, model=model)) as engine:
        (server,) = psutil.Process().children()
        wait_until(lambda: bool(server.children()))
        assert any("cython_blas" in each.path for each in server.memory_maps()) == has_kernels
        assert engine.slots[0].device == device


# -- the real trainer's home ------------------------------------------------------------------------------------------


def test_workers_have_their_share_of_threads_their_device_and_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("MKL_NUM_THREADS", "2")
    placements = [Placement(Slot(0, "cuda:1", 1, "worker-0"), "GPU-1234", 3), Placement(Slot(1, "cpu", 1, "worker-1"), "", 3)]
    with closing(LocalEngine(placements, tmp_path, Rehearsal())) as engine:
        seen = []
        for slot in engine.slots:
            engine.send(slot, Orders(start=(a_trial(tmp_path),)))
            answer = answer_of(engine, slot)
            assert not isinstance(answer, WorkerLost)
            seen.append(answer[0])
        assert [event.device for event in seen if isinstance(event, Started)] == ["cuda:1", "cpu"]
        (server,) = psutil.Process().children()
        environment = server.environ()
    assert [environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")] == ["2"] * 3
    assert environment["GOMP_SPINCOUNT"] == "1000"
    assert "MLFLOW_TRACKING_PASSWORD" not in environment


# -- logs and words ---------------------------------------------------------------------------------------------------


def test_last_words_are_those_of_the_newest_process(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    log.write_text("--- worker-0, process 1\nold words\n--- worker-0, process 2\n" + "".join(f"line {n}\n" for n in range(50)))
    assert last_words(log).splitlines() == [f"line {n}" for n in range(20, 50)]
    log.write_text("--- worker-0, process 1\nold words\n--- worker-0, process 2\n")
    assert last_words(log) == ""
    assert last_words(tmp_path / "absent.log") == ""


def test_a_log_is_cut_to_its_last_half_from_the_start_of_a_line(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    log.write_bytes(b"0123456\n" * 100)
    trim(log, 800)
    assert log.stat().st_size == 800
    trim(log, 799)
    assert log.read_bytes() == b"0123456\n" * 49


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-9, "killed by SIGKILL (the kernel does this when memory runs out)"),
        (-11, "segmentation fault (SIGSEGV)"),
        (-7, "bus error (SIGBUS; often a disk or /dev/shm that is full)"),
        (-6, "killed by SIGABRT"),
        (-63, "killed by signal 63"),
    ],
)
def test_causes_of_death_in_words(code: int, words: str) -> None:
    assert cause_of_death(code) == words


def test_a_worker_that_dies_in_the_middle_of_its_answer_is_lost_like_any_other(tmp_path: Path) -> None:
    """The first bytes of a long answer lie in the connection, and nothing follows."""
    with local(tmp_path, Rehearsal(faults={0: Fault("hang", epoch=2)})) as engine:
        slot = engine.slots[0]
        events_of(engine, slot, Orders(start=(a_trial(tmp_path, 0),)))
        engine.send(slot, Orders())
        ours, theirs = Pipe()
        os.write(theirs.fileno(), struct.pack("!i", 50_000) + b"half")
        theirs.close()
        seat = engine._seats[slot]
        seat.worker.connection, held_open = ours, seat.worker.connection
        (worker,) = workers_below(psutil.Process())
        worker.kill()
        assert lost_of(engine, slot).why.startswith("killed by SIGKILL")
        held_open.close()
        assert isinstance(train(engine, slot, a_trial(tmp_path, 1))[-1], Finished)
