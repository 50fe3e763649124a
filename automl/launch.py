"""Carrying out a plan: prepare the data, start the workers, drive the study, test the winner, leave everything in order."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

from automl import __version__, data, metrics, spacefile
from automl.best import WEIGHTS, write_best
from automl.data import DataInfo
from automl.driver import Follower, Session, WhyRested, drive, tidy
from automl.engines import Engine, make_engine
from automl.errors import AutomlError, StudyError, UsageError
from automl.events import Configuration, Diverged, Failed, Finished, Job, Orders, Slot, Tested, TrialSpec, WorkerEvent, WorkerLost
from automl.plan import Plan, settle
from automl.pruners import make_pruner
from automl.spec import StudySpec
from automl.store import Store, hold, new_identity
from automl.strategies import make_strategy
from automl.study import Created, Event, Rested, Resumed, Study
from automl.summary import best_record
from automl.tracking import Mirror, StudyHeader, Summary

_MIRROR_SECONDS = {"done": 120.0, "time": 120.0, "interrupted": 1.0, "failed": 10.0}  # for the end of the tracking
_DIFFERENCES_SHOWN = 5
_MADE_BEFORE_THE_STUDY = ("workers", "data")

Watcher = Callable[[Study, Sequence[Slot]], Follower]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``tracking`` says where MLflow shows the study; None where tracking is off."""

    study: Study
    folder: Path
    why: WhyRested
    data: DataInfo
    tracking: str | None = None


def run(plan: Plan, watch: Watcher | None = None, say: Say = lambda line: None) -> Outcome:
    """Drive the study of this plan to its total and test its winner.

    ``watch`` makes a follower of the events for a display; ``say`` takes lines that a person should read. Raises the errors of
    ``automl.errors``. An interrupt (SIGINT, SIGTERM) is no error: everything is kept and ``Outcome.why`` says so.
    """
    with ExitStack() as stack:
        stack.enter_context(_sigterm_like_ctrl_c())
        no_folders = [path for path in (plan.folder, *plan.folder.parents) if not path.exists()]
        held = stack.enter_context(hold(plan.folder))
        plan = replace(plan, continues=(plan.folder / "study.db").is_file())
        if plan.continues:
            refuse_another(plan, data.fingerprint(plan.spec.data))
        no_files = [path for path in (plan.folder / name for name in _MADE_BEFORE_THE_STUDY) if not path.exists()]
        stack.callback(_leave_no_empty_study, plan.folder, no_files, no_folders)
        engine = stack.enter_context(_workers(plan))
        info = data.prepare_apart(plan.spec.data, plan.folder / "data")
        spec = settle(plan.spec, info)
        for note in info.notes:
            say(f"data: {note}")
        store = stack.enter_context(_open(plan, spec, info, held))
        study = store.study(spec.space)
        session = _session(plan, spec, study, store, info)
        mirror = _mirror(plan, say)
        if mirror is not None:
            session.followers.append(mirror.follow)
        if watch is not None:
            session.followers.append(watch(study, engine.slots))
        try:
            why = _drive(plan, engine, session)
            if why != "interrupted":
                why = _crown(plan, engine, session, why, say)
        except AutomlError:
            _bring_level(mirror, plan, study, "failed", say)
            raise
        try:
            tracking = _bring_level(mirror, plan, study, why, say)
        except KeyboardInterrupt:
            why = "interrupted"
            tracking = _bring_level(mirror, plan, study, why, say)
        return Outcome(study, plan.folder, why, info, tracking)


@contextmanager
def _workers(plan: Plan, workers: str | None = None) -> Iterator[Engine]:
    options = plan.options
    engine = make_engine(
        options.engine, devices=options.devices, workers=workers or options.workers, lanes=1, log_folder=plan.folder / "workers"
    )
    try:
        yield engine
    finally:
        engine.close()


def _leave_no_empty_study(folder: Path, files: Sequence[Path], folders: Sequence[Path]) -> None:
    """A run that ended before there was a study leaves nothing of its own behind. ``files`` and ``folders`` were not there before it."""
    if not (folder / "study.db").exists():
        for path in files:
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            (folder / "study.lock").unlink(missing_ok=True)
            for path in (folder, *folders[1:]):
                path.rmdir()


