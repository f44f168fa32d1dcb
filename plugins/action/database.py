# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the collection's modules and of its role's tasks.

``meta/runtime.yml`` routes every module to it, and three actions without a module: the steps of the role.
"""

from __future__ import annotations

import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _in_process, _values
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._role import STEPS, Step


class ActionModule(NormalAction):
    """Runs a step of the role, or a module like Ansible's own action, after checking its arguments."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        step = STEPS.get(self._task.action)
        if step:
            return self._run_step(step, task_vars or {})
        self._task.args = _values.with_dates_as_text(self._task.args)
        # Sorted, because cores differ in the order of a task's options.
        problems = list(_values.problems(dict(sorted(self._task.args.items(), key=lambda item: str(item[0])))))
        if problems:
            return {"failed": True, "changed": False, "msg": _values.sentences(problems)}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        return result

    def _execute_module(
        self,
        module_name: str | None = None,
        module_args: dict[str, t.Any] | None = None,
        tmp: str | None = None,
        task_vars: dict[str, t.Any] | None = None,
        **kwargs: t.Any,
    ) -> dict[str, t.Any]:
        variables = task_vars or {}
        if _in_process.suits(self, variables):
            environment = _in_process.environment(self)
            if _in_process.takes_effect(environment):
                arguments = dict(self._task.args if module_args is None else module_args)
                return _in_process.run(self, module_name or self._task.action, arguments, variables, environment)
        result: dict[str, t.Any] = super()._execute_module(module_name, module_args, tmp, task_vars, **kwargs)
        return result

    def _run_step(self, step: Step, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        result = super(NormalAction, self).run(None, task_vars)
        problem = ""
        try:
            return {**result, **step(self, task_vars)}
        except Exception as error:
            problem = _values.unexpected(error)
        # Not in the except block, where core would show the exception, whose text may quote a secret.
        return {**result, "failed": True, "msg": problem}
