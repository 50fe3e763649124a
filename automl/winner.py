"""The end of a study: its winner is tested once on the test split and kept in ``best/``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from automl.best import WEIGHTS, checkpoint_record, code_record, command_again, holds_best, write_best
from automl.configurations import stated
from automl.driver import Session
from automl.durable import are_whole
from automl.engines import Engine
from automl.errors import AutomlError
from automl.events import Diverged, Failed, Finished, Measured, Orders, Tested, TrialSpec, WorkerEvent, WorkerLost
from automl.front import holds_front, keep_front
from automl.study import Study
from automl.summary import best_record
from automl.trials import MOST_LOSSES

_PATIENCE_SECONDS = 3600.0  # with a worker that tests, or trains an epoch again

IdleEngine = Callable[[], Engine]
"""Gives an engine whose workers have nothing to do; asked only when one is needed."""


def is_crowned(study: Study, folder: Path) -> bool:
    """Whether nothing is left to do for the winner: it was tested, and ``best/`` holds it whole. Also where there is no winner."""
    if study.winner is None:
        return True
    return _is_tested(study) and holds_best(folder, **_belongings(study, folder)) and holds_front(study, folder)


def crown(session: Session, folder: Path, idle: IdleEngine, say: Callable[[str], None]) -> None:
    """Test the winner on the test split, unless that was done, and keep it in ``best/``, and the front of several objectives in ``front/``.

    Does nothing where no trial is complete.

    Where its weights are gone or torn (a power cut may leave less of a file than was written) it is trained again first. Code of a
    person's own that trains keeps weights or not as it likes, and what it says of test data was said at its end.
    """
    study = session.study
    if study.winner is None:
        return
    number = study.winner.number
    spec = replace(session.specify(study.key(number)), save_if_beats=None)
    if not study.spec.trains_itself and not are_whole(_trial_folder(folder, number) / WEIGHTS):
        say(f"Trial {number} won, but its weights are not there any more: it is trained again.")
        _train_again(idle(), spec)
    if not _is_tested(study):
        session.record([_test(idle(), spec)])
    write_best(folder, _trial_folder(folder, number), again=command_again(study, folder), **_belongings(study, folder))
    keep_front(study, folder)


def _is_tested(study: Study) -> bool:
    return study.winner is not None and study.test is not None and study.test.trial == study.winner.number


def _trial_folder(folder: Path, number: int) -> Path:
    return folder / "trials" / str(number)


def _belongings(study: Study, folder: Path) -> dict[str, Any]:
    """What ``best/`` is to say beside the weights."""
    assert study.winner is not None
    record = {name: value for name, value in (best_record(study) or {}).items() if name != "front"}
    return {
        "model": study.spec.model,
        "configuration": stated(study.spec, study.winner.configuration),
        "data_folder": folder / "data",
        "extra": {"study": folder.name, **code_record(study.spec.code), **checkpoint_record(study.spec.checkpoint), **record},
    }


def _train_again(engine: Engine, spec: TrialSpec) -> None:
    """Train an ended trial for its weights alone; the study has its numbers."""

    def attempt() -> Sequence[WorkerEvent] | WorkerLost:
        events = _answer(engine, Orders(start=(spec,)))
        while not isinstance(events, WorkerLost) and not any(isinstance(event, Finished | Failed | Diverged) for event in events):
            events = _answer(engine, Orders())
        return events

    *_, last = _persistently(attempt, spec, "trained again", MOST_LOSSES)
    if not isinstance(last, Finished):
        raise _unfinished(spec, "trained again", getattr(last, "detail", str(last)))


def _test(engine: Engine, spec: TrialSpec) -> WorkerEvent:
    (event,) = _persistently(lambda: _answer(engine, Orders(test=(spec,))), spec, "tested", MOST_LOSSES)
    if not isinstance(event, Tested):
        raise _unfinished(spec, "tested", getattr(event, "detail", str(event)))
    return event


def _persistently(
    attempt: Callable[[], Sequence[WorkerEvent] | WorkerLost], spec: TrialSpec, what: str, tries: int
) -> Sequence[WorkerEvent]:
    """What the worker says, or, where it dies of it, what the next one says."""
    answer = attempt()
    if not isinstance(answer, WorkerLost):
        return answer
    if tries > 1:
        return _persistently(attempt, spec, what, tries - 1)
    raise _unfinished(spec, what, f"{MOST_LOSSES} workers died of it: {answer.why}\n{answer.detail}")


def _answer(engine: Engine, orders: Orders) -> Sequence[WorkerEvent] | WorkerLost:
    """What an idle worker says to these orders. While it trains, an empty answer is no end."""
    engine.send(engine.slots[0], orders, _PATIENCE_SECONDS)
    while True:
        for _, answer in engine.wait():
            if answer and not isinstance(answer, Measured):
                return answer


def _unfinished(spec: TrialSpec, what: str, why: str) -> AutomlError:
    number, advice = spec.key.trial, "The study is kept; the same command tries again."
    return AutomlError(f"trial {number}: the winner must be {what}, but could not be. {advice} {why}".rstrip())
