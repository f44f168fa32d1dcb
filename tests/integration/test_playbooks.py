# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks, with extra variables that contradict their settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Project
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible

REGISTER = "pgbeam.cloud.register_databases"
AUDIT = "pgbeam.cloud.audit_databases"
ALWAYS = ["-e", "pgbeam_update_password=always"]


def inventory(ansible: Ansible, project: Project) -> str:
    """An inventory of two hosts with a database each."""
    entry: dict[str, Any] = {"name": "orders", "username": "app", "password": PASSWORD_LOOKUP, "ssl_mode": "prefer"}
    shared = {"pgbeam_project_id": project.id, "pgbeam_databases": [entry]}
    return ansible.write("hosts.yml", {"all": {"hosts": {"db1": {}, "db2": {}}, "vars": shared}})


def test_a_password_is_no_drift_even_where_it_is_always_sent(ansible: Ansible, project: Project) -> None:
    """An extra variable beats those that the playbook gives the role."""
    path = inventory(ansible, project)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    same = ansible.playbook(AUDIT, "-i", path, *ALWAYS)
    assert same.status == 0, same.output
    first, dummy = sorted(project.databases(), key=lambda item: str(item["host"]))
    project.api("PATCH", f"/{first['id']}", json={"ssl_mode": "disable"})
    project.register(host="db3", name="unlisted")
    other = ansible.playbook(AUDIT, "-i", path, *ALWAYS)
    assert other.status != 0
    assert other.result("Report the drift")["msg"] == "1 difference: orders on db1:5432 differs in ssl_mode"
    pruned = ansible.playbook(AUDIT, "-i", path, *ALWAYS, "-e", "pgbeam_prune=true")
    assert pruned.result("Report the drift")["msg"] == (
        "2 differences: orders on db1:5432 differs in ssl_mode; unlisted on db3:5432 is registered but should not be"
    )
    assert not same.writes + other.writes + pruned.writes


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_the_audit_reports_that_nothing_was_written(ansible: Ansible, project: Project, options: list[str]) -> None:
    """Its check mode is the play's, which ansible_check_mode does not show."""
    path = inventory(ansible, project)
    assert ansible.playbook(REGISTER, "-i", path).result("Report what changed")["msg"] == [f"{project.id}: 2 created"]
    (known, dummy) = project.databases()
    project.api("PATCH", f"/{known['id']}", json={"ssl_mode": "disable"})
    project.register(host="db3", name="unlisted")
    audited = ansible.playbook(AUDIT, "-i", path, "-e", "pgbeam_prune=true", *options)
    assert audited.result("Report what changed")["msg"] == [
        f"{project.id}: 1 updated, 1 deleted, 1 unchanged (check mode, nothing was written)"
    ]
    assert not audited.writes


RIGHT = ["--vault-password-file", "right"]
#: What comes of the audit, and its exit status.
ENDS: dict[str, tuple[dict[str, str], list[str], str, int]] = {
    "drift": ({}, RIGHT, "2 differences", 2),
    "no host": ({}, [*RIGHT, "-e", "pgbeam_hosts=no_such_group"], "no hosts matched", 0),
    "refused key": ({"PGBEAM_API_KEY": "of-no-account"}, RIGHT, "401 UNAUTHORIZED", 2),
    "no vault password": ({}, [], "no vault secrets", 4),
    "wrong vault password": ({}, ["--vault-password-file", "wrong"], "ecryption failed", 4),
    "no file with the vault password": ({}, ["--vault-password-file", "missing"], "was not found", 1),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_exit_status_of_the_audit(ansible: Ansible, project: Project, case: str) -> None:
    """As in the guide."""
    env, words, says, status = ENDS[case]
    path = inventory(ansible, project)
    for name in ("right", "wrong"):
        ansible.write(name, name)
    vault = ansible.write("group_vars/all.yml", {"vault_password": "x"})
    assert ansible.command(["ansible-vault", "encrypt", *RIGHT, vault]).status == 0
    run = ansible.playbook(AUDIT, "-i", path, *words, env=env)
    assert says in run.output
    assert run.status == status


@pytest.mark.parametrize("playbook", [REGISTER, AUDIT])
def test_a_pattern_of_hosts_that_was_left_blank_is_all(ansible: Ansible, project: Project, playbook: str) -> None:
    """A survey's question that is not answered comes as an empty text."""
    run = ansible.playbook(playbook, "-i", inventory(ansible, project), "--check", "-e", "pgbeam_hosts=")
    assert "2 created (check mode" in run.output
