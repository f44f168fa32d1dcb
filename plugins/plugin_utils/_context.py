# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a play runs the role: its hosts, its strategy and the selected tags.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.loader import strategy_loader


def run_id(task: t.Any) -> str:
    """Return an id of this use of the role within the play: that of its block of tasks."""
    return str(task._parent._uuid)


def is_run_once(task: t.Any, templar: t.Any) -> bool:
    """Whether run_once is set on the role, its play or a task that includes it, so that only one host takes part."""
    return any(boolean(templar.template(own.run_once), strict=False) for own in (task, *_includes(task)))


def strategy_problem(task: t.Any, templar: t.Any) -> str | None:
    """Return why the play's strategy cannot run the role, or None. Hosts must wait for each other."""
    name = str(templar.template(task._parent._play.strategy))
    # Each name has its own class.
    linear = [strategy_loader.get(known, class_only=True) for known in ("linear", "ansible.builtin.linear")]
    if issubclass(strategy_loader.get(name, class_only=True), tuple(linear)):
        return None
    return (
        f"strategy {name}: hosts do not wait for each other, so databases could be left out or registered twice; set "
        "strategy: ansible.builtin.linear in the play"
    )


def tags_problem(task: t.Any, task_vars: dict[str, t.Any]) -> str | None:
    """Return why --tags excludes the role's work although it selects a task that includes the role, or None."""
    only = set(task_vars.get("ansible_run_tags") or ["all"])
    work = next(sibling for sibling in task._parent.block if isinstance(sibling, TaskInclude))
    if work.evaluate_tags(only, [], task_vars):
        return None
    includes = list(_includes(task, static=True))
    # Of the includes above an imported role, only one that was selected by its tag is expected to run it.
    own = includes[:1] if isinstance(includes[0] if includes else None, IncludeRole) else []
    for include in includes:
        named = sorted(only.intersection(include.tags))
        if not include.statically_loaded and (named or include in own):
            tags = ", ".join(named or sorted(only))
            return (
                f"--tags {tags}: the task that includes the role pgbeam.cloud.pgbeam is selected, but none of the "
                f"role's own tasks, so nothing would be registered; add apply: {{tags: [{tags}]}} to that task"
            )
    return None


def _includes(task: t.Any, static: bool = False) -> t.Iterator[t.Any]:
    """Yield the tasks that include this one, the nearest first; with ``static``, also those that import it."""
    parent = task._parent
    while parent is not None:
        if isinstance(parent, TaskInclude) and (static or not parent.statically_loaded):
            yield parent
        parent = parent._parent
