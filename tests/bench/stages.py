# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of a command goes: its stages, from what the callback plugin told while it ran.

Every moment of the command belongs to one stage, so they add up to it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

#: In the order in which they come.
TITLES = {
    "begin": "`ansible-playbook` starts, and reads the inventory and the playbook",
    "imports": "the collection and `requests` are imported",
    "validate": "core validates the role's arguments",
    "gather": "the role gathers the hosts' variables",
    "prepare": "core prepares the task; the role plans",
    "options": "core checks the module's options",
    "listing": "the list calls",
    "work": "the collection checks the options, plans, and composes the result",
    "writing": "the writes",
    "masking": "secrets are looked for in the result",
    "end": "core writes the result and reads it",
    "take": "core passes the result on",
    "last": "the role reports what changed and publishes the result",
    "finish": "`ansible-playbook` ends",
}
#: Those of a task, without what a playbook costs whatever its tasks are.
OF_A_TASK = [stage for stage in TITLES if stage not in ("begin", "imports", "validate", "gather", "last", "finish")]


def environment(told: Path) -> dict[str, str]:
    """What makes Ansible tell its stages into this file."""
    return {
        "BENCH_TIMELINE": str(told),
        "ANSIBLE_CALLBACK_PLUGINS": str(FOLDER / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "timeline",
    }


def stages(told: Path, began: float, ended: float) -> dict[str, float]:
    """The seconds of each stage of a command that ran from ``began`` to ``ended``, on the clock ``time.monotonic``.

    Of its tasks, one ran modules, once or in a loop, one after the other.
    """
    events: list[dict[str, Any]] = [json.loads(line) for line in told.read_text().splitlines()]
    tasks = [event for event in events if event["event"] == "task"]
    modules = [event for event in events if event["event"] == "module"]
    (stats,) = (event["at"] for event in events if event["event"] == "stats")
    (imported,) = (event["until"] - event["at"] for event in events if event["event"] == "imported")
    spent = dict.fromkeys(TITLES, 0.0)
    spent["imports"] = imported
    spent["begin"] = tasks[0]["at"] - began - imported
    spent["finish"] = ended - stats
    for task, following in zip(tasks, [*(task["at"] for task in tasks[1:]), stats]):
        done = task["at"]
        own = [module for module in modules if done <= module["at"] < following]
        for module in own:
            spent["prepare"] += module["at"] - done
            for stage, seconds in module["stages"].items():
                spent[stage] += seconds
            done = module["until"]
        if own:
            stage = "take"
        elif task["at"] > modules[-1]["at"]:
            stage = "last"
        else:
            stage = "validate" if task["action"].endswith("validate_argument_spec") else "gather"
        spent[stage] += following - done
    return spent
