# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when a playbook's tasks begin and when all have ended."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: timeline
type: aggregate
short_description: Tell when tasks begin
description: For the benchmark.
"""


class CallbackModule(CallbackBase):
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "timeline"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._tell("task", action=task.action)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._tell("stats")

    def _tell(self, event: str, **more: str) -> None:
        with open(os.environ["BENCH_PROBE"], "a") as file:
            file.write(json.dumps({"event": event, "at": time.monotonic(), **more}) + "\n")
