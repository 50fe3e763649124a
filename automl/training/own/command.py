"""A trainer whose trials are trained by a program of a person's own, as it is: started with the trial's parameters, read as it prints."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automl.clock import now
from automl.events import (
    Diverged,
    Failed,
    FailureReason,
    Finished,
    Measure,
    Measured,
    Reported,
    Started,
    Tested,
    TrialKey,
    TrialSpec,
    WorkerEvent,
)
from automl.owncode import command_line, filled
from automl.training import files
from automl.training.outcomes import raise_if_of_the_disk
from automl.training.own import minder
from automl.training.own.output import TrialLog
from automl.training.own.printed import Found, Lines, MetricsFile, Reader
from automl.training.own.records import Standing, read_tested, write_tested
from automl.training.own.trial import instead, of_test, of_validation

GRACE_SECONDS = 5.0  # that a program has between SIGTERM and SIGKILL
_GLANCE_SECONDS = 0.2  # between two looks at a file of metrics
_LAST_WORDS_SECONDS = 2.0  # for output that is still on its way when the program has ended
_OUT_OF_MEMORY = ("out of memory", "OutOfMemoryError", "MemoryError")


class _Program:
    """One run of the command, and what it has said so far."""

    def __init__(self, spec: TrialSpec, device: str, grace: float) -> None:
        code = spec.job.code
        assert code is not None
        self.spec, self.standing = spec, Standing(spec)
        self.log = TrialLog(files.log_file(spec))
        self._is_again = self.log.file.exists()
        self.folder = files.own_folder(spec)
        self.folder.mkdir(parents=True, exist_ok=True)
        values = known_to_commands(spec, device, self.folder)
        self.reader = Reader(spec.job.objective, code.pattern, spec.job.further)
        self._file = MetricsFile(self._fresh(filled(code.file, values)), self.reader) if code.file else None
        self.reports: deque[tuple[Found, float]] = deque()
        self.tests: dict[str, float] = {}
        self.exit_code: int | None = None
        self.error = ""
        self._lines, self._began = Lines(), time.perf_counter()
        words = command_line(spec.job.model, values)
        self.log.note(f"{'started again' if self._is_again else 'started'}: {subprocess.list2cmdline(words)}")
        self._answers, theirs = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", minder.__file__, str(theirs), str(grace), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=code.folders[0],
            env={**os.environ, **_environment(values, spec)},
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        self._answer, self._is_open, self._group = b"", True, 0

    def _fresh(self, file: str) -> Path:
        """Where the metrics will stand; what an earlier run has left in the trial's own folder is deleted."""
        path = self.folder / file
        if path.is_relative_to(self.folder):
            path.unlink(missing_ok=True)
        return path

    @property
    def has_ended(self) -> bool:
        return self.exit_code is not None or bool(self.error)

    def listen(self) -> None:
        """Take in what the program says until there is a report, or its end."""
        while not self.reports and not self.has_ended:
            assert self._process.stdout is not None
            sources = [self._answers, *([self._process.stdout.fileno()] if self._is_open else [])]
            ready, _, _ = select.select(sources, [], [], _GLANCE_SECONDS if self._file else None)
            if self._is_open and self._process.stdout.fileno() in ready:
                self._hear()
            if self._file:
                self._note(self._file.news())
            if self._answers in ready:
                self._learn()

    def _hear(self, *, last: bool = False) -> None:
        assert self._process.stdout is not None
        data = b"" if last else os.read(self._process.stdout.fileno(), 2**16)
        self._is_open = bool(data)
        self.log.write(data)
        for line in self._lines.take(data, last=not data):
            if self._file is None:
                self._note(self.reader.line(line))

    def _learn(self) -> None:
        """What the minder says: under which number the program runs, and how it ended."""
        data = os.read(self._answers, 4096)
        self._answer += data
        *whole, self._answer = self._answer.split(b"\n")
        for line in whole:
            said: dict[str, Any] = json.loads(line)
            self._group = said.get("group", self._group)
            if "code" in said or "error" in said:
                self._hear_out()
                self.error, self.exit_code = said.get("error", ""), said.get("code")
        if not data and not self.has_ended:  # the minder was killed
            with contextlib.suppress(OSError):
                os.killpg(self._group, signal.SIGKILL)
            self._hear_out()
            self.exit_code = -signal.SIGKILL

    def _hear_out(self) -> None:
        """The program has ended; what it has said last counts."""
        assert self._process.stdout is not None
        until = time.monotonic() + _LAST_WORDS_SECONDS
        while self._is_open and select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
            self._hear()
        if self._is_open:
            self._hear(last=True)
        if self._file:
            self._note(self._file.news(last=True))

    def _note(self, found: Sequence[Found]) -> None:
        for each in found:
            if each.is_test:
                self.tests.update(each.metrics)
                continue
            at = time.perf_counter()
            if self._goes_on_with(each):
                assert each.epoch is not None
                self.standing.epoch = each.epoch - 1
            self.reports.append((each, at - self._began))
            self._began = at

    def _goes_on_with(self, first: Found) -> bool:
        """Whether this is the first report of a program that goes on from a checkpoint of its own: the epoch after one that is known, or
        after one that was on its way. One that reports every tenth epoch alone begins anew with its tenth."""
        if not self._is_again or self.standing.epoch or self.reports or first.epoch is None:
            return False
        known = self.spec.reported
        return first.epoch > 1 and (known is None or first.epoch <= known + 2)

    def close(self) -> None:
        """End the program, whatever it is doing; returns when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        os.close(self._answers)


def known_to_commands(spec: TrialSpec, device: str, folder: Path) -> dict[str, object]:
    """What stands for the names in a command: the trial's parameters, and what else it may want to know."""
    own = {"seed": spec.seed & 0xFFFFFFFF, "device": device, "epochs": spec.epochs, "folder": folder, "trial": spec.key.trial}
    return {**own, "data": spec.job.data, **spec.configuration}


