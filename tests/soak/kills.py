# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of ansible-playbook that are killed, and the two that follow each."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import contract
from tests.faults import ENDLESS
from tests.harness import Project, ansible_env
from tests.soak.runs import NICE
from tests.soak.trial import PASSWORD

Values = dict[str, Any]
LOOKUP = "{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}"
WORKERS = 3


@dataclass(frozen=True)
class Killed:
    """A task for 30 databases that is killed in mid-run; so slow that it outlives the start of the next run."""

    form: str
    latency_ms: int
    module: str
    options: Values
    keywords: Values = field(default_factory=dict)


KILLED_NAMES = sorted(f"db{n}" for n in range(30))
_ONE: Values = {"host": "db1.example.com", "username": "app", "password": LOOKUP}
_LIST = [{**_ONE, "name": name} for name in KILLED_NAMES]
_LOOP = Killed("loop", 60, "database", {**_ONE, "name": "{{ item }}"}, {"loop": KILLED_NAMES})
KILLED = (
    Killed("list, 1 at once", 100, "databases", {"databases": _LIST, "parallel": 1}),
    _LOOP,
    Killed("list, 8 at once", 500, "databases", {"databases": _LIST, "parallel": 8}),
    _LOOP,
)


def kill_runs(url: str, count: int, seed: int, workers: int = WORKERS) -> tuple[Counter[str], list[str]]:
    """Kill ansible-playbook in mid-run, in lists and loops; judge the two runs that follow each.

    SIGKILL leaves the worker process alive for a while, so the next run must wait for it.
    Returns how many were completed, by form, and what was wrong with the others.
    """
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    kill = functools.partial(_kill, url, seed)
    with multiprocessing.get_context("fork").Pool(workers, os.nice, (NICE,)) as pool:
        for task, problem in pool.imap_unordered(kill, range(count)):
            form = task.partition(",")[0]
            counts[f"killed runs of a {form} that the next run completed, without a duplicate"] += not problem
            wrong += [f"kill {task}: {problem}"] if problem else []
    return counts, wrong


def _kill(url: str, seed: int, number: int) -> tuple[str, str]:
    """Kill a run and start it twice more. Returns the form of its task, and what is wrong, empty if nothing is."""
    luck = random.Random(f"{seed} {number}")
    task = KILLED[number % len(KILLED)]
    while True:
        project = Project(url, f"prj_kill_{os.getpid()}_{luck.randrange(ENDLESS)}")
        project.settings(latency_ms=task.latency_ms)
        tasks = [{f"pgbeam.cloud.{task.module}": {"project_id": project.id, **task.options}, **task.keywords}]
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            play = Path(folder, "play.json")
            play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
            process = _start(url, play)
            moment = luck.randint(0, len(KILLED_NAMES))
            while len(project.writes()) < moment and process.poll() is None:
                time.sleep(0.05)
            time.sleep(luck.uniform(0, 0.1))
            process.kill()
            if process.wait() != -signal.SIGKILL:  # it had ended before: another moment
                continue
            status = _start(url, play).wait()
            there = sorted(row["name"] for row in project.truth().values())
            writes = len(project.writes())
            again = _start(url, play).wait()
            _end_workers(play)
        contract.judge(project.record())
        if status or again or there != KILLED_NAMES or len(project.writes()) != writes:
            return task.form, (
                f"after {moment} writes, the next run ended with {status} and the one after it with {again}, "
                f"which wrote {len(project.writes()) - writes} times; registered are {there}"
            )
        return task.form, ""


def _end_workers(play: Path) -> None:
    """End the worker of a killed run, which waits for ever for ansible-playbook to read its results."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that has ended
            if str(play) in (process / "cmdline").read_text():
                os.kill(int(process.name), signal.SIGKILL)


def _start(url: str, play: Path) -> subprocess.Popen[bytes]:
    env = ansible_env(url, play.parent, DB_PASSWORD=PASSWORD)
    quiet = subprocess.DEVNULL
    return subprocess.Popen(["ansible-playbook", str(play)], env=env, stdout=quiet, stderr=quiet)
