"""Carrying out a plan: prepare the data, start the workers, drive the study, crown the winner, leave everything in order."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from automl import __version__, data, metrics, mirroring, spacefile
from automl.clock import now
from automl.confirmation import SHARE, get_ready, next_confirmations
from automl.data import DataInfo
from automl.datareport import report_of
from automl.driver import Follower, Session, WhyRested, drive, tidy
from automl.engines import Engine, make_engine
from automl.environment import environment
from automl.errors import AutomlError, DataError, StudyError, UsageError
from automl.events import Configuration, Job, Slot
from automl.folders import home_expanded
from automl.interrupts import interrupts, sigterm_like_ctrl_c
from automl.lanes import lanes_of
from automl.page import PAGE
from automl.plan import Plan, RunOptions, settle
from automl.pruners import make_pruner
from automl.spec import StudySpec
from automl.store import Store, hold, new_identity
from automl.strategies import STRATEGIES, make_strategy
from automl.study import Study
from automl.summary import grid_text
from automl.trials import Confirming, Created, Event, Rested, Resumed
from automl.winner import crown, is_crowned

_DIFFERENCES_SHOWN = 5
_ASKED_FOR = ("epochs", "replicates")  # of what tells studies apart, what a person may have said on the command line
MADE_BEFORE_THE_STUDY = ("workers", "data")

Watcher = Callable[[Study, Sequence[Slot]], Follower]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``tracking`` says where MLflow shows the study, None where tracking is off; ``page`` is the study page, where
    there is one of this state."""

    study: Study
    folder: Path
    why: WhyRested
    data: DataInfo
    tracking: str | None = None
    page: Path | None = None


def run(plan: Plan, watch: Watcher | None = None, say: Say = lambda line: None) -> Outcome:
    """Drive the study of this plan to its total and test its winner. A study that has all of that is left as it is.

    ``watch`` makes a follower of the events for a display; ``say`` takes lines that a person should read. Raises the errors of
    ``automl.errors``. An interrupt (SIGINT, SIGTERM, SIGHUP) is no error: everything is kept and ``Outcome.why`` says so.
    """
    with ExitStack() as stack:
        stack.enter_context(sigterm_like_ctrl_c())
        no_folders = [path for path in (plan.folder, *plan.folder.parents) if not path.exists()]
        held = stack.enter_context(hold(plan.folder))
        plan = replace(plan, continues=(plan.folder / "study.db").is_file())
        known = _data_of_before(plan) if plan.continues else None
        no_files = [path for path in (plan.folder / name for name in MADE_BEFORE_THE_STUDY) if not path.exists()]
        stack.callback(leave_nothing, plan.folder, "study.db", no_files, no_folders)
        workers = stack.enter_context(contextlib.closing(Workers(plan.options, plan.lanes, plan.spec.model, plan.folder / "workers")))
        if not plan.continues:
            workers.start(plan.spec.settings.trials * plan.spec.trainings)  # they come up while the data are prepared
        info = known or data.prepare_apart(plan.spec.data, plan.folder / "data")
        spec = settle(plan.spec, info)
        store = stack.enter_context(open_study(plan, spec, info, held))
        study = store.study(spec.space)
        end = _end_of_training(plan, study)
        level = _where_level(plan, store, study)
        if end is not None and _is_noted(plan, study, end) and is_crowned(study, plan.folder) and level is not None:
            used_up = ", since its space is used up" if study.ended < study.asked and end == "done" else ""
            say(f"{plan.folder} has {study.ended} of {study.asked} trials and its winner; there is nothing left to do{used_up}.")
            known_page = plan.folder / PAGE
            return Outcome(study, plan.folder, end, info, level or None, known_page if known_page.exists() else None)
        for note in (*plan.spec.notes, *report_of(asdict(info)).lines, *_edited(plan, store)):
            say(note)
        session = session_of(plan, spec, study, store, info)
        mirror = None
        if plan.tracking_uri is not None:
            mirror = mirroring.start_mirror(plan.tracking_uri, plan.options.experiment, plan.folder, store, study, say)
            session.followers.append(mirror.follow)
        page = None
        try:
            why = _train(plan, workers, session, watch, say) if end is None else _note_end(plan, session, end)
            if why != "interrupted":
                why = _crown(plan, workers, session, why, say)
            if why != "interrupted":
                why, page = _write_page(plan, session, why, say)
        except AutomlError:
            if mirror is not None:
                mirroring.bring_level(mirror, plan.folder, study, "failed", say)
            raise
        if mirror is None:
            return Outcome(study, plan.folder, why, info, page=page)
        try:
            report = mirroring.bring_level(mirror, plan.folder, study, why, say)
        except KeyboardInterrupt:
            why = "interrupted"
            report = mirroring.bring_level(mirror, plan.folder, study, why, say)
        return Outcome(study, plan.folder, why, info, report.url, page)


