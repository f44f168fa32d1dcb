# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents: the secrets that the API shows once, the policy by its name, and what a revoked agent is."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import Ansible, Modules, Run

SALT = "a salt"


@pytest.fixture
def project(sandbox: Sandbox) -> Project:
    project = sandbox.project()
    project.create("policies", name="readers")
    return project


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bot.json"


def agent(project: Project, **options: Any) -> dict[str, Any]:
    """A task. ``no_log`` and ``check_mode`` are its keywords, the others are options of the module."""
    keywords: dict[str, Any] = {name: options.pop(name) for name in ("no_log", "check_mode") if name in options}
    return {"name": "agent", "pgbeam.cloud.agent": {"project_id": project.id, "name": "bot", **options}, **keywords}


def agents(project: Project, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"name": "agents", "pgbeam.cloud.agents": {"project_id": project.id, "agents": list(entries)}}


def created(modules: Modules, project: Project, file: Path, **options: Any) -> dict[str, Any]:
    """The result of creating an agent."""
    return modules.play([agent(project, policy="readers", secrets_file=str(file), **options)]).result("agent")


def are_current(project: Project, identifier: str, issued: dict[str, Any]) -> bool:
    """Whether secrets are those that the server holds for an agent now."""
    hashes = project.secrets(SALT)[identifier]
    return all(
        hashes[name] == hashlib.sha256((SALT + issued[name]).encode()).hexdigest()
        for name in ("connection_string", "mcp_token")
    )


def posts(run: Run) -> list[str]:
    """The last part of the path of each POST."""
    return [path.rpartition("/")[2] for method, path in run.writes if method == "POST"]


def test_the_secrets_are_in_the_file_and_nowhere_else(ansible: Ansible, project: Project, file: Path) -> None:
    task = agent(project, policy="readers", secrets_file=str(file))
    run = ansible.play([task], "--diff", "-vvvvv")
    result = run.result("agent")
    assert (result["action"], result["changes"]) == ("created", ["name", "policy_profile_id"])
    issued = json.loads(file.read_text())
    assert list(issued) == ["id", "connection_string", "mcp_token", "mcp_url"]
    assert issued["id"] == result["agent"]["id"]
    assert are_current(project, issued["id"], issued)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ansible.secrets += [issued["connection_string"], issued["mcp_token"]]
    ansible.check_secrecy(run, run.output + json.dumps(run.events), ["agent"])
    before = file.stat()
    again = ansible.play([task], "--diff", "-vvvvv")
    assert again.result("agent")["action"] == "unchanged"
    assert again.writes == []
    assert file.stat() == before


def test_secrets_are_returned_to_a_task_that_hides_its_result(modules: Modules, project: Project) -> None:
    returning = {"policy": "readers", "return_secrets": True}
    refused = modules.play([agent(project, **returning)])
    assert "return_secrets: Ansible would show the secrets; also set no_log: true" in refused.result("agent")["msg"]
    assert refused.exchanges == []
    foreseen = modules.play([agent(project, no_log=True, check_mode=True, **returning)]).result("agent")
    assert foreseen["secrets"] == {"connection_string": None, "mcp_url": None, "mcp_token": None}
    result = modules.play([agent(project, no_log=True, **returning)]).result("agent")
    assert foreseen.keys() == result.keys()
    assert are_current(project, result["agent"]["id"], result["secrets"])
    again = modules.play([agent(project, no_log=True, **returning)]).result("agent")
    assert (again["action"], again["secrets"]) == ("unchanged", {})


def test_no_log_hides_returned_secrets_in_ansible(ansible: Ansible, project: Project, file: Path) -> None:
    tasks = [
        {**agent(project, policy="readers", return_secrets=True, no_log=True), "register": "made"},
        {
            "name": "kept",
            "ansible.builtin.copy": {"content": "{{ made.secrets | to_json }}", "dest": str(file), "mode": "0600"},
            "no_log": True,
        },
    ]
    run = ansible.play(tasks, "-vvvvv")
    issued = json.loads(file.read_text())
    ansible.secrets += [issued["connection_string"], issued["mcp_token"]]
    ansible.check_secrecy(run, run.output + json.dumps(run.events), ["agent"])
    (made,) = project.stored("agents")
    assert are_current(project, made, issued)


