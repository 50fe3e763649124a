"""The documentation says what is true: tables and help are made from the code, examples are read, commands are run.

``python tests/test_docs.py`` writes the generated parts of docs/ anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from automl import families, spacefile
from automl.cli import automl, main
from automl.errors import SpaceError
from automl.families import Setting
from automl.metrics import OBJECTIVES
from automl.options import Method
from automl.pruners import PRUNERS
from automl.strategies import STRATEGIES
from automl.yamlfile import written

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WIDTH = 140
MINIMAL = {"data": "data: digits", "model": "model: mlp", "space": "space:\n  dropout: {type: float, low: 0.0, high: 0.5}"}


# -- generated parts --------------------------------------------------------------------------------------------------


def _table(*rows: tuple[str, ...]) -> str:
    header, *rest = rows
    lines = [header, tuple("---" for _ in header), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _domain(setting: Setting) -> str:
    if setting.kind == "bool":
        return "`true`, `false`"
    if setting.kind == "categorical":
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    low = "" if setting.low is None else f"{'>' if setting.low_open else '>='} {setting.low:g}"
    high = "" if setting.high is None else f"{'<' if setting.high_open else '<='} {setting.high:g}"
    return " and ".join(bound for bound in (low, high) if bound)


def _rows(settings: Mapping[str, Setting]) -> Iterator[tuple[str, ...]]:
    for name, setting in settings.items():
        yield f"`{name}`", setting.kind, _domain(setting), f"`{written(setting.default)}`", setting.about


_HEAD = ("parameter", "kind", "takes", "default", "what it is")


def _parameters() -> str:
    parts = []
    for family in families.FAMILIES.values():
        parts += [f"### `{family.name}`: {family.about}", _table(_HEAD, *_rows(family.settings))]
        for base, count in family.per_layer.items():
            parts.append(
                f"`{base}_1`, `{base}_2`, ... give each layer a value of its own; where one is left out, the layer takes `{base}`. "
                f"`{base}_2` exists only where `{count} >= 2`."
            )
    return "\n\n".join([*parts, "### Training, the same for every family", _table(_HEAD, *_rows(families.TRAINING))])


def _metrics() -> str:
    rows = [(f"`{m.name}`", "more" if m.maximize else "less", ", ".join(m.tasks), m.about) for m in OBJECTIVES.values()]
    return _table(("metric", "better is", "tasks", "what it is"), *rows)


def _methods(methods: Mapping[str, Method]) -> Callable[[], str]:
    def made() -> str:
        rows = []
        for method in methods.values():
            options = [f"`{s.name}` ({_domain(s)}; default `{written(s.default)}`): {s.about}" for s in method.settings]
            rows.append((f"`{method.name}`", method.about, "<br>".join(options) or "none"))
        return _table(("name", "what it does", "options"), *rows)

    return made


def _commands() -> str:
    top = click.Context(automl, info_name="automl", terminal_width=100, **automl.context_settings)
    return "\n\n".join(f"### `{context.command_path}`\n\n```text\n{context.get_help()}\n```" for context in _contexts(top))


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _contexts(click.Context(command, info_name=name, parent=context))


GENERATED = {
    ("parameters.md", "parameters"): _parameters,
    ("parameters.md", "metrics"): _metrics,
    ("strategies-and-pruners.md", "strategies"): _methods(STRATEGIES),
    ("strategies-and-pruners.md", "pruners"): _methods(PRUNERS),
    ("command-line.md", "commands"): _commands,
}


def _with_generated(page: str, part: str, content: str) -> str:
    begin, end = f"<!-- generated: {part} -->", f"<!-- end: {part} -->"
    before, _, rest = content.partition(begin)
    assert rest, f"{page} lacks {begin}"
    _, found, after = rest.partition(end)
    assert found, f"{page} lacks {end}"
    return f"{before}{begin}\n{GENERATED[page, part]()}\n{end}{after}"


def write() -> None:
    """Write all generated parts into docs/."""
    for page, part in GENERATED:
        path = DOCS / page
        path.write_text(_with_generated(page, part, path.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.mark.parametrize(("page", "part"), GENERATED)
def test_generated_parts_are_up_to_date(page: str, part: str) -> None:
    content = (DOCS / page).read_text(encoding="utf-8")
    assert _with_generated(page, part, content) == content, "stale: run python tests/test_docs.py"


# -- examples ---------------------------------------------------------------------------------------------------------


def _blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: (language, content)."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _whole(text: str) -> str:
    """A complete search-space file for a fragment: some of its sections, or some parameters of its space."""
    keys = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    if not keys <= set(spacefile.KEYS):
        text, keys = "space:\n" + re.sub(r"^(?=.)", "  ", text, flags=re.MULTILINE), {"space"}
    missing = () if "extends" in keys else [line for key, line in MINIMAL.items() if key not in keys]
    return "\n".join([*missing, text])


def test_every_search_space_example_is_read_and_every_error_example_is_what_the_reader_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first line such as ``# base.yaml`` names the file, for others to extend; a text block right after an example holds its errors."""
    monkeypatch.chdir(tmp_path)
    blocks = _blocks(DOCS / "search-spaces.md")
    examples = 0
    for (language, content), (following, answer) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language != "yaml":
            continue
        named = re.match(r"# ([\w-]+\.yaml)\b", content)
        path = Path(named[1] if named else "example.yaml")
        path.write_text(_whole(content), encoding="utf-8")
        examples += 1
        if following == "text":
            with pytest.raises(SpaceError) as caught:
                spacefile.load(path)
            assert str(caught.value) == answer.strip()
        else:
            spacefile.load(path)
    assert examples > 10


