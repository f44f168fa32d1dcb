# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare and display SQL.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

MAX_SHOWN = 60  # characters of a statement in a message


def canonical(sql: str) -> str:
    """Return the statement with one blank for each run of white space: a playbook may break its lines elsewhere."""
    return " ".join(sql.split())


def shortened(sql: str) -> str:
    """Return the statement as one short line."""
    line = canonical(sql)
    return line if len(line) <= MAX_SHOWN else f"{line[: MAX_SHOWN - 1]}…"
