"""Short forms that people type: ``bayesian:n_startup=10`` and ``1h30m``."""

from __future__ import annotations

import math
import re

from automl.errors import UsageError
from automl.events import Value

_DURATION = re.compile(r"(?:(?P<h>[0-9]+(?:\.[0-9]+)?)h)?(?:(?P<m>[0-9]+(?:\.[0-9]+)?)m)?(?:(?P<s>[0-9]+(?:\.[0-9]+)?)s)?")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_LONGEST = 40
_EXAMPLE = "bayesian:n_startup=10"


def parse_duration(text: str) -> float:
    """Seconds of ``30s``, ``30m``, ``2h``, ``1h30m`` or a plain number of seconds. Raises UsageError for anything else."""
    short = text.strip().lower()
    seconds = 0.0
    if len(short) <= _LONGEST:
        if _SECONDS.fullmatch(short):
            seconds = float(short)
        elif match := _DURATION.fullmatch(short):
            seconds = 3600 * float(match["h"] or 0) + 60 * float(match["m"] or 0) + float(match["s"] or 0)
    if not math.isfinite(seconds) or seconds <= 0:
        raise UsageError(
            f"time: must be a duration above 0, but is {text!r}. Give one such as 90s, 30m, 2h, 1h30m, or a number of seconds."
        )
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest text that ``parse_duration`` reads back as the same number of seconds."""
    if seconds != int(seconds):
        return repr(float(seconds))
    hours, rest = divmod(int(seconds), 3600)
    minutes, whole_seconds = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (whole_seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def parse_choice(text: str) -> tuple[str, dict[str, Value]]:
    """``bayesian:n_startup=10,multivariate=true`` as a name and its options. Raises UsageError for what is not of this form."""
    from automl.yamlfile import resolve

    name, _, rest = text.partition(":")
    options: dict[str, Value] = {}
    for part in rest.split(",") if rest.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key or not equals or not value:
            given = part.strip()
            raise UsageError(f"{text!r}: options must be NAME=VALUE with commas between them, but one is {given!r}. Example: {_EXAMPLE}.")
        if key in options:
            raise UsageError(f"{text!r}: an option must be given once, but {key!r} is given twice.")
        options[key] = resolve(value)
    if not name.strip():
        raise UsageError(f"{text!r}: must begin with a name, such as bayesian or bayesian:n_startup=10.")
    return name.strip(), options
