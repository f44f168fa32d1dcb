# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the role. Each is an action that only the role's tasks use.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _context, _gather

Values = dict[str, t.Any]
#: Takes the running action and the task's variables, and returns the task's result.
Step = t.Callable[[t.Any, Values], Values]


def check_tags(action: t.Any, task_vars: Values) -> Values:
    """Fail if --tags selects the task that includes the role, but none of the role's own."""
    problem = _context.tags_problem(action._task, task_vars)
    return {"failed": True, "msg": problem} if problem else {"changed": False}


def gather(action: t.Any, task_vars: Values) -> Values:
    """Evaluate the variables of one host. The result holds secrets, so the task needs no_log."""
    gathered = {
        # Distinguishes this use of the role from an earlier one.
        "run": _context.run_id(action._task),
        "address": str(action._task.args["address"]),
        "run_once": _context.is_run_once(action._task, action._templar),
        **_gather.gather(task_vars, action._templar),
    }
    # One text, so that core neither evaluates templates in it nor walks through thousands of entries.
    return {"changed": False, "gathered": json.dumps(gathered)}


def apply(action: t.Any, task_vars: Values) -> Values:
    """Ensure PgBeam matches what the hosts declare, or refuse."""
    # Not at the top: a loop over a module would pay for loading what only this step needs.
    from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _apply

    return _apply.apply(action, task_vars)


STEPS: dict[str, Step] = {
    "pgbeam.cloud.role_check_tags": check_tags,
    "pgbeam.cloud.role_gather": gather,
    "pgbeam.cloud.role_apply": apply,
}
