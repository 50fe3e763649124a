"""Trials an hour of a whole study, beside Optuna with MLflow and Ray Tune, each at its best.

    python benchmarks/throughput.py                                          # 60 trials, with start-up
    python benchmarks/throughput.py --trials 600 --peer-trials 200           # the steady rate, start-up apart
    python benchmarks/throughput.py --trials 600 --untracked --peers optuna
    python benchmarks/throughput.py --mixed --freed                          # the trainer of lanes by itself
    python benchmarks/throughput.py --trials 600 --device cuda               # on a GPU
    python benchmarks/throughput.py --study mnist --trials 100 --device cuda

The study: an MLP on scikit-learn's digits (learning rate, L2, dropout, batch size, 1 to 3 layers of 32 to 256 units; 20 epochs), random
strategy, nothing pruned, every trial and every epoch in MLflow on SQLite (``--untracked``: on neither side). ``--study mnist``: the
shipped space ``mnist_cnn``. All sides train the same networks on the same split.

Runs alternate (automl, peer, automl, peer, ...); a ratio is that of a pair, told as the median with its range. How a peer runs
(threads or processes, DataLoader, MLflow's queue) is tried first on this machine, and the fastest is taken; ``--settings`` says it
outright. Two rates are told: over the wall time of the whole command, and, from 30 trials on, after the first 20 trials have ended.
Beside each stands the share of the arithmetic floor that it reaches: the time of the trials' matrix products alone, at this machine's
measured rate.

Exit code 1: the final accuracies of two sides are not of one distribution (Kolmogorov-Smirnov, p < 0.01), or ``--mixed`` or
``--freed`` miss their target. Ray is no dependency of automl: ``pip install 'ray[tune]' mlflow torch`` into this or, with
``--ray-python``, another environment; without it this contender is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from throughput_parts import automl_command, comparison, floor, lanes
from throughput_parts.comparison import Run
from throughput_parts.work import Answer, Settings, Work

from automl import spacefile
from automl.data import DataInfo, prepare
from automl.folders import space_file
from automl.spec import StudySpec

PARTS = Path(__file__).parent / "throughput_parts"
SCRIPTS = {"optuna": "optuna_mlflow.py", "ray": "ray_tune.py"}
SPACES = {
    "digits": """
name: throughput
data: digits
model: mlp
objective: {maximize: accuracy}
epochs: 20
space:
  layers: {type: int, low: 1, high: 3}
  units: {type: int, low: 32, high: 256}
  learning_rate: {type: float, low: 1e-4, high: 1e-1, log: true}
  batch_size: {type: categorical, choices: [32, 64, 128]}
  dropout: {type: float, low: 0.0, high: 0.5}
  l2: {type: float, low: 1e-7, high: 1e-2, log: true}
""",
    "mnist": "extends: {mnist_cnn}\nbaseline: null\n",
}
NO_CONDITIONS = "mnist_cnn has a parameter with a condition, for which its spaces have no word."
TRIED_TRIALS = 24  # for each way to run a peer


@dataclass
class Bench:
    """All that a run of the benchmark needs."""

    options: argparse.Namespace
    folder: Path
    space: Path
    spec: StudySpec
    info: DataInfo
    flops: float  # a second, of this machine: the larger of what it had before and after the runs
    ways: dict[str, str] = field(default_factory=dict)  # how each peer runs
    tried: dict[str, dict[str, float]] = field(default_factory=dict)  # trials an hour of each way
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    works: int = 0


def work_for(bench: Bench, trials: int, seed: int, way: str = "") -> Work:
    """A study in a new folder."""
    options, spec = bench.options, bench.spec
    bench.works += 1
    folder = bench.folder / f"work-{bench.works}"
    folder.mkdir()
    if options.store == "ready" and not options.untracked:
        shutil.copy(bench.folder / "ready.db", folder / "mlflow.db")
    space = spacefile.to_dict(spec)["space"]
    return Work(
        folder=str(folder),
        data=str(bench.folder / "data"),
        model=spec.model,
        parameters=space["parameters"],
        fixed=space["fixed"],
        trials=trials,
        epochs=options.epochs or spec.epochs,
        seed=seed,
        tracking=None if options.untracked else f"sqlite:///{folder}/mlflow.db",
        device="cuda:0" if options.device == "cuda" else "cpu",
        settings=way,
    )


def environment() -> dict[str, str]:
    """What contenders see: each sets its own threads, and keeps what Python has compiled."""
    ours = ("OMP_", "MKL_", "MLFLOW_", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"MLFLOW_DISABLE_TELEMETRY": "true"}


def run_peer(bench: Bench, peer: str, work: Work) -> Answer:
    """Run a peer's script in a process of its own."""
    python = bench.options.ray_python if peer == "ray" else sys.executable
    with (Path(work.folder) / "log.txt").open("w") as log:
        command = [python, str(PARTS / SCRIPTS[peer]), str(work.write())]
        subprocess.run(command, stdout=log, stderr=log, env=environment(), cwd=work.folder, check=True)
    return Answer.read(work.folder)


