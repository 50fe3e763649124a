"""Who trained what when, as the events tell it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.events import Finished, Started, TrialKey
from automl.page.spans import Span, Spans, idle_free, packed, utilisation
from automl.trials import Event, Lost, Pruned, Rested, Resumed


def _started(trial: int, at: float, worker: str = "worker-0", replicate: int = 0) -> Started:
    return Started(TrialKey("s", trial, replicate), at, "cpu", worker)


def spans_of(events: list[Event]) -> list[Span]:
    spans = Spans()
    for event in events:
        spans.take(event)
    return spans.all()


def test_a_trial_that_was_put_back_has_a_stretch_on_each_worker() -> None:
    events: list[Event] = [
        Resumed(0.0, 3),
        _started(0, 1.0),
        _started(1, 1.0, "worker-1"),
        Finished(TrialKey("s", 0), 3.0),
        Rested(4.0, "interrupted", 4.0),
        Resumed(100.0, 3),
        _started(1, 101.0),
        Pruned(TrialKey("s", 1), 102.0, 1),
        _started(2, 102.0),
        Lost(TrialKey("s", 2), 103.0, "killed"),
        _started(2, 104.0),
        Rested(105.0, "done", 5.0),
    ]
    assert spans_of(events) == [
        Span(0, "worker-0", 1.0, 3.0),
        Span(1, "worker-1", 1.0, 4.0, is_cut=True),
        Span(1, "worker-0", 101.0, 102.0),
        Span(2, "worker-0", 102.0, 103.0, is_cut=True),
        Span(2, "worker-0", 104.0, 105.0, is_cut=True),
    ]


def test_a_killed_driver_cuts_its_stretches_at_its_last_event_and_a_running_one_has_no_end_yet() -> None:
    events: list[Event] = [Resumed(0.0, 2), _started(0, 1.0), _started(1, 2.0, "worker-1"), Resumed(50.0, 2), _started(0, 51.0)]
    assert spans_of(events) == [
        Span(0, "worker-0", 1.0, 2.0, is_cut=True),
        Span(1, "worker-1", 2.0, 2.0, is_cut=True),
        Span(0, "worker-0", 51.0, 51.0),
    ]


_SPANS = st.lists(
    st.builds(
        lambda trial, worker, begin, length: Span(trial, f"worker-{worker}", float(begin), float(begin + length)),
        st.integers(0, 50),
        st.integers(0, 11),
        st.integers(0, 100),
        st.integers(1, 30),
    ),
    max_size=40,
)


@given(_SPANS)
def test_rows_hold_every_stretch_once_without_overlap_and_no_more_rows_than_overlap(spans: list[Span]) -> None:
    rows = packed(spans)
    assert sorted((span for row in rows for span in row.spans), key=repr) == sorted(spans, key=repr)
    for row in rows:
        assert all(a.end <= b.begin for a, b in zip(row.spans, row.spans[1:], strict=False))
        assert {span.worker for span in row.spans} == {row.worker}
    for worker in {span.worker for span in spans}:
        own = [span for span in spans if span.worker == worker]
        most = max(sum(other.begin <= span.begin < other.end for other in own) for span in own)
        assert sum(row.worker == worker for row in rows) == most
    workers = [int(row.worker.removeprefix("worker-")) for row in rows]
    assert workers == sorted(workers)


@given(_SPANS)
def test_the_clock_never_goes_back_and_goes_as_time_does_while_something_trains(spans: list[Span]) -> None:
    clock = idle_free(spans)
    times = sorted({each for span in spans for each in (span.begin, span.end)})
    shown = [clock(each) for each in times]
    assert shown == sorted(shown)
    for span in spans:
        assert clock(span.end) - clock(span.begin) == pytest.approx(span.end - span.begin)


def test_pauses_are_left_out_of_the_clock_and_of_the_utilisation() -> None:
    spans = [Span(0, "a", 0.0, 10.0), Span(1, "b", 0.0, 5.0), Span(2, "a", 1000.0, 1010.0), Span(3, "b", 1000.0, 1010.0)]
    clock = idle_free(spans)
    assert [clock(at) for at in (0.0, 10.0, 500.0, 1000.0, 1010.0)] == [0.0, 10.0, 10.0, 10.0, 20.0]
    assert utilisation(spans) == pytest.approx(35 / 40)
    assert utilisation([]) is None