class Workers:
    """The workers of a run: started when they are first needed, and no more of them than there are trials for.

    ``lanes``: as ``Plan.lanes``; ``model``: what they train; ``log_folder``: where each worker leaves what it prints.
    """

    def __init__(self, options: RunOptions, lanes: int | None, model: str, log_folder: Path) -> None:
        self._options = options
        self._lanes = lanes
        self._model = model
        self._log_folder = log_folder
        self._engine: Engine | None = None

    def start(self, trainings: int) -> Engine:
        """The workers that are up, or new ones for so many trials and replicates of trials."""
        if self._engine is None:
            options = self._options
            self._engine = make_engine(
                options.engine,
                devices=options.devices,
                workers=options.workers,
                lanes=self._lanes,
                trainings=trainings,
                model=self._model,
                log_folder=self._log_folder,
            )
        return self._engine

    def close(self) -> None:
        """End them, whatever they are doing."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def leave_nothing(folder: Path, mark: str, files: Sequence[Path], folders: Sequence[Path]) -> None:
    """A run that ended before its ``mark`` was in the folder leaves nothing of its own behind.

    ``files`` and ``folders`` were not there before it.
    """
    if not (folder / mark).exists():
        for path in files:
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            (folder / "study.lock").unlink(missing_ok=True)
            for path in (folder, *folders[1:]):
                path.rmdir()


def refuse_another(plan: Plan, fingerprint: str | None = None) -> None:
    """The study that is there must be of the same space and data. Asked before anything of it is touched.

    ``fingerprint``: of the data as they are now; None where they cannot have changed.
    """
    with Store.read_only(plan.folder) as store:
        created, before = store.created(), store.spec()
    has_same_data = created.data_fingerprint == fingerprint
    spec = replace(plan.spec, objective=plan.spec.objective or before.objective)
    differences = spacefile.difference(before, spec, has_same_data=has_same_data)
    if fingerprint is not None and not has_same_data and not differences:
        differences = [f"the content of {plan.spec.data.source} has changed"]
    if differences:
        more = len(differences) - _DIFFERENCES_SHOWN
        shown = [*differences[:_DIFFERENCES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        options = [f"--{name} {getattr(before, name)}" for name in _ASKED_FOR if getattr(spec, name) != getattr(before, name)]
        again = f"{' '.join(options)} goes on with it; u" if len(options) == len(differences) else "U"
        raise StudyError(f"{plan.folder} holds a study of another space ({'; '.join(shown)}). {again}se --study NAME for a new one.")


def open_study(plan: Plan, spec: StudySpec, info: DataInfo, held: int) -> Store:
    """The study's store: a new one, or that of the study to go on with."""
    if plan.continues:
        refuse_another(replace(plan, spec=spec), info.fingerprint)
        store = Store.open(plan.folder, held)
    else:
        assert spec.objective is not None
        created = Created(
            at=now(),
            identity=new_identity(),
            spec=spacefile.to_dict(spec),
            metric=spec.objective.metric,
            maximize=spec.objective.maximize,
            data_fingerprint=info.fingerprint,
            version=__version__,
        )
        store = Store.create(plan.folder, created, held)
    for name, text in (("study.yaml", spacefile.dump(_readable_anywhere(spec))), ("space.yaml", spec.text)):
        if not (plan.folder / name).exists():  # also where an earlier run was killed before it wrote them
            unfinished = plan.folder / f".{name}.unfinished"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.rename(plan.folder / name)
    return store


def _readable_anywhere(spec: StudySpec) -> StudySpec:
    """With absolute paths of data, since the study's file lies in a folder of its own and is run again from any."""
    data = spec.data
    test = _absolute(data.test) if isinstance(data.test, str) else data.test
    return replace(spec, data=replace(data, source=_absolute(data.source), test=test))


