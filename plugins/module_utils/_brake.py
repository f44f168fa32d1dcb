# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the calls of all threads have met, so that they slow down together and give up together.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import threading
import time
import typing as t
from contextlib import contextmanager


class Brake:
    """Lets the calls of all threads begin, wait and give up. Times are in seconds.

    After a 429 or 503 all of them wait as long as the server asked, and half as many as before are under way at once;
    successes let more be, one by one. The call with the most attempts goes first, so that a rate limit starves none.
    ``budget`` is for one call, or for all of them together where all fail.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._turns = threading.Condition()
        self._waiting: list[int] = []  # the number of each waiting call's next attempt
        self._under_way = 0
        self._most = float("inf")
        self._not_before = 0.0
        self._worked = float("-inf")
        self._failing_since: float | None = None

    @contextmanager
    def turn(self, attempt: int, began: float) -> t.Iterator[bool]:
        """Wait until this attempt may be made, and count it as under way inside the block.

        False: the budget of the call, which began then, does not last until its turn. A first attempt has all the time:
        it may be what finds out how a lost write ended.
        """
        first = attempt == 1
        with self._turns:
            self._waiting.append(attempt)
            while not self._free(attempt) and (first or self.left(began) > 0):
                self._turns.wait(None if first else self.left(began))
            self._waiting.remove(attempt)
            self._under_way += 1
            self._turns.notify_all()
        try:
            while (wait := self._not_before - time.monotonic()) > 0 and (first or wait < self.left(began)):
                time.sleep(wait)
            yield first or max(wait, 0) < self.left(began)
        finally:
            with self._turns:
                self._under_way -= 1
                self._turns.notify_all()

    def _free(self, attempt: int) -> bool:
        return self._under_way + 1 <= self._most and attempt == max(self._waiting)

    def works(self) -> None:
        """The API gave an answer that no other attempt would change."""
        with self._turns:
            self._worked = time.monotonic()
            self._failing_since = None
            self._most += 1 / self._most
            self._turns.notify_all()

    def fails(self, since: float) -> None:
        """An attempt that began then got no such answer."""
        with self._turns:
            if self._failing_since is None:
                self._failing_since = max(since, self._worked)

    def pull(self, delay: float) -> None:
        """The server asks for less: let nothing begin for so many seconds, then half of what was under way."""
        with self._turns:
            now = time.monotonic()
            if now >= self._not_before:  # else another call has been told the same already
                self._most = max(1, min(self._most, self._under_way + 1) // 2)
            self._not_before = max(self._not_before, now + delay)

    def left(self, began: float) -> float:
        """What is left of the budget, which counts from the call's beginning or from the failures that it came into."""
        since = began if self._failing_since is None else min(began, self._failing_since)
        return since + self._budget - time.monotonic()
