"""Arguments of the library: one of another type is refused in a sentence, others arrive as the command has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from automl import arguments, load_space, load_study, run
from automl.errors import UsageError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trials": "x"}, "trials: must be a whole number, but is 'x'. Give an int."),
        ({"trials": 3.0}, "trials: must be a whole number, but is 3.0. Give an int."),
        ({"seed": True}, "seed: must be a whole number, but is True. Give an int."),
        ({"epochs": [1, 2]}, "epochs: must be a whole number, but is [1, 2]. Give an int."),
        ({"epochs": list(range(100))}, "epochs: must be a whole number, but is of type list. Give an int."),
        ({"space": 3}, "space: must be a name or a path, but is 3. Give a str or a Path."),
        ({"study": b"first"}, "study: must be a name or a path, but is b'first'. Give a str or a Path."),
        ({"strategy": object()}, "strategy: must be a text, but is of type object. Give a str."),
        ({"engine": None}, "engine: must be a text, but is None. Give a str."),
        ({"mlflow": False}, "mlflow: must be a text, but is False. Give a str."),
        ({"time": [1]}, "time: must be seconds or a text such as '30m', but is [1]. Give a number or a str."),
        ({"workers": 1.5}, "workers: must be a whole number or 'auto', but is 1.5. Give an int or a str."),
        ({"lanes": None}, "lanes: must be a whole number or 'auto', but is None. Give an int or a str."),
        ({"devices": 0}, "devices: must be a text or a list of texts, but is 0. Give a str or a list of them."),
        ({"drop": ["a", 2]}, "drop: must be a text or a list of texts, but is ['a', 2]. Give a str or a list of them."),
        ({"config": [{}]}, "config: must be a configuration or a file, but is [{}]. Give a dict, a str or a Path."),
        (
            {"enqueue": {"units": 3}},
            "enqueue: must be a list of configurations or a file, but is {'units': 3}. Give a list of dicts, a str or a Path.",
        ),
        (
            {"enqueue": object()},
            "enqueue: must be a list of configurations or a file, but is of type object. Give a list of dicts, a str or a Path.",
        ),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_an_argument_of_another_type_is_refused_in_a_sentence_before_anything_is_read(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(**{"space": "no such space", **given})
    assert str(caught.value) == said


@pytest.mark.parametrize(("load", "name"), [(load_space, "space"), (load_study, "study")])
def test_what_is_no_name_is_not_looked_for(load: Callable[[Any], object], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(3)
    assert str(caught.value) == f"{name}: must be a name or a path, but is 3. Give a str or a Path."


def test_arguments_arrive_as_the_command_has_them() -> None:
    assert type(arguments.whole("trials", numpy.int64(3))) is int
    assert (arguments.whole("trials", numpy.int64(3)), arguments.whole("trials", None)) == (3, None)
    assert [arguments.count("workers", each) for each in (2, numpy.int32(2), "auto")] == ["2", "2", "auto"]
    assert [arguments.duration("time", each) for each in (90, 0.5, numpy.float32(0.5), "30m", None)] == ["90s", "0.5s", "0.5s", "30m", None]
    assert [arguments.path("data", each) for each in (Path("a") / "b.csv", "iris", None)] == ["a/b.csv", "iris", None]
    assert [arguments.texts("drop", each) for each in ((), "id", ["id", "key"], pandas.Index(["id"]))] == [
        (),
        ("id",),
        ("id", "key"),
        ("id",),
    ]
    with pytest.raises(UsageError, match=r"^enqueue: must be a list of configurations or a file, but is of type DataFrame\. "):
        arguments.configurations("enqueue", pandas.DataFrame({"units": [3]}))
    assert arguments.configuration("config", OrderedDict(units=numpy.int64(3))) == {"units": 3}
    assert arguments.configurations("enqueue", ({"units": units} for units in (3, 4))) == [{"units": 3}, {"units": 4}]
    assert arguments.configurations("enqueue", Path("mine.yaml")) == "mine.yaml"
