"""What asks a driver to stop is noted once and obeyed at once the second time; what is ignored stays ignored."""

from __future__ import annotations

import signal

import pytest

from automl.interrupts import interrupts, sigterm_like_ctrl_c


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_noted_and_the_second_stops_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interrupts() as is_interrupted:
        assert not is_interrupted()
        signal.raise_signal(number)
        assert is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_while_data_are_prepared_they_are_like_ctrl_c(number: signal.Signals) -> None:
    with sigterm_like_ctrl_c(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_what_nohup_has_the_program_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sigterm_like_ctrl_c(), interrupts() as is_interrupted:
            signal.raise_signal(signal.SIGHUP)
            assert not is_interrupted()
    finally:
        signal.signal(signal.SIGHUP, before)
