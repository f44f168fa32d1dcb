# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns between the runs of one user on one machine.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import typing as t

POLL = 0.05  # seconds


@contextlib.contextmanager
def turn(folder: str, place: str, seconds: float) -> t.Iterator[bool]:
    """Wait for the lock on a place, and hold it inside the block, or until the process ends. False: it took too long.

    The lock is a file in the folder, which is made where it is missing. A file system without locks gives no turns.
    """
    with contextlib.ExitStack() as stack:
        yield _take(folder, place, seconds, stack)


def _take(folder: str, place: str, seconds: float, stack: contextlib.ExitStack) -> bool:
    name = f"pgbeam.cloud-{hashlib.sha256(place.encode()).hexdigest()[:16]}.lock"
    deadline = time.monotonic() + seconds
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        # Without a link in its place, which could lead to somebody's file.
        lock = os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        stack.callback(os.close, lock)
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(POLL)
    except OSError:
        return True
    return False