def test_a_file_that_cannot_be_written_after_the_create_is_reported(
    modules: Modules, project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*dummy: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = created(modules, project, file)
    (identifier,) = project.stored("agents")
    assert (result["failed"], result["action"], result["changed"]) == (True, "created", True)
    assert f"its secrets could not be written to {file} (No space left on device)" in result["msg"]
    assert f"the agent {identifier} exists" in result["msg"] and "rotate: true" in result["msg"]
    assert list(file.parent.glob(".pgbeam-*")) == []


def test_rotation(modules: Modules, project: Project, file: Path) -> None:
    identifier = created(modules, project, file)["agent"]["id"]
    old = json.loads(file.read_text())
    rotating = {"rotate": True, "secrets_file": str(file)}
    foreseen = modules.play([agent(project, check_mode=True, **rotating)], "--diff").result("agent")
    assert json.loads(file.read_text()) == old
    run = modules.play([agent(project, **rotating)], "--diff")
    result = run.result("agent")
    assert posts(run) == ["rotate"]
    assert foreseen["diff"] == result["diff"]
    assert result["diff"]["after"] == dict.fromkeys(("connection_string", "mcp_token"), "(new, not shown)")
    assert (foreseen["action"], foreseen["changes"]) == (result["action"], result["changes"]) == (
        "updated", ["connection_string", "mcp_token"],
    )  # fmt: skip
    new = json.loads(file.read_text())
    assert new["mcp_token"] != old["mcp_token"]
    assert are_current(project, identifier, new)
    both = modules.play([agent(project, status="disabled", **rotating)])
    assert both.result("agent")["changes"] == ["status", "connection_string", "mcp_token"]
    assert [method for method, path in both.writes] == ["PATCH", "POST"]
    assert both.result("agent")["agent"]["status"] == "disabled"


def test_a_new_agent_is_not_rotated(modules: Modules, project: Project, file: Path) -> None:
    run = modules.play([agent(project, policy="readers", rotate=True, secrets_file=str(file))])
    assert run.result("agent")["action"] == "created"
    assert posts(run) == ["agents"]


def test_lost_secrets_are_reported_if_the_rotation_fails_too(modules: Modules, project: Project, file: Path) -> None:
    project.fault("drop_after", method="POST", times=20)
    result = created(modules, project, file, retries=1, retry_budget=5)
    assert result["failed"]
    project.clear_faults()
    (identifier,) = project.stored("agents")
    assert f"its secrets are lost: set rotate: true to issue new ones for {identifier}" in result["msg"]
    assert not file.exists()


def test_an_agent_whose_secrets_were_lost_gets_new_ones_at_once(modules: Modules, project: Project, file: Path) -> None:
    project.fault("drop_after", method="POST", times=2)
    run = modules.play([agent(project, policy="readers", secrets_file=str(file), retries=1)])
    result = run.result("agent")
    assert (result["failed"], result["action"]) == (False, "created")
    assert posts(run) == ["agents", "agents", "rotate"]
    assert "agent bot: the response with its secrets was lost, so new ones were issued" in run.output
    (identifier,) = project.stored("agents")
    assert are_current(project, identifier, json.loads(file.read_text()))


def test_a_lost_answer_to_a_rotation_fails(modules: Modules, project: Project, file: Path) -> None:
    identifier = created(modules, project, file)["agent"]["id"]
    project.fault("drop_after", method="POST", times=2)
    result = modules.play([agent(project, rotate=True, secrets_file=str(file), retries=1)]).result("agent")
    assert result["failed"]
    assert result["msg"].endswith(
        f"; its secrets may have been replaced: set rotate: true to issue new ones for {identifier}"
    )
    assert result["error"]["outcome_unknown"] is True


def test_the_policy_by_name_or_id(modules: Modules, project: Project, file: Path) -> None:
    (policy,) = project.stored("policies")
    assert created(modules, project, file)["agent"]["policy_profile_id"] == policy
    for options in ({"policy": "readers"}, {"policy": policy}, {"policy_profile_id": policy}):
        assert modules.play([agent(project, **options)]).result("agent")["action"] == "unchanged"
    run = modules.play([agent(project, policy="readers", policy_profile_id=policy)])
    assert run.result("agent")["msg"] == "policy: policy_profile_id is also set; keep one of them"
    assert run.exchanges == []


def test_a_name_that_means_no_policy_or_two(modules: Modules, project: Project, file: Path) -> None:
    unknown = {"policy": "writers", "secrets_file": str(file)}
    where = f"policies of project {project.id}"
    run = modules.play([agent(project, **unknown)])
    assert run.result("agent")["msg"] == f"policy: none of the {where} is named 'writers'; use an existing one: readers"
    assert run.writes == []
    run = modules.play([agent(project, check_mode=True, **unknown)])
    result = run.result("agent")
    assert (result["action"], result["agent"]["policy_profile_id"]) == ("created", None)
    assert "policy_profile_id" in result["changes"]
    assert (
        "use an existing one: readers; without check mode, the task fails unless 'writers' exists by then" in run.output
    )
    ids = sorted([*project.stored("policies"), project.create("policies", name="readers")["id"]])
    run = modules.play([agent(project, policy="readers", secrets_file=str(file))])
    assert run.result("agent")["msg"] == (
        f"policy: 2 {where} are named 'readers' ({', '.join(ids)}); use the id of one of them"
    )
    entry = {"name": "cat", "policy": "writers", "secrets_file": str(file)}
    run = modules.play([agents(project, entry)])
    assert run.result("agents")["msg"].startswith("agents[0] (cat): policy: none of the")


def test_many_agents_cost_one_listing_of_policies(modules: Modules, project: Project, tmp_path: Path) -> None:
    entries = [{"name": f"bot{n}", "policy": "readers", "secrets_file": str(tmp_path / f"{n}.json")} for n in range(5)]
    run = modules.play([agents(project, *entries)])
    assert run.result("agents")["msg"] == "5 created"
    assert [entry["method"] for entry in run.exchanges].count("GET") == 2
    assert len({json.loads((tmp_path / f"{n}.json").read_text())["mcp_token"] for n in range(5)}) == 5


def test_a_revoked_agent_stays_revoked(modules: Modules, project: Project, file: Path) -> None:
    identifier = created(modules, project, file)["agent"]["id"]
    gone = [agent(project, state="absent"), agent(project, state="absent")]
    assert [event["result"]["action"] for event in modules.play(gone).events] == ["deleted", "unchanged"]
    assert project.stored("agents")[identifier]["status"] == "revoked"
    by_id = {"project_id": project.id, "id": identifier, "status": "active"}
    result = modules.play([{"name": "agent", "pgbeam.cloud.agent": by_id}]).result("agent")
    assert result["failed"] and f"agent {identifier} was not found in project {project.id}" in result["msg"]
    new = created(modules, project, file)
    assert (new["action"], new["agent"]["id"] == identifier) == ("created", False)
    info = {"name": "found", "pgbeam.cloud.agent_info": {"project_id": project.id}}
    assert [item["id"] for item in modules.play([info]).result("found")["agents"]] == [new["agent"]["id"]]


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2020-01-01T00:00:00Z", "agent bot: expires_at 2020-01-01T00:00:00Z is in the past; set a time in the"),
        (
            "2099-01-01T00:00:00",
            "expires_at: '2099-01-01T00:00:00' is not allowed; it must be a date and time with a",
        ),
        ("tomorrow", "expires_at: 'tomorrow' is not allowed; it must be a date and time with a time zone"),
        ("", "expires_at: '' is not allowed"),
    ],
)
def test_an_expiry_that_is_refused(modules: Modules, project: Project, file: Path, moment: str, why: str) -> None:
    run = modules.play([agent(project, policy="readers", secrets_file=str(file), expires_at=moment)])
    assert why in run.result("agent")["msg"]
    assert run.writes == []


def test_an_agent_that_never_expires(modules: Modules, project: Project, file: Path) -> None:
    assert created(modules, project, file, expires_at=None)["agent"]["expires_at"] is None
    assert modules.play([agent(project, expires_at=None)]).result("agent")["action"] == "unchanged"
