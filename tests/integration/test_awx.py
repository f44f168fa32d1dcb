# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: ansible-runner, the credential as environment, events read back, slices of an inventory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.harness import API_KEY, Project, Sandbox, ansible_env
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP

pytestmark = pytest.mark.long


def job(folder: Path, sandbox: Sandbox, playbook: str, inventory: Any, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a playbook as an AWX job would. Returns the status, and the events that AWX would show."""
    (folder / "project").mkdir(parents=True)
    (folder / "project" / "job.yml").write_text(f"- ansible.builtin.import_playbook: pgbeam.cloud.{playbook}\n")
    (folder / "inventory").mkdir()
    (folder / "inventory" / "hosts.json").write_text(json.dumps(inventory))
    (folder / "env").mkdir()
    (folder / "env" / "cmdline").write_text(" ".join(["-v", *words]))
    home = folder / "home"
    home.mkdir()
    command = [sys.executable, "-m", "ansible_runner", "run", str(folder), "-p", "job.yml", "--ident", "1"]
    env = ansible_env(sandbox.url, home, DB_PASSWORD=PASSWORD)
    with sandbox.recorded():
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    artifacts = folder / "artifacts" / "1"
    events = [json.loads(file.read_text()) for file in sorted((artifacts / "job_events").glob("*.json"))]
    # ansible-runner writes the environment into this file; AWX shows the injected variables starred out.
    texts = [file for file in artifacts.rglob("*") if file.is_file() and file.name != "command"]
    for secret in (API_KEY, PASSWORD, json.dumps(PASSWORD)[1:-1]):
        assert secret not in done.stdout + done.stderr
        assert not [file for file in texts if secret in file.read_text(errors="replace")]
    return done.returncode, events


def inventory(project: Project, hosts: list[str], **variables: Any) -> Any:
    entry = {"name": "orders", "username": "app", "password": PASSWORD_LOOKUP}
    shared = {"pgbeam_project_id": project.id, "pgbeam_databases": [entry], **variables}
    return {"all": {"hosts": dict.fromkeys(hosts), "vars": shared}}


def said(events: list[dict[str, Any]]) -> str:
    return "\n".join(event.get("stdout", "") for event in events)


def test_a_job_registers_and_another_audits(sandbox: Sandbox, project: Project, tmp_path: Path) -> None:
    hosts = inventory(project, ["db1", "db2"])
    status, events = job(tmp_path / "check", sandbox, "register_databases", hosts, "--check", "--diff")
    assert (status, project.truth()) == (0, {})
    assert "(sent, not shown)" in said(events)
    status, events = job(tmp_path / "audit", sandbox, "audit_databases", hosts, "--diff")
    assert status == 2
    assert "2 differences: orders on db1:5432 is declared but not registered" in said(events)
    status, events = job(tmp_path / "run", sandbox, "register_databases", hosts, "--diff")
    assert status == 0
    assert f"{project.id}: 2 created" in said(events)
    (stats,) = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    assert stats["changed"] == {"db1": 1}
    assert job(tmp_path / "again", sandbox, "audit_databases", hosts)[0] == 0


def test_two_slices_side_by_side(sandbox: Sandbox, project: Project, tmp_path: Path) -> None:
    """AWX gives each slice a part of the hosts, at the same time and in containers of their own."""
    slices = [["db1", "db3"], ["db2", "db4"]]
    outcomes: dict[int, int] = {}

    def run(number: int) -> None:
        folder = tmp_path / f"slice{number}"
        outcomes[number] = job(folder, sandbox, "register_databases", inventory(project, slices[number]))[0]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {0: 0, 1: 0}
    assert sorted(row["host"] for row in project.truth().values()) == ["db1", "db2", "db3", "db4"]


def test_a_slice_that_prunes_would_delete_what_the_others_have(
    sandbox: Sandbox, project: Project, tmp_path: Path
) -> None:
    """What the documentation warns of: nothing in a slice shows that there are others."""
    job(tmp_path / "all", sandbox, "register_databases", inventory(project, ["db1", "db2"]))
    hosts = inventory(project, ["db1"], pgbeam_prune=True)
    status, events = job(tmp_path / "slice", sandbox, "register_databases", hosts, "--check")
    assert status == 0
    assert f"{project.id}: 1 deleted, 1 unchanged (check mode" in said(events)
