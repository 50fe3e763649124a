"""The commands as functions, for scripts and notebooks: load a search space, run a study, look at what came out.

Everything here is a view: a study is changed by running it alone, and what a result shows is how it stood when it was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import arguments
from automl.events import Configuration, Value
from automl.folders import space_file
from automl.reading import Reading, read_study
from automl.spec import StudySpec
from automl.trials import Trial

if TYPE_CHECKING:
    import pandas
    from plotly.graph_objects import Figure

    from automl.training.predictor import Predictor

_SHOWN_TRIALS = 10


class Space:
    """A search-space file, read and checked.

    >>> import automl
    >>> space = automl.load_space("digits_mlp")
    >>> float(space.parameters.loc["learning_rate", "low"])
    0.0001
    >>> sorted(space.sample(1)[0])[:2]
    ['activation', 'batch_size']
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec

    @property
    def name(self) -> str:
        """What it is called."""
        return self._spec.name

    @property
    def file(self) -> Path:
        """Where it was read from."""
        return Path(self._spec.source)

    @property
    def model(self) -> str:
        """The family of models that it searches."""
        return self._spec.model

    @property
    def baseline(self) -> Configuration | None:
        """The configuration that every gain is measured against; None where the file has none."""
        return dict(self._spec.baseline) if self._spec.baseline is not None else None

    @property
    def parameters(self) -> pandas.DataFrame:
        """A row for each searched parameter: its kind, bounds or choices, and when it is there (empty: always)."""
        import pandas

        rows = [_parameter_row(parameter) for parameter in self._spec.space.parameters]
        names = [parameter.name for parameter in self._spec.space.parameters]
        return pandas.DataFrame(
            rows, index=pandas.Index(names, name="parameter"), columns=["kind", "low", "high", "log", "choices", "when"]
        )

    def sample(self, count: int, seed: int = 0) -> list[dict[str, Value]]:
        """So many random configurations that the rules allow. Another seed gives others."""
        drawn = (self._spec.space.sample("library", seed, number) for number in range(1000 * count))
        allowed = (configuration for configuration in drawn if self._spec.space.allows(configuration))
        return [dict(configuration) for configuration, _ in zip(allowed, range(count), strict=False)]

    def __repr__(self) -> str:
        return f"<Space {self.name}: {len(self._spec.space.parameters)} parameters of {self._spec.subject}>"

    def _repr_html_(self) -> str:
        return f"<p><b>{_escaped(self.name)}</b>: {_escaped(self._spec.subject)}</p>{self.parameters.to_html(na_rep='')}"


