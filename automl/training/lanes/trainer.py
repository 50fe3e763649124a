"""A trainer that trains many trials side by side, in groups of networks that are alike."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import torch

from automl.clock import now
from automl.data import DataInfo
from automl.events import Diverged, Finished, Measure, Measured, Reported, Started, TrialKey, TrialSpec, WorkerEvent
from automl.families import TRAINING, complete, is_compiled
from automl.families.training import ALONE
from automl.training import files
from automl.training.checkpoints import CHECKPOINT_SECONDS, Keeper
from automl.training.lanes.compiled import CompiledGroup, Feeds, have_kernels
from automl.training.lanes.group import Group, Lane
from automl.training.lanes.making import FamilyNetworks, StackedFamilyNetworks
from automl.training.lanes.own import OwnLanes, OwnNetworks
from automl.training.lanes.placement import (
    Need,
    Pace,
    Place,
    arithmetic_of,
    best_place,
    need_of,
    need_of_own,
    pace_of,
    place_for,
    place_of_own,
    room_for,
)
from automl.training.lanes.replay import Recorder, cuda_recorder
from automl.training.lanes.stacked import StackedGroup
from automl.training.outcomes import NotFiniteError, failed, free_memory, reason, report
from automl.training.solo import SoloTrainer
from automl.training.threads import threads_for

_Groups = deque[tuple[Place, Group]]
_FAMILIES_THAT_RIDE = ("mlp", "cnn")
_LONGEST_ROUND = 0.1  # seconds after which an answer is due
_ANSWER_SECONDS = 0.002  # of an answer and the orders after it, with what the driver does in between (benchmarks/turnaround.py)
_MEASURED_SECONDS = {"cpu": 0.6, "cuda": 5.0}  # after which no larger number of lanes is tried
_MEASURED_SHARE = 0.1  # of the time that the training will take, the same: lanes may save a fifth of that, or half
_MORE_LANES = {"cpu": 4, "cuda": 2}  # times as many are tried next
_LOOKED_SECONDS = 2.0  # for finding out which examples can ride
_MEASURED_PIECES = 6
_MEASURED_PIECES_CUDA = 32  # enough for steps to be recorded
_MEASURED_TRIALS = (8, 32)  # the same ones at every number of lanes, since networks differ in what they cost. An epoch's time each ...
_MEASURED_NUMBERS = 4  # ... at so many numbers of lanes, so that fewer are taken where the training is short
_SHARE_OF_MEMORY = 0.8  # of a GPU's that lanes may take
_MUCH_LONGER = 50  # times the calls of a step: arithmetic beside which they are nothing
_MUCH_COMPILED = 2e9  # floating-point operations of a compiled step: on any processor, answers are nothing beside an epoch of those


@dataclass(slots=True, eq=False)
class _Ride:
    """A trial in a lane. ``reported`` is the last epoch that was told; epochs up to it are trained again in silence."""

    lane: Lane
    group: Group
    reported: int = 0
    uncharged_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A trial that has no lane yet. After its group broke down it begins again, ``alone``, and in silence up to where it was."""

    trial: TrialSpec
    reported: int = 0
    is_new: bool = True
    alone: bool = False


