# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No key and no password appears anywhere: runs of everything, good and bad, and a search of what they leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import Ansible, Run
from tests.integration.scanned_ansible import PASSWORDS, ScannedAnsible, look_up
from tests.integration.secret_plays import ENTRY, HOLDERS, LOUD, READERS, WRITERS, broken, everything


@pytest.fixture
def scanned(sandbox: Sandbox, tmp_path: Path) -> ScannedAnsible:
    return ScannedAnsible(sandbox.url, tmp_path / "home", printed=sandbox.log)


def test_everything(sandbox: Sandbox, scanned: ScannedAnsible) -> None:
    """As a job with one event file per result, with core's log and a replacement of the system log."""
    scanned.extra = {"PYTHONPATH": scanned.log_to_file(journal=False)}
    playbook, words = everything(sandbox, scanned)
    went_as_meant(scanned.runner(playbook, *words, "--diff"), check=False)
    logged = (scanned.home / "system.log").read_text()
    assert "project_id=prj_" in logged
    assert " databases=" not in logged
    for folder in ("junit", "tree"):
        assert list((scanned.home / folder).iterdir())


@pytest.mark.once
def test_everything_in_check_mode(sandbox: Sandbox, scanned: ScannedAnsible) -> None:
    """With every callback of core, and a replacement of systemd's journal."""
    scanned.extra = {"PYTHONPATH": scanned.log_to_file(journal=True), "ANSIBLE_PIPELINING": "true"}
    playbook, words = everything(sandbox, scanned)
    went_as_meant(scanned.playbook(playbook, *words, "--diff", "--check"), check=True)
    logged = (scanned.home / "system.log").read_text()
    assert "'PROJECT_ID': 'prj_" in logged
    assert "'databases':" not in logged.lower()


def went_as_meant(run: Run, check: bool) -> None:
    """Else the search would have had nothing to find."""
    names = {event["task"].partition(" : ")[2] or event["task"] for event in run.events}
    assert {"Validating arguments against arg spec 'main'", "Report what changed", "Report the drift"} <= {
        name.partition(" - ")[0] for name in names
    }
    tested = [(e["task"], e["result"]) for e in run.events if e["task"].startswith(("works", "fails"))]
    assert {name.partition(": ")[2] for name, result in tested} == {*WRITERS, *READERS}
    for name, result in tested:
        fails = name.startswith("fails") and not (check and name.startswith("fails when it writes"))
        assert result["failed"] is fails, (name, result)
    groups = {name.removeprefix("failed: ") for name in names if name.startswith("failed: ")}
    faulty = set() if check else {f"fault_{name}" for name in ("refusal", "problem", "401", "redirect")}
    misread = {"misspelled", "misplaced", "as_text", "as_texts", "nested", "defaults", "undefined", "two_keys"}
    assert groups == {*misread, "project_misspelled", "project_as_text", "replica_misspelled", *faulty}
    refused = [result["msg"] for name, result in tested if ", refusal: " in name and result["failed"]]
    # Every module is refused once, those with a password once more when they update, and one when it deletes.
    count = len(READERS) if check else len([*READERS, *WRITERS, *HOLDERS]) + 1
    assert ["refused: " in msg and "********" in msg for msg in refused] == [True] * count


def test_the_search_sees_every_place(scanned: ScannedAnsible) -> None:
    """A secret that core itself shows is found in everything that a run leaves behind."""
    shown = {"name": "show", "ansible.builtin.debug": {"msg": look_up("PLAIN")}}
    playbook = scanned.write("play.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": [shown]}])
    with pytest.raises(AssertionError) as raised:
        scanned.runner(playbook)
    places = [
        "ansible.log",
        "junit/",
        "tree/",
        "results-1",
        "runner/artifacts/job/job_events/",
        "runner/artifacts/job/stdout",
    ]
    assert [place for place in [*places, "output"] if f"\n{place}" not in str(raised.value)] == []
    assert PASSWORDS["PLAIN"] not in str(raised.value)


def test_a_traceback_that_was_asked_for(scanned: ScannedAnsible, project: Project) -> None:
    """Core can show tracebacks; they do not contain the text of the exception, which may quote a secret."""
    options = {"project_id": project.id, **ENTRY, "password": look_up("ODD")}
    task = {"name": "database", "pgbeam.cloud.database": options}
    playbook = scanned.write("play.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    env = {"ANSIBLE_DISPLAY_TRACEBACK": "always", "PYTHONPATH": broken(scanned)}
    run = scanned.playbook(playbook, LOUD, env=env)
    assert "unexpected LookupError at __init__.py:6" in run.result("database")["msg"]


def test_a_module_that_crashes_is_noticed(ansible: Ansible) -> None:
    """Each core reports a crash in different words, all of which the test runner must recognize."""
    ansible.write(
        "library/crash.py", "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n1 / 0\n"
    )
    tasks = [{"name": "crash", "crash": {}, "ignore_errors": True}]
    play = ansible.write("crash.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    with pytest.raises(AssertionError, match="division by zero"):
        ansible.playbook(play, env={"ANSIBLE_LIBRARY": str(ansible.home / "library")})


def test_requests_is_missing(scanned: ScannedAnsible, project: Project) -> None:
    package = scanned.write("missing/requests/__init__.py", "raise ImportError('not here')\n")
    environment = {"PYTHONPATH": str(Path(package).parent.parent)}
    run = scanned.adhoc("database_info", f"project_id={project.id}", env=environment)
    assert "Failed to import the required Python library (requests)" in run.output