def run_automl(bench: Bench, work: Work) -> Answer:
    """Run the command line."""
    options = bench.options
    given = {"--workers": options.workers, "--lanes": options.lanes, "--data": options.data}
    flags = [text for flag, value in given.items() if value for text in (flag, value)]
    return automl_command.run(work, bench.space, flags, environment())


def run(bench: Bench, contender: str, work: Work) -> tuple[Run, Answer]:
    """One study of one contender, measured from outside."""
    load, at, began = os.getloadavg()[0], time.time(), time.perf_counter()
    try:
        answer = run_automl(bench, work) if contender == "automl" else run_peer(bench, contender, work)
    except subprocess.CalledProcessError as error:
        words = (Path(work.folder) / "log.txt").read_text(errors="replace").strip().splitlines()[-15:]
        raise SystemExit(
            "\n".join([f"{contender}: must run its study, but ended with code {error.returncode}. Its last words:", *words])
        ) from None
    wall = time.perf_counter() - began
    if len(answer.trials) != work.trials:
        raise SystemExit(f"{contender}: must train {work.trials} trials, but trained {len(answer.trials)}.")
    steady = comparison.steady_per_hour(answer)
    per_hour = 3600 * work.trials / wall
    flops = statistics.mean(
        floor.trial_flops(work.model, trial.configuration, bench.info, len(trial.accuracies)) for trial in answer.trials
    )
    startup = min(trial.started for trial in answer.trials) - at
    shutil.rmtree(work.folder)
    return Run(contender, work.trials, wall, startup, per_hour, steady, flops, load), answer


def ways_of(peer: str, device: str) -> list[str]:
    """How a peer could run; MLflow's queue is tried on the fastest of them."""
    cores = len(os.sched_getaffinity(0))
    if device == "cuda":
        return ["threads:1", "threads:4", "threads:8", *(["processes:4", "processes:8"] if peer == "optuna" else [])]
    return [f"threads:{cores}", f"processes:{cores}", f"threads:{cores}+loader"] if peer == "optuna" else [f"threads:{cores}"]


def choose(bench: Bench, peer: str) -> str:
    """The fastest way to run a peer on this machine, without its start-up."""
    rates: dict[str, float] = {}

    def try_out(way: str) -> None:
        _, answer = run(bench, peer, work_for(bench, TRIED_TRIALS, 7, way))
        seconds = answer.ended - min(trial.started for trial in answer.trials)
        rates[way] = 3600 * TRIED_TRIALS / seconds
        say(f"{peer} as {way}: {rates[way]:,.0f} trials an hour")

    ways = ways_of(peer, bench.options.device)
    if len(ways) == 1:
        return ways[0]
    for way in ways:
        try_out(way)
    if peer == "optuna" and not bench.options.untracked:
        try_out(f"{max(rates, key=rates.__getitem__)}+async")
    bench.tried[peer] = rates
    return max(rates, key=rates.__getitem__)