def _absolute(source: str) -> str:
    """The path of what is there: a file, a folder, files of a pattern, ``file.py:function``. Other names, such as built-in ones, stay."""
    from automl.data.builtin import canonical
    from automl.data.dataset import beside

    if not source or canonical(source) is not None:
        return source
    in_code = beside(source, Path.cwd())
    path = home_expanded(in_code)
    is_there = in_code != source or path.exists() or (any(letter in source for letter in "*?[") and path.parent.is_dir())
    return os.path.normpath(path.absolute()) if is_there else source


def session_of(plan: Plan, spec: StudySpec, study: Study, store: Store, info: DataInfo) -> Session:
    """What the driver needs of this study. Studies whose ``data`` is a link to the same folder share it, in workers' memory as well."""
    settings = spec.settings
    names = [objective.metric for objective in study.objectives]
    job = Job(
        study=study.identity,
        model=spec.model,
        data=str((plan.folder / "data").resolve()),
        folder=str(plan.folder.absolute()),
        objective=study.objective.metric,
        maximize=study.objective.maximize,
        metrics=tuple(names) if spec.trains_itself else metrics.reported(info.task, *names),
        further=tuple(name for name in names[1:] if spec.trains_itself or name not in metrics.MEASURES),
        code=spec.code,
        checkpoint=spec.checkpoint,
    )
    return Session(
        study,
        store,
        make_strategy(settings.strategy, settings.strategy_options, study.space, len(study.objectives)),
        make_pruner(settings.pruner, settings.pruner_options, spec.epochs, spec.trainings),
        job,
        trial_seconds=plan.spec.settings.trial_seconds,
    )


def _edited(plan: Plan, store: Store) -> Iterator[str]:
    """That the person's own code is not what it was when the study began."""
    before, code = store.spec().code, plan.spec.code
    if code is not None and before is not None and code.digest != before.digest:
        yield f"{plan.spec.model} was edited since the study began: trials from before and after may not be comparable."


def _data_of_before(plan: Plan) -> DataInfo | None:
    """What the study was trained on, where that lies ready and cannot have changed. Refuses another study than the one that is there.

    Built-in data are the same every time, and reading them again takes a second; files are read, to see whether they have changed.
    """
    from automl.data.builtin import canonical

    if canonical(plan.spec.data.source) is None:
        refuse_another(plan, data.fingerprint(plan.spec.data))
        return None
    refuse_another(plan)
    try:
        return data.load(plan.folder / "data")[0]
    except DataError:
        return None


def _end_of_training(plan: Plan, study: Study) -> WhyRested | None:
    """Why there is nothing to train in this study; None where there is."""
    settings = plan.spec.settings
    if study.at_work_since is not None or _new_configurations(plan, study):
        return None
    is_used_up = study.why_rested == "done" and settings.trials <= study.asked
    if study.ended >= settings.trials or is_used_up:
        return None if study.is_confirming or next_confirmations(study, settings.confirm, study.ended) else "done"
    return "time" if settings.time_seconds is not None and study.active_seconds >= settings.time_seconds else None


def _where_level(plan: Plan, store: Store, study: Study) -> str | None:
    """Where the study is tracked, empty where it is not to be; None where MLflow may lack something."""
    if plan.tracking_uri is None:
        return ""
    return mirroring.where_level(plan.folder, plan.tracking_uri, plan.options.experiment, store, study)


def _is_noted(plan: Plan, study: Study, why: WhyRested) -> bool:
    """Whether the events say that the study came to this end, and of how many trials."""
    return (study.why_rested, study.asked) == (why, plan.spec.settings.trials)


def _note_end(plan: Plan, session: Session, why: WhyRested) -> WhyRested:
    """The study is at its end without any training; its events are to say so."""
    if not _is_noted(plan, session.study, why):
        session.record([Resumed(now(), plan.spec.settings.trials), Rested(now(), why, 0.0)])
    return why


