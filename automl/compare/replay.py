"""Studies that are there already, compared: grouped by strategy and pruner, paired by seed where every group has the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from automl.compare.arms import Arm, choice_name
from automl.compare.budget import Budget
from automl.compare.concluding import notes_of
from automl.compare.plan import refuse_several_objectives
from automl.compare.record import is_comparison
from automl.compare.report import Report
from automl.compare.results import Result, result_of
from automl.compare.verdict import judge
from automl.errors import StudyError, UsageError
from automl.folders import existing_study, study_folder
from automl.pruners import check_pruner
from automl.specrecord import difference, sha256
from automl.store import Store, is_being_driven
from automl.strategies import check_strategy
from automl.study import Study
from automl.trials import Created

_DIFFERENCES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Known:
    folder: Path
    study: Study
    created: Created

    @property
    def budget(self) -> Budget:
        return Budget(trials=self.study.asked, seconds=self.study.spec.settings.time_seconds)


def replayed(names: Sequence[str]) -> Report:
    """Compare the studies of these names; the name of a comparison stands for all of its studies.

    Raises StudyError for studies that cannot be compared with the first one: another space, other data, another budget, no tested winner.
    """
    if not names:
        raise UsageError("compare: --replay must be given studies, but is given none. Example: automl compare --replay STUDY STUDY ...")
    known = [_read(folder) for folder in _folders(names)]
    refuse_several_objectives(known[0].study.objectives, str(known[0].folder))
    for other in known[1:]:
        _refuse_another(known[0], other)
    for each in known:
        _refuse_unfinished(each)
    arms = _arms(known)
    groups: dict[str, list[_Known]] = {arm.name: [] for arm in arms}
    for each, arm in zip(known, arms, strict=True):
        groups[arm.name].append(each)
    if len(groups) < 2:
        raise StudyError(
            f"compare: the studies must be of at least two strategies or pruners, but all {len(known)} are {arms[0].name}. "
            "Add studies of another."
        )
    seeds = {name: sorted(each.study.seed for each in own) for name, own in groups.items()}
    first = next(iter(seeds.values()))
    is_paired = len(set(first)) == len(first) and all(own == first for own in seeds.values())
    judged = judge(_results(known, arms, first if is_paired else None), known[0].study.objective, is_paired)
    return Report(
        name=", ".join(names),
        space=known[0].study.spec.name,
        data=known[0].study.spec.data.source,
        budget=known[0].budget.words,
        judged=judged,
        notes=tuple(notes_of(judged, known[0].study.asked)),
    )


def _folders(names: Sequence[str]) -> list[Path]:
    folders: list[Path] = []
    for name in names:
        whole = study_folder(name)
        found = sorted(path.parent for path in whole.glob("*/study.db")) if is_comparison(whole) else [existing_study(name)]
        for folder in found:
            if folder.resolve() in [other.resolve() for other in folders]:
                raise UsageError(f"compare: every study must be given once, but {folder} is given twice. Leave one out.")
            folders.append(folder)
    return folders


def _read(folder: Path) -> _Known:
    with Store.read_only(folder) as store:
        return _Known(folder, store.study(), store.created())


def _refuse_another(first: _Known, other: _Known) -> None:
    differences: list[str] = []
    if sha256(first.study.spec) != sha256(other.study.spec):
        own = ("strategy ", "pruner ", "seed ")
        differences = [line for line in difference(first.study.spec, other.study.spec) if not line.startswith(own)]
        more = len(differences) - _DIFFERENCES_SHOWN
        differences = [*differences[:_DIFFERENCES_SHOWN], *([f"and {more} more"] if more > 0 else [])] or ["another specification"]
    elif first.created.data_fingerprint != other.created.data_fingerprint:
        differences = [f"the content of {other.study.spec.data.source} differs"]
    elif first.budget != other.budget:
        differences = [f"the budget was {first.budget.words}, now {other.budget.words}"]
    elif first.study.spec.settings.confirm != other.study.spec.settings.confirm:
        differences = [f"confirm was {_confirm_words(first)}, now {_confirm_words(other)}"]
    if differences:
        raise StudyError(
            f"{other.folder}: must have the space, data and budget of {first.folder} to be compared with it, but differs "
            f"({'; '.join(differences)}). Leave it out."
        )


def _confirm_words(known: _Known) -> str:
    finalists = known.study.spec.settings.confirm
    return "auto" if finalists is None else str(finalists)


def _refuse_unfinished(known: _Known) -> None:
    study = known.study
    is_tested = study.winner is None or (study.test is not None and study.test.trial == study.winner.number)
    if is_being_driven(known.folder) or study.why_rested not in ("done", "time") or not is_tested:
        raise StudyError(
            f"{known.folder}: must be at its end, with its winner tested, but is not. The command that made it goes on with it; "
            "then compare."
        )


def _arms(known: Sequence[_Known]) -> list[Arm]:
    """The arm of each study; the same object for the same strategy and pruner with the same options, defaults written out or not."""
    settings = [each.study.spec.settings for each in known]
    several = len({(its.pruner, repr(sorted(its.pruner_options.items()))) for its in settings}) > 1
    arms: dict[str, Arm] = {}
    made: list[Arm] = []
    for each, its in zip(known, settings, strict=True):
        spec = each.study.spec
        strategy = check_strategy(its.strategy, its.strategy_options, spec.space)
        pruner = check_pruner(its.pruner, its.pruner_options, spec.epochs, spec.trainings)
        name = choice_name(its.strategy, its.strategy_options)
        name += f" + {choice_name(its.pruner, its.pruner_options)}" if several else ""
        same = repr((its.strategy, sorted(strategy.items()), its.pruner, sorted(pruner.items(), key=lambda item: item[0])))
        arms.setdefault(same, Arm(name, its.strategy, its.strategy_options, its.pruner, its.pruner_options))
        made.append(arms[same])
    return made


def _results(known: Sequence[_Known], arms: Sequence[Arm], seeds: Sequence[int] | None) -> list[Result]:
    """``seeds``: in the order of the repeats; None where repeats are no pairs and are counted as they come."""
    results, counted = [], dict.fromkeys((arm.name for arm in arms), 0)
    for each, arm in zip(known, arms, strict=True):
        counted[arm.name] += 1
        repeat = counted[arm.name] if seeds is None else seeds.index(each.study.seed) + 1
        results.append(result_of(each.study, arm, repeat, each.folder.name))
    return results