def alternate(bench: Bench) -> None:
    """All pairs: automl, then each peer, and again."""
    options = bench.options
    for pair in range(options.pairs):
        for contender in ("automl", *bench.ways):
            trials = options.trials if contender == "automl" else options.peer_trials or options.trials
            work = work_for(bench, trials, 1000 + pair, bench.ways.get(contender, ""))
            measured, answer = run(bench, contender, work)
            bench.runs.append(measured)
            bench.answers.setdefault(contender, []).append(answer)
            steady = f", steady {measured.steady_per_hour:,.0f}" if measured.steady_per_hour else ""
            say(
                f"pair {pair + 1}: {contender:<7} {measured.wall_seconds:7.1f} s, start-up {measured.startup_seconds:4.1f} s, "
                f"{measured.per_hour:,.0f} trials an hour{steady} (load {measured.load:.2f})"
            )


def summary(bench: Bench) -> dict[str, Any]:
    """Medians by contender, ratios by pair, and the distributions of the final accuracies."""

    def of(contender: str, figure: Callable[[Run], float | None]) -> list[float | None]:
        return [figure(each) for each in bench.runs if each.contender == contender]

    def median(contender: str, figure: Callable[[Run], float | None]) -> float | None:
        found = [value for value in of(contender, figure) if value is not None]
        return statistics.median(found) if found else None

    def best(contender: str) -> list[float]:
        return [trial.best for answer in bench.answers[contender] for trial in answer.trials]

    figures: dict[str, Callable[[Run], float | None]] = {
        "wall_seconds": lambda each: each.wall_seconds,
        "startup_seconds": lambda each: each.startup_seconds,
        "per_hour": lambda each: each.per_hour,
        "steady_per_hour": lambda each: each.steady_per_hour,
        "floor_share": lambda each: each.flops_per_trial * (each.steady_per_hour or each.per_hour) / 3600 / bench.flops,
        "load": lambda each: each.load,
    }
    contenders = ("automl", *bench.ways)
    same_size = bench.options.peer_trials in (None, bench.options.trials)
    return {
        "contenders": {
            name: {"trials": next(iter(of(name, lambda each: each.trials)))}
            | {key: median(name, figure) for key, figure in figures.items()}
            for name in contenders
        },
        "ratios": {
            peer: {
                "with_startup": comparison.ratios(of("automl", figures["per_hour"]), of(peer, figures["per_hour"])) if same_size else None,
                "steady": comparison.ratios(of("automl", figures["steady_per_hour"]), of(peer, figures["steady_per_hour"])),
            }
            for peer in bench.ways
        },
        "accuracies": {peer: comparison.distributions(best("automl"), best(peer)) for peer in bench.ways},
    }


def study(bench: Bench) -> dict[str, Any]:
    """The whole comparison."""
    options = bench.options
    for peer in options.peers:
        missing = (
            NO_CONDITIONS
            if (peer, options.study) == ("ray", "mnist")
            else missing_modules(options.ray_python if peer == "ray" else sys.executable, peer)
        )
        if missing:
            bench.left_out[peer] = missing
            say(f"{peer} is left out: {missing}")
        else:
            bench.ways[peer] = options.settings or choose(bench, peer)
    run(bench, "automl", work_for(bench, TRIED_TRIALS, 7))  # the first study on a machine compiles
    alternate(bench)
    bench.flops = max(bench.flops, measured_flops(options))
    return {
        "study": options.study,
        "tracked": not options.untracked,
        "store": options.store,
        "epochs": options.epochs or bench.spec.epochs,
        "ways": bench.ways,
        "tried": bench.tried,
        "left_out": bench.left_out,
        **summary(bench),
        "runs": [asdict(each) for each in bench.runs],
    }


