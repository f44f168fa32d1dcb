# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake that the calls of all threads share: most of it on a fake clock."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils import _brake
from ansible_collections.pgbeam.cloud.plugins.module_utils._brake import Brake

from tests.unit.scripted import Clock

BUDGET = 10.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(_brake, "time", fake)
    return fake


@pytest.fixture
def brake() -> Brake:
    return Brake(BUDGET)


def in_time(brake: Brake, attempt: int = 2, began: float = 0.0) -> bool:
    with brake.turn(attempt, began) as may:
        return may


def free(brake: Brake) -> bool:
    """Whether one more call may be under way: the budget of the one that asks ends in a moment."""
    return in_time(brake, began=time.monotonic() - BUDGET + 0.05)


@pytest.mark.parametrize(
    "now, wait, waits",
    [(0.0, 9.5, [9.5]), (8.0, 1.0, [1.0]), (0.0, 10.0, []), (8.0, 2.0, []), (8.0, 3600.0, [])],
    ids=["most of the budget", "the rest of it", "all of it", "all of its rest", "more than that"],
)
def test_another_calls_wait_is_made_where_the_budget_has_it(
    brake: Brake, clock: Clock, now: float, wait: float, waits: list[float]
) -> None:
    clock.now = now
    brake.pull(wait)
    assert in_time(brake) is bool(waits)
    assert clock.waits == waits


def test_a_wait_that_grows_while_it_is_made(brake: Brake, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        Clock.sleep(clock, seconds)
        if len(clock.waits) < 3:
            brake.pull(4.0)

    monkeypatch.setattr(clock, "sleep", sleep)
    brake.pull(4.0)
    assert in_time(brake) is False
    assert clock.waits == [4.0, 4.0]


def test_a_first_attempt_is_always_made(brake: Brake, clock: Clock) -> None:
    brake.fails(0.0)
    brake.pull(BUDGET - 1)
    clock.now = 5.0
    assert in_time(brake, attempt=1, began=0.0) is True
    assert clock.waits == [4.0]


def test_a_turn_that_does_not_come_within_the_budget(brake: Brake) -> None:
    with brake.turn(1, 0.0):
        brake.pull(0.0)
        assert not free(brake)
    assert free(brake)


def test_the_budget_counts_from_the_call_or_from_the_failures_that_it_came_into(brake: Brake, clock: Clock) -> None:
    clock.now = 8.0
    assert brake.left(6.0) == 8.0
    brake.fails(3.0)
    brake.fails(7.0)
    assert [brake.left(6.0), brake.left(1.0)] == [5.0, 3.0]
    brake.works()
    assert brake.left(6.0) == 8.0


def test_failures_begin_after_the_last_success(brake: Brake, clock: Clock) -> None:
    """An attempt that was sent before it may fail after it."""
    clock.now = 5.0
    brake.works()
    clock.now = 6.0
    brake.fails(0.0)
    assert brake.left(6.0) == 9.0


def test_half_as_many_after_each_refusal_and_one_more_with_successes(brake: Brake) -> None:
    with contextlib.ExitStack() as under_way:
        for dummy in range(7):
            under_way.enter_context(brake.turn(1, 0.0))
        brake.pull(0.02)  # for the eighth, which has ended
        brake.pull(0.02)  # another one that is told the same
    for most in (4, 5):
        with contextlib.ExitStack() as under_way:
            for dummy in range(most):
                assert free(brake)
                under_way.enter_context(brake.turn(1, 0.0))
            assert not free(brake)
        for dummy in range(most + 1):
            brake.works()


def test_the_call_with_the_most_attempts_goes_first(brake: Brake) -> None:
    order: list[int] = []

    def call(attempt: int) -> None:
        with brake.turn(attempt, time.monotonic()):
            order.append(attempt)

    threads = [threading.Thread(target=call, args=(attempt,)) for attempt in (1, 3, 2)]
    with brake.turn(1, 0.0):
        brake.pull(0.0)
        for thread in threads:
            thread.start()
        while len(brake._waiting) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [3, 2, 1]
