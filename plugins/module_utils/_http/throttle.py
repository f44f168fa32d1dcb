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

    After a 429 or 503 all of them wait as long as the server asked, and half as many as before are under way at once;
    successes let more be, one by one. The call with the most attempts goes first, so that a rate limit starves none.
    ``budget`` is for one call, or for all of them together where all fail.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._turns = threading.Condition()
        self._waiting: list[int] = []  # the number of each waiting call's next attempt
        self._in_flight = 0
        self._limit = float("inf")
        self._resume_at = 0.0
        self._last_success = float("-inf")
        self._failing_since: float | None = None

    @contextmanager
    def slot(self, attempt: int, began: float) -> t.Iterator[bool]:
        """Wait until this attempt may be made, and count it as under way inside the block.

        False: the budget of the call, which began then, does not last until its turn. A first attempt has all the time:
        it may be what finds out how a lost write ended.
        """
        first = attempt == 1
        with self._turns:
            self._waiting.append(attempt)
            while not self._free(attempt) and (first or self.remaining(began) > 0):
                self._turns.wait(None if first else self.remaining(began))
            self._waiting.remove(attempt)
            self._in_flight += 1
            self._turns.notify_all()
        try:
            while (wait := self._resume_at - time.monotonic()) > 0 and (first or wait < self.remaining(began)):
                time.sleep(wait)
            yield first or max(wait, 0) < self.remaining(began)
        finally:
            with self._turns:
                self._in_flight -= 1
                self._turns.notify_all()

    def _free(self, attempt: int) -> bool:
        return self._in_flight + 1 <= self._limit and attempt == max(self._waiting)

    def succeeded(self) -> None:
        """Record an answer that another attempt would not change."""
        with self._turns:
            self._last_success = time.monotonic()
            self._failing_since = None
            self._limit += 1 / self._limit
            self._turns.notify_all()

    def failed(self, since: float) -> None:
        """Record a retriable failure of an attempt that started at ``since``."""
        with self._turns:
            if self._failing_since is None:
                self._failing_since = max(since, self._last_success)

    def back_off(self, delay: float) -> None:
        """Pause all calls for ``delay`` seconds, then halve the concurrency limit."""
        with self._turns:
            now = time.monotonic()
            if now >= self._resume_at:  # else another call has been told the same already
                self._limit = max(1, min(self._limit, self._in_flight + 1) // 2)
            self._resume_at = max(self._resume_at, now + delay)

    def remaining(self, began: float) -> float:
        """The rest of the budget, which counts from the call's start or from the failures that it began in."""
        since = began if self._failing_since is None else min(began, self._failing_since)
        return since + self._budget - time.monotonic()
