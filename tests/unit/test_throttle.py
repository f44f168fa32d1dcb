# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The throttle that the calls of all threads share: most of it on a fake clock."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._http import throttle as throttle_file
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.throttle import Throttle

from tests.unit.scripted import Clock

BUDGET = 10.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(throttle_file, "time", fake)
    return fake


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(BUDGET)


def in_time(throttle: Throttle, attempt: int = 2, began: float = 0.0) -> bool:
    with throttle.slot(attempt, began) as may:
        return may


def free(throttle: Throttle) -> bool:
    """Whether one more call may be under way: the budget of the one that asks ends in a moment."""
    return in_time(throttle, began=time.monotonic() - BUDGET + 0.05)


@pytest.mark.parametrize(
    "now, wait, waits",
    [(0.0, 9.5, [9.5]), (8.0, 1.0, [1.0]), (0.0, 10.0, []), (8.0, 2.0, []), (8.0, 3600.0, [])],
    ids=["most of the budget", "the rest of it", "all of it", "all of its rest", "more than that"],
)
def test_a_call_waits_for_another_calls_delay_if_its_budget_allows(
    throttle: Throttle, clock: Clock, now: float, wait: float, waits: list[float]
) -> None:
    clock.now = now
    throttle.back_off(wait)
    assert in_time(throttle) is bool(waits)
    assert clock.waits == waits


def test_a_wait_that_grows_while_it_is_made(throttle: Throttle, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        Clock.sleep(clock, seconds)
        if len(clock.waits) < 3:
            throttle.back_off(4.0)

    monkeypatch.setattr(clock, "sleep", sleep)
    throttle.back_off(4.0)
    assert in_time(throttle) is False
    assert clock.waits == [4.0, 4.0]


def test_a_first_attempt_is_always_made(throttle: Throttle, clock: Clock) -> None:
    throttle.failed(0.0)
    throttle.back_off(BUDGET - 1)
    clock.now = 5.0
    assert in_time(throttle, attempt=1, began=0.0) is True
    assert clock.waits == [4.0]


def test_a_turn_that_does_not_come_within_the_budget(throttle: Throttle) -> None:
    with throttle.slot(1, 0.0):
        throttle.back_off(0.0)
        assert not free(throttle)
    assert free(throttle)


def test_the_budget_counts_from_the_call_or_from_the_failures_that_it_came_into(
    throttle: Throttle, clock: Clock
) -> None:
    clock.now = 8.0
    assert throttle.remaining(6.0) == 8.0
    throttle.failed(3.0)
    throttle.failed(7.0)
    assert [throttle.remaining(6.0), throttle.remaining(1.0)] == [5.0, 3.0]
    throttle.succeeded()
    assert throttle.remaining(6.0) == 8.0


def test_failures_begin_after_the_last_success(throttle: Throttle, clock: Clock) -> None:
    """An attempt that was sent before it may fail after it."""
    clock.now = 5.0
    throttle.succeeded()
    clock.now = 6.0
    throttle.failed(0.0)
    assert throttle.remaining(6.0) == 9.0


def test_half_as_many_after_each_refusal_and_one_more_with_successes(throttle: Throttle) -> None:
    with contextlib.ExitStack() as under_way:
        for dummy in range(7):
            under_way.enter_context(throttle.slot(1, 0.0))
        throttle.back_off(0.02)  # for the eighth, which has ended
        throttle.back_off(0.02)  # another call with the same answer
    for most in (4, 5):
        with contextlib.ExitStack() as under_way:
            for dummy in range(most):
                assert free(throttle)
                under_way.enter_context(throttle.slot(1, 0.0))
            assert not free(throttle)
        for dummy in range(most + 1):
            throttle.succeeded()


def test_the_call_with_the_most_attempts_goes_first(throttle: Throttle) -> None:
    order: list[int] = []

    def call(attempt: int) -> None:
        with throttle.slot(attempt, time.monotonic()):
            order.append(attempt)

    threads = [threading.Thread(target=call, args=(attempt,)) for attempt in (1, 3, 2)]
    with throttle.slot(1, 0.0):
        throttle.back_off(0.0)
        for thread in threads:
            thread.start()
        while len(throttle._waiting) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [3, 2, 1]
