"""Hyperparameter search for PyTorch models: one search-space file, one command, an honest answer.

``load_space``, ``run``, ``load_study`` and ``load_best`` are the commands as functions; docs/library.md shows how they go together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl.best import load_best
from automl.training.own.trial import Trial, TrialStopped

if TYPE_CHECKING:
    from automl.library import Space, StudyResult, load_space, load_study, run

__version__ = "0.1.0.dev0"
__all__ = ["Space", "StudyResult", "Trial", "TrialStopped", "__version__", "load_best", "load_space", "load_study", "run"]
_OF_THE_LIBRARY = ("Space", "StudyResult", "load_space", "load_study", "run")


def __getattr__(name: str) -> Any:
    """What only a program needs is imported when it is first asked for, so that ``import automl`` and the command stay quick."""
    if name in _OF_THE_LIBRARY:
        from automl import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
