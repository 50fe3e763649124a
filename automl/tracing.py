"""What an Optuna objective asks for, found by calling it: its space is in its code and nowhere else.

The objective is called a few times in a process of its own (``python -m automl.tracing``), each call in a fork of it that is ended at the
first report or result. Parameters get their lowest or first value, and then, one after the other, each value that may lead elsewhere, so
that what is asked for in one case only is met as well. A parameter that no call has met is unknown; a trial that asks for it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from automl.errors import UsageError
from automl.events import Value
from automl.owncode import CodeError, answer_a_request, described, imported, place_of
from automl.suggestions import Asked, OptunaTrial, is_pruned

MOST_CALLS = 64
MOST_VALUES = 8  # of a whole number that are all tried; of more the first and the last
_PATIENCE_SECONDS = 30.0  # of the first call, without a word
_SHORT_SECONDS = 2.0  # of later ones, and five times as long as the first one took to ask its last question
COUNT_SECONDS = 10.0  # that the first call may go on after its first report, to see how many there are
_ALL_SECONDS = 60.0  # after which no more calls are made
_IMPORT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what was ``asked`` for in its order, and the ``values`` that were given. ``ended``: by itself; else by us.

    ``reports`` are those that were made before its end. ``error``: what it raised, with the place.
    """

    asked: tuple[Asked, ...]
    values: Mapping[str, Value]
    reports: int = 0
    ended: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """All ``calls``, the first one at the lowest and first values. ``is_whole``: every value that was to be tried was. ``file``: where the
    objective is written."""

    calls: tuple[Call, ...]
    is_whole: bool
    file: str = ""

    @property
    def reports(self) -> int | None:
        """How often the objective reports, its result included where it never did before; None where that is not known."""
        first = self.calls[0]
        return max(first.reports, 1) if first.ended else None

    @property
    def asked(self) -> dict[str, Asked]:
        """Every parameter, as it was first asked for, in the order in which they were met."""
        met: dict[str, Asked] = {}
        for call in self.calls:
            for each in call.asked:
                met.setdefault(each.name, each)
        return met


def traced(target: str, folders: Sequence[str], *, counts: bool) -> Traced:
    """Call the objective ``module:name``. ``counts``: the first call goes on after its first report, for a while, to count them.

    Raises CodeError where it is not there, raises an error before it asks for anything, or asks for nothing.
    """
    request = json.dumps({"target": target, "folders": list(folders), "counts": counts})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    environment |= {"OMP_NUM_THREADS": "1"}  # threads of OpenMP do not outlive a fork
    command, limit = [sys.executable, "-m", "automl.tracing"], _IMPORT_SECONDS + 2 * _PATIENCE_SECONDS + _ALL_SECONDS
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, errors="replace"
    ) as process:
        try:
            out, err = process.communicate(request, timeout=limit)
        except BaseException as error:
            process.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise CodeError(f"{target!r} must be importable, but its import took more than {_IMPORT_SECONDS:g} s.") from None
    try:
        found = json.loads(out.rpartition("\n")[2])
    except ValueError:
        words = err.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise CodeError(f"{target!r} must be importable, but its import ended the process ({words[0]}).") from None
    if "problem" in found:
        raise CodeError(found["problem"])
    calls = tuple(_call(entry) for entry in found["calls"])
    first = calls[0]
    if not first.asked:
        what = (
            f"raised {first.error}" if first.error else "ended" if first.ended else "asked for nothing before its first report or in time"
        )
        raise CodeError(f"{target!r} must ask for a parameter by trial.suggest_..., but {what}.")
    return Traced(calls, found["is_whole"], found["file"])


def _call(record: Mapping[str, Any]) -> Call:
    asked = tuple(Asked(**{**each, "choices": tuple(each["choices"])}) for each in record["asked"])
    return Call(asked, record["values"], record["reports"], record["ended"], record["error"])


# -- the process of its own -------------------------------------------------------------------------------------------


def explored(call: Callable[[Mapping[str, Value], bool], Call], counts: bool, now: Callable[[], float] = time.monotonic) -> Traced:
    """All calls. ``call`` makes one with these values for some parameters; its second argument: whether reports are counted."""
    calls, until = [call({}, counts)], now() + _ALL_SECONDS
    waiting: deque[tuple[str, Value, Mapping[str, Value]]] = deque()
    met: set[str] = set()

    def meet(one: Call) -> None:
        for asked in one.asked:
            if asked.name not in met:
                met.add(asked.name)
                waiting.extend((asked.name, value, one.values) for value in others(asked))

    meet(calls[0])
    while waiting and len(calls) < MOST_CALLS and now() < until:
        name, value, context = waiting.popleft()
        calls.append(call({**context, name: value}, False))
        meet(calls[-1])
    return Traced(tuple(calls), not waiting)


def first_of(asked: Asked) -> Value:
    """The value of a parameter in the first call."""
    if asked.kind == "categorical":
        return asked.choices[0]
    return asked.fitted(int(asked.low) if asked.kind == "int" else asked.low)


