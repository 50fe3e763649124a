"""Hostile bytes for whatever reads files: every answer is a result or a sentence, within twenty seconds and a gigabyte.

    python tests/hostile/fuzzing.py TARGET [--seconds 60] [--seed 0] [--guided]

TARGET: space, rules, table or events. Files that are shipped or made here are changed at random; with ``--guided`` atheris chooses the
changes by what they reach in the code. An input that is answered otherwise is left in ``fuzzed-TARGET``, and its traceback shown.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gzip
import importlib
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from automl.errors import AutomlError

GIGABYTE = 2**30
LONGEST_SECONDS = 20
TOKENS = (
    *(b"\0", b"\n", b"\r", b"\t", b'"', b"'", b"\\", b",", b";", b": ", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!str ", b"---"),
    *(b"../", b"\xff\xfe", b"\xef\xbb\xbf", "é\u202e\ud7ff".encode(), b"1e999", b".nan", b"-.inf", b"0x", b"9" * 400, b"null", b"true"),
    *(b" and ", b" or ", b"not ", b"**", b"//", b"%", b"<", b"==", b" in ", b"(", b")", b"lambda x: ", b"__import__('os')", b"a" * 5000),
    *(b"space:\n", b"when: ", b"grid: ", b"choices: ", b"forbid: ", b"type: int", b"low: ", b"high: ", b"log: true", b"extends: "),
)
RULES = (
    *(b"layers >= 2", b"conv_layers == 3 and channels > 48", b"not (optimizer == 'sgd' or momentum < 0.5)", b"units in [16, 32, 64]"),
    *(b"layers * units // 3 % 7 <= -1e3 + dropout / 2", b"1 < layers < units != 3", b"true != null"),
)
_ROWS = [(n, n * 7 % 10 / 4, "abc"[n % 3], f"2020-{1 + n % 12:02}-{1 + n % 28:02}", ("yes", "no")[n * n % 2]) for n in range(60)]
TABLES = (
    *(
        "\n".join(separator.join(map(str, row)) for row in (("n", "price", "kind", "day", "ok"), *_ROWS)).encode()
        for separator in (",", ";", "\t", "|", " ")
    ),
    "\n".join(",".join(map(str, row)) for row in _ROWS).encode("utf-16"),
    gzip.compress("\n".join(",".join(map(str, row)) for row in _ROWS).encode()),
    b"sep=;\na;b\n" + b"1,5;2\n2,5;$3,200\n" * 30,
    b'a,b\n"x\ny",1\n"say ""hi""",2\n' * 20,
    b"PAR1\0\0\0\0PAR1",
)


def read_space(data: bytes, folder: Path) -> None:
    """A search-space file."""
    from automl import spacefile

    path = folder / "x.yaml"
    path.write_bytes(data)
    spacefile.load(path)


def read_rules(data: bytes, folder: Path) -> None:
    """A rule of ``forbid`` and ``require``."""
    from automl.expressions import Expression, ExpressionError

    try:
        rule = Expression.parse(data.decode(errors="surrogateescape"))
    except ExpressionError:
        return
    for value in (3, 1e308, "x", True, None):
        rule.holds(dict.fromkeys(rule.names, value))
    rule.holds({})


def read_table(data: bytes, folder: Path) -> None:
    """A CSV file, and what its columns and its target are taken for."""
    from automl.data import inspect
    from automl.spec import DataSpec

    path = folder / "x.csv"
    path.write_bytes(data)
    inspect(DataSpec(str(path), target="-1"))


def read_events(data: bytes, folder: Path) -> None:
    """A study.db."""
    from automl.store import Store

    for left in folder.glob("study.db*"):
        left.unlink()
    (folder / "study.db").write_bytes(data)
    with Store.read_only(folder) as store:
        study = store.study()
        sum(trial.seconds for trial in study.ranked())


def spaces() -> list[bytes]:
    """The shipped search spaces."""
    from automl.folders import shipped_folder

    return [path.read_bytes() for path in sorted(shipped_folder().glob("*.yaml"))]


