"""How data that are no plain table are read: keys of a space file's section ``data`` beside its source, target and splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TASKS = ("classification", "regression")


@dataclass(frozen=True, slots=True)
class DataOption:
    """A key of the section ``data``, and a field of ``DataSpec``: a text (``low`` is None) or a whole number of at least ``low``.

    ``flag``: whether the command line has it as well, with this word for its value. ``choices``: the only texts there are.
    """

    name: str
    about: str
    low: int | None = None
    flag: str = ""
    choices: tuple[str, ...] = ()


DATA_OPTIONS: Mapping[str, DataOption] = {
    option.name: option
    for option in (
        DataOption("task", "whether the target is classes or a number to predict, where its look misleads", flag="TASK", choices=TASKS),
        DataOption("text", "the column with texts to learn from", flag="COLUMN"),
        DataOption("image", "the column with paths of pictures, relative to the file", flag="COLUMN"),
        DataOption("size", "pixels a side that pictures are brought to", low=1, flag="PIXELS"),
        DataOption("series", "the column that says which rows are one sequence", flag="COLUMN"),
        DataOption("timestamp", "the column that orders the rows of a sequence or a forecast", flag="COLUMN"),
        DataOption("horizon", "how many steps of the target are to be forecast", low=1, flag="STEPS"),
        DataOption("window", "how many steps before them a forecast sees", low=1, flag="STEPS"),
        DataOption(
            "rows",
            "how many rows are used beside those for test, drawn at random; of a forecast's file how many are read, from its beginning",
            low=1,
            flag="ROWS",
        ),
        DataOption("vocabulary", "the most words that texts are read with; rarer ones count as unknown", low=1),
        DataOption("length", "the most words of a text, or steps of a sequence, that are read", low=1, flag="LENGTH"),
        DataOption("bins", "into how many bins the numbers of a table are spread (0: none)", low=0),
    )
}
