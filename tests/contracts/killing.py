"""Real studies of the real command, to be killed with SIGKILL at moments that are drawn from a seed, and what must be true of them then.

A kill counts only where it fell inside the run: what was killed was alive until then, and the command had not ended.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from automl.tracking.sqlite_store import ensure_store
from contracts.mlflowserver import Server

Target = Literal["driver", "worker", "workers", "server", "everything"]

EPOCHS = 12
TRIALS = 24
SPACE = f"""\
name: small
data: digits
model: mlp
epochs: {EPOCHS}
space:
  units:         {{type: int, low: 8, high: 64, log: true, grid: 4}}
  learning_rate: {{type: float, low: 1e-3, high: 1e-1, log: true, grid: 4}}
  dropout:       {{type: float, low: 0.0, high: 0.5, grid: 2}}
baseline: {{units: 16, learning_rate: 0.001, dropout: 0.0}}
"""
_CONFIRM = 2
_PATIENCE_SECONDS = 300.0  # with a run that is left alone
_LOOK_SECONDS = 0.003
_ENDING = ("Finished", "Pruned", "Diverged", "Failed")
_ABOUT_RUNS = ("Created", "Resumed", "Rested", "Started", "Lost")  # what a study says about its drivers and workers, not about trials
_TIMES = {"Reported": 2, "Suggested": 2}  # where in the body of an event the seconds stand


@dataclass(frozen=True, slots=True)
class Plan:
    """How a study searches, and with what."""

    strategy: str
    workers: int = 1
    lanes: int = 1
    pruner: str = "none"
    has_server: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether its numbers are the same to the bit, whatever happens to it."""
        return self.lanes == 1

    @property
    def is_ordered(self) -> bool:
        """Whether also the order of all that happens to its trials is the same."""
        return self.lanes == self.workers == 1


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that fell inside a run. ``phase`` is how far the study was; ``migrates``: MLflow's fresh store was being made just then."""

    plan: Plan
    target: Target
    phase: str
    migrates: bool
    seconds: float  # since the command was started


@dataclass
class Victim:
    """A study in a folder of its own, driven by the real command with the real MLflow."""

    folder: Path
    plan: Plan
    server: Server | None = None
    study: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "small.yaml").write_text(SPACE)
        self.study = self.folder / "studies" / "s"
        if self.plan.has_server:
            ensure_store(self.folder / "mlflow.db")  # a server that is killed while it makes its store leaves one that no MLflow opens
            self.server = Server(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.server is not None:
            self.server.stop()

    @property
    def command(self) -> list[str]:
        plan = self.plan
        uri = self.server.uri if self.server else "sqlite:///mlflow.db"
        places = ["--workers", str(plan.workers), "--lanes", str(plan.lanes), "--mlflow", uri]
        methods = ["--strategy", plan.strategy, "--pruner", plan.pruner, "--trials", str(TRIALS), "--confirm", str(_CONFIRM)]
        return [sys.executable, "-m", "automl", "run", "small.yaml", "--study", "s", *methods, *places]

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)

    def run(self) -> None:
        """Run it to its end."""
        if self.server is not None:
            self.server.start()
        assert self.start().wait(timeout=_PATIENCE_SECONDS) == 0, self.said

    @property
    def said(self) -> str:
        return (self.folder / "log.txt").read_text()

    def rows(self) -> list[tuple[str, int | None, int | None, list[Any]]]:
        """The events as they lie in the file: kind, trial, replicate and body; none where there is no study yet."""
        with contextlib.suppress(sqlite3.Error), _reading(self.study / "study.db") as connection:
            found = connection.execute("select kind, trial, replicate, body from events order by id").fetchall()
            return [(kind, trial, replicate, json.loads(body)) for kind, trial, replicate, body in found]
        return []

    def length(self) -> int:
        """How many events there are now."""
        with contextlib.suppress(sqlite3.Error), _reading(self.study / "study.db") as connection:
            return int(connection.execute("select max(id) from events").fetchone()[0] or 0)
        return 0

    def migrates(self) -> bool:
        """Whether MLflow's fresh store is being made now."""
        return any(self.folder.glob(".mlflow.db.*.new"))

    def phase(self) -> str:
        """How far the study is, by its events."""
        rows = self.rows()
        ended = sum(kind in _ENDING and replicate == 0 for kind, _, replicate, _ in rows)
        confirming = sum(kind == "Confirming" for kind, *_ in rows)
        confirmed = sum(kind == "Finished" and bool(replicate) for kind, _, replicate, _ in rows)
        if not rows:
            return "before the study"
        if not any(kind == "Reported" for kind, *_ in rows):
            return "before the first report"
        if ended < TRIALS:
            return "search"
        if confirmed < confirming or not confirming:
            return "confirmation"
        if not any(kind == "Tested" and replicate == 0 for kind, _, replicate, _ in rows):
            return "before the winner's test"
        return "after the winner's test"

    def lost_once(self) -> bool:
        """Whether a trial that has not ended has lost its worker before: the second time would rightly count against the trial."""
        lost = {(trial, replicate) for kind, trial, replicate, _ in self.rows() if kind == "Lost"}
        over = {(trial, replicate) for kind, trial, replicate, _ in self.rows() if kind in _ENDING}
        return bool(lost - over)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise sqlite3.OperationalError
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
        yield connection


