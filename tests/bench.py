# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds and requests of whole Ansible commands against the sandbox: ``python -m tests.bench`` prints a table."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from tests.harness import Project, Sandbox, ansible_env

POST_SECONDS = 0.04
LOGIN = {"username": "app", "password": "{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}"}


def main() -> None:
    print(f"| command (a POST takes {POST_SECONDS * 1000:.0f} ms) | seconds | requests |")
    print("| --- | ---: | --- |")
    with tempfile.TemporaryDirectory() as folder, Sandbox.start() as sandbox:
        home = Path(folder)
        entries = [{"host": f"db{n % 40}.example.com", "name": f"name{n}", **LOGIN} for n in range(1000)]
        for size in (100, 1000):
            project = slow_project(sandbox)
            task = {"pgbeam.cloud.databases": {"project_id": project.id, "databases": entries[:size]}}
            play = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
            measure(f"`databases`, {size} registered", project, home, play)
            measure(f"`databases`, {size} unchanged", project, home, play)
        project = slow_project(sandbox)
        looped: dict[str, Any] = {
            "pgbeam.cloud.database": {
                "project_id": project.id,
                "host": "db1.example.com",
                "name": "{{ item }}",
                **LOGIN,
            },
            "loop": [f"name{n}" for n in range(20)],
        }
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": [looped]}]
        measure("a loop over `database`, 20 registered", project, home, play)
        measure("a loop over `database`, 20 unchanged", project, home, play)
        project = slow_project(sandbox)
        names: dict[str, Any] = {"pgbeam_databases": [{"name": f"name{n}", **LOGIN} for n in range(25)]}
        hosts: dict[str, Any] = {f"db{n}.example.com": {} for n in range(40)}
        inventory = {"all": {"hosts": hosts, "vars": {"pgbeam_project_id": project.id, **names}}}
        (home / "hosts.yml").write_text(yaml.safe_dump(inventory))
        play = [{"hosts": "all", "gather_facts": False, "roles": [{"role": "pgbeam.cloud.pgbeam"}]}]
        measure("the role, 40 hosts with 25 databases each, 1000 registered", project, home, play, "-i", "hosts.yml")
        measure("the role, 40 hosts with 25 databases each, 1000 unchanged", project, home, play, "-i", "hosts.yml")


def slow_project(sandbox: Sandbox) -> Project:
    project = sandbox.project()
    project.fault("slow", method="POST", seconds=POST_SECONDS, times=1_000_000)
    return project


def measure(title: str, project: Project, home: Path, play: list[dict[str, Any]], *words: str) -> None:
    """Run a play once and print its row."""
    (home / "play.yml").write_text(yaml.safe_dump(play))
    environment = ansible_env(project.url, home, DB_PASSWORD="For-the-bench-only")
    with project.watched() as exchanges:
        started = time.perf_counter()
        done = subprocess.run(
            ["ansible-playbook", "play.yml", *words], cwd=home, env=environment, capture_output=True, check=False
        )
        seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout.decode())
    methods = [entry["method"] for entry in exchanges]
    counts = ", ".join(f"{methods.count(method)} {method}" for method in sorted(set(methods)))
    print(f"| {title} | {seconds:.1f} | {counts} |", flush=True)


if __name__ == "__main__":
    main()