def _environment(values: Mapping[str, object], spec: TrialSpec) -> dict[str, str]:
    """What the program finds in its environment. A device of its own comes with the worker's ``CUDA_VISIBLE_DEVICES``."""
    known = {f"AUTOML_{name.upper()}": str(values[name]) for name in ("device", "epochs", "folder", "data")}
    return {
        "PYTHONUNBUFFERED": "1",  # reports that come at once, and not at the end
        **known,
        "AUTOML_TRIAL": str(spec.key.trial),
        "AUTOML_SEED": str(spec.seed & 0xFFFFFFFF),
        "AUTOML_PARAMETERS": json.dumps(dict(spec.configuration)),
    }


class CommandTrainer:
    """Trains one trial at a time by running the command of its job; trials that are started meanwhile wait in their order.

    Args:
        device: what torch calls it, such as ``cpu`` or ``cuda:0``.
        worker: the name that ``Started`` gives.
        lanes: how many trials may be inside at once; they do not train side by side.
        grace: seconds that a program has to end in order.
    """

    def __init__(self, device: str, worker: str, lanes: int, *, grace: float = GRACE_SECONDS) -> None:
        self.lanes = lanes
        self._device, self._worker, self._grace = device, worker, grace
        self._waiting: deque[TrialSpec] = deque()
        self._program: _Program | None = None

    def start(self, trial: TrialSpec) -> None:
        """Take this trial; it waits until those before it have ended."""
        self._waiting.append(trial)

    def stop(self, key: TrialKey) -> None:
        """Forget this trial. Returns when its program has ended."""
        self._waiting = deque(trial for trial in self._waiting if trial.key != key)
        if self._program and self._program.spec.key == key:
            self._end(self._program)

    def advance(self) -> list[WorkerEvent]:
        """Start the next program that waits, or read on until the next report of the one that runs, or its end."""
        if self._program is None:
            return self._start_next() if self._waiting else []
        program = self._program
        program.listen()
        events = self._reported(program, *program.reports.popleft()) if program.reports else self._ended(program)
        if not isinstance(events[-1], Reported):
            self._end(program)
        return events

    def _start_next(self) -> list[WorkerEvent]:
        spec = self._waiting.popleft()
        started = Started(spec.key, now(), self._device, self._worker)
        try:
            self._program = _Program(spec, self._device, self._grace)
        except OSError as error:
            raise_if_of_the_disk(error)
            return [started, Failed(spec.key, now(), "error", f"{error.filename}: {(error.strerror or str(error)).lower()}")]
        return [started]

    def _reported(self, program: _Program, found: Found, seconds: float) -> list[WorkerEvent]:
        spec, standing, objective = program.spec, program.standing, program.spec.job.objective
        value = found.metrics[objective]
        if standing.epoch >= spec.epochs:
            program.log.note(f"ended at report {standing.epoch + 1}: a trial of this study has {spec.epochs} epochs")
            return self._finished(program)
        if not math.isfinite(value):
            program.log.note(f"{objective} is {value} in report {standing.epoch + 1}, so the trial has diverged")
            return [Diverged(spec.key, now(), standing.epoch + 1, seconds, objective)]
        standing.note(value, of_test(found.metrics, objective), of_validation(found.metrics, objective).get("loss"))
        return [Reported(spec.key, now(), standing.epoch, of_validation(found.metrics, objective), seconds)]

    def _ended(self, program: _Program) -> list[WorkerEvent]:
        """The program has ended, and all its reports were told."""
        spec = program.spec
        if program.exit_code == 0 and program.standing.epoch:
            return self._finished(program)
        why: FailureReason = "error"
        if program.error:
            detail = program.error
        elif program.exit_code == 0:
            detail = _printed_nothing(program)
        else:
            last = program.log.last_lines()
            why = "out_of_memory" if any(words in last for words in _OUT_OF_MEMORY) else "error"
            detail = f"the command {_how(program.exit_code or 0)}\n{last}".rstrip()
        return [Failed(spec.key, now(), why, detail)]

    def _finished(self, program: _Program) -> list[WorkerEvent]:
        spec, tests = program.spec, program.tests or program.standing.best_tests
        events: list[WorkerEvent] = []
        if spec.tested and tests:
            events.append(Tested(spec.key, now(), tests))
        elif not spec.tested:
            write_tested(spec, tests)
        return [*events, Finished(spec.key, now(), stopped_early=program.standing.epoch < spec.epochs)]

    def test(self, trial: TrialSpec) -> WorkerEvent:
        """What the program said of test data when it trained this trial; no metrics where it said nothing."""
        return Tested(trial.key, now(), read_tested(trial))

    def measure(self, order: Measure) -> Measured:
        """Nothing trains side by side here."""
        return Measured({})

    def _end(self, program: _Program) -> None:
        """Leave nothing of the program running."""
        self._program = None
        program.close()
        with contextlib.suppress(OSError):
            program.folder.rmdir()  # only where nothing is in it


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was killed by {name}" + (" (the kernel does this when memory runs out)" if -code == signal.SIGKILL else "")


def _printed_nothing(program: _Program) -> str:
    spec, reader = program.spec, program.reader
    objective, code = spec.job.objective, spec.job.code
    assert code is not None
    where = f"write to {code.file}" if code.file else "print"
    if code.pattern:
        wanted, remedy = f"lines that match {code.pattern!r}", "Correct the pattern, or what is printed."
    elif code.file.endswith(".csv"):
        wanted, remedy = f"rows with a column {objective!r}", "Write them while it trains."
    else:
        wanted = f'lines such as {{"epoch": 1, "{objective}": 0.5}}'
        name = objective if objective.isidentifier() else "loss"
        remedy = f'Where it prints others, give their pattern in the space file: metrics: {{pattern: "{name}=(?P<{name}>[0-9.]+)"}}.'
    seen = f" It gave {', '.join(reader.seen)}." if reader.seen else ""
    last = [*program.log.last_lines().splitlines(), instead(objective, reader.seen).strip() or remedy]
    return "\n".join([f"the command must {where} {wanted}, but ended without any.{seen}", *last])