# -- killing ----------------------------------------------------------------------------------------------------------


def killed(victim: Victim, choose: random.Random, calm_seconds: float, calm_events: int, most: int) -> list[Kill]:
    """Run the command of a study again and again until it has ended well, with at most so many kills on the way."""
    kills: list[Kill] = []
    has_ended = False
    while len(kills) < most and not has_ended:
        if victim.server is not None:
            victim.server.start()
        process, began, before = victim.start(), time.monotonic(), len(kills)
        while process.poll() is None and len(kills) < most:
            kill = _killed_once(process, began, victim, choose, _Moment(victim, choose, calm_seconds, calm_events), kills[before:])
            kills += [kill] if kill is not None else []
        assert process.wait(timeout=_PATIENCE_SECONDS) in (0, -signal.SIGKILL), victim.said
        has_ended = process.returncode == 0
    return kills


def _killed_once(
    process: subprocess.Popen[bytes], began: float, victim: Victim, choose: random.Random, moment: _Moment, kills: list[Kill]
) -> Kill | None:
    """What became of the next moment to kill, after those of this run; None where the run was over before."""
    while process.poll() is None and not moment.has_come():
        time.sleep(_LOOK_SECONDS)
    target = _target(victim, choose, kills)
    phase, migrates, seconds = victim.phase(), victim.migrates(), time.monotonic() - began
    is_hit = strike(process, target, choose, victim.server)
    return Kill(victim.plan, target, phase, migrates, seconds) if is_hit else None


def _target(victim: Victim, choose: random.Random, kills: list[Kill]) -> Target:
    """The second worker that dies of the winner's test would rightly count against it."""
    targets: list[Target] = ["driver", "driver", "everything"]
    near_the_test = ("confirmation", "before the winner's test")
    has_died = any(kill.target in ("worker", "workers") and kill.phase in near_the_test for kill in kills)
    if not victim.lost_once() and not (has_died and victim.phase() == near_the_test[1]):
        targets += ["worker", "workers"]
    if victim.server is not None:
        targets += ["server", "server"]
    return choose.choice(targets)


