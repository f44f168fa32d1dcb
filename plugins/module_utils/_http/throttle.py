# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rate limiting and a retry budget that the calls of all threads share.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import threading
import time
import typing as t
from contextlib import contextmanager


class Throttle:
    """Decides when a call of any thread may start, must wait or must give up. Times are in seconds.

    After a 429 or 503, all calls wait as long as the server asked, and the concurrency limit is halved; every success
    raises it again. The call with the most attempts goes first, so that a rate limit starves none. ``budget`` is for
    one call, or for all of them together if all fail.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._condition = threading.Condition()
        self._waiting: list[int] = []  # the number of each waiting call's next attempt
        self._in_flight = 0
        self._limit = float("inf")
        self._resume_at = 0.0
        self._last_success = float("-inf")
        self._failing_since: float | None = None

    @contextmanager
    def slot(self, attempt: int, started: float) -> t.Iterator[bool]:
        """Wait until this attempt may start, and count it as in flight inside the block.

        Yields False if the budget of the call, which started at ``started``, ends before. A first attempt has no limit:
        it may be the one that resolves a lost write.
        """
        first = attempt == 1
        with self._condition:
            self._waiting.append(attempt)
            while not self._may_start(attempt) and (first or self.remaining(started) > 0):
                self._condition.wait(None if first else self.remaining(started))
            self._waiting.remove(attempt)
            self._in_flight += 1
            self._condition.notify_all()
        try:
            while (wait := self._resume_at - time.monotonic()) > 0 and (first or wait < self.remaining(started)):
                time.sleep(wait)
            yield first or max(wait, 0) < self.remaining(started)
        finally:
            with self._condition:
                self._in_flight -= 1
                self._condition.notify_all()

    def _may_start(self, attempt: int) -> bool:
        return self._in_flight + 1 <= self._limit and attempt == max(self._waiting)

    def succeeded(self) -> None:
        """Record an answer that another attempt would not change."""
        with self._condition:
            self._last_success = time.monotonic()
            self._failing_since = None
            self._limit += 1 / self._limit
            self._condition.notify_all()

    def failed(self, since: float) -> None:
        """Record a retriable failure of an attempt that started at ``since``."""
        with self._condition:
            if self._failing_since is None:
                self._failing_since = max(since, self._last_success)

    def back_off(self, delay: float) -> None:
        """Pause all calls for ``delay`` seconds, then halve the concurrency limit."""
        with self._condition:
            now = time.monotonic()
            if now >= self._resume_at:  # otherwise another call has already reported it
                self._limit = max(1, min(self._limit, self._in_flight + 1) // 2)
            self._resume_at = max(self._resume_at, now + delay)

    def remaining(self, started: float) -> float:
        """Return the rest of the budget, counted from the start of the call or of the current series of failures."""
        since = started if self._failing_since is None else min(started, self._failing_since)
        return since + self._budget - time.monotonic()
