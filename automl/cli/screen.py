"""The screen of a running study: a plain function of a snapshot and the terminal's size to lines that fit it.

What stands where does not depend on the values, so that nothing jumps about while a person reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from automl.cli.charts import Series, plot, sparkline
from automl.engines.usage import Use
from automl.events import Configuration
from automl.progress import DeviceState, Snapshot
from automl.summary import number_text, value_text, why_text
from automl.trials import Trial

COLOURS = {"complete": "green", "pruned": "yellow", "running": "cyan", "waiting": "dim"}  # all others are red
_LABEL = 10
_WIDE = 64  # columns from which the tables have all their columns
_FEWEST_ENDS = 3
_CHART_FROM, _CHART_MOST = 34, 14  # lines of the terminal; lines of the chart
_BEYOND = 0.1  # of the values, at the worse end, are drawn at the edge of the chart


def screen(snapshot: Snapshot, width: int, height: int, ascii_only: bool = False) -> list[Text]:
    """At most ``height`` lines of at most ``width`` columns."""
    head = [_title(snapshot), _bar_line(snapshot, width, ascii_only), Text(), *_facts(snapshot, width, height, ascii_only), Text()]
    notes = [Text(_printable(note), style="dim") for note in snapshot.notes[-(2 if height >= 24 else 1) :]]
    devices = _devices(snapshot.devices, width, max(1, height // 8))
    room = height - len(head) - len(devices) - len(notes) - 3  # for both tables' headings, and a blank line
    lanes = max(len(snapshot.running), sum(device.lanes for device in snapshot.devices))
    rows = max(0, min(lanes, room - max(_FEWEST_ENDS, room // 3)))
    lines = head + devices + _running(snapshot, width, rows, ascii_only) + _ends(snapshot, max(_FEWEST_ENDS, room - rows))
    lines = lines[: height - len(notes)]
    lines += [Text()] * (height - len(notes) - len(lines)) + notes
    return [_cut(line, width, ascii_only) for line in lines[:height]]


# -- the head ---------------------------------------------------------------------------------------------------------


def _title(snapshot: Snapshot) -> Text:
    aims = [(snapshot.metric, snapshot.maximize), *((each.metric, each.maximize) for each in snapshot.further)]
    said = ", ".join(f"{metric}, {'more' if maximize else 'less'} is better" for metric, maximize in aims)
    text = Text(_printable(snapshot.name), style="bold")
    return Text.assemble(text, (f"  {snapshot.strategy}, pruner {snapshot.pruner}; {said}", "dim"))


def _bar_line(snapshot: Snapshot, width: int, ascii_only: bool) -> Text:
    count = f"{snapshot.ended}/{snapshot.asked}"
    if snapshot.phase == "training":
        left = "" if snapshot.left is None else f", {clock(snapshot.left)} left" if width >= _WIDE else f" +{clock(snapshot.left)}"
        words = f"{count} trials  {clock(snapshot.elapsed)}{left}" if width >= _WIDE else f"{count} {clock(snapshot.elapsed)}{left}"
    else:
        words = f"{count} trials  {snapshot.phase}, {clock(snapshot.elapsed)}" if width >= _WIDE else f"{count} {snapshot.phase}"
    space = 2 + max(cell_len(words), 30 if width >= _WIDE else 20)
    return Text.assemble(bar(snapshot.ended, snapshot.asked, max(5, width - space), ascii_only), "  ", words)


def bar(done: float, whole: float, width: int, ascii_only: bool = False) -> Text:
    """A bar of ``width`` columns, filled as far as ``done`` is of ``whole``."""
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    filled = min(width, int(width * done / whole)) if whole > 0 else 0
    return Text.assemble((full * filled, "green" if filled == width else "cyan"), (empty * (width - filled), "bright_black"))


def _facts(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> list[Text]:
    best = snapshot.best
    front = f" (of a front of {snapshot.front})" if snapshot.further and best else ""
    lines = [_fact("best", _best(snapshot, width) + front, "bold green" if best else "")]
    lines.append(_fact("", words(best.configuration) if best else "", "dim"))
    chart = _chart(snapshot, width, min(_CHART_MOST, height // 4), ascii_only) if height >= _CHART_FROM else []
    if height < _CHART_FROM:
        lines.append(_fact("so far", _so_far(snapshot, width - _LABEL, ascii_only), "green"))
    ended = ", ".join(
        f"{number:,} {state.replace('_', ' ')}"
        for state, number in sorted(snapshot.counts.items())
        if number and state not in ("running", "waiting")
    )
    lines.append(_fact("ended", ended or "none yet"))
    saved, whole = snapshot.epochs_saved, snapshot.epochs_whole
    share = f" ({saved / whole:.0%})" if saved else ""
    lines.append(_fact("epochs", f"{whole - saved:,} trained, {saved:,} saved by pruning{share}"))
    return [*lines, Text(), *chart] if chart else lines


def _fact(label: str, text: str, style: str = "") -> Text:
    return Text.assemble((f"{label:<{_LABEL}}", "dim"), (_printable(text), style))


def _best(snapshot: Snapshot, width: int) -> str:
    best, baseline = snapshot.best, snapshot.baseline
    against = number_text(baseline.objective) if baseline and baseline.state == "complete" else ""
    if best is None:
        return _leader(snapshot)
    found = f"{number_text(best.objective)} in trial {best.number}"
    if not against or snapshot.gain is None:
        return found
    if baseline is not None and best.number == baseline.number:
        return f"{found}, the baseline"
    gain = f"{found}, {_signed(snapshot)}"
    return f"{gain} against the baseline's {against}" if width >= _WIDE else gain


def _leader(snapshot: Snapshot) -> str:
    """Whoever has come furthest while no trial is complete."""
    found = [trial for trial in snapshot.running if trial.objective is not None]
    if not found:
        return "no trial is complete yet"
    leader = (max if snapshot.maximize else min)(found, key=lambda trial: trial.objective or 0.0)
    return f"no trial is complete yet; trial {leader.number} is at {number_text(leader.objective)}"


def _signed(snapshot: Snapshot) -> str:
    assert snapshot.gain is not None
    difference = snapshot.gain if snapshot.maximize else -snapshot.gain
    return f"{'+' if difference >= 0 else '-'}{number_text(abs(difference))}"


def _so_far(snapshot: Snapshot, width: int, ascii_only: bool) -> str:
    finite = [value for value in snapshot.so_far if math.isfinite(value)]
    if not finite:
        return ""
    words = f"  from {number_text(finite[0])} to {number_text(finite[-1])}" if width >= _WIDE - _LABEL else ""
    return sparkline(snapshot.so_far, max(5, width - len(words)), ascii_only) + words


def _chart(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> list[Text]:
    values = _clipped(snapshot.values, snapshot.maximize)
    numbers = range(1, len(values) + 1)
    baseline = snapshot.baseline.objective if snapshot.baseline and snapshot.baseline.state == "complete" else None
    series = [Series(numbers, values, "bright_black"), Series(numbers, snapshot.so_far, "green", "steps")]
    if baseline is not None and len(values) > 1:
        series.insert(0, Series((1, len(values)), (baseline, baseline), "yellow", "lines"))
    lines = plot(series, width, height, "trials that ended", ascii_only)
    if not lines:
        return [Text()] * (height + 1)
    parts: list[str | tuple[str, str]] = [(f"{snapshot.metric} of each trial", "bright_black"), (", best so far", "green")]
    return [Text.assemble(*parts, (", baseline", "yellow") if baseline is not None else ""), *lines]


def _clipped(values: Sequence[float], maximize: bool) -> list[float]:
    """Values beyond the worst tenth, put at its edge: one hopeless trial must not press all others into one line."""
    finite = sorted((value for value in values if math.isfinite(value)), reverse=maximize)
    if not finite:
        return list(values)
    edge = finite[min(len(finite) - 1, math.ceil(len(finite) * (1 - _BEYOND)))]
    return [(max if maximize else min)(value, edge) if math.isfinite(value) else value for value in values]


# -- the tables -------------------------------------------------------------------------------------------------------


def _devices(devices: Sequence[DeviceState], width: int, most: int) -> list[Text]:
    if not devices:
        return []
    lines = [Text(_device_row("device", "workers", "lanes busy", "use", "memory", "epochs/s", width), style="dim")]
    for device in devices[:most]:
        use = device.use or Use(None)
        share = "-" if use.share is None else f"{use.share:.0%}"
        memory = "-" if use.memory_gib is None else f"{use.memory_gib:.1f} of {use.memory_total_gib or math.nan:.0f} GiB"
        rate = "-" if device.rate is None else f"{device.rate:.1f}" if device.rate < 100 else f"{device.rate:,.0f}"
        lines.append(Text(_device_row(device.name, str(device.workers), f"{device.busy} of {device.lanes}", share, memory, rate, width)))
    if len(devices) > most:
        rest = devices[most:]
        lines.append(Text(f"and {len(rest)} more, {sum(d.busy for d in rest)} of {sum(d.lanes for d in rest)} lanes busy", style="dim"))
    return [*lines, Text()]


def _device_row(name: str, workers: str, lanes: str, use: str, memory: str, rate: str, width: int) -> str:
    if width < _WIDE:
        return f"{name:<8}{lanes:>11}{use:>6}{rate:>10}"
    return f"{name:<{_LABEL}}{workers:>7}  {lanes:>12}  {use:>6}  {memory:>16}  {rate:>9}"


def _running(snapshot: Snapshot, width: int, most: int, ascii_only: bool) -> list[Text]:
    if most < 1:
        return []
    metric, wide = snapshot.metric, width >= _WIDE
    column = max(10, min(len(metric), 18)) if wide else 8
    head = f"{'trial':>5}  {'epoch':<9}{' ' * 12 if wide else ''}{metric[:column]:>{column}}  parameters"
    running, lines = snapshot.running, [Text(head, style="dim")]
    shown = most if len(running) <= most else most - 1
    for trial in running[:shown]:
        value = number_text(trial.reports[-1].value) if trial.reports else "-"
        done = bar(trial.epochs, snapshot.epochs, 10, ascii_only) if wide else Text()
        lines.append(
            Text.assemble(
                f"{trial.number:>5}  {f'{trial.epochs}/{snapshot.epochs}':<9}",
                done,
                "  " if wide else "",
                f"{value:>{column}}  ",
                (words(trial.configuration), "dim"),
            )
        )
    if len(running) > shown:
        lines.append(Text(f"{'':>7}and {len(running) - shown} more", style="dim"))
    return lines + [Text()] * (most + 2 - len(lines))


def _ends(snapshot: Snapshot, most: int) -> list[Text]:
    if not snapshot.ends:
        return []
    lines = [Text(f"{'last':>5}  {'ended as':<14}{snapshot.metric:<12}how", style="dim")]
    for trial in snapshot.ends[:most]:
        state = (f"{trial.state.replace('_', ' '):<14}", COLOURS.get(trial.state, "red"))
        how = (_printable(how_it_ended(trial, snapshot.epochs)), "dim")
        lines.append(Text.assemble(f"{trial.number:>5}  ", state, f"{number_text(trial.objective):<12}", how))
    return lines


def how_it_ended(trial: Trial, epochs: int) -> str:
    """In a few words: how far it came and how long it took, and what the matter was."""
    took = f"{trial.epochs} of {epochs} epochs, {trial.seconds:.1f} s"
    if trial.state == "complete":
        return f"{took}, stopped early" if trial.stopped_early else took
    if trial.state == "pruned":
        return took
    said = why_text(trial)
    return f"{said} ({took})" if said else took


def words(configuration: Configuration) -> str:
    """A configuration in a line."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in configuration.items())


def clock(seconds: float) -> str:
    """``0:42``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _cut(line: Text, width: int, ascii_only: bool) -> Text:
    """The line, with an ellipsis at its end where it is longer than the terminal is wide."""
    if line.cell_len <= width:
        return line
    mark = "..." if ascii_only else "…"
    kept = line.copy()
    kept.truncate(max(0, width - len(mark)))
    kept.append(mark)
    return kept if width >= len(mark) else Text(set_cell_size(line.plain, width))
