"""Where things lie: the folders of studies, and the search-space files that come with the package."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from automl.errors import StudyError, UsageError, suggestion

STUDIES = Path("studies")
RUN_LOG = "run.log"  # what a run in the background says
COMPARISON = "comparison.json"
_LONGEST_NAME = 255  # of a file system
_LONGEST_PATH = 4000


def study_folder(name: str) -> Path:
    """The folder of the study that a person calls ``name``: a path, or a folder under ``studies/``."""
    if not name:
        raise UsageError("--study: must be a name or a folder, but is empty. Give one, such as --study first.")
    if "\0" in name or not (name.isprintable() or os.sep in name):
        raise UsageError(f"--study: must be a name of printable letters, but is {name!r}. Give one, such as --study first.")
    path = home_expanded(name)
    if path.name in ("", ".."):
        path = path.resolve()  # for its name
    if not path.name:
        raise UsageError(f"--study: must be a name or a folder with a name, but is {name!r}. Give one, such as --study first.")
    longest = max(len(os.fsencode(part)) for part in path.parts)
    if longest > _LONGEST_NAME:
        raise UsageError(f"--study: must be a name of at most {_LONGEST_NAME} bytes, but has {longest}. Give a shorter one.")
    is_path = os.sep in name or name in (".", "..") or path != Path(name)
    return path if is_path or (path / "study.db").is_file() else STUDIES / name


def comparison_of(folder: Path) -> str:
    """The name of the comparison that the study in this folder is part of; empty for a study of its own."""
    parent = folder.absolute().parent
    return parent.name if (parent / COMPARISON).is_file() else ""


def check_new_study(folder: Path) -> None:
    """Raises StudyError where no new study can begin: the folder cannot be made or written, or holds what no start of a study leaves."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        what = "is a file" if there.exists() else "is a link that leads nowhere"
        raise StudyError(
            f"{folder}: must be a folder for the study, but {there if there != folder else 'that'} {what}. "
            "Move it away, or use --study with another path."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise StudyError(f"{folder}: the study's folder must be writable, but {there} is not. Use --study with another path.")
    foreign = sorted(path.name for path in folder.glob("*") if not _is_left_by_a_start(path)) if there == folder else []
    if foreign:
        raise StudyError(
            f"{folder}: must be empty, or hold a study to go on with, but holds {foreign[0]!r} and no study.db. "
            "Use --study with another name or path."
        )


def _is_left_by_a_start(path: Path) -> bool:
    """Whether this may be of a run that was killed before there was a study. What is in ``data`` is looked at when data are prepared."""
    if path.name == "workers":
        return path.is_dir() and all(file.suffix == ".log" for file in path.glob("*"))
    return path.name in ("study.lock", "data", RUN_LOG) or path.name.startswith((".study.db.unfinished", ".data."))


def home_expanded(name: str) -> Path:
    """The path with ``~`` as the home folder; as it is where there is no such home."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def cache_folder() -> Path:
    """Where things lie that can be had again: ``automl`` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else home_expanded("~/.cache")) / "automl"


def existing_study(name: str) -> Path:
    """Like ``study_folder``; raises StudyError with the nearest name where there is no study."""
    folder = study_folder(name)
    if (folder / "study.db").is_file():
        return folder
    if folder.is_file():
        raise StudyError(f"{folder}: must be the folder of a study, but is a file. Give its folder.")
    if (folder / COMPARISON).is_file():
        first = next(iter(sorted(path.parent for path in folder.glob("*/study.db"))), folder)
        raise StudyError(
            f"{folder}: must be a study, but is a comparison of several. Give one of them, such as {first}; "
            f"`automl compare --replay {shlex.quote(name)}` shows what they say together."
        )
    within = sorted(path.parent for path in folder.glob("*/study.db"))
    if within:
        raise StudyError(f"{folder}: must be a study, but is a folder that holds {len(within)}. Give one of them, such as {within[0]}.")
    known = sorted(path.parent.name for path in STUDIES.glob("*/study.db"))
    there = f"Studies under {STUDIES}: {', '.join(known)}.{suggestion(name, known)}" if known else "`automl run` makes one."
    raise StudyError(f"{folder}: there must be a study here, but there is no study.db. {there}")


def shipped_folder() -> Path:
    """The folder of the shipped search spaces: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "search_spaces"
    return inside if inside.is_dir() else package.parent / "search_spaces"


def shipped_spaces() -> list[str]:
    """The names of the shipped search spaces."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def shipped_file(name: str) -> Path | None:
    """The shipped search space of this name, with or without ``.yaml``; None where none is called so."""
    stem = name.removesuffix(".yaml").removesuffix(".yml")
    return shipped_folder() / f"{stem}.yaml" if stem in shipped_spaces() else None


def is_too_long(path: Path) -> bool:
    """Whether no file can be called so: the system does not even answer whether there is one."""
    return len(os.fsencode(path)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts)


def space_file(name: str) -> Path:
    """The search-space file that a person calls ``name``: a path, or the name of a shipped one."""
    path = home_expanded(name)
    if is_too_long(path):
        raise UsageError(f"{name[:60]}...: must be a path that a file can have, but is longer than any. Check it.")
    if path.is_file() or (path.suffix in (".yaml", ".yml") and path.parent != Path()):
        return path
    shipped = shipped_file(name)
    if shipped is not None:
        return shipped
    if path.suffix in (".yaml", ".yml"):
        return path
    if path.is_dir():
        raise UsageError(f"{name}: must be a search-space file, but is a folder. Give a file in it.")
    known = shipped_spaces()
    raise UsageError(f"{name}: there is no such file and no such shipped space. Shipped: {', '.join(known)}.{suggestion(name, known)}")