def studies() -> list[bytes]:
    """Small studies with all that happens to trials."""
    from automl.engines.inline import InlineEngine
    from automl.events import Slot
    from automl.training.simulated import Fault, Rehearsal
    from contracts.driving import Rehearsed

    found = []
    for trials in (0, 3, 12):
        with tempfile.TemporaryDirectory() as folder:
            faults = {2: Fault("diverge", 2), 5: Fault("raise", 3), 7: Fault("crash", 2, times=1)}
            rehearsed = Rehearsed(Path(folder, "s"), trials=trials or 1, pruner="asha", rehearsal=Rehearsal(faults))
            rehearsed.drive(InlineEngine(Slot(0, "cpu", 2, "cpu"), rehearsed.rehearsal), stop_after=trials)
            found.append(Path(folder, "s", "study.db").read_bytes())
    return found


TARGETS: dict[str, tuple[Callable[[bytes, Path], None], Callable[[], Sequence[bytes]]]] = {
    "space": (read_space, spaces),
    "rules": (read_rules, lambda: RULES),
    "table": (read_table, lambda: TABLES),
    "events": (read_events, studies),
}


def changed(data: bytes, others: Sequence[bytes], choose: random.Random) -> bytes:
    """The bytes with a few of them deleted, doubled, flipped, or replaced by hostile ones or by those of another file."""
    for _ in range(choose.choice((1, 1, 1, 2, 4, 16))):
        at = choose.randrange(len(data) + 1)
        to = min(len(data), at + choose.choice((1, 2, 8, 64, 1024)))
        match choose.randrange(7):
            case 0:
                data = data[:at] + data[to:]
            case 1:
                data = data[:to] + data[at:]
            case 2:
                data = data[:at] + choose.randbytes(min(to - at, 8)) + data[to:]
            case 3:
                data = data[:at] + bytes(byte ^ (1 << choose.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]
            case 4:
                data = data[:at] + data[at:to] * choose.choice((2, 50, 2000)) + data[to:]
            case 5:
                other = choose.choice(others)
                start = choose.randrange(len(other) + 1)
                data = data[:at] + other[start : start + 64] + data[to:]
            case _:
                data = data[:at] + choose.choice(TOKENS) + data[at:]
    return data


class Trial:
    """Gives inputs to a target. ``inputs`` were given, ``answers`` of them were sentences."""

    def __init__(self, target: str, folder: Path) -> None:
        self._read, self._target, self._folder = TARGETS[target][0], target, folder
        self.inputs = self.answers = 0

    def __call__(self, data: bytes) -> None:
        self.inputs += 1
        faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True)
        left = Path(f"fuzzed-{self._target}")
        left.write_bytes(data)  # so that it is there however this ends
        try:
            self._read(data, self._folder)
        except AutomlError as error:
            self.answers += 1
            if not str(error).strip():
                raise AssertionError("an error without a sentence") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        left.unlink()


def at_random(trial: Trial, corpus: Sequence[bytes], seconds: float, seed: int, most: int | None = None) -> None:
    """Changed inputs until the time is over."""
    choose, until = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < until and trial.inputs != most:
        trial(changed(choose.choice(corpus), corpus, choose))


def guided(trial: Trial, corpus: Sequence[bytes], seconds: float, seed: int) -> None:
    """The same by atheris, which leaves the process when it is done."""
    import atheris

    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    for number, data in enumerate(corpus):
        (folder / str(number)).write_bytes(data)
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", "-rss_limit_mb=0", "-max_len=100000", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], *options, str(folder)], trial)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def limit_memory() -> None:
    """From here on this process gets a gigabyte more than it has."""
    with Path("/proc/self/statm").open() as stream:
        pages = int(stream.read().split()[0])
    limit = pages * resource.getpagesize() + GIGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Fuzz one target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true")
    options = parser.parse_args()
    if options.guided:
        import atheris

        with atheris.instrument_imports(include=["automl"]):
            for module in ("automl.data.preparation", "automl.spacefile", "automl.store"):
                importlib.import_module(module)
    corpus = TARGETS[options.target][1]()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(options.target, Path(folder))
        for data in corpus:  # so that whatever is imported late is there
            with contextlib.suppress(AutomlError):
                TARGETS[options.target][0](data, Path(folder))
        limit_memory()
        (guided if options.guided else at_random)(trial, corpus, options.seconds, options.seed)
    print(f"{options.target}: {trial.inputs} inputs, {trial.answers} of them answered with a sentence")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
