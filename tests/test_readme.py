"""The README is true: its search space is the shipped one, its links lead somewhere, its commands are there."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from automl import spacefile
from automl.cli import COMMANDS
from automl.folders import shipped_spaces

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_space_in_the_readme_is_the_shipped_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n# (search_spaces/\S+)\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "shown.yaml").write_text(block[1])
    assert spacefile.dump(spacefile.load(tmp_path / "shown.yaml")) == spacefile.dump(spacefile.load(ROOT / block[0]))


def test_every_shipped_space_is_in_the_table() -> None:
    page = (ROOT / "docs" / "search-spaces.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[`(\w+)`\]", page, flags=re.MULTILINE) == sorted(shipped_spaces())


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_picture_of_the_terminal_needs_nothing_but_itself() -> None:
    drawn = (ROOT / "docs" / "terminal.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(drawn) < 100_000
    assert re.findall(r"url\((?!#)|href=|@import|@font-face", drawn) == []


def test_every_command_in_the_readme_exists() -> None:
    assert set(re.findall(r"`?automl (\w+)", README)) <= {*COMMANDS, "to", "is", "import"}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 150