class _Moment:
    """A moment to kill: by the clock, when so many events are there, while MLflow's store is being made, or about the end."""

    def __init__(self, victim: Victim, choose: random.Random, calm_seconds: float, calm_events: int) -> None:
        self._victim = victim
        now, self._migration, self._events, self._at = time.monotonic(), False, 0, 0.0
        have = victim.length()
        match choose.choices(["clock", "events", "end", "migration"], [2, 6, 1, 3 if have == 0 else 0])[0]:
            case "clock":
                self._at = now + choose.uniform(0.05, 0.8 * calm_seconds)
            case "events":
                self._events = choose.randint(have + 1, max(have + 1, calm_events))
            case "end":
                self._events = max(have + 1, calm_events - choose.randint(0, 6))
            case _:
                self._migration = True
        self._after = choose.choice([0.0, choose.uniform(0.0, 0.05), choose.uniform(0.0, 0.5)])

    def has_come(self) -> bool:
        if self._migration:
            is_here = self._victim.migrates() or (self._victim.folder / "mlflow.db").exists()
        elif self._events:
            is_here = self._victim.length() >= self._events
        else:
            return time.monotonic() >= self._at
        if is_here:
            self._migration, self._events, self._at = False, 0, time.monotonic() + self._after
        return False


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The workers of a driver: what its fork server has forked."""
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "automl.engines.forkserver" in " ".join(child.cmdline()):
                    found += child.children()
    return found


def strike(process: subprocess.Popen[bytes], target: Target, choose: random.Random, server: Server | None = None) -> bool:
    """Kill the driver, one worker, all workers, the MLflow server or everything, if there is any; whether it was so."""
    if target == "server":
        assert server is not None
        if process.poll() is not None or not server.is_up:
            return False
        server.stop()
        was_in_time = process.poll() is None
        if choose.random() < 0.5:
            server.start()
        return was_in_time
    workers = workers_of(process)
    if target in ("worker", "workers"):
        return process.poll() is None and _kill_all([choose.choice(workers)] if workers and target == "worker" else workers)
    with contextlib.suppress(psutil.NoSuchProcess):
        others = psutil.Process(process.pid).children(recursive=True)
        if process.poll() is None:
            process.kill()
            if target == "everything":
                _kill_all(others)
                if server is not None:
                    server.stop()
            assert _outlive(process, others) == []
            return process.returncode == -signal.SIGKILL
    return False


def _kill_all(victims: Sequence[psutil.Process]) -> bool:
    """Whether one of them was there to be killed."""
    were_there = False
    for each in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            were_there = were_there or each.status() != psutil.STATUS_ZOMBIE
            each.kill()
    return were_there


def _outlive(process: subprocess.Popen[bytes], others: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Which of its processes outlive a driver that was killed."""
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(others, timeout=20)
    return list(alive)


# -- laws -------------------------------------------------------------------------------------------------------------


def check_laws(victim: Victim, calm: Victim) -> None:
    """What must be true of a study that was killed again and again and then left alone, beside the same one that nobody touched."""
    _check_trials(victim)
    _check_suggestions(victim, calm)
    if victim.plan.is_exact and victim.plan.pruner == "none":
        assert _curves(victim) == _curves(calm)
    if victim.plan.is_ordered:
        assert _meaning(victim) == _meaning(calm)
        assert _best(victim) == _best(calm)
    _check_mlflow(victim)
    assert "Traceback" not in victim.said


def _check_trials(victim: Victim) -> None:
    """The asked number of trials, all ended, no configuration twice, every epoch of each reported once."""
    rows = victim.rows()
    suggested = [(trial, json.dumps(body[0], sort_keys=True)) for kind, trial, _, body in rows if kind == "Suggested"]
    assert [trial for trial, _ in suggested] == list(range(TRIALS))
    assert len({configuration for _, configuration in suggested}) == TRIALS
    ends: dict[tuple[int | None, int | None], list[str]] = defaultdict(list)
    reports: dict[tuple[int | None, int | None], list[int]] = defaultdict(list)
    for kind, trial, replicate, body in rows:
        if kind in _ENDING:
            ends[trial, replicate].append(kind)
        elif kind == "Reported":
            reports[trial, replicate].append(body[0])
    confirmed = {(trial, replicate) for kind, trial, replicate, _ in rows if kind == "Confirming"}
    assert ends.keys() == {(trial, 0) for trial in range(TRIALS)} | confirmed
    allowed = [["Finished"]] if victim.plan.pruner == "none" else [["Finished"], ["Pruned"]]
    assert all(end in allowed for end in ends.values()), ends
    for key, end in ends.items():
        assert reports[key] == list(range(1, len(reports[key]) + 1)), (key, reports[key])
        assert len(reports[key]) == EPOCHS or (end == ["Pruned"] and reports[key]), (key, reports[key])
    assert sum(kind == "Tested" and replicate == 0 for kind, _, replicate, _ in rows) == 1


