# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when a playbook's tasks begin and end, and where the time of the modules goes that run in its workers.

At any moment in a module the time belongs to one stage: to the watched function that runs, or else to what lies
between. Workers are forked, so what is watched in ansible-playbook before is watched in them.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: timeline
type: aggregate
short_description: Tell when tasks begin
description: For the benchmark.
"""


class Module:
    """The module that runs in this process: when it began, and the seconds of its stages."""

    def __init__(self) -> None:
        self.began = self.since = time.monotonic()
        self.stage = "options"
        self.spent: dict[str, float] = {}

    def enter(self, stage: str) -> str:
        """Begin a stage; the one that ends is returned."""
        ended, now = self.stage, time.monotonic()
        self.spent[ended] = self.spent.get(ended, 0.0) + now - self.since
        self.stage, self.since = stage, now
        return ended


_running: Module | None = None


def _tell(event: str, at: float, **more: Any) -> None:
    with open(os.environ["BENCH_TIMELINE"], "a") as file:
        file.write(json.dumps({"event": event, "at": at, **more}) + "\n")


def _watch(owner: Any, name: str, stage: str, then: str | None = None) -> None:
    """Let calls of a function be a stage of the module, and another stage begin when they return."""
    function: Callable[..., Any] = getattr(owner, name)

    def call(*words: Any, **options: Any) -> Any:
        if not _running or threading.current_thread() is not threading.main_thread():
            return function(*words, **options)
        before = _running.enter(stage)
        try:
            return function(*words, **options)
        finally:
            _running.enter(then or before)

    setattr(owner, name, call)


def _watch_modules() -> None:
    from ansible.module_utils.basic import AnsibleModule
    from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.redact import Redactor
    from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Client
    from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler
    from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _in_process

    _watch(AnsibleModule, "__init__", "options", then="work")
    _watch(AnsibleModule, "exit_json", "end", then="end")
    _watch(Client, "list_all", "listing")
    _watch(Client, "get", "listing")
    _watch(Redactor, "__init__", "masking")
    _watch(Redactor, "mask", "masking")
    _watch(Reconciler, "apply", "writing")
    run = _in_process.run

    def told(*words: Any) -> Any:
        global _running  # one module at a time runs in a process
        module = _running = Module()
        try:
            return run(*words)
        finally:
            module.enter("")
            _running = None
            _tell("module", module.began, until=module.since, stages=module.spent)

    _in_process.run = told  # type: ignore[assignment]  # with the same arguments


class CallbackModule(CallbackBase):
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "timeline"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        began = time.monotonic()
        _watch_modules()
        _tell("imported", began, until=time.monotonic())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        _tell("task", time.monotonic(), action=task.action)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        _tell("stats", time.monotonic())