class StudyResult:
    """A study as it stood when it was loaded or its run ended. In a notebook it shows itself as tables and figures.

    >>> import automl
    >>> study = automl.load_study("digits_mlp-bayesian")
    >>> study.state, study.status["asked"]
    ('done', 3)
    >>> list(study.trials.columns[:3])
    ['state', 'objective', 'epoch']
    >>> study.best["objective"] == max(study.trials.objective)
    True
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._study = reading.study

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.resolve().name

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._reading.folder

    @property
    def state(self) -> str:
        """``running``, ``done``, ``out_of_time``, ``failed`` or ``interrupted``."""
        return str(self.status["state"])

    @property
    def objective(self) -> str:
        """The validation metric that was searched for."""
        return self._study.objective.metric

    @property
    def status(self) -> dict[str, Any]:
        """What ``automl status --json`` prints."""
        from automl.summary import status_record

        return {**status_record(self._study, self._reading.is_driven), "study": self.name}

    @property
    def best(self) -> dict[str, Any] | None:
        """What ``automl best --json`` prints: the winner, its parameters, what it reached; None while no trial is complete."""
        from automl.summary import best_record

        return best_record(self._study)

    @property
    def trials(self) -> pandas.DataFrame:
        """A row for each trial, by its number: state, objective, parameters, metrics of the best epoch, what it took.

        A parameter that a trial does not have is missing. ``seconds`` are device seconds, ``started`` and ``ended`` times.
        """
        import pandas

        frame = pandas.DataFrame([_trial_row(trial) for trial in self._study.trials], columns=self._columns())
        frame.index = pandas.Index([trial.number for trial in self._study.trials], name="trial", dtype="int64")
        for name in ("started", "ended"):
            frame[name] = pandas.to_datetime(frame[name].astype(float), unit="s", utc=True)
        for name in ("objective", "epoch"):
            frame[name] = frame[name].astype(float)
        return frame

    @property
    def reports(self) -> pandas.DataFrame:
        """All learning curves, a row for each report: trial, epoch, value of the objective, device seconds of that epoch."""
        import pandas

        rows = [(trial.number, report.epoch, report.value, report.seconds) for trial in self._study.trials for report in trial.reports]
        return pandas.DataFrame(rows, columns=["trial", "epoch", "value", "seconds"])

    @property
    def importances(self) -> pandas.Series[float]:
        """How much of the difference between the best trials and all of them each parameter makes, the most important first."""
        import pandas

        from automl.importances import importances

        found = importances(self._study).parameters
        return pandas.Series([one.share for one in found], index=[one.name for one in found], name="importance", dtype=float)

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures of the study page by name, as plotly has them: ``study.figures["best-by-trials"]``."""
        from automl.page.figures import all_figures

        return {figure.name: figure.figure for figure in all_figures(self._study)}

    def write_page(self, out: str | Path | None = None) -> Path:
        """Write the study page anew, to ``out`` or to ``page.html`` in the study's folder. Returns where it is."""
        from automl.page.studypage import write_page

        return write_page(self.folder, None if out is None else Path(out))

    @property
    def mlflow(self) -> str | None:
        """Where MLflow shows the study; None where it is not tracked, or was not brought level yet."""
        try:
            return str(json.loads((self.folder / "mlflow.json").read_text(encoding="utf-8"))["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def load_best(self, device: str = "cpu") -> Predictor:
        """The winner, ready to predict. Raises StudyError while there is none."""
        from automl.best import load_best

        return load_best(self.folder, device)

    def __repr__(self) -> str:
        found = self._study
        reached = f", {self.objective} {found.winner.objective:.4g} in trial {found.winner.number}" if found.winner else ""
        return f"<StudyResult {self.name}: {self.state}, {found.ended} of {found.asked} trials{reached}>"

    def _repr_html_(self) -> str:
        from automl.summary import confirmation_text, gain_text

        said = confirmation_text(self._study) or gain_text(self._study)
        head = f"<p><b>{_escaped(self.name)}</b>: {self.state.replace('_', ' ')}, {self._study.ended} of {self._study.asked} trials</p>"
        trials = self.trials.sort_values("objective", ascending=not self._study.objective.maximize).head(_SHOWN_TRIALS)
        metrics = {name for trial in self._study.trials for name in trial.metrics}
        kept = trials.drop(columns=["started", "ended", "reason", "device", *metrics]).dropna(axis="columns", how="all")
        table = kept.to_html(na_rep="", float_format=lambda value: f"{value:.4g}")
        return f"{head}<p>{_escaped(said)}</p><div style='overflow-x: auto'>{table}</div>{self._page()}"

    def _page(self) -> str:
        """Some of the figures in a frame of their own, with all that they need."""
        from html import escape

        from automl.importances import importances
        from automl.page.document import Document, Section, render
        from automl.page.figures import best_figures, curve_figures, importance_figures
        from automl.page.spans import spans_of_study

        figures = [*best_figures(self._study, spans_of_study(self._study))[:1], *curve_figures(self._study)]
        figures += importance_figures(importances(self._study))
        if not figures:
            return ""
        page = render(Document("Study", self.name, "", [Section("figures", "", figures)]))
        page = page.replace("</head>", "<style>.bar, .head { display: none }</style></head>", 1)
        return (
            f'<iframe title="Figures of {_escaped(self.name)}" srcdoc="{escape(page)}" width="100%" height="640" frameborder="0"></iframe>'
        )

    def _columns(self) -> list[str]:
        trials, searched = self._study.trials, [parameter.name for parameter in self._study.space.parameters]
        parameters = dict.fromkeys([*searched, *(name for trial in trials for name in trial.configuration)])
        metrics = dict.fromkeys(name for trial in trials for name in trial.metrics)
        own = ("epochs", "seconds", "device", "started", "ended", "reason")
        return list(dict.fromkeys(["state", "objective", "epoch", *parameters, *metrics, *own]))


def load_space(space: str | Path) -> Space:
    """The search space in a file, or the shipped one of that name. Raises SpaceError with every mistake of the file.

    >>> from automl import load_space
    >>> load_space("digits_mlp")
    <Space digits_mlp: 9 parameters of mlp on digits>
    """
    from automl import spacefile

    return Space(spacefile.load(space_file(arguments.named("space", space))))


def load_study(study: str | Path) -> StudyResult:
    """The study in a folder, or of that name under ``studies/``, as it stands now. Raises StudyError where there is none.

    >>> from automl import load_study
    >>> len(load_study("digits_mlp-bayesian").trials)
    3
    """
    return StudyResult(read_study(arguments.named("study", study)))


def run(
    space: str | Path | Space | None = None,
    *,
    optuna: str | None = None,
    direction: str | None = None,
    data: str | Path | None = None,
    target: str | None = None,
    drop: str | Sequence[str] = (),
    test: str | Path | None = None,
    text: str | None = None,
    image: str | None = None,
    size: int | None = None,
    series: str | None = None,
    timestamp: str | None = None,
    task: str | None = None,
    horizon: int | None = None,
    window: int | None = None,
    rows: int | None = None,
    length: int | None = None,
    study: str | Path | None = None,
    strategy: str | None = None,
    pruner: str | None = None,
    trials: int | None = None,
    time: str | float | None = None,
    trial_time: str | float | None = None,
    epochs: int | None = None,
    folds: int | None = None,
    replicates: int | None = None,
    confirm: int | str | None = None,
    seed: int | None = None,
    split_seed: int | None = None,
    devices: str | Sequence[str] = "auto",
    workers: int | str = "auto",
    lanes: int | str = "auto",
    engine: str = "local",
    enqueue: str | Path | Sequence[Mapping[str, Value]] | None = None,
    config: str | Path | Mapping[str, Value] | None = None,
    mlflow: str | None = None,
    experiment: str | None = None,
    progress: bool = True,
) -> StudyResult:
    """Search a space, or go on with its study: what ``automl run`` does, with arguments named like its options.

    The same call again continues the study to the same total. A script needs no ``if __name__ == "__main__"``. ``time`` and
    ``trial_time`` are texts such as ``"30m"``, or seconds; ``enqueue`` and ``config`` are files, or configurations as they are. Without
    ``progress`` nothing is printed. An interrupt (Ctrl-C, the stop button) stops at the next safe point and raises KeyboardInterrupt; what
    was reported is kept. In another thread than the main one nobody can interrupt it.

    Raises the errors of ``automl.errors``, whose texts are those of the command.

    >>> from automl import run
    >>> result = run("digits_mlp", trials=3, epochs=2, engine="inline", mlflow="off", progress=False)
    >>> result.status["counts"]
    {'complete': 3}
    """
    from automl.plan import RunOptions, plan

    options = RunOptions(
        space=str(space.file) if isinstance(space, Space) else arguments.path("space", space),
        optuna=arguments.text("optuna", optuna),
        direction=arguments.text("direction", direction),
        data=arguments.path("data", data),
        target=arguments.text("target", target),
        drop=arguments.texts("drop", drop),
        test=arguments.path("test", test),
        text=arguments.text("text", text),
        image=arguments.text("image", image),
        size=arguments.whole("size", size),
        series=arguments.text("series", series),
        timestamp=arguments.text("timestamp", timestamp),
        task=arguments.text("task", task),
        horizon=arguments.whole("horizon", horizon),
        window=arguments.whole("window", window),
        rows=arguments.whole("rows", rows),
        length=arguments.whole("length", length),
        study=arguments.path("study", study),
        strategy=arguments.text("strategy", strategy),
        pruner=arguments.text("pruner", pruner),
        trials=arguments.whole("trials", trials),
        time=arguments.duration("time", time),
        trial_time=arguments.duration("trial_time", trial_time),
        epochs=arguments.whole("epochs", epochs),
        folds=arguments.whole("folds", folds),
        replicates=arguments.whole("replicates", replicates),
        confirm=None if confirm is None else arguments.count("confirm", confirm),
        seed=arguments.whole("seed", seed),
        split_seed=arguments.whole("split_seed", split_seed),
        devices=",".join(arguments.texts("devices", devices)),
        workers=arguments.count("workers", workers),
        lanes=arguments.count("lanes", lanes),
        engine=arguments.word("engine", engine),
        enqueue=arguments.configurations("enqueue", enqueue),
        config=arguments.configuration("config", config),
        mlflow=arguments.text("mlflow", mlflow),
        experiment=arguments.text("experiment", experiment),
    )
    planned = plan(options)
    from automl.cli.display import Display
    from automl.launch import run as launch

    if progress:
        with Display(planned) as display:
            outcome = launch(planned, display.watch, display.say)
    else:
        outcome = launch(planned)
    if outcome.why == "interrupted":
        raise KeyboardInterrupt
    return StudyResult(Reading(outcome.folder, outcome.study, False))


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


def _parameter_row(parameter: Any) -> tuple[object, ...]:
    from automl.space import Categorical, Int

    when = " and ".join(str(condition) for condition in parameter.when)
    if isinstance(parameter, Categorical):
        return "categorical", None, None, None, list(parameter.choices), when
    return "int" if isinstance(parameter, Int) else "float", parameter.low, parameter.high, parameter.log, None, when


def _trial_row(trial: Trial) -> dict[str, object]:
    own: dict[str, object] = {
        "state": trial.state,
        "objective": trial.objective,
        "epoch": trial.epoch,
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "device": trial.device or None,
        "started": trial.started,
        "ended": trial.ended,
        "reason": trial.reason or None,
    }
    return {**trial.metrics, **trial.configuration, **own}
