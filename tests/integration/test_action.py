# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' action: values that JSON cannot hold are refused, and a task's keywords work as for any module."""

from __future__ import annotations

import sys
from typing import Any

from tests.harness import Project
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible

GROUP = "group/pgbeam.cloud.all"

ODD_VALUES = """
- hosts: localhost
  gather_facts: false
  ignore_errors: true
  tasks:
    - name: a list
      pgbeam.cloud.databases:
        project_id: prj_1
        databases:
          - {name: x, host: h}
          - {name: 2026-01-01, host: !!binary aGVsbG8=, password: 2026-01-01, cache_config: {ttl_seconds: 2026-01-01}}
    - name: one
      pgbeam.cloud.database:
        project_id: 2026-01-01 10:00:00
        name: "2026-01-01"
        password: !!binary aGVsbG8=
    - name: nested
      pgbeam.cloud.project: {org_id: o, name: n, database: {name: 2026-01-01}, tags: [a, 2026-01-01]}
    - name: read
      pgbeam.cloud.replica_info: {database_id: db_1, host: 2026-01-01}
"""


def test_values_that_json_cannot_hold(ansible: Ansible) -> None:
    """Each is refused in one sentence with its place, and never a secret's value."""
    run = ansible.playbook(ansible.write("play.yml", ODD_VALUES), "-vvvvv")
    assert {name: run.result(name)["msg"] for name in ("a list", "one", "nested", "read")} == {
        "a list": "databases[1].name: 2026-01-01 is a date; put it in quotes; "
        "databases[1].host: b'hello' is a binary value; remove the tag !!binary, and write it as text; "
        "databases[1].password: a date was given; put it in quotes; "
        "databases[1].cache_config.ttl_seconds: 2026-01-01 is a date; put it in quotes",
        "one": "password: a binary value was given; remove the tag !!binary, and write it as text; "
        "project_id: 2026-01-01 10:00:00 is a time; put it in quotes",
        "nested": "database.name: 2026-01-01 is a date; put it in quotes; tags[1]: 2026-01-01 is a date; "
        "put it in quotes",
        "read": "host: 2026-01-01 is a date; put it in quotes",
    }
    assert run.requests == []


def test_the_keywords_of_a_task(ansible: Ansible, project: Project) -> None:
    here = {"project_id": project.id}
    database = {**here, "host": "db1", "name": "a", "username": "app", "password": PASSWORD_LOOKUP}
    tasks: list[dict[str, Any]] = [
        {"name": "own", "pgbeam.cloud.database": database, "register": "made"},
        {"name": "defaults", "pgbeam.cloud.databases": {**here, "databases": [database]}, "ignore_errors": True},
        {"name": "environment", "pgbeam.cloud.database_info": here, "environment": {"PGBEAM_API_KEY": "no-key"},
         "ignore_errors": True},
        {"name": "async", "pgbeam.cloud.database_info": here, "async": 60, "poll": 1},
        {"name": "until", "pgbeam.cloud.database_info": here, "register": "found",
         "until": "found.databases | length == 1"},
        {"name": "loop", "pgbeam.cloud.database_info": {**here, "name": "{{ item }}"}, "loop": ["a", "b"],
         "loop_control": {"label": "x"}},
        {"name": "delegated", "pgbeam.cloud.database_info": here, "delegate_to": "other",
         "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
        {"name": "hidden", "pgbeam.cloud.database_info": here, "no_log": True},
        {"name": "use", "ansible.builtin.assert": {"that": "made.database.name == 'a'"}},
    ]  # fmt: skip
    defaults = {GROUP: {"retries": 1}, "pgbeam.cloud.databases": {"parallel": 99}}
    env = {"ANSIBLE_ASYNC_DIR": str(ansible.home / "async")}
    play = {"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}
    run = ansible.playbook(ansible.write("play.yml", [play]), "-vvvvv", "--diff", env=env)
    assert run.status == 0, run.output[-3000:]
    made = run.result("own")
    assert made["action"] == "created" and made["diff"]["after"]["host"] == "db1"
    if "invocation" in made:  # which newer cores leave out
        shown = made["invocation"]["module_args"]
        assert (shown["retries"], shown["password"]) == (1, "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
    assert "parallel: 99 is not allowed" in run.result("defaults")["msg"]
    assert "401 UNAUTHORIZED" in run.result("environment")["msg"]
    assert [result["databases"] != [] for result in run.results("loop")] == [True, False]
    assert run.result("until")["attempts"] == 1
    assert "censored" in run.result("hidden")


def test_module_defaults_reach_the_modules_of_the_role(ansible: Ansible, project: Project) -> None:
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", "username": "app"}]}
    path = ansible.write("hosts.yml", {"all": {"hosts": {"db1": {}}, "vars": variables}})
    defaults = {
        GROUP: {"api_url": "http://127.0.0.1:1", "retries": "{{ 0 }}", "ca_path": "{{ none_such | default(omit) }}"},
        "pgbeam.cloud.databases": {"timeout": 1},
        "pgbeam.cloud.database": {"port": 1},
    }
    play = {"hosts": "all", "gather_facts": False, "module_defaults": defaults, "roles": ["pgbeam.cloud.pgbeam"]}
    run = ansible.playbook(ansible.write("play.yml", [play]), "-i", path)
    assert "127.0.0.1:1" in run.result("Ensure PgBeam matches what the hosts declare")["msg"]
    assert run.requests == []
