"""How many trials each worker trains side by side: what was asked for, or what the workers measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from automl.draws import seed_at
from automl.driver import Session
from automl.engines import Engine
from automl.events import Measured, Orders, Slot, TrialKey, TrialSpec
from automl.study import Study

_EXAMPLES = 32
_PATIENCE_SECONDS = 600.0  # with a worker that measures: that takes seconds
_LONGEST_WAIT = 0.2  # seconds after which an interrupt is looked for
_SHARE_UNDER_WAY = 1 / 8  # of a study's trials, at most, where a strategy learns from those that have ended


def lanes_of(
    engine: Engine,
    session: Session,
    asked: int | None,
    trainings: int,
    learns: bool,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> tuple[dict[Slot, int], str]:
    """How many lanes each worker fills, and a line that says why (empty where there was nothing to decide).

    Never more than an equal share of the trainings that are left. Where nothing was asked for, the workers measure, all at the same
    time as they will train; a strategy that learns from trials that have ended is left at least seven eighths of them.

    Args:
        trainings: trials, or replicates of trials, that are left.
        learns: whether the strategy learns from results.
        is_interrupted: whether to stop measuring; what is not measured then has one lane.
    """
    share = math.ceil(trainings / len(engine.slots))
    if asked is not None:
        return {slot: min(asked, share) for slot in engine.slots}, ""
    most = share
    if learns:
        most = min(share, max(1, int(session.study.asked * _SHARE_UNDER_WAY / len(engine.slots))))
    if most <= 1:
        return dict.fromkeys(engine.slots, 1), ""
    measured = _measured(engine, _examples(session), is_interrupted)
    lanes = {slot: min(measured[slot].lanes if slot in measured else 1, most) for slot in engine.slots}
    return lanes, _said(measured, lanes)


def _examples(session: Session) -> tuple[TrialSpec, ...]:
    """Trials like those to come: draws from the space that it allows."""
    study: Study = session.study
    space, specs = study.space, list[TrialSpec]()
    for number in range(4 * _EXAMPLES):
        configuration = space.sample("lanes", study.seed, number)
        if space.allows(configuration) and len(specs) < _EXAMPLES:
            key = TrialKey(study.identity, len(specs))
            whole = {**space.fixed, **configuration}
            specs.append(TrialSpec(key, session.job, whole, seed_at("lanes", number), study.spec.epochs))
    return tuple(specs)


def _measured(engine: Engine, examples: Sequence[TrialSpec], is_interrupted: Callable[[], bool]) -> dict[Slot, Measured]:
    """What each worker has measured; nothing of one that died of it, or hung."""
    if not examples:
        return {}
    for slot in engine.slots:
        engine.send(slot, Orders(measure=tuple(examples)), _PATIENCE_SECONDS)
    found: dict[Slot, Measured] = {}
    answered = 0
    while answered < len(engine.slots) and not is_interrupted():
        for slot, answer in engine.wait(_LONGEST_WAIT):
            answered += 1
            if isinstance(answer, Measured):
                found[slot] = answer
    return found


def _said(measured: Mapping[Slot, Measured], lanes: Mapping[Slot, int]) -> str:
    for slot, event in measured.items():
        if event.rates:
            rates = ", ".join(f"{count}: {rate:.3g}" for count, rate in event.rates.items())
            return f"lanes: {lanes[slot]} in each worker (measured, epochs of trials a second by lanes: {rates})"
    return ""
