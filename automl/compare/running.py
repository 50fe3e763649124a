"""Carrying out a comparison: the data are prepared once, all studies are driven by one engine in turns, and every winner is tested.

Whatever is there already counts: the same command again goes on where the last one stopped, with more repeats, arms or budget as well.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from automl import data
from automl.clock import now
from automl.compare.budget import Spending
from automl.compare.plan import ComparePlan, Member
from automl.compare.record import is_comparison, new_record, read_record, write_record
from automl.data import DataInfo
from automl.datareport import report_of
from automl.driver import Follower, Session, WhyRested, drive
from automl.errors import AutomlError
from automl.events import Slot
from automl.folders import COMPARISON
from automl.interrupts import interrupts, sigterm_like_ctrl_c
from automl.lanes import lanes_of
from automl.launch import MADE_BEFORE_THE_STUDY, Workers, begin, leave_nothing, open_study, refuse_another, session_of
from automl.plan import settle
from automl.store import Store, hold
from automl.strategies import STRATEGIES
from automl.study import Study
from automl.trials import Rested
from automl.winner import crown, is_crowned

_SHARE_UNDER_WAY = 1 / 8  # of a study's trials, at most, where a strategy learns from those that have ended
_FILES_A_STUDY = 6  # that are open while it is driven

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A member with what it is driven by."""

    member: Member
    session: Session
    store: Store

    @property
    def study(self) -> Study:
        return self.session.study

    @property
    def folder(self) -> Path:
        return self.member.plan.folder


Watcher = Callable[[Sequence[Entry], Sequence[Slot]], Sequence[Follower]]
"""Gives a follower of the events of each entry, in their order."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a comparison ended. After ``done`` every study has its budget and its winner is tested."""

    why: WhyRested
    entries: tuple[Entry, ...]
    data: DataInfo


@contextlib.contextmanager
def carried_out(plan: ComparePlan, watch: Watcher | None = None, say: Say = lambda line: None) -> Iterator[Finished]:
    """Drive every study of the plan to its budget and test its winner. Within, the studies are still held, for whoever follows them.

    ``watch`` makes the followers for a display; ``say`` takes lines that a person should read. Raises the errors of ``automl.errors``. An
    interrupt (SIGINT, SIGTERM) is no error: everything is kept and ``Finished.why`` says so.
    """
    with ExitStack() as stack:
        stack.enter_context(sigterm_like_ctrl_c())
        folder = plan.folder
        no_folders = [path for path in (folder, *folder.parents) if not path.exists()]
        stack.enter_context(hold(folder))
        refuse_others(plan)
        no_files = [path for path in (folder / name for name in MADE_BEFORE_THE_STUDY) if not path.exists()]
        if not any(member.plan.continues for member in plan.members()):
            stack.callback(leave_nothing, folder, COMPARISON, no_files, no_folders)
        workers = stack.enter_context(contextlib.closing(Workers(plan.options, plan.lanes, plan.spec.model, folder / "workers")))
        if not is_comparison(folder):
            workers.start(len(plan.members()) * plan.budget.most_trials * plan.spec.trainings)  # they come up while the data are prepared
        info = data.prepare_apart(plan.spec.data, folder / "data")
        spec = settle(plan.spec, info)
        before = read_record(folder) if is_comparison(folder) else new_record(plan.budget)
        write_record(folder, replace(before, budget=plan.budget))
        _allow_open_files(_FILES_A_STUDY * len(plan.arms) * plan.repeats)
        entries = tuple(_enter(stack, member, info, plan) for member in plan.members(spec))
        for note in (*report_of(asdict(info)).lines, *plan.notes):
            say(note)
        try:
            why = _train(plan, workers, entries, watch, say)
            if why == "done":
                if plan.budget.has_other_limits:
                    workers.close()  # they may be in the middle of trials that no budget was left for
                _crown_all(workers, entries, say)
        except KeyboardInterrupt:  # a second one, or one that came while nothing was driven: what is written is kept all the same
            why = "interrupted"
        yield Finished(why, entries, info)


