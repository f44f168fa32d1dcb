# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks, where extra variables say otherwise than they do."""

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
    assert other.result("Say what drifted")["msg"] == "1 drifted: orders on db1:5432 differs in ssl_mode"
    pruned = ansible.playbook(AUDIT, "-i", path, *ALWAYS, "-e", "pgbeam_prune=true")
    assert pruned.result("Say what drifted")["msg"] == (
        "2 drifted: orders on db1:5432 differs in ssl_mode; unlisted on db3:5432 is registered but not declared"
    )
    assert not same.writes + other.writes + pruned.writes


@pytest.mark.parametrize("playbook", [REGISTER, AUDIT])
def test_a_pattern_of_hosts_that_was_left_blank_is_all(ansible: Ansible, project: Project, playbook: str) -> None:
    """A survey's question that is not answered comes as an empty text."""
    run = ansible.playbook(playbook, "-i", inventory(ansible, project), "--check", "-e", "pgbeam_hosts=")
    assert "2 created in check mode" in run.output
