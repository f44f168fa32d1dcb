# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No key and no password appears anywhere: runs of everything, good and bad, and a search of what they left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import Run
from tests.integration.secret_plays import ENTRY, FAULTS, LOUD, REGISTER, broken, everything
from tests.integration.watched import PASSWORDS, Watched, look_up


@pytest.fixture
def watched(sandbox: Sandbox, tmp_path: Path) -> Watched:
    return Watched(sandbox.url, tmp_path / "home", printed=sandbox.log)


@pytest.mark.parametrize("check", [False, pytest.param(True, marks=pytest.mark.once)], ids=["live", "check"])
def test_everything(sandbox: Sandbox, watched: Watched, check: bool) -> None:
    """With every callback of core, its log, and what stands for the system's log."""
    watched.extra = {"PYTHONPATH": watched.stand_in(journal=check), "ANSIBLE_PIPELINING": str(check)}
    playbook, words = everything(sandbox, watched)
    went_as_meant(watched.playbook(playbook, *words, "--diff", check=check), check)
    logged = (watched.home / "system.log").read_text()
    assert ("'PROJECT_ID': 'prj_" if check else "project_id=prj_") in logged
    assert "databases=" not in logged.lower()
    for folder in ("junit", "tree"):
        assert list((watched.home / folder).iterdir())
    if not check:
        failed = watched.playbook(REGISTER, *words, "-e", "pgbeam_hosts=fault_refusal")
        assert "400 INVALID_INPUT: refused: ******** ********" in failed.output


@pytest.mark.once
def test_everything_as_a_job(sandbox: Sandbox, watched: Watched) -> None:
    watched.extra = {"ANSIBLE_PIPELINING": "true"}
    playbook, words = everything(sandbox, watched)
    went_as_meant(watched.runner(playbook, *words, "--diff"), check=False)


def went_as_meant(run: Run, check: bool) -> None:
    """Else the search would have had nothing to find."""
    names = {event["task"].partition(" : ")[2] or event["task"] for event in run.events}
    assert {"Validating arguments against arg spec 'main'", "Tell what was done", "Say what drifted"} <= {
        name.partition(" - ")[0] for name in names
    }
    for event in run.events:
        name, failed = event["task"], event["result"]["failed"]
        if name.startswith("works"):
            assert not failed, event
        elif name.startswith("fails") and not (check and any(f"fails, {fault}:" in name for fault in FAULTS)):
            assert failed, name
    groups = {name.removeprefix("failed: ") for name in names if name.startswith("failed: ")}
    faulty = set() if check else {f"fault_{name}" for name in ("refusal", "problem", "401", "redirect")}
    assert groups >= {"misspelled", "misplaced", "as_text", "as_texts", "nested", "defaults", "undefined", *faulty}
    if not check:
        refused = [event["result"]["msg"] for event in run.events if event["task"].startswith("fails, refusal: ")]
        assert ["refused: " in msg and "********" in msg for msg in refused] == [True] * 3


def test_the_search_sees_every_place(watched: Watched) -> None:
    """What core shows of a secret without our doing is found wherever a run leaves something."""
    shown = {"name": "show", "ansible.builtin.debug": {"msg": look_up("PLAIN")}}
    playbook = watched.write("play.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": [shown]}])
    with pytest.raises(AssertionError) as raised:
        watched.runner(playbook)
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


def test_a_traceback_that_was_asked_for(watched: Watched, project: Project) -> None:
    """Core can be told to show tracebacks; the exception's text, which may quote a secret, is not in them."""
    options = {"project_id": project.id, **ENTRY, "password": look_up("ODD")}
    task = {"name": "database", "pgbeam.cloud.database": options, "environment": {"PYTHONPATH": broken(watched)}}
    playbook = watched.write("play.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    run = watched.playbook(playbook, LOUD, env={"ANSIBLE_DISPLAY_TRACEBACK": "always"})
    assert "unexpected LookupError at __init__.py:5" in run.result("database")["msg"]


def test_requests_is_missing(watched: Watched, project: Project) -> None:
    package = watched.write("missing/requests/__init__.py", "raise ImportError('not here')\n")
    environment = {"PYTHONPATH": str(Path(package).parent.parent)}
    run = watched.adhoc("database_info", f"project_id={project.id}", env=environment)
    assert "Failed to import the required Python library (requests)" in run.output
