"""How many trials each worker trains side by side: what was asked for, or what the workers measure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from statistics import fmean

from automl.draws import seed_at
from automl.driver import Session, decided_by
from automl.engines import Engine
from automl.events import Measure, Measured, Orders, Slot, TrialKey, TrialSpec
from automl.families import is_compiled
from automl.study import Study

_FEWEST_EXAMPLES, _MOST_EXAMPLES = 32, 256
_PATIENCE_SECONDS = 600.0  # with a worker that measures: that takes seconds
_LONGEST_WAIT = 0.2  # seconds after which an interrupt is looked for
_WONDERS_SECONDS = 3.0  # of measuring, after which a person is told of it
_WAITING = "The workers measure how many trials to train side by side"
_COMPILING = "; the first study on a machine also compiles what trains fully connected networks, some 10 seconds"
_NEARLY_BEST = 0.95  # the fewest lanes that reach this share of the best rate are taken: fewer trials are under way at once
_SHARE_UNDER_WAY = 1 / 8  # of a study's trials, at most, where a strategy learns from those that have ended


def lanes_of(
    engine: Engine,
    session: Session,
    asked: int | None,
    trainings: int,
    learns: bool,
    is_interrupted: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda words: None,
) -> tuple[dict[Slot, int], str]:
    """How many lanes each worker fills, and a line that says why (empty where there was nothing to decide).

    Never more than an equal share of the trainings that are left. Where nothing was asked for, the workers measure, all at the same
    time as they will train; a strategy that learns from trials that have ended is left at least seven eighths of them.

    Args:
        trainings: trials, or replicates of trials, that are left.
        learns: whether the strategy learns from results.
        is_interrupted: whether to stop measuring; what is not measured then has one lane.
        say: gets a sentence where measuring takes long enough to wonder.
    """
    share = math.ceil(trainings / len(engine.slots))
    if asked is not None:
        return {slot: min(asked, share) for slot in engine.slots}, ""
    most = share
    if learns:
        most = min(share, max(1, int(session.study.asked * _SHARE_UNDER_WAY / len(engine.slots))))
    most = min(most, *(slot.lanes for slot in engine.slots))
    if most <= 1:
        return dict.fromkeys(engine.slots, 1), ""
    examples = _examples(session, max(_FEWEST_EXAMPLES, min(most, _MOST_EXAMPLES)))
    epochs = session.study.spec.epochs
    order = Measure(examples, most, trainings * epochs / len(engine.slots), _share_answered(session, epochs))
    compiles = any(is_compiled(session.job.model, slot.device) for slot in engine.slots)
    rates = _by_device(_measured(engine, order, is_interrupted, lambda: say(_WAITING + (_COMPILING if compiles else ""))))
    lanes = {slot: _best(rates.get(_device_of(slot), {})) for slot in engine.slots}
    return lanes, _said(rates, lanes)


def _share_answered(session: Session, epochs: int) -> float:
    """After what share of its epochs a trial waits for the driver: where it may be stopped, and at its end."""
    decided = decided_by([session])
    return 1.0 if decided is None else len({epoch for epoch in decided if epoch < epochs} | {epochs}) / epochs


def _examples(session: Session, count: int) -> tuple[TrialSpec, ...]:
    """Trials like those to come, at most so many: draws from the space that it allows."""
    study: Study = session.study
    space, specs = study.space, list[TrialSpec]()
    for number in range(4 * count):
        configuration = space.sample("lanes", study.seed, number)
        if space.allows(configuration) and len(specs) < count:
            key = TrialKey(study.identity, len(specs))
            whole = {**space.fixed, **configuration}
            specs.append(TrialSpec(key, session.job, whole, seed_at("lanes", number), study.spec.epochs))
    return tuple(specs)


def _measured(engine: Engine, order: Measure, is_interrupted: Callable[[], bool], wonder: Callable[[], None]) -> dict[Slot, Measured]:
    """What each worker has measured; nothing of one that died of it, or hung. ``wonder`` is called once, where it takes long."""
    if not order.examples:
        return {}
    for slot in engine.slots:
        engine.send(slot, Orders(measure=order), _PATIENCE_SECONDS)
    found: dict[Slot, Measured] = {}
    answered, wonders_at = 0, time.monotonic() + _WONDERS_SECONDS
    while answered < len(engine.slots) and not is_interrupted():
        if time.monotonic() > wonders_at:
            wonder()
            wonders_at = math.inf
        for slot, answer in engine.wait(_LONGEST_WAIT):
            answered += 1
            if isinstance(answer, Measured):
                found[slot] = answer
    return found


def _device_of(slot: Slot) -> str:
    """What workers measure alike on: a GPU, or the CPU whichever of its cores they have."""
    return "cpu" if slot.device.startswith("cpu") else slot.device


def _by_device(measured: Mapping[Slot, Measured]) -> dict[str, dict[int, float]]:
    """Epochs of trials a second of a worker, by device and number of lanes: the mean over those workers of it that measured."""
    found: dict[str, list[Mapping[int, float]]] = {}
    for slot, answer in measured.items():
        found.setdefault(_device_of(slot), []).append(answer.rates)
    return {
        device: {count: fmean(rates[count] for rates in each) for count in each[0] if all(count in rates for rates in each)}
        for device, each in found.items()
    }


def _best(rates: Mapping[int, float]) -> int:
    """The fewest lanes that are nearly the best; one where nothing was measured."""
    return min((count for count, rate in rates.items() if rate >= _NEARLY_BEST * max(rates.values())), default=1)


def _said(by_device: Mapping[str, Mapping[int, float]], lanes: Mapping[Slot, int]) -> str:
    """``lanes: 4 in each worker (measured, ...)``; of several devices each."""
    chosen = {_device_of(slot): count for slot, count in lanes.items()}
    parts = []
    for device, rates in by_device.items():
        if rates:
            told = ", ".join(f"{count}: {rate:.3g}" for count, rate in rates.items())
            place = f" on {device}" if len(by_device) > 1 else ""
            parts.append(f"{chosen[device]} in each worker{place} (measured, epochs of trials a second by lanes: {told})")
    return f"lanes: {'; '.join(parts)}" if parts else ""
