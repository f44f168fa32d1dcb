# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock file that serializes the runs of one user on one machine.

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
def acquire(folder: str, key: str, timeout: float) -> t.Iterator[bool]:
    """Wait for a lock and hold it inside the block, or until the process ends. Yields False after the timeout.

    The lock is a file in ``folder``, which is created if it is missing. A file system without locks does not lock.
    """
    with contextlib.ExitStack() as stack:
        yield _acquire(folder, key, timeout, stack)


def _acquire(folder: str, key: str, timeout: float, stack: contextlib.ExitStack) -> bool:
    name = f"pgbeam.cloud-{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
    deadline = time.monotonic() + timeout
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        # Without following a link, which could point to a file of another user.
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