def refuse_others(plan: ComparePlan) -> None:
    """The studies that are there must be of the same space and data. Asked before anything of them is touched."""
    there = [member.plan for member in plan.members() if member.plan.continues]
    is_fixed = data.is_built_in(plan.spec.data.source)  # those are the same every time
    fingerprint = data.fingerprint(plan.spec.data) if there and not is_fixed else None
    for sub in there:
        refuse_another(sub, fingerprint)


def _enter(stack: ExitStack, member: Member, info: DataInfo, plan: ComparePlan) -> Entry:
    """Open one study, or make it. Its data are a link to those of the comparison."""
    sub = member.plan
    held = stack.enter_context(hold(sub.folder))
    sub = replace(sub, continues=(sub.folder / "study.db").is_file())
    if not (sub.folder / "data").exists():
        (sub.folder / "data").symlink_to(Path("..", "data"), target_is_directory=True)
    store = stack.enter_context(open_study(sub, sub.spec, info, held))
    study = store.study(sub.spec.space)
    session = session_of(sub, sub.spec, study, store, info)
    session.is_spent = Spending(plan.budget).is_spent
    return Entry(replace(member, plan=sub), session, store)


def _is_trained(entry: Entry, plan: ComparePlan) -> bool:
    """Whether this study has its budget, or has used up its space."""
    study, budget = entry.study, plan.budget
    if study.at_work_since is not None:
        return False
    if study.ended >= budget.most_trials or Spending(budget).is_spent(study):
        return True
    return study.why_rested == "done" and study.asked >= budget.most_trials and not study.unended and not budget.has_other_limits


def _train(plan: ComparePlan, workers: Workers, entries: Sequence[Entry], watch: Watcher | None, say: Say) -> WhyRested:
    at_work = [entry for entry in entries if not _is_trained(entry, plan)]
    if not at_work:
        return "done"
    began, most_trials = time.monotonic(), plan.budget.most_trials
    trainings = sum((most_trials - entry.study.ended) * entry.study.replicates for entry in at_work)
    engine = workers.start(trainings)
    followers = watch(entries, engine.slots) if watch is not None else []
    for entry, follower in zip(entries, followers, strict=False):
        entry.session.followers.append(follower)
    for entry in at_work:
        begin(entry.session, entry.folder, most_trials)
    room = max(1, int(most_trials * _SHARE_UNDER_WAY)) if any(STRATEGIES[arm.strategy].learns for arm in plan.arms) else most_trials
    with interrupts() as is_interrupted:
        most = min(trainings, room * len(at_work))
        lanes, reason = lanes_of(engine, at_work[0].session, plan.lanes, most, learns=False, is_interrupted=is_interrupted, say=say)
        if reason:
            say(reason)
        sessions = [entry.session for entry in at_work]
        try:
            why = drive(engine, sessions, lambda: is_interrupted() or any(session.trouble for session in sessions), lanes)
        except AutomlError:
            if all(session.trouble for session in sessions):
                _rest(sessions, time.monotonic() - began)
            raise
        _rest(sessions, time.monotonic() - began)
    for entry in at_work:
        if entry.session.trouble:
            raise AutomlError(f"{entry.folder}: {entry.session.trouble}")
    return "interrupted" if is_interrupted() else why


def _rest(sessions: Sequence[Session], seconds: float) -> None:
    """Note why each study rests."""
    for session in sessions:
        why = "failed" if session.trouble else "done" if session.is_done else "interrupted"
        session.record([Rested(now(), why, seconds)])


def _crown_all(workers: Workers, entries: Sequence[Entry], say: Say) -> None:
    """Test the winner of every study."""
    for entry in entries:
        if not is_crowned(entry.study, entry.folder):
            crown(entry.session, entry.folder, lambda: workers.start(1), say)


def _allow_open_files(needed: int) -> None:
    """Every study keeps its events open: many of them are more files than a process may have by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