def _check_suggestions(victim: Victim, calm: Victim) -> None:
    """The same configurations in the same order; of a grid therefore every point. What learns needs the same order of ends as well."""
    if victim.plan.strategy in ("random", "sobol", "grid") or victim.plan.is_ordered:
        assert [row for row in _meaning(victim) if row[0] == "Suggested"] == [row for row in _meaning(calm) if row[0] == "Suggested"]
    if victim.plan.is_exact:
        return
    curves, expected = _curves(victim), _curves(calm)
    trials = [(trial, 0) for trial in range(TRIALS)]
    for key in trials:
        first, same = curves[key][0][1], expected[key][0][1]  # of the first epoch: float32 has not had the time to drift
        assert abs(first["loss"] - same["loss"]) <= 1e-3 * same["loss"], (key, first, same)
    best, best_expected = ([max(report[1]["accuracy"] for report in each[key]) for key in trials] for each in (curves, expected))
    assert max(abs(a - b) for a, b in zip(best, best_expected, strict=True)) <= 0.05


def _curves(victim: Victim) -> dict[tuple[int | None, int | None], list[tuple[int, dict[str, float]]]]:
    """Of each training of the search, its reports."""
    curves: dict[tuple[int | None, int | None], list[tuple[int, dict[str, float]]]] = defaultdict(list)
    for kind, trial, replicate, body in victim.rows():
        if kind == "Reported" and replicate == 0:
            curves[trial, replicate].append((body[0], body[1]))
    return curves


def _meaning(victim: Victim) -> list[tuple[str, int | None, int | None, str]]:
    """All that happened to trials, in its order, but for times."""
    meaning = []
    for kind, trial, replicate, body in victim.rows():
        if kind not in _ABOUT_RUNS:
            kept = [value for place, value in enumerate(body) if place != _TIMES.get(kind)]
            meaning.append((kind, trial, replicate, json.dumps(kept, sort_keys=True)))
    return meaning


def _best(victim: Victim) -> tuple[object, ...]:
    """What is kept of the winner, to the bit."""
    folder = victim.study / "best"
    config = [line for line in (folder / "config.yaml").read_text().splitlines() if "seconds" not in line]
    return (folder / "weights.pt").read_bytes(), config


def _check_mlflow(victim: Victim) -> None:
    """Each trial once and at its end, each point once, and as many as there were reports."""
    with _reading(victim.folder / "mlflow.db") as connection:
        runs = connection.execute(
            """
            select run_uuid, status,
                   (select value from tags t where t.run_uuid = r.run_uuid and key = 'automl.kind'),
                   (select value from tags t where t.run_uuid = r.run_uuid and key = 'automl.trial')
            from runs r where lifecycle_stage = 'active'
            """
        ).fetchall()
        points = connection.execute("select run_uuid, key, step, count(*) from metrics group by run_uuid, key, step").fetchall()
    states = {trial: kind for kind, trial, replicate, _ in victim.rows() if kind in _ENDING and replicate == 0}
    expected = {str(trial): "FINISHED" if kind == "Finished" else "KILLED" for trial, kind in states.items()}
    assert {trial: status for _, status, kind, trial in runs if kind == "trial"} == expected
    assert Counter(kind for _, _, kind, _ in runs) == {"study": 1, "trial": TRIALS}
    assert {status for _, status, kind, _ in runs if kind == "study"} == {"FINISHED"}
    assert [point for point in points if point[3] != 1] == []
    lengths = {str(key[0]): len(curve) for key, curve in _curves(victim).items()}
    trials = {run: trial for run, _, kind, trial in runs if kind == "trial"}
    seen = Counter(trials[run] for run, key, *_ in points if key == "accuracy" and run in trials)
    assert seen == lengths


# -- what is said about kills -----------------------------------------------------------------------------------------


def table(kills: Sequence[Kill]) -> str:
    """Where the kills fell, and on whom."""
    targets = Counter(kill.target for kill in kills)
    phases = Counter(kill.phase for kill in kills)
    lines = [f"{len(kills)} kills inside a run, {sum(kill.migrates for kill in kills)} of them while MLflow made its store"]
    lines += [f"  {count:4d} {name}" for name, count in [*targets.most_common(), *phases.most_common()]]
    return "\n".join(lines)
