"""The page of a comparison: the verdict, the standings, each pair, the curves on the way, and how it was judged. One file, no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from automl import __version__
from automl.compare import figures
from automl.compare.report import Report
from automl.compare.statistics import LEVEL, POWER, Estimate
from automl.compare.verdict import Judged, Pair
from automl.page.document import Block, DataTable, Document, Group, Points, Section, Table, Text, Tile, Tiles, render
from automl.summary import number_text

PAGE = "page.html"


def write_page(report: Report, out: Path) -> Path:
    """Write the page, whole or not at all; returns where."""
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    unfinished.write_text(render(document(report)), encoding="utf-8")
    unfinished.replace(out)
    return out


def document(report: Report) -> Document:
    """The page as plain values."""
    judged, first = report.judged, report.sentences[0]
    metric = judged.objective.metric
    sense = "more is better" if judged.objective.maximize else "less is better"
    studies = sum(len(standing.results) for standing in judged.standings)
    repeats = f"{judged.repeats} repeats" if judged.is_paired else "repeats that are no pairs"
    sections = [
        Section("verdict", "", list(_verdict(report))),
        Section("standings", "Standings", list(_standings(judged))),
        Section("pairs", "Pairs", list(_pairs(judged))),
        Section("way", "On the way", list(_way(report))),
        Section("cost", "Cost", list(_cost(judged))),
        Section("studies", "Studies", [_studies(judged)]),
        Section("method", "How it is judged", [Points(list(_method(judged)))]),
    ]
    return Document(
        "Comparison",
        report.name,
        first,
        sections,
        under=f"{report.space} on {report.data}; {metric}, {sense}; {studies} studies of {report.budget} each, {repeats}.",
        footer=f"Made by automl {__version__} from the events of the studies.",
    )


def _verdict(report: Report) -> Iterator[Block]:
    judged = report.judged
    best = judged.standings[0]
    tiles = [Tile("Best mean rank", best.name, f"{number_text(best.mean_rank, 3)} of {len(judged.standings)} arms")]
    if best.test.value is not None:
        tiles.append(Tile(f"Its {judged.objective.metric}", number_text(best.test.value), f"median of picks, {_split(judged)}"))
    told = sum(pair.call != "cannot tell" for pair in judged.pairs)
    tiles.append(Tile("Pairs told apart", f"{told} of {len(judged.pairs)}", f"at {100 * LEVEL:g} %, corrected for their number"))
    tiles.append(Tile("Repeats", str(judged.repeats), "paired by seed" if judged.is_paired else "not paired"))
    yield Tiles(tiles)
    rest = [*report.sentences[1:], *report.notes]
    if rest:
        yield Points(rest)


def _standings(judged: Judged) -> Iterator[Block]:
    metric = judged.objective.metric
    rows = [
        (
            standing.name,
            f"{standing.mean_rank:.2f}",
            _estimate_text(standing.test),
            _estimate_text(standing.validation),
            number_text(standing.seconds, 3),
        )
        for standing in judged.standings
    ]
    columns = ("arm", "mean rank", f"{metric} of picks, {_split(judged)}", f"{metric} of picks, validation", "seconds a study")
    yield Table(
        "Medians over repeats, with the interval that holds the median. Rank 1 is the best of a repeat.", columns, rows, (1, 2, 3, 4)
    )
    yield figures.picks(judged)


def _pairs(judged: Judged) -> Iterator[Block]:
    rows = [
        (
            f"{pair.a} and {pair.b}",
            "" if pair.wins is None else " / ".join(map(str, pair.wins)),
            _estimate_text(pair.probability, 2),
            _estimate_text(pair.difference),
            f"{pair.p_adjusted:.3f}",
            _call(pair),
        )
        for pair in judged.pairs
    ]
    columns = ("A and B", "A better / equal / worse", "P(A beats B)", f"difference in {judged.objective.metric}", "p", "verdict")
    yield Table(
        f"Differences are positive where A is better, on {_split(judged)}; p is corrected for all pairs.", columns, rows, (1, 2, 3, 4)
    )
    yield Group([figures.probabilities(judged), figures.differences(judged)], is_pair=True)


def _way(report: Report) -> Iterator[Block]:
    yield Text(
        "The best validation value that each arm had so far: the median over its repeats, and the interval that holds the median at "
        "each point. Only complete trials count. These are the values that picks are made by; the verdict is drawn from other data."
    )
    yield figures.anytime(report.results, report.judged.objective, "trials")
    others = [figures.anytime(report.results, report.judged.objective, axis) for axis in ("epochs", "seconds")]
    yield Group(others, is_pair=True)


def _cost(judged: Judged) -> Iterator[Block]:
    yield Text(
        "Device seconds are those of training, shared out among the trials that train side by side. Asking is the time that the strategy "
        "took to think."
    )
    yield figures.costs(judged)


def _studies(judged: Judged) -> DataTable:
    metric = judged.objective.metric
    results = [result for standing in judged.standings for result in standing.results]
    rows = [
        (
            result.arm.name,
            str(result.repeat),
            str(result.seed),
            number_text(result.test),
            number_text(result.validation),
            "-" if result.pick is None else str(result.pick),
            str(result.trials),
            f"{result.epochs:,}",
            f"{result.seconds:.1f}",
            f"{result.ask_seconds:.2f}",
            result.study,
        )
        for result in results
    ]
    columns = (
        "arm",
        "repeat",
        "seed",
        f"{metric}, {judged.split}",
        f"{metric}, validation",
        "picked trial",
        "trials",
        "epochs",
        "device s",
        "asking s",
        "study",
    )
    keys: dict[int, list[float | None]] = {
        3: [result.test for result in results],
        4: [result.validation for result in results],
        7: [float(result.epochs) for result in results],
        8: [result.seconds for result in results],
        9: [result.ask_seconds for result in results],
    }
    return DataTable("studies", "Every study.", columns, rows, tuple(range(1, 10)), keys, state=0, what="studies", hint="bayesian")


def _method(judged: Judged) -> Iterator[str]:
    yield (
        f"Judged is the {judged.objective.metric} of each study's pick on {_split(judged)}, measured once. The pick is the complete trial "
        "with the best validation value; that value itself is too good to be true, since it was chosen for being the best."
    )
    if judged.is_paired:
        yield (
            "Repeats are pairs: repeat r has the same seed in every arm, so the same random start and the same seeds of training. The "
            "test is Wilcoxon's signed-rank test, exact, with ties (its p-value is the share of all ways to swap the two arms within "
            "repeats that look at least as uneven)."
        )
    else:
        yield "The studies have no common seeds, so they are no pairs. The test is the exact rank-sum test (Wilcoxon, Mann and Whitney)."
    yield (
        f"With {len(judged.pairs)} pairs p-values are corrected by Holm's method: the chance of any false alarm among them is at most "
        f"{100 * LEVEL:g} %. Intervals are for one pair at a time."
    )
    if judged.is_paired:
        yield (
            "The intervals assume no distribution: that of P(A beats B) is Clopper and Pearson's, a draw counting half; that of a median "
            "lies between two of the values themselves, so its confidence is what so few values can give. They are wider than the test "
            "is sharp: where a test just succeeds, an interval may still touch zero."
        )
        yield (
            f"The repeats that would be needed are those with which the test succeeds in {100 * POWER:g} % of comparisons, for normal "
            "differences as large as those seen; the range is that of an 80 % interval of the effect, and it is wide for few repeats."
        )
    yield (
        "The data were split once, and all repeats share the splits: the verdict is about this data set, this space and this budget. "
        "Fresh data could turn a small difference around."
    )


def _call(pair: Pair) -> str:
    return {"a better": f"{pair.a} is better", "b better": f"{pair.b} is better"}.get(pair.call, "cannot tell")


def _split(judged: Judged) -> str:
    return "the test split" if judged.split == "test" else f"the {judged.split}"


def _estimate_text(estimate: Estimate, digits: int = 4) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return number_text(estimate.value, digits)
    if digits == 2:
        return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
    return f"{number_text(estimate.value)} ({number_text(estimate.low)} to {number_text(estimate.high)})"