def _sessions() -> list[Any]:
    return [
        pytest.param(content, id=f"{page.stem}-{index}")
        for page in PAGES
        for index, (language, content) in enumerate(_blocks(page))
        if language == "console"
    ]


@pytest.mark.parametrize("session", _sessions())
def test_commands_answer_as_the_page_shows(
    session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of a console block, run in an empty folder in which ``cat FILE`` makes the files that it shows."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "100", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_TRACKING_URI", "AUTOML_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    code = 0
    for command, answer in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n?)*)", session, re.MULTILINE):
        words = shlex.split(command)
        match words:
            case ["cat", name]:
                Path(name).write_text(answer, encoding="utf-8")
            case ["head", count, name]:
                assert "".join(Path(name).read_text(encoding="utf-8").splitlines(keepends=True)[: int(count[1:])]) == answer
            case ["echo", "$?"]:
                assert answer.strip() == str(code)
            case ["automl", *_]:
                monkeypatch.setattr(sys, "argv", words)
                with pytest.raises(SystemExit) as stop:
                    main()
                code = stop.value.code
                said = capsys.readouterr()
                assert said.out + said.err == answer
            case _:
                pytest.fail(f"{command}: console blocks run automl, cat, head and echo $? only; use a sh block")


def _shell_commands() -> list[Any]:
    text = "\n".join(content for page in PAGES for language, content in _blocks(page) if language == "sh")
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"(\w+=\S* )*automl ", line)]


@pytest.mark.parametrize("line", _shell_commands())
def test_commands_in_the_text_exist_with_their_options(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True) if "=" not in word.partition("=")[0] and not re.match(r"[A-Z_]+=", word)]
    words = words[: next((i for i, word in enumerate(words) if word in (">", "|", "&&")), len(words))]
    context = click.Context(automl, info_name="automl")
    command: click.Command = automl
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None, line
        context, command, rest = click.Context(found, info_name=rest[0], parent=context), found, rest[1:]
    command.make_context(command.name, list(rest), parent=context)


def test_json_formats_are_those_of_a_real_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The json blocks of the command-line page have the keys, all the way down, of what the commands print; ``...`` stands for more."""
    monkeypatch.chdir(tmp_path)
    block = r"^`(automl [^`]+ --json)`[^\n]*\n(?:[^\n`#][^\n]*\n)*\n```json\n(.*?)^```$"
    shown = re.findall(block, _command_line(), re.MULTILINE | re.DOTALL)
    assert len(shown) == 5
    for command, example in shown:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0, command
        assert _shape(json.loads(capsys.readouterr().out)) == _shape(json.loads(example)), command


def _command_line() -> str:
    return (DOCS / "command-line.md").read_text(encoding="utf-8")


_OPEN = ("parameters", "counts")  # mappings whose keys are the study's own


def _shape(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {} if name in _OPEN else {key: _shape(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return None


# -- the text ---------------------------------------------------------------------------------------------------------


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]+)?)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(path), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_text_are_short_enough(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!-- generated: (\w+) -->.*?<!-- end: \1 -->", "", text, flags=re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith("|")] == []


def test_tracking_page_names_every_tag() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "automl" / "tracking").glob("*.py"))
    page = (DOCS / "tracking.md").read_text(encoding="utf-8")
    in_code = set(re.findall(r'"(automl\.[a-z_0-9]+)"', sources)) - {"automl.tracking"}
    assert set(re.findall(r"`(automl\.[a-z_0-9]+)`", page)) == in_code


def test_design_page_names_every_module() -> None:
    page = (DOCS / "design.md").read_text(encoding="utf-8")
    modules = {path.name for path in (ROOT / "automl").glob("*.py") if not path.name.startswith("__")}
    packages = {f"{path.parent.name}/" for path in (ROOT / "automl").glob("*/__init__.py")}
    linked = set(re.findall(r"\]\(\.\./automl/([\w.]+/?)\)", page))
    assert modules | packages <= linked, sorted((modules | packages) - linked)


def test_data_page_names_what_is_recognised() -> None:
    from automl.data.builtin import NAMES
    from automl.data.sources import SUFFIXES
    from automl.data.tabular import TARGET_NAMES
    from automl.data.values import MISSING

    page = (DOCS / "data.md").read_text(encoding="utf-8")
    wanted = {*NAMES, *SUFFIXES, *TARGET_NAMES, *(MISSING - {""})}
    assert [name for name in sorted(wanted) if f"`{name}`" not in page] == []


def test_reliability_page_names_tests_that_exist() -> None:
    """Each promise has at least one."""
    rows = [line for line in (DOCS / "reliability.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith(("| fault |", "| --- |"))]
    assert all(row.count(" | ") == 3 and re.search(r"`tests/[\w/]+\.py::\w+`", row) for row in promises), promises
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", "\n".join(promises)):
        assert re.search(rf"def {name}\(", (ROOT / path).read_text(encoding="utf-8")), f"{path}::{name}"


if __name__ == "__main__":
    os.chdir(ROOT)
    write()
