"""The colours of runs in MLflow's UI, which draws their curves in them: Okabe and Ito's, which people tell apart who are colour-blind."""

from __future__ import annotations

from automl.trials import Trial

_BLUE, _ORANGE, _GREEN, _VERMILION, _SKY, _PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
_GREY, _OCHRE = "#B0B0B0", "#8C6D1F"
COMPLETE, WINNER = _BLUE, _ORANGE
_STRATEGY_COLOURS = {
    "grid": _ORANGE,
    "random": _SKY,
    "sobol": _GREEN,
    "bayesian": _BLUE,
    "gp": _PURPLE,
    "cmaes": _VERMILION,
    "evolution": _OCHRE,
}


def strategy_colour(strategy: str) -> str:
    """The colour of a study's run; empty for a strategy without one."""
    return _STRATEGY_COLOURS.get(strategy, "")


def trial_colour(trial: Trial) -> str:
    """The colour of a trial's run once it has ended: complete ones blue, pruned ones grey, others vermilion."""
    if not trial.has_ended:
        return ""
    return {"complete": COMPLETE, "pruned": _GREY}.get(trial.state, _VERMILION)