def others(asked: Asked) -> list[Value]:
    """The other values that may lead elsewhere: all of a few, else the last one."""
    if asked.kind == "categorical":
        return list(asked.choices[1:])
    if asked.kind == "float" or asked.low == asked.high:
        return []
    steps = range(int(asked.low), int(asked.high) + 1, int(asked.step))
    return list(steps[1:]) if len(steps) <= MOST_VALUES else [steps[-1]]


class _EnoughError(BaseException):
    """The call has told what was wanted. No ``Exception``, so that nobody catches it by chance."""


class _Tracing:
    """Behind the trial of a call: says what is asked for, and ends the call at its first report unless they are counted."""

    def __init__(self, values: Mapping[str, Value], counts: bool, say: Callable[[dict[str, Any]], None]) -> None:
        self.number, self.maximize, self.study_name = 0, False, "tracing"
        self._values, self._counts, self._say = values, counts, say
        self.last: float | None = None

    def choose(self, asked: Asked) -> Value:
        value = first_of(asked)
        with contextlib.suppress(ValueError, KeyError):
            value = asked.fitted(self._values[asked.name])
        self._say({"asked": asdict(asked), "value": value})
        return value

    def report(self, value: float) -> None:
        self.last = value
        self._say({"reported": value})
        if not self._counts:
            raise _EnoughError

    def should_prune(self) -> bool:
        return False


def _called(objective: Callable[[Any], Any], values: Mapping[str, Value], request: Mapping[str, Any], out: int) -> None:
    """In the fork: call the objective and say how it ends."""

    def say(record: dict[str, Any]) -> None:
        os.write(out, json.dumps(record).encode() + b"\n")

    behind = _Tracing(values, request["counts"], say)
    try:
        result = objective(OptunaTrial(behind))
        say({"returned": True, "is_news": result not in (None, behind.last)})
    except _EnoughError:
        say({"enough": True})
    except BaseException as error:
        if is_pruned(error):
            say({"returned": True, "is_news": False})
        else:
            place = place_of(error, request["folders"])
            text = (str(error) or "no message").splitlines()[0]
            named = text if isinstance(error, UsageError) else f"{type(error).__name__}: {text}"
            say({"raised": f"{named}{f' ({place})' if place else ''}"})


def _forked(objective: Callable[[Any], Any], request: Mapping[str, Any]) -> Callable[[Mapping[str, Value], bool], Call]:
    """Calls in forks of this process. Each may keep silent for a while, and is then taken for one that asks for nothing more."""
    slowest = 0.0

    def call(values: Mapping[str, Value], counts: bool) -> Call:
        nonlocal slowest
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            os.setsid()
            _called(objective, values, {**request, "counts": counts}, theirs)
            os._exit(0)
        os.close(theirs)
        began, patience = time.monotonic(), max(_SHORT_SECONDS, 5 * slowest) if slowest else _PATIENCE_SECONDS
        found = Call((), {})
        try:
            for record in _records(ours, patience):
                found = _with(found, record)
                if "asked" in record:
                    slowest = max(slowest, time.monotonic() - began)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)  # with whatever it has started
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ours)
        return found

    return call


def _records(source: int, patience: float) -> Iterator[dict[str, Any]]:
    """What the call says until it ends, or keeps silent for longer than that; reports are counted for so long at most."""
    rest, until = b"", time.monotonic() + patience
    counting_until = float("inf")
    while select.select([source], [], [], max(0.0, min(until, counting_until) - time.monotonic()))[0]:
        data = os.read(source, 2**16)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            record: dict[str, Any] = json.loads(line)
            yield record
            until = time.monotonic() + patience
            if "reported" in record:
                counting_until = min(counting_until, time.monotonic() + COUNT_SECONDS)


def _with(call: Call, record: Mapping[str, Any]) -> Call:
    match record:
        case {"asked": asked, "value": value}:
            one = Asked(**{**asked, "choices": tuple(asked["choices"])})
            return replace(call, asked=(*call.asked, one), values={**call.values, one.name: value})
        case {"reported": _}:
            return replace(call, reports=call.reports + 1)
        case {"is_news": is_news}:  # a result that was not reported before is one more report
            return replace(call, ended=True, reports=call.reports + bool(is_news))
        case {"raised": error}:
            return replace(call, ended=False, error=error)
        case _:
            return call


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        objective = imported(request["target"], request["folders"])
    except CodeError as error:
        return {"problem": str(error)}
    known = described(objective)
    if not known.positional:
        needs = ", ".join(known.needs) or "nothing"
        return {"problem": f"{request['target']!r} must take the trial as its only argument, but takes {needs}."}
    found = explored(_forked(objective, request), request["counts"])
    return {"calls": [asdict(call) for call in found.calls], "is_whole": found.is_whole, "file": known.file}


if __name__ == "__main__":
    answer_a_request(_answer)
