"""A small file that would grow large in memory, or that Python's own limits would answer, is answered by us."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.configurations import read_configurations
from automl.errors import SpaceError, UsageError
from automl.spacefile import load, load_text

SPACE = "data: digits\nmodel: mlp\nspace:\n  units: {type: int, low: 2, high: 8}\n"
ALIASES = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ALIASES, "--enqueue: must hold plain values, but x.yaml has an alias (*x) on line 2. Write the values out."),
        ("[" * 5000, "--enqueue: must hold plain values, but x.yaml has too many brackets in each other on line 1. Write the values out."),
        ("{units: " + "9" * 5000 + "}", "--enqueue: must be YAML or JSON in UTF-8, but x.yaml is not. Correct the file."),
        ("{" + "k" * 10_000_000 + ": 2}", "--enqueue: must be a file of at most 10 MB, but x.yaml is larger. Is this the right file?"),
    ],
    ids=["aliases", "brackets", "digits", "key"],
)
def test_a_bomb_is_answered_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_configurations(Path("x.yaml"), load_text(SPACE, "space.yaml"))
    assert str(caught.value) == expected


def test_a_long_value_of_a_configuration_is_cut_in_what_is_said_of_it(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("{units: [" + "1, " * 5000 + "]}")
    with pytest.raises(SpaceError) as caught:
        read_configurations(tmp_path / "x.yaml", load_text(SPACE, "space.yaml"))
    where = f"{tmp_path / 'x.yaml'}: configuration 1"
    assert caught.value.problems == (f"{where}: units must be a whole number of at least 1 and at most 65536, but is a list.",)


def test_a_search_space_with_a_key_of_10_mb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SPACE + "k" * 10_000_000 + ": 1\n")
    with pytest.raises(SpaceError) as caught:
        load(path)
    assert caught.value.problems == (
        f"{path}: must have at most 1 MB, but is larger. A search space is a page of text; is this the right file?",
    )
