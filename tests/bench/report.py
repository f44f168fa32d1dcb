# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report, a page of Markdown. No number of a run is written by hand; what was tried stands in notes.md."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from tests.bench.goals import judge, told
from tests.bench.lab import LATENCY_MS
from tests.bench.series import Plan, Results, Series, one_more
from tests.bench.stages import OF_A_TASK, TITLES

NOTES = Path(__file__).parent / "notes.md"
GROWTH = {
    "ping": "`ansible-playbook` with one `ping` (P)",
    "listing": "the list calls alone, by `requests`",
    "role_check": "role, nothing to change",
    "role_create": "role, all new",
    "role_hosts": "role, many hosts, nothing to change",
    "role_changes": "role, some changes",
    "uri_check": "`uri`, looking for missing ones",
    "uri_create": "`uri`, all new",
    "uri_keep": "`uri`, sending all settings again",
    "sdk_check": "SDK, looking for missing ones",
    "sdk_create": "SDK, all new",
}
LOOP = {
    "loop_create": "all new",
    "loop_check": "nothing to change",
    "loop_tls": "all new, over TLS",
    "loop_handed_over": "nothing to change, handed over to a process for each item",
    "loop_ping": "`ping`, handed over, for comparison",
}
LISTS = {
    "lists_check": "role, nothing to change",
    "lists_create": "role, all new",
}
ROLE_STAGES = {
    "role_check_stages": "nothing to change",
    "role_create_stages": "all new",
    "role_hosts_stages": "many hosts, nothing to change",
}
ITEM_STAGES = {
    "loop_check_stages": "nothing to change",
    "loop_create_stages": "all new",
}


def page(results: Results, plan: Plan, picture: str) -> str:
    """The report; ``picture`` is the plot's file, beside the page."""
    goals = [[g.what, g.goal, g.measured, "met" if g.met else "**missed**"] for g in judge(results, plan)]
    return f"""# Performance

The benchmark wrote this page in one run on one machine. To repeat it:

```console
make bench
```

## The machine

{_table(["", ""], "ll", _machine())}

## How it is measured

- Each row is a whole command, from start to end. P is `ansible-playbook` with one `ping`.
- The sandbox, a local server that stands in for the API of PgBeam, runs on the same machine. It waits {LATENCY_MS} ms
  before it processes a request, including GET.
- The seconds are the median of {plan.runs} runs, or of {plan.slow_runs} if a command takes a long time, so that the
  benchmark takes only minutes. The runs alternate between all commands, after a warm-up round with the smallest sizes.
- The number of requests is the maximum over all runs, as recorded by the sandbox.
- The memory is the peak of the largest process among the command and its child processes.
- The role is the playbook `pgbeam.cloud.register_databases` with one host that declares all databases.
- {_ends(results, plan)}
- The `uri` playbooks and the script with the official SDK are in `tests/bench/rivals`. They list the project and create
  what is missing, one after the other, and compare no settings. The role compares every declared setting.

## Goals

{_table(["what", "goal", "measured", ""], "llll", goals)}

[Where the time goes](#where-the-time-goes) explains why goals are missed, and what was tried.

## How the cost grows

![Seconds over the number of databases]({picture})

{_table(["command", "databases", "seconds", "lowest to highest", "requests", "MiB"], "lrrrlr", _growth(results))}

## Lists of other objects

The role with {plan.lists} query templates and {plan.lists} schema annotations, and without a database. Each kind costs
its list calls, and one call for each object that is new.

{_table(["command", "seconds", "lowest to highest", "requests"], "lrrl", _lists(results, plan))}

## A loop over the module for one database

The table shows the cost of one more item, calculated from a loop of one item and a loop of {plan.loop} items, or of
{plan.processes} items if each one runs in its own process. The module `pgbeam.cloud.databases` and the role need no
loop.

{_table(["loop", "milliseconds", "requests"], "lrl", _loop(results, plan))}

## Where the time goes

Each moment of a command belongs to one row. The timestamps take some time, so these are separate runs,
{plan.slow_runs} of each. The table shows {"the faster one" if plan.slow_runs == 2 else "the one in the middle"}.

The role with {plan.main} databases, in seconds:

{_stages(_of(results, plan.main, ROLE_STAGES), list(TITLES), 1, 2)}

An item of a loop, in milliseconds: the mean of {plan.loop} items. What core does with the result of an item is included
in the preparation of the next one.

{_stages(_of(results, plan.loop, ITEM_STAGES), OF_A_TASK, 1000 / plan.loop, 0)}

{NOTES.read_text()}"""


