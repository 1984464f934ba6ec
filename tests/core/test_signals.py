"""Signals that ask to stop: collected once, and the handlers are as before."""

import signal

import pytest

from yisheng.core.errors import StoppedError
from yisheng.core.signals import HANGUP, STOP_SIGNALS, collect_signals, defer_signals, handle_stop_signals

needs_hangup = pytest.mark.skipif(HANGUP is None, reason="Windows has no SIGHUP")


def current_handlers():
    return [signal.getsignal(number) for number in STOP_SIGNALS]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_is_collected(number):
    before = current_handlers()
    with collect_signals() as caught:
        signal.raise_signal(number)
        assert caught == [number]
    assert current_handlers() == before


@needs_hangup
def test_a_second_hangup_is_ignored():
    with collect_signals() as caught:
        for _ in range(3):
            signal.raise_signal(HANGUP)
    assert caught == [HANGUP]


@needs_hangup
def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(HANGUP, signal.SIG_IGN)
    try:
        with collect_signals() as caught:
            signal.raise_signal(HANGUP)
        assert caught == []
        assert signal.getsignal(HANGUP) is signal.SIG_IGN
    finally:
        signal.signal(HANGUP, before)


@needs_hangup
def test_a_hangup_within_a_block_reaches_the_outer_block():
    numbers = []
    with handle_stop_signals(numbers.append):
        with collect_signals() as caught:
            signal.raise_signal(HANGUP)
        signal.raise_signal(caught[0])
    assert numbers == [HANGUP]


@needs_hangup
def test_a_server_is_stopped_by_sigterm_after_a_hangup():
    stopped = []
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, before)
    with collect_signals(with_server=True) as caught:
        inner = signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))  # as a server does
        signal.raise_signal(HANGUP)
        signal.signal(signal.SIGTERM, inner)
    assert caught == [HANGUP]
    assert stopped == [signal.SIGTERM]


def test_deferred_signals_are_raised_at_the_end():
    completed = []

    def work():
        with defer_signals("after it", "again"):
            signal.raise_signal(signal.SIGTERM)
            completed.append(True)

    with pytest.raises(StoppedError, match="stopped by SIGTERM after it") as error:
        work()
    assert completed == [True]
    assert error.value.code == 143