def refuse_another(plan: Plan, fingerprint: str) -> None:
    """The study that is there must be of the same space and data. Asked before anything of it is touched."""
    with Store.read_only(plan.folder) as store:
        created = store.created()
    before = spacefile.from_dict(dict(created.spec))
    differences = spacefile.difference(before, replace(plan.spec, objective=plan.spec.objective or before.objective))
    if created.data_fingerprint != fingerprint and not differences:
        differences = [f"the content of {plan.spec.data.source} has changed"]
    if differences:
        more = len(differences) - _DIFFERENCES_SHOWN
        shown = [*differences[:_DIFFERENCES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise StudyError(f"{plan.folder} holds a study of another space ({'; '.join(shown)}). Use --study NAME for a new one.")


def _open(plan: Plan, spec: StudySpec, info: DataInfo, held: int) -> Store:
    """The study's store: a new one, or that of the study to go on with."""
    if plan.continues:
        refuse_another(replace(plan, spec=spec), info.fingerprint)
        store = Store.open(plan.folder, held)
    else:
        assert spec.objective is not None
        created = Created(
            at=time.time(),
            identity=new_identity(),
            spec=spacefile.to_dict(spec),
            metric=spec.objective.metric,
            maximize=spec.objective.maximize,
            data_fingerprint=info.fingerprint,
            version=__version__,
        )
        store = Store.create(plan.folder, created, held)
    for name, text in (("study.yaml", spacefile.dump(spec)), ("space.yaml", spec.text)):
        if not (plan.folder / name).exists():  # also where an earlier run was killed before it wrote them
            unfinished = plan.folder / f".{name}.unfinished"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.rename(plan.folder / name)
    return store


def _session(plan: Plan, spec: StudySpec, study: Study, store: Store, info: DataInfo) -> Session:
    settings = spec.settings
    job = Job(
        study=study.identity,
        model=spec.model,
        data=str((plan.folder / "data").absolute()),
        folder=str(plan.folder.absolute()),
        objective=study.objective.metric,
        maximize=study.objective.maximize,
        metrics=metrics.reported(info.task, study.objective.metric),
    )
    return Session(
        study,
        store,
        make_strategy(settings.strategy, settings.strategy_options, study.space),
        make_pruner(settings.pruner, settings.pruner_options, spec.epochs),
        job,
    )


def _drive(plan: Plan, engine: Engine, session: Session) -> WhyRested:
    study, began = session.study, time.monotonic()
    enqueued = _new_configurations(plan, study)
    session.record([Resumed(time.time(), plan.spec.settings.trials)])
    if plan.spec.settings.time_seconds is not None:
        session.time_left = plan.spec.settings.time_seconds - study.active_seconds
    if not study.trials and study.spec.baseline is not None:
        session.suggest([study.spec.baseline], "baseline")
    session.suggest(enqueued, "enqueued")
    tidy(study, plan.folder)
    with _interrupts() as is_interrupted:
        why = drive(engine, [session], is_interrupted)
    session.record([Rested(time.time(), why, time.monotonic() - began)])
    return why


def _new_configurations(plan: Plan, study: Study) -> list[Configuration]:
    """The person's own configurations that the study has no trial of yet, each once."""
    new = {study.space.key(entry): entry for entry in plan.enqueued if not study.knows(entry)}
    asked = plan.spec.settings.trials
    if new and len(study.trials) + len(new) > asked:
        raise UsageError(
            f"--trials: must leave room for the {len(new)} enqueued configurations beside the {len(study.trials)} trials that are "
            f"there, but is {asked}. Give at least --trials {len(study.trials) + len(new)}."
        )
    return list(new.values())


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Within, SIGTERM raises KeyboardInterrupt, so that everything is left in order: schedulers send it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Within, SIGINT and SIGTERM are noted, for the loop to stop at the next safe point; a second one stops at once."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _crown(plan: Plan, engine: Engine, session: Session, why: WhyRested, say: Say) -> WhyRested:
    """Test the winner once on the test split, and keep it in ``best/``. Says why the run ends: it may be interrupted here as well."""
    study = session.study
    if study.best is None:
        return why
    number = study.best.number
    is_tested = study.test is not None and study.test.trial == number
    has_weights = (plan.folder / "trials" / str(number) / WEIGHTS).is_file()
    spec = replace(session.specify(study.key(number)), save_if_beats=None)
    try:
        if why != "done":
            engine.close()  # its workers are in the middle of epochs that nobody waits for
        if not (is_tested and has_weights):
            with contextlib.nullcontext(engine) if why == "done" else _workers(plan, workers="1") as idle:
                if not has_weights:
                    say(f"Trial {number} won, but its weights are not there any more: it is trained again.")
                    _train_again(idle, spec)
                if not is_tested:
                    session.record([_test(idle, spec)])
        _keep(plan, session)
    except KeyboardInterrupt:
        return "interrupted"
    return why


def _train_again(engine: Engine, spec: TrialSpec) -> None:
    """Train an ended trial for its weights alone; the study has its numbers."""
    events = _answer(engine, Orders(start=(spec,)), spec)
    while not any(isinstance(event, Finished | Failed | Diverged) for event in events):
        events = _answer(engine, Orders(), spec)
    if not isinstance(events[-1], Finished):
        raise AutomlError(f"Trial {spec.key.trial} could not be trained again: {getattr(events[-1], 'detail', events[-1])}")


def _test(engine: Engine, spec: TrialSpec) -> WorkerEvent:
    (event,) = _answer(engine, Orders(test=(spec,)), spec)
    if not isinstance(event, Tested):
        raise AutomlError(f"Trial {spec.key.trial} could not be tested: {getattr(event, 'detail', event)}")
    return event


def _answer(engine: Engine, orders: Orders, spec: TrialSpec) -> Sequence[WorkerEvent]:
    """What an idle worker answers to orders about this trial."""
    engine.send(engine.slots[0], orders)
    answer: Sequence[WorkerEvent] | WorkerLost = []
    while not answer:
        answer = next((answer for _, answer in engine.wait()), [])
    if isinstance(answer, WorkerLost):
        raise AutomlError(f"Trial {spec.key.trial} could not be tested: the worker died ({answer.why}). {answer.detail}")
    return answer


def _keep(plan: Plan, session: Session) -> None:
    """The winner as something to use and to train again: ``best/``."""
    study = session.study
    assert study.best is not None
    write_best(
        plan.folder,
        plan.folder / "trials" / str(study.best.number),
        model=study.spec.model,
        configuration={**study.space.fixed, **study.best.configuration},
        data_folder=plan.folder / "data",
        extra={"study": plan.folder.name, **(best_record(study) or {})},
    )


def study_header(folder: Path, experiment: str | None) -> StudyHeader:
    """What MLflow is told of the study in this folder as a whole. ``experiment``: None for the space's name."""
    with Store.read_only(folder) as store:
        info = data.read_info(folder / "data")
        return StudyHeader.of(
            store.study(),
            name=folder.name,
            folder=str(folder.absolute()),
            created=store.created().at,
            experiment=experiment,
            data_name=info.name,
            data_sizes=info.sizes,
            data_fingerprint=info.fingerprint,
            command=shlex.join(["automl", *sys.argv[1:]]),
        )


def read_events(folder: Path) -> Iterator[tuple[int, Event]]:
    """All events of the study in this folder with their positions, through a connection of the caller's own thread."""
    with Store.read_only(folder) as store:
        yield from store.events()


def study_artifacts(folder: Path) -> dict[str, Path]:
    """The files of a study that MLflow keeps with it."""
    return {name: folder / name for name in ("space.yaml", "study.yaml", "best") if (folder / name).exists()}


def _mirror(plan: Plan, say: Say) -> Mirror | None:
    if plan.tracking_uri is None:
        return None
    return Mirror(plan.tracking_uri, study_header(plan.folder, plan.options.experiment), reread=partial(read_events, plan.folder), say=say)


def _bring_level(mirror: Mirror | None, plan: Plan, study: Study, why: str, say: Say) -> str | None:
    """Let MLflow have everything, and say what it lacks; where to look."""
    if mirror is None:
        return None
    report = mirror.finish(Summary.of(study, why), study_artifacts(plan.folder), _MIRROR_SECONDS[why])
    for problem in report.problems:
        say(problem)
    return report.url