def _machine() -> list[list[str]]:
    # Not all of the kernel's name: what follows the numbers can name a host.
    kernel = re.match(r"[\d.]*\d", platform.release())
    return [
        ["processor", _processor()],
        ["cores", str(os.cpu_count())],
        ["kernel", f"{platform.system()} {kernel.group() if kernel else ''}"],
        ["Python", platform.python_version()],
        ["ansible-core", version("ansible-core")],
        ["requests", version("requests")],
        ["pgbeam, the official SDK", version("pgbeam")],
    ]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.M) if information.exists() else None
    return found.group(1) if found else platform.machine()


def _growth(results: Results) -> list[list[str]]:
    rows = []
    for subject, title in GROWTH.items():
        for name, size in sorted(results):
            if name == subject:
                series = results[name, size]
                memory = f"{series.peak_mib:.0f}" if series.peak_mib else ""
                spread = f"{series.lowest:.2f} to {series.highest:.2f}"
                rows.append([title, str(size), f"{series.seconds:.2f}", spread, told(series.requests), memory])
    return rows


def _lists(results: Results, plan: Plan) -> list[list[str]]:
    rows = []
    for subject, title in LISTS.items():
        series = results[subject, plan.lists]
        spread = f"{series.lowest:.2f} to {series.highest:.2f}"
        rows.append([title, f"{series.seconds:.2f}", spread, told(series.requests)])
    return rows


def _loop(results: Results, plan: Plan) -> list[list[str]]:
    rows = []
    for subject, title in LOOP.items():
        size = max(size for name, size in results if name == subject)
        each = {method: count / size for method, count in results[subject, size].requests.items()}
        rows.append([title, f"{1000 * one_more(results, subject, size):.0f}", told(each)])
    return rows


def _ends(results: Results, plan: Plan) -> str:
    """Why the rivals' series are shorter than the role's."""

    def minutes(subject: str, sizes: tuple[int, ...]) -> float:
        few, many = sorted(sizes)[-2:]
        each = (results[subject, many].seconds - results[subject, few].seconds) / (many - few)
        return each * plan.large / 60

    uri, sdk = minutes("uri_create", plan.uri), minutes("sdk_create", plan.sdk_create)
    return f"""The series of `uri` ends at {max(plan.uri)} databases, and that of the SDK's creates ends at
  {max(plan.sdk_create)}.
  Both send one call after the other, so their cost is linear: a run with {plan.large} databases would take
  {uri:.1f} and {sdk:.1f} minutes, respectively."""


def _of(results: Results, size: int, titles: dict[str, str]) -> dict[str, Series]:
    """The series of one size by the titles of their subjects."""
    return {title: results[subject, size] for subject, title in titles.items()}


def _stages(columns: dict[str, Series], stages: list[str], factor: float, digits: int) -> str:
    """A table of stages with a column a series, without the stages that none of them shows anything of."""

    def row(title: str, seconds: list[float]) -> list[str]:
        return [title, *(f"{value * factor:.{digits}f}" for value in seconds)]

    spent = [series.stages for series in columns.values()]
    rows = [row(TITLES[stage], [each[stage] for each in spent]) for stage in stages]
    shown = [cells for cells in rows if any(float(cell) for cell in cells[1:])]
    total = row("**all**", [sum(each[stage] for stage in stages) for each in spent])
    return _table(["stage", *columns], "l" + "r" * len(columns), [*shown, total])


def _table(head: list[str], align: str, rows: list[list[str]]) -> str:
    marks = ["---:" if letter == "r" else "---" for letter in align]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, marks, *rows])