def missing_modules(python: str, peer: str) -> str:
    """What keeps a peer from running, as a sentence; empty where nothing does."""
    looks = "import importlib.util as u, sys; print(', '.join(n for n in sys.argv[1:] if u.find_spec(n) is None), file=sys.stderr)"
    found = subprocess.run([python, "-c", looks, peer, "mlflow", "torch"], capture_output=True, text=True, env=environment(), check=False)
    lacking = found.stderr.strip()
    if not lacking and not found.returncode:
        return ""
    words = f"lacks {lacking}" if lacking else "it does not start"
    if peer == "optuna":
        return f"{python}: must have Optuna and MLflow, but {words}. Install them: pip install optuna mlflow torch"
    return f"{python}: must have Ray and MLflow, but {words}. Install them (pip install 'ray[tune]' mlflow torch), or give --ray-python."


def by_itself(bench: Bench) -> dict[str, Any]:
    """The parts ``--mixed`` and ``--freed``."""
    options, found = bench.options, dict[str, Any]()
    data, device = bench.folder / "data", "cuda:0" if options.device == "cuda" else "cpu"
    if options.mixed:
        epochs = options.epochs or bench.spec.epochs
        found["mixed"] = lanes.mixed(bench.spec.space, bench.info, data, bench.folder / "lanes", device, epochs, options.pairs)
    if options.freed:
        found["freed"] = [lanes.freed(units, data, bench.folder / "lanes", device, options.pairs) for units in lanes.FREED_UNITS]
    return found


def machine(bench: Bench) -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    gpu = torch.cuda.get_device_name() if bench.options.device == "cuda" else None
    return {
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gflops": bench.flops / 1e9,
    }


def say(line: str) -> None:
    """Progress, beside the answer."""
    print(line, file=sys.stderr, flush=True)


def number(value: float | None, text: str = ",.0f") -> str:
    return "-" if value is None else format(value, text)


def print_study(result: Mapping[str, Any]) -> None:
    """The table and the ratios."""
    ways = {"automl": "automl run", **{peer: f"{peer}, {way}" for peer, way in result["ways"].items()}}
    print(f"{'':<28}{'trials':>7}{'wall s':>9}{'start-up s':>12}{'an hour':>10}{'steady':>10}{'of the floor':>14}{'load':>7}")
    for name, row in result["contenders"].items():
        print(
            f"{ways[name]:<28}{row['trials']:>7}{row['wall_seconds']:>9.1f}{row['startup_seconds']:>12.1f}{number(row['per_hour']):>10}"
            f"{number(row['steady_per_hour']):>10}{row['floor_share']:>14.1%}{row['load']:>7.2f}"
        )
    for peer, ratios in result["ratios"].items():
        for kind, ratio in ratios.items():
            if ratio:
                pairs = f"{ratio['low']:.1f} to {ratio['high']:.1f}; pairs: {ratio['pairs']}"
                print(f"automl to {peer}, {kind.replace('_', ' ')}: {ratio['median']:.1f} ({pairs})")
    for peer, same in result["accuracies"].items():
        verdict = "equal" if same["are_equal"] else "NOT EQUAL"
        print(
            f"final accuracies beside {peer}: {verdict} (p = {same['p']:.3f}), medians {same['median_ours']:.4f} and "
            f"{same['median_theirs']:.4f}, difference {same['difference_of_medians']:+.4f}"
        )
    for peer, why in result["left_out"].items():
        print(f"{peer} was left out: {why}")


def print_lanes(result: Mapping[str, Any]) -> None:
    """A line for each measurement."""
    if row := result.get("mixed"):
        rates = f"{row['mixed_per_second']:.1f} trial-epochs a second, equal ones (2 x {row['equal_units']}) {row['equal_per_second']:.1f}"
        share = f"{row['share']:.2f} ({row['share_low']:.2f} to {row['share_high']:.2f})"
        print(f"mixed networks: {rates}; share {share}, target {row['target']}")
    for row in result.get("freed", ()):
        before, after = 1000 * row["epoch_seconds_before"], 1000 * row["epoch_seconds_after"]
        times = f"{before:.0f} ms, then {after:.0f} ms ({before / row['trials']:.1f} and {after / row['left']:.1f} a trial)"
        used = f"{row['used']:.0%} ({row['used_low']:.0%} to {row['used_high']:.0%})"
        print(f"{row['trials']} trials of 2 x {row['units']}, then {row['left']}: an epoch of all {times};")
        print(f"  of the freed time used {used}, target {row['target']:.0%}")


