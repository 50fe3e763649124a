"""The arms of a comparison: which strategies, with which options and pruners, run side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from automl.errors import UsageError
from automl.events import Value
from automl.pruners import check_pruner
from automl.shorthand import parse_choice
from automl.spec import StudySettings, StudySpec
from automl.strategies import check_strategy
from automl.yamlfile import written


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to search: a strategy and a pruner, each with the options that were given. ``name`` is what tables call it."""

    name: str
    strategy: str
    strategy_options: Mapping[str, Value] = field(default_factory=dict)
    pruner: str = "none"
    pruner_options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name as part of a folder's name."""
        return re.sub(r"[^A-Za-z0-9_.=]+", "-", self.name).strip("-.")

    def settings(self, settings: StudySettings) -> StudySettings:
        """Study settings with this arm's methods."""
        return replace(
            settings,
            strategy=self.strategy,
            strategy_options=self.strategy_options,
            pruner=self.pruner,
            pruner_options=self.pruner_options,
        )


def split_choices(text: str) -> list[str]:
    """``grid,bayesian:n_startup=5,n_candidates=8,random`` as three choices: a piece NAME=VALUE goes on with the one before it."""
    choices: list[str] = []
    for piece in (piece.strip() for piece in text.split(",")):
        is_option = "=" in piece and ":" not in piece.partition("=")[0]
        if is_option and choices:
            separator = "," if ":" in choices[-1] else ":"
            choices[-1] = f"{choices[-1]}{separator}{piece}"
        elif piece:
            choices.append(piece)
    return choices


def make_arms(strategies: Sequence[str], pruners: Sequence[str], spec: StudySpec) -> tuple[Arm, ...]:
    """Every strategy with every pruner, checked against the space. ``pruners``: empty for the one that the space file names.

    Raises UsageError for methods and options that do not exist or cannot work here, for arms that are the same, and for fewer than two.
    """
    settings = spec.settings
    chosen = [parse_choice(text) for text in pruners] or [(settings.pruner, dict(settings.pruner_options))]
    arms: list[Arm] = []
    known: dict[str, str] = {}
    for strategy, options in map(parse_choice, strategies):
        complete = _checked("--strategy", "--strategies", lambda: check_strategy(strategy, options, spec.space))  # noqa: B023 (called at once)
        for pruner, more in chosen:
            whole = _checked("--pruner", "--pruners", lambda: check_pruner(pruner, more, spec.epochs, spec.trainings))  # noqa: B023
            name = choice_name(strategy, options) + (f" + {choice_name(pruner, more)}" if len(chosen) > 1 else "")
            same = repr((strategy, sorted(complete.items()), pruner, sorted(whole.items(), key=lambda item: item[0])))
            if same in known:
                raise UsageError(
                    f"--strategies: every arm must differ from the others, but {known[same]} and {name} are the same. Leave one out."
                )
            known[same] = name
            arms.append(Arm(name, strategy, options, pruner, more))
    if len(arms) < 2:
        given = arms[0].name if arms else "nothing"
        raise UsageError(
            f"--strategies: must name at least two strategies, or one with two --pruners, but is {given}. "
            "Example: --strategies grid,random,bayesian."
        )
    return tuple(arms)


def choice_name(name: str, options: Mapping[str, Value]) -> str:
    """``bayesian`` or ``bayesian:n_startup=5``, as a person types it."""
    words = ",".join(f"{key}={written(value)}" for key, value in sorted(options.items()))
    return f"{name}:{words}" if words else name


def _checked(flag: str, own: str, check: object) -> dict[str, Value]:
    assert callable(check)
    try:
        completed: dict[str, Value] = check()
    except UsageError as error:
        raise UsageError(str(error).replace(flag, own, 1)) from None
    return completed