class LaneTrainer:
    """Trains up to ``lanes`` trials side by side, an epoch of one group after another; what cannot ride trains alone in between.

    Args:
        device: what torch calls it, such as ``cpu`` or ``cuda:0``.
        worker: the name that ``Started`` gives.
        lanes: how many trials train side by side; others wait.
        dtype: float64 is for tests, where rounding must not hide anything.
        checkpoint_seconds: seconds of training after which a trial's state is written to disk.
        pace: how fast the device is; measured where it is not given.
        together: whether one update moves all lanes of a group, as pays on a GPU; else each lane has a call of its own.
        recorder: records the steps of lanes that are moved together; on a GPU that of CUDA graphs where none is given.
    """

    def __init__(
        self,
        device: str,
        worker: str,
        lanes: int = 1,
        *,
        dtype: torch.dtype = torch.float32,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        pace: Pace | None = None,
        together: bool | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.lanes = lanes
        self._device, self._worker, self._dtype = torch.device(device), worker, dtype
        self._keeper = Keeper(checkpoint_seconds)
        self._solo = SoloTrainer(device, worker, lanes, dtype=dtype, checkpoint_seconds=checkpoint_seconds)
        self._own = OwnNetworks(self._device, dtype)
        self._feeds = Feeds(dtype)
        self._alone: set[TrialKey] = set()
        self._waiting: deque[_Waiting] = deque()
        self._rides: dict[TrialKey, _Ride] = {}
        self._groups = _Groups()
        self._most_in_group = self._most_at_once = lanes
        self._pace = pace
        self._together = self._device.type == "cuda" if together is None else together
        # Where others compute as well, as the other workers do that measure now, only a thread's own time is like from one try to the next.
        self._clock = time.thread_time if self._device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        self._recorder = recorder
        if recorder is None and self._device.type == "cuda":
            self._recorder = cuda_recorder(self._device)

    def start(self, trial: TrialSpec) -> None:
        """Take this trial; it waits while all lanes are taken."""
        self._waiting.append(_Waiting(trial))

    def stop(self, key: TrialKey) -> None:
        """Forget this trial, and its checkpoint."""
        for waiting in [waiting for waiting in self._waiting if waiting.trial.key == key]:
            self._waiting.remove(waiting)
            files.discard(files.checkpoint_file(waiting.trial))
        if key in self._rides:
            self._end(self._rides[key])
        if key in self._alone:
            self._solo.stop(key)
            self._alone.discard(key)

    def test(self, trial: TrialSpec) -> WorkerEvent:
        """Measure all metrics of the task on the test split, with the weights of the trial's best epoch."""
        return self._solo.test(trial)

    def measure(self, order: Measure) -> Measured:
        """Train a few steps of these examples with more and more lanes, as long as that pays and fits. Nothing is measured where the
        arithmetic of a step is so long that what lanes save would not be seen."""
        rates: dict[int, float] = {}
        examples, (fewest, enough) = self._riding(order.examples), _MEASURED_TRIALS
        trials = int(max(fewest, min(enough, len(examples), _MEASURED_SHARE * order.epochs / _MEASURED_NUMBERS)))
        count, most = 1, min(order.most, self.lanes)
        with contextlib.suppress(Exception):  # what is wrong, or too large, will be told of the trial that it is true of
            if examples and most > 1 and self._may_gain(examples):
                self._rate(examples[:1], 1, 1, 0.0, 0.0)  # the first touch of the data and of torch's kernels says nothing about lanes
                began = self._clock()
                until = began + _MEASURED_SECONDS[self._device.type]
                while count not in rates and self._clock() < until:
                    rate = self._rate(examples, trials, count, until, order.answered)
                    if rates and self._clock() > until:
                        break  # cut short, it cannot be held against the others
                    rates[count] = rate
                    best = max(rates.values())
                    until = min(until, began + _MEASURED_SHARE * order.epochs / best)
                    if rates[count] < 0.8 * best or not self._has_room_for(count):
                        break
                    count = min(most, count * _MORE_LANES[self._device.type])
        self._own.forget()
        free_memory(self._device)
        return Measured(rates)

    def _riding(self, trials: Sequence[TrialSpec]) -> list[TrialSpec]:
        """Those that can ride, as far as there is time to look: networks of a person's own have to be built for that."""
        until, found = time.perf_counter() + _LOOKED_SECONDS, list[TrialSpec]()
        for trial in trials:
            if time.perf_counter() < until and self._can_ride(trial):
                found.append(trial)
        return found

    def _rate(self, examples: Sequence[TrialSpec], trials: int, lanes: int, until: float, answered: float) -> float:
        """Epochs of trials a second, with so many of them in the worker at once; fewer batches of them where time is short."""
        trained, seconds = 0, 0.0
        while trained < max(trials, lanes) and (not trained or self._clock() < until):
            groups = _Groups()
            for number in range(trained, trained + lanes):
                trial = examples[number % min(trials, len(examples))]  # the same ones at every number of lanes
                group = self._group_for(_Waiting(trial), groups, lanes)
                group.admit(replace(trial, key=replace(trial.key, replicate=number)), self._solo.samples_of(trial))
            pieces = _MEASURED_PIECES if self._recorder is None else _MEASURED_PIECES_CUDA
            seconds += _ANSWER_SECONDS * answered
            for place, group in groups:
                with self._threads(place, group):
                    seconds += group.seconds_of_an_epoch(pieces, self._clock, until)
            trained += lanes
        return trained / seconds

    def _may_gain(self, examples: Sequence[TrialSpec]) -> bool:
        """Whether what lanes share takes long enough, beside the arithmetic of a step. Compiled ones share answers, and need no pace."""
        needs = [self._need(trial) for trial in examples]
        if any(need.is_compiled and arithmetic_of(need) < _MUCH_COMPILED for need in needs):
            return True
        others = [need for need in needs if not need.is_compiled]
        pace = (self._pace or pace_of(self._device, self._dtype)) if others else None
        return pace is not None and any(arithmetic_of(need) < _MUCH_LONGER * pace.free_flops for need in others)

    def _has_room_for(self, lanes: int) -> bool:
        """Whether the device has the memory for as many lanes again as were just measured."""
        if self._device.type != "cuda":
            return True
        free, total = torch.cuda.mem_get_info(self._device)
        used = torch.cuda.max_memory_allocated(self._device)
        return 2 * used < _SHARE_OF_MEMORY * min(total, free + torch.cuda.memory_reserved(self._device))

    def advance(self) -> list[WorkerEvent]:
        """Give free lanes to trials that wait, or train one epoch of the next group."""
        while True:
            events: list[WorkerEvent] = []
            while self._waiting and len(self._rides) + len(self._alone) < self._most_at_once:
                events += self._admit(self._waiting.popleft())
            if not events and not self._solo.is_busy and not self._groups:
                return []
            if not events:
                events = self._round()
            if events:
                return events

    def _round(self) -> list[WorkerEvent]:
        """An epoch of whoever trains alone, and one of each group, as many as a moment allows: an answer carries many reports.

        Of each trial one at most, since whether it goes on is decided between two answers.
        """
        began = time.perf_counter()
        events = self._advance_solo() if self._solo.is_busy else []
        for turn in range(len(self._groups)):
            if turn and time.perf_counter() - began > _LONGEST_ROUND:
                break
            events += self._train_epoch()
        return events

    def _advance_solo(self) -> list[WorkerEvent]:
        events = self._solo.advance()
        for event in events:
            if not isinstance(event, Started | Reported):
                self._alone.discard(event.key)
        return events

    # coming in

    def _admit(self, waiting: _Waiting) -> list[WorkerEvent]:
        """Find or make a group with a free lane for this trial."""
        trial = waiting.trial
        if not self._can_ride(trial):
            self._solo.start(trial)
            self._alone.add(trial.key)
            return []
        if self._is_compiled(trial):
            have_kernels(self._dtype)
        began = time.perf_counter()
        started = [Started(trial.key, now(), str(self._device), self._worker)] if waiting.is_new else []
        try:
            group = self._group_for(waiting, self._groups, self._most_in_group)
            file = files.checkpoint_file(trial)
            checkpoint = files.load_or_none(file, self._device) if file.exists() else None
            lane = group.admit(trial, self._solo.samples_of(trial), checkpoint)
            self._own.forget(trial)
            ride = self._rides[trial.key] = _Ride(lane, group, max(waiting.reported, lane.course.epoch))
        except Exception as error:
            self._clear_groups()
            if reason(error) == "out_of_memory":
                del error
                self._await_room(waiting)
                return list(started)
            failure = failed(trial, error, time.perf_counter() - began)
            files.discard(files.checkpoint_file(trial))
            del error
            free_memory(self._device)
            return [*started, failure]
        ride.uncharged_seconds = time.perf_counter() - began
        return list(started)

    def _await_room(self, waiting: _Waiting) -> None:
        """There is no memory for this trial beside those under way: it comes after one of them, and from now on so many are under way at
        once. By itself it goes on without a group."""
        free_memory(self._device)
        under_way = len(self._rides) + len(self._alone)
        if under_way:
            self._most_at_once = under_way
            self._waiting.appendleft(replace(waiting, is_new=False))
        else:
            self._solo.go_on_alone(waiting.trial, waiting.reported)
            self._alone.add(waiting.trial.key)

    def _can_ride(self, trial: TrialSpec) -> bool:
        if trial.job.code is None and trial.job.model not in _FAMILIES_THAT_RIDE:
            return False
        settings = complete(trial.job.model, trial.configuration)
        if any(settings[name] != TRAINING[name].default for name in ALONE) or self._solo.streams(trial):
            return False
        if trial.job.code is None and (settings.get("instance_norm", "none") != "none" or settings.get("ridge")):
            return False
        is_bfloat16 = settings["precision"] == "bfloat16"
        if is_bfloat16 and self._device.type == "cpu":
            self._solo.warn_of_float32()
        if is_bfloat16 and self._device.type != "cpu":
            return False
        return trial.job.code is None or self._may_share(trial)

    def _may_share(self, trial: TrialSpec) -> bool:
        """Whether the network of a factory can ride, and with others: alone it trains as it is."""
        if self.lanes == 1:
            return False
        try:
            info = self._solo.samples_of(trial).info
        except Exception:  # which is for the trial to tell
            return False
        return self._own.can_ride(trial, info) and room_for(self._need(trial), self.lanes, self._device) > 1

    def _need(self, trial: TrialSpec) -> Need:
        info = self._solo.samples_of(trial).info
        if trial.job.code is not None:
            return need_of_own(self._own.built(trial, info), trial, info, self._dtype.itemsize, self._together)
        return need_of(trial, info, self._dtype.itemsize, self._together, self._is_compiled(trial))

    def _is_compiled(self, trial: TrialSpec) -> bool:
        return trial.job.code is None and not self._together and is_compiled(trial.job.model, self._device.type)

    def _group_for(self, waiting: _Waiting, groups: _Groups, most: int) -> Group:
        """One of these groups with a free lane that the trial may join, or a new one among them; ``most`` lanes in each."""
        trial = waiting.trial
        info, pace = self._solo.samples_of(trial).info, self._pace or pace_of(self._device, self._dtype)
        need = self._need(trial)
        if not waiting.alone:
            open_groups = [(place, group) for place, group in groups if len(group.lanes) < min(place.room, most)]
            index = best_place(need, [place for place, _ in open_groups], pace)
            if index is not None:
                return open_groups[index][1]
        most = 1 if waiting.alone else most
        place, group = (
            self._group_of_own(need, trial, info, most) if trial.job.code is not None else self._new_group(need, trial, info, most)
        )
        groups.append((place, group))
        return group

    def _group_of_own(self, need: Need, trial: TrialSpec, info: DataInfo, most: int) -> tuple[Place, Group]:
        """For networks that a factory makes. What they do within a step is not known, so nothing is recorded."""
        place = place_of_own(need, most, self._device)
        networks = OwnLanes(self._own.built(trial, info), self._own, info.inputs)
        return place, StackedGroup(networks, place.rows, info, self._device, self._dtype, self._together)

    def _new_group(self, need: Need, trial: TrialSpec, info: DataInfo, most: int) -> tuple[Place, Group]:
        """For networks of the built-in families."""
        pace, like = self._pace or pace_of(self._device, self._dtype), (self._device, self._dtype)
        place = place_for(need, trial, info, pace, most, self._device)
        if place.is_compiled:
            return place, CompiledGroup(FamilyNetworks(*like), self._feeds, *like)
        networks = StackedFamilyNetworks(trial.job.model, place.widest, info, *like)
        return place, StackedGroup(networks, place.rows, info, *like, self._together, self._recorder)

    # training

    def _train_epoch(self) -> list[WorkerEvent]:
        """Train the group that has waited longest; no events where its trials go over again what they have told."""
        self._groups.rotate(-1)
        place, group = self._groups[-1]
        rides, began = [self._rides[lane.key] for lane in group.lanes], time.perf_counter()
        for ride in rides:
            self._keeper.save_if_due(ride.lane.trial, partial(ride.group.checkpoint, ride.lane))
        try:
            with self._threads(place, group):
                losses = group.train_epoch()
                outputs = group.predict()
        except Exception as error:
            return self._break_up(rides, error, time.perf_counter() - began)
        seconds = (time.perf_counter() - began) / len(rides)
        events: list[WorkerEvent] = []
        for ride, loss, own in zip(rides, losses, outputs, strict=True):
            events += self._conclude(ride, loss, own, seconds)
        return events

    def _threads(self, place: Place, group: Group) -> AbstractContextManager[None]:
        return threads_for(place.flops(len(group.lanes)), self._device)

    def _conclude(self, ride: _Ride, loss: float, outputs: torch.Tensor, seconds: float) -> list[WorkerEvent]:
        """What the epoch just trained means for one trial."""
        lane, began = ride.lane, time.perf_counter()
        course, trial = lane.course, lane.trial
        seconds += ride.uncharged_seconds
        ride.uncharged_seconds = 0.0
        self._keeper.note(trial.key, seconds)
        try:
            metrics, objective = report(trial.job, loss, partial(ride.group.measured, lane, outputs))
            if course.note(objective, metrics.get("loss")):
                ride.group.keep_best(lane)
            tested = self._keep_or_test(ride) if course.is_at_its_end else []
        except NotFiniteError:
            self._end(ride)
            return [Diverged(trial.key, now(), course.epoch, seconds)]
        except Exception as error:
            failure = failed(trial, error, seconds + time.perf_counter() - began)
            self._end(ride)
            return [failure]
        events: list[WorkerEvent] = []
        if course.epoch > ride.reported:
            ride.reported = course.epoch
            events.append(Reported(trial.key, now(), course.epoch, metrics, seconds))
        if course.is_at_its_end:
            events += tested
            events.append(Finished(trial.key, now(), course.epoch < trial.epochs, course.may_be_saved))
            self._end(ride)
        return events

    def _keep_or_test(self, ride: _Ride) -> list[WorkerEvent]:
        """At the end of a trial: its best weights are written to disk where they may be wanted, and measured where that was asked for."""
        trial = ride.lane.trial
        weights = ride.group.best_weights(ride.lane) if ride.lane.course.needs_best else {}
        if ride.lane.course.may_be_saved:
            files.save(weights, files.weights_file(trial))
        return [self._solo.tested(trial, weights)] if trial.tested else []

    def _break_up(self, rides: list[_Ride], error: Exception, seconds: float) -> list[WorkerEvent]:
        """A group that cannot go on: its trials begin again in smaller groups, or the only one has failed.

        Where memory ran out, groups are half as large from now on, and the only trial of a group goes on without one. After any other
        error each trial of the group gets one of its own, so that the one at fault fails alone.
        """
        out_of_memory = reason(error) == "out_of_memory"
        if len(rides) == 1:
            trial, reported = rides[0].lane.trial, rides[0].reported
            if out_of_memory:
                self._leave(rides[0])
                del error
                free_memory(self._device)
                self._solo.go_on_alone(trial, reported)
                self._alone.add(trial.key)
                return []
            failure = failed(trial, error, seconds)
            self._end(rides[0])
            del error
            free_memory(self._device)
            return [failure]
        if out_of_memory:
            self._most_in_group = max(1, len(rides) // 2)
        for ride in reversed(rides):
            self._waiting.appendleft(_Waiting(ride.lane.trial, ride.reported, is_new=False, alone=not out_of_memory))
            self._leave(ride)
        del error
        free_memory(self._device)
        return []

    def _end(self, ride: _Ride) -> None:
        """Leave nothing of the trial in memory, and no checkpoint."""
        self._leave(ride)
        files.discard(files.checkpoint_file(ride.lane.trial))

    def _leave(self, ride: _Ride) -> None:
        del self._rides[ride.lane.key]
        self._keeper.forget(ride.lane.key)
        ride.group.drop(ride.lane.key)
        self._clear_groups()

    def _clear_groups(self) -> None:
        for entry in [entry for entry in self._groups if not entry[1].lanes]:
            self._groups.remove(entry)