def _train(plan: Plan, workers: Workers, session: Session, watch: Watcher | None, say: Say) -> WhyRested:
    study, settings, began = session.study, plan.spec.settings, time.monotonic()
    left = max(settings.trials - study.ended, len(next_confirmations(study, settings.confirm, study.ended)), 1)
    trainings = left * study.replicates
    engine = workers.start(trainings)
    begin(session, plan.folder, settings.trials, _new_configurations(plan, study), engine.slots)
    if settings.time_seconds is not None:
        session.time_left = settings.time_seconds - study.active_seconds
        share = 0.0 if settings.confirm == 0 else SHARE
        session.search_time_left = (1 - share) * settings.time_seconds - study.active_seconds
    session.confirm = settings.confirm
    if settings.confirm:
        get_ready()
    session.followers.append(partial(_tell_of_confirmations, say))
    grid = grid_text(study.spec, settings.trials)
    if grid:
        say(grid)
    with interrupts() as is_interrupted:
        lanes, reason = lanes_of(engine, session, plan.lanes, trainings, STRATEGIES[settings.strategy].learns, is_interrupted, say)
        if reason:
            say(reason)
        if watch is not None:
            session.followers.append(watch(study, [replace(slot, lanes=lanes[slot]) for slot in engine.slots]))
        try:
            why = drive(engine, [session], is_interrupted, lanes)
        except AutomlError:
            if session.trouble:
                session.record([Rested(now(), "failed", time.monotonic() - began)])
            raise
        session.record([Rested(now(), why, time.monotonic() - began)])
    return _cut_short(session) if is_interrupted() and why != "interrupted" else why  # noted when the loop looked no more


def begin(session: Session, folder: Path, asked: int, enqueued: Sequence[Configuration] = (), slots: Sequence[Slot] = ()) -> None:
    """A driver begins, or begins again: to so many trials in all, the baseline first and a person's own configurations next.

    ``slots``: those of the engine, for the record of what the study was made with.
    """
    study = session.study
    session.record([Resumed(now(), asked, environment(slots))])
    if not study.trials and study.spec.baseline is not None:
        session.suggest([study.spec.baseline], "baseline")
    session.suggest(enqueued, "enqueued")
    tidy(study, folder)


def _tell_of_confirmations(say: Say, events: Sequence[tuple[int, Event]]) -> None:
    """Say which trials are trained again, a line for each round."""
    rounds = Counter((event.purpose, event.key.trial) for _, event in events if isinstance(event, Confirming))
    for purpose, why in (("pick", "to pick the winner"), ("claim", "to say what it is worth")):
        trials = [f"trial {number} x{count}" for (each, number), count in rounds.items() if each == purpose]
        if trials:
            say(f"on fresh seeds, {why}: {', '.join(trials)}")


def _crown(plan: Plan, workers: Workers, session: Session, why: WhyRested, say: Say) -> WhyRested:
    """Crown the winner. Says why the run ends: it may be interrupted here as well."""
    if is_crowned(session.study, plan.folder):
        return why
    try:
        if why != "done":
            workers.close()  # they are in the middle of epochs that nobody waits for
        crown(session, plan.folder, lambda: workers.start(1), say)
    except KeyboardInterrupt:
        return _cut_short(session)
    return why


def _write_page(plan: Plan, session: Session, why: WhyRested, say: Say) -> tuple[WhyRested, Path | None]:
    """Write the study page; a study is none the worse for lacking it. Says why the run ends: it may be interrupted here as well."""
    try:
        if plan.tracking_uri is not None:
            import pandas  # noqa: F401 -- plotly takes it as it finds it, also half imported by MLflow's thread

        from automl.page.studypage import write_page

        return why, write_page(plan.folder, is_driven=False)
    except KeyboardInterrupt:
        return _cut_short(session), None
    except Exception as error:  # whatever it is, the study is complete
        again = f"`automl page {shlex.quote(str(plan.folder))}` tries again."
        say(f"The study page could not be made ({type(error).__name__}: {error}). {again}")
        return why, None


def _cut_short(session: Session) -> WhyRested:
    """Trained to the end, but interrupted before the winner was crowned: the same command goes on from here."""
    session.record([Rested(now(), "interrupted", 0.0)])
    return "interrupted"


def _new_configurations(plan: Plan, study: Study) -> list[Configuration]:
    """The person's own configurations that the study has no trial of yet, each once."""
    new = {study.space.key(entry): entry for entry in plan.enqueued if not study.knows(entry)}
    asked = plan.spec.settings.trials
    if new and study.trials and plan.options.config is not None:
        asked_for = plan.options.config if isinstance(plan.options.config, str) else "the one that was given"
        raise StudyError(f"{plan.folder} holds a study of another configuration than {asked_for}. Use --study NAME for a new one.")
    if new and len(study.trials) + len(new) > asked:
        raise UsageError(
            f"--trials: must leave room for the {len(new)} enqueued configurations beside the {len(study.trials)} trials that are "
            f"there, but is {asked}. Give at least --trials {len(study.trials) + len(new)}."
        )
    return list(new.values())