def has_failed(result: Mapping[str, Any]) -> bool:
    """Whether accuracies differ or a target of the lanes is missed."""
    unequal = any(not same["are_equal"] for same in result.get("accuracies", {}).values())
    mixed = result.get("mixed")
    return (
        unequal or bool(mixed and mixed["share"] < mixed["target"]) or any(row["used"] < row["target"] for row in result.get("freed", ()))
    )


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; wrong ones end with a sentence and code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=sorted(SPACES), default="digits")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--peer-trials", type=int, help="fewer for the peers; then only steady rates are compared")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peers", default="optuna,ray", help="optuna, ray or both")
    parser.add_argument("--untracked", action="store_true", help="without MLflow on any side")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workers", help="of automl; auto where not given")
    parser.add_argument("--lanes", help="of automl; auto where not given")
    parser.add_argument("--data", help="another source for the study's data, on all sides")
    parser.add_argument("--settings", help="how the peers run, such as threads:2, processes:2+async or threads:2+loader")
    parser.add_argument("--ray-python", default=sys.executable, help="a Python that has Ray, where this one has not")
    parser.add_argument("--store", choices=["new", "ready"], default="new", help="ready: all sides find a store with MLflow's tables in it")
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--freed", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.peers = [peer for peer in options.peers.split(",") if peer]
    if not {*options.peers} <= {*SCRIPTS}:
        parser.error(
            f"--peers: must be names out of {', '.join(SCRIPTS)}, but {','.join(options.peers)!r} was given. Leave it out for all."
        )
    if options.settings:
        try:
            Settings.parse(options.settings)
        except ValueError:
            parser.error(f"--settings: must read like threads:2 or processes:2+async, but {options.settings!r} was given. Leave it out.")
    if options.study == "mnist" and (options.mixed or options.freed):
        parser.error("--mixed and --freed: must go with --study digits, but --study mnist was given. Leave one of them out.")
    if min(options.trials, options.pairs, options.epochs or 1, options.peer_trials or 1) < 1:
        parser.error("--trials, --peer-trials, --epochs and --pairs: must be at least 1, but less was given. Leave them out.")
    refuse_missing_gpu(parser, options.device)
    return options


def refuse_missing_gpu(parser: argparse.ArgumentParser, device: str) -> None:
    """End with a sentence where a GPU is asked for and none can be used."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            parser.error("--device cuda: there must be a GPU that torch can use, but torch.cuda.is_available() is false. Leave it out.")


def prepared(options: argparse.Namespace, folder: Path) -> Bench:
    """The space, the data, the machine's rate and, where asked for, a store with tables."""
    space = folder / "space.yaml"
    space.write_text(SPACES[options.study].replace("{mnist_cnn}", str(space_file("mnist_cnn"))))
    spec = spacefile.load(space)
    info = prepare(replace(spec.data, source=options.data) if options.data else spec.data, folder / "data")
    if options.store == "ready" and not options.untracked:
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder}/ready.db").search_experiments()
    return Bench(options, folder, space, spec, info, measured_flops(options))


def measured_flops(options: argparse.Namespace) -> float:
    """Of the GPU, or of all cores at once."""
    return floor.measured_rate(options.device, 1 if options.device == "cuda" else len(os.sched_getaffinity(0)))


def main() -> None:
    """Print the tables, or JSON."""
    options = parsed(None)
    with tempfile.TemporaryDirectory() as folder:
        bench = prepared(options, Path(folder).resolve())
        figures = by_itself(bench) if options.mixed or options.freed else study(bench)
        result = {"machine": machine(bench), **figures}
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        where = result["machine"]
        print(f"{where['gpu'] or f'''{where['cores']} cores'''}, {where['gflops']:.0f} GFLOP/s of matrix products, torch {where['torch']}")
        (print_lanes if options.mixed or options.freed else print_study)(result)
    raise SystemExit(has_failed(result))


if __name__ == "__main__":
    main()
