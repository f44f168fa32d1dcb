# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure of a task that needs no request to detect.

Private to this collection: it may change in any release.
"""

from __future__ import annotations


class TaskError(Exception):
    """The task cannot be carried out. The text is one sentence for the user and contains no secret.

    The remedy is its last part, if a write that fails for this reason reports it apart from the problem.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy
