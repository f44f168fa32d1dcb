# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role pgbeam and the playbooks, over inventories of many hosts."""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

import pytest
from ansible.release import __version__ as release

from tests.harness import Project, Sandbox, ansible_env
from tests.integration.conftest import NATIVE, PASSWORD, PASSWORD_LOOKUP, Ansible, Run
from tests.postgres import Postgres

LOGIN = {"username": "app", "password": PASSWORD_LOOKUP}
REGISTER = "pgbeam.cloud.register_databases"
AUDIT = "pgbeam.cloud.audit_databases"
ENSURE = "Ensure PgBeam matches what the hosts declare"
#: Cores before 2.19 turn text that looks like a Python literal into one; then the modules refuse it.
LITERALS_ARE_CONVERTED = tuple(map(int, release.split(".")[:2])) < (2, 19)
ROLE = [{"name": "role", "ansible.builtin.include_role": {"name": "pgbeam.cloud.pgbeam"}}]


def inventory(ansible: Ansible, hosts: dict[str, dict[str, Any]], group: dict[str, Any] | None = None) -> str:
    """Write an inventory whose hosts are all in the group pg, and return its path."""
    return ansible.write("inventory/hosts.yml", {"all": {"children": {"pg": {"hosts": hosts, "vars": group or {}}}}})


def registered(project: Project) -> list[tuple[str, str]]:
    return sorted((item["host"], item["name"]) for item in project.databases())


def reported(run: Run) -> str:
    """The problems that the role found, in words."""
    return str(run.result(ENSURE)["msg"])


def test_forty_hosts_and_two_projects(ansible: Ansible, sandbox: Sandbox) -> None:
    """Group variables, host variables and both, in one listing and one task a project."""
    projects = [sandbox.project(), sandbox.project()]
    hosts: dict[str, dict[str, Any]] = {f"db{n:02d}.example.com": {} for n in range(40)}
    for number, variables in enumerate(hosts.values()):
        variables["pgbeam_project_id"] = projects[number % 2].id
        if number >= 10:
            variables["pgbeam_databases"] = [{"name": f"own{number}"}, {"name": "shop", "port": 6432}]
        if number == 39:
            variables["ansible_host"] = "10.0.0.39"
    group = {
        "pgbeam_databases": [{"name": "common"}, {"name": "central", "host": "central.example.com"}],
        "pgbeam_database_defaults": {**LOGIN, "cache_config": {"ttl_seconds": 5}},
    }
    path = inventory(ansible, hosts, group)
    foreseen = ansible.playbook(REGISTER, "-i", path, "--diff", check=True)
    first = ansible.playbook(REGISTER, "-i", path, "-vvvvv")
    second = ansible.playbook(REGISTER, "-i", path)
    # Five of each project's twenty hosts have the two of the group, one of which all five share.
    created = [f"{project.id}: 36 created" for project in projects]
    assert foreseen.result(ENSURE)["msg"] == [f"{line} (check mode, nothing was written)" for line in created]
    assert first.result(ENSURE)["msg"] == created
    assert first.status == second.status == 0
    assert second.changed == 0
    assert [method for method, dummy in second.requests] == ["GET", "GET"]
    assert ("10.0.0.39", "own39") in registered(projects[1])
    assert ("central.example.com", "central") in registered(projects[0])
    assert {item["cache_config"]["ttl_seconds"] for item in projects[0].databases()} == {5}


@pytest.mark.parametrize("source", ["inventory", "extra vars", "play vars", "vars_files", "role parameters"])
def test_each_source_of_variables(ansible: Ansible, project: Project, source: str) -> None:
    variables = {
        "pgbeam_project_id": project.id,
        "pgbeam_databases": [{"name": "of_{{ inventory_hostname }}", **LOGIN}],
    }
    path = inventory(ansible, {"db1": {}, "db2": {"ansible_host": "10.0.0.2"}})
    words = ["-i", path]
    play: dict[str, Any] = {"hosts": "pg", "gather_facts": False, "roles": [{"role": "pgbeam.cloud.pgbeam"}]}
    if source == "inventory":
        ansible.write("inventory/group_vars/pg.yml", variables)
    elif source == "extra vars":
        words += ["-e", f"@{ansible.write('extra.yml', variables)}"]
    elif source == "play vars":
        play["vars"] = variables
    elif source == "vars_files":
        play["vars_files"] = [ansible.write("more.yml", variables)]
    else:
        play["roles"] = [{"role": "pgbeam.cloud.pgbeam", **variables}]
    run = ansible.playbook(ansible.write("play.yml", [play]), *words)
    assert run.status == 0, run.output
    assert registered(project) == [("10.0.0.2", "of_db2"), ("db1", "of_db1")]


def test_the_inventory_cannot_make_it_connect_to_a_host(ansible: Ansible, project: Project) -> None:
    """Connection variables, become and another Python of the inventory do not reach the task on the controller."""
    hosts = {"db1": {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}}
    path = inventory(
        ansible,
        {**hosts, "localhost": {"ansible_connection": "ssh"}},
        {"ansible_become": True, "ansible_python_interpreter": "/no/such/python", "ansible_connection": "ssh"},
    )
    run = ansible.playbook(REGISTER, "-i", path)
    assert run.status == 0, run.output
    assert registered(project) == [("db1", "a")]


def test_the_result_by_project(ansible: Ansible, sandbox: Sandbox) -> None:
    projects = [sandbox.project(), sandbox.project()]
    hosts = {
        f"db{n}": {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}
        for n, project in enumerate(projects)
    }
    show = {"name": "show", "ansible.builtin.debug": {"msg": "{{ pgbeam_result }}"}}
    run = ansible.play([*ROLE, show], "-i", inventory(ansible, hosts), hosts="pg")
    for result in run.results("show"):
        assert set(result["msg"]) == {project.id for project in projects}
        assert [value["summary"]["created"] for value in result["msg"].values()] == [1, 1]


def test_a_failed_project_is_in_the_result_with_the_others(ansible: Ansible, sandbox: Sandbox) -> None:
    projects = [sandbox.project(plan_limit=0), sandbox.project()]
    hosts = {
        f"db{n}": {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}
        for n, project in enumerate(projects)
    }
    show = {"name": "show", "ansible.builtin.debug": {"msg": ["{{ pgbeam_result }}", "{{ __pgbeam_declared }}"]}}
    run = ansible.play([{"name": "try", "block": ROLE, "rescue": [show]}], "-i", inventory(ansible, hosts), hosts="pg")
    assert len(run.results("show")) == 2
    for shown in run.results("show"):
        result, left = shown["msg"]
        assert result[projects[0].id]["summary"]["failed"] == 1
        assert result[projects[1].id]["summary"]["created"] == 1
        assert left == {}


def test_a_run_that_ends_early_has_no_result(ansible: Ansible, project: Project) -> None:
    """The result of an earlier run of the role in the same play is not its own."""
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}
    show = {"name": "show", "ansible.builtin.debug": {"var": "pgbeam_result"}}
    wrong = [{**ROLE[0], "vars": {"pgbeam_project_id": ""}}]
    tasks: list[dict[str, Any]] = [*ROLE, {"name": "try", "block": wrong, "rescue": [show]}]
    run = ansible.play(tasks, "-i", inventory(ansible, {"db1": {}}, variables), hosts="pg")
    assert run.result("show")["pgbeam_result"] == {}


PROBLEMS: dict[str, tuple[dict[str, dict[str, Any]], dict[str, Any], str]] = {
    "no project": (
        {"db1": {"pgbeam_project_id": ""}},
        {},
        "db1: pgbeam_databases is set but pgbeam_project_id is missing",
    ),
    "two keys": (
        {"db1": {"pgbeam_api_key": "pbu_first"}, "db2": {"pgbeam_api_key": "pbu_second"}},
        {},
        "db1 and db2 share project {id} but differ in pgbeam_api_key; set the same value",
    ),
    "two settings": ({"db1": {}, "db2": {"pgbeam_parallel": 2}}, {}, "db1 and db2 share project {id} but differ"),
    "contradiction": (
        {"db1": {}, "db2": {"pgbeam_databases": [{"name": "a", "host": "db1", "ssl_mode": "allow"}]}},
        {},
        "an entry of db1 and an entry of db2 are both database a on db1:5432; keep one of them",
    ),
    "only the controller": ({"localhost": {"ansible_connection": "local"}}, {}, "localhost: the entry 'a'"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_contradictions_are_reported_before_any_request(ansible: Ansible, project: Project, case: str) -> None:
    hosts, group, message = PROBLEMS[case]
    ansible.secrets += ["pbu_first", "pbu_second"]
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}], **group}
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, hosts, variables))
    assert run.status != 0
    assert message.format(id=project.id) in reported(run)
    assert run.requests == []


def pruning(ansible: Ansible, project: Project, **variables: Any) -> str:
    group = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}], "pgbeam_prune": True}
    return inventory(ansible, {f"db{n}": {} for n in range(4)}, {**group, **variables})


def test_prune_with_every_list_in_view(ansible: Ansible, project: Project) -> None:
    project.register(name="unlisted")
    path = pruning(ansible, project)
    assert ansible.playbook(REGISTER, "-i", path).result(ENSURE)["msg"] == [f"{project.id}: 4 created, 1 deleted"]
    assert ansible.playbook(REGISTER, "-i", path).changed == 0
    assert len(project.databases()) == 4


def test_prune_deletes_no_more_than_its_limit(ansible: Ansible, project: Project) -> None:
    """A group variable that went missing costs one run, and the audit still reports all of the drift."""
    for n in range(4):
        project.register(host=f"db{n}", name="a", username="app")
    path = pruning(ansible, project, pgbeam_databases=[{"name": "a", **LOGIN, "host": "db0"}])
    refused = ansible.playbook(REGISTER, "-i", path)
    message = (
        f"prune: 3 of the 4 databases of project {project.id} would be deleted, more than prune_limit (50%) allows"
    )
    assert message in reported(refused)
    assert not refused.writes
    audited = ansible.playbook(AUDIT, "-i", path)
    assert "3 differences: a on db1:5432 is registered but should not be" in audited.result("Report the drift")["msg"]
    assert ansible.playbook(REGISTER, "-i", path, "-e", "pgbeam_prune_limit=3").status == 0
    assert registered(project) == [("db0", "a")]


@pytest.mark.parametrize("case", ["limit", "serial", "gone", "role skipped", "outside the play"])
def test_prune_is_refused_where_a_list_is_out_of_view(ansible: Ansible, project: Project, case: str) -> None:
    project.register(name="unlisted")
    path = pruning(ansible, project)
    words, tasks = ["-i", path], ROLE
    play: dict[str, Any] = {"hosts": "pg"}
    why = {
        "limit": "because --limit is set",
        "serial": "because db2 (and 1 more) is not in this batch (serial), or was added while the play ran",
        "gone": "because db3 failed or left the play",
        "role skipped": "because db3 did not run the role",
        "outside the play": f"db2 is not among the play's hosts, and declares databases of {project.id}",
    }[case]
    if case == "limit":
        words += ["--limit", "db0,db1"]
    elif case == "serial":
        play["serial"] = "2"
    elif case == "gone":
        tasks = [
            {"name": "leave", "ansible.builtin.fail": {"msg": "gone"}, "when": "inventory_hostname == 'db3'"},
            *ROLE,
        ]
    elif case == "role skipped":
        tasks = [{**ROLE[0], "when": "inventory_hostname != 'db3'"}]
    else:
        play["hosts"] = "db0,db1"
    run = ansible.play(tasks, *words, **play)
    assert run.status != 0
    assert why in reported(run)
    assert run.requests == []


@pytest.mark.parametrize("place", ["role", "play"])
def test_refusals_hold_where_errors_are_ignored(ansible: Ansible, project: Project, place: str) -> None:
    """Else the run would print the refusal, and prune."""
    path = pruning(ansible, project)
    for n in range(4):
        project.register(host=f"db{n}", name="a")
    role: dict[str, Any] = {"role": "pgbeam.cloud.pgbeam"}
    play: dict[str, Any] = {"hosts": "pg", "gather_facts": False, "roles": [role]}
    (role if place == "role" else play)["ignore_errors"] = True
    run = ansible.playbook(ansible.write("play.yml", [play]), "-i", path, "--limit", "db0")
    assert "because --limit is set" in reported(run)
    assert run.status != 0
    assert len(project.databases()) == 4


@pytest.mark.parametrize("named", ["pgbeam_project_id", "shared"])
def test_prune_is_refused_where_the_project_stands_in_a_play(ansible: Ansible, project: Project, named: str) -> None:
    """A host that the play does not target may be of the same project, by its own play."""
    project.register(host="db2", name="a")
    group: dict[str, Any] = {"pgbeam_databases": [{"name": "a", **LOGIN}]}
    group.update({} if named == "pgbeam_project_id" else {"pgbeam_project_id": "{{ shared }}"})
    path = inventory(ansible, {"db1": {}, "db2": {}}, group)
    run = ansible.play(ROLE, "-i", path, hosts="db1", vars={named: project.id, "pgbeam_prune": True})
    assert run.status != 0
    assert reported(run).startswith("pgbeam_prune: db2 ")
    assert run.requests == []


def test_a_connection_plugin_that_the_controller_does_not_have(ansible: Ansible, project: Project) -> None:
    """The hosts' own way of connecting is of no interest, as nothing connects to them."""
    hosts = {"db1": {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}}
    group = {"ansible_connection": "no.such.plugin", "ansible_become_method": "no.such.method", "ansible_become": True}
    path = inventory(ansible, hosts, group)
    run = ansible.playbook(REGISTER, "-i", path)
    assert run.status == 0, run.output
    assert ansible.playbook(AUDIT, "-i", path).status == 0
    assert registered(project) == [("db1", "a")]


@pytest.mark.parametrize("place", ["role", "play", "include"])
def test_run_once_is_refused(ansible: Ansible, project: Project, place: str) -> None:
    """It would show one host's list as every host's, and prune the others'."""
    path = pruning(ansible, project)
    for n in range(4):
        project.register(host=f"db{n}", name="a")
    play: dict[str, Any] = {"hosts": "pg", "gather_facts": False}
    if place == "include":
        play["tasks"] = [{**ROLE[0], "run_once": True}]
    else:
        play["roles"] = [{"role": "pgbeam.cloud.pgbeam", **({"run_once": True} if place == "role" else {})}]
        play.update({"run_once": True} if place == "play" else {})
    run = ansible.playbook(ansible.write("play.yml", [play]), "-i", path)
    assert run.status != 0
    assert not run.writes
    assert len(project.databases()) == 4


def test_values_of_a_wrong_type_are_reported(ansible: Ansible, project: Project) -> None:
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", "host": ["x", "y"]}]}
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, {"db1": {}}, variables))
    where = "db1: pgbeam_databases[0] (a)"
    assert reported(run) == f"{where}: host: ['x', 'y'] is a list; it must be text"
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, {"db1": {}}), "-e", "pgbeam_database_defaults=port=1")
    where = "db1: pgbeam_database_defaults"
    assert reported(run) == f"{where}: text was given; it must be a dictionary (with -e, pass it as JSON or in a file)"


def test_values_that_json_cannot_hold(ansible: Ansible, project: Project) -> None:
    """The same on all cores, and never a secret's value."""
    path = ansible.write(
        "hosts.yml",
        f"all: {{hosts: {{db1: , db2: }}, vars: {{pgbeam_project_id: {project.id}, pgbeam_database_defaults: "
        "{password: !!binary aGVsbG8=}, pgbeam_databases: [{name: 2026-01-01}, {5: x}]}}",
    )
    run = ansible.playbook(REGISTER, "-i", path, "-vvvvv")
    assert reported(run) == (
        "db1 (and 1 more): pgbeam_databases[0].name: 2026-01-01 is a date; put it in quotes; "
        "db1 (and 1 more): pgbeam_databases[1]: the option name 5 is not text; put it in quotes; "
        "db1 (and 1 more): pgbeam_database_defaults.password: a binary value was given; remove the tag "
        "!!binary, and write it as text"
    )
    assert run.requests == []


def test_lists_and_dictionaries_as_text(ansible: Ansible, project: Project) -> None:
    """As a survey's text area sends them. A template in such a text cannot change what is around it."""
    texts = {
        "pgbeam_project": f'{{"id": "{project.id}"}}',
        "pgbeam_databases": '- name: a\n  password: "{{ secret }}"\n- {name: "yes", port: 6432}\n',
        "pgbeam_database_defaults": "username: app\npassword: '{{ secret }}'",
        "secret": '{{ lookup("ansible.builtin.env", "DB_PASSWORD") }}',
    }
    path = inventory(ansible, {"db1": {}})
    run = ansible.playbook(REGISTER, "-i", path, "-e", f"@{ansible.write('extra.yml', texts)}")
    assert run.status == 0, run.output
    assert registered(project) == [("db1", "a"), ("db1", "yes")]
    arrived = hashlib.sha256(f"s{PASSWORD}".encode()).hexdigest()
    assert set(project.passwords(salt="s")) == {arrived}
    for name, text, problem in (
        (
            "databases",
            f"- name: [a, password: {PASSWORD}",
            "the text is neither YAML nor JSON; correct it, or set a list",
        ),
        ("databases", f"password={PASSWORD}", "it must be a list"),
        ("database_defaults", "[1]", "it must be a dictionary"),
    ):
        run = ansible.playbook(REGISTER, "-i", path, "-e", f"@{ansible.write('extra.yml', {f'pgbeam_{name}': text})}")
        assert f"db1: pgbeam_{name}" in reported(run) and problem in reported(run)
        assert run.requests == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_that_means_another_machine_to_pgbeam(ansible: Ansible, project: Project, address: str) -> None:
    """Two hosts behind tunnels would be registered as one."""
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}
    hosts: dict[str, dict[str, Any]] = {"db1": {"ansible_host": address}, "db2": {"ansible_host": address}}
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, hosts, variables))
    assert reported(run) == (
        f"db1 (and 1 more): pgbeam_databases[0] (a): host is missing, and {address} in ansible_host is a different "
        "machine for PgBeam; set host to a name that PgBeam can reach"
    )
    assert run.requests == []
    if address == "127.0.0.1":
        variables["pgbeam_databases"] = [{"name": "a", "host": address, **LOGIN}]
        assert ansible.playbook(REGISTER, "-i", inventory(ansible, hosts, variables)).status == 0
        assert registered(project) == [(address, "a")]


def test_a_misspelled_variable_does_not_leave_a_host_without_databases(ansible: Ansible, project: Project) -> None:
    """With prune, its databases would be deleted."""
    own = [{"name": "a", **LOGIN}]
    hosts: dict[str, dict[str, Any]] = {"db1": {"pgbeam_databases": own}, "db2": {"pgbeam_database": own}}
    path = inventory(ansible, hosts, {"pgbeam_project_id": project.id, "pgbeam_prune": True})
    run = ansible.playbook(REGISTER, "-i", path)
    assert reported(run) == "db2: pgbeam_database: not a variable of this role; did you mean pgbeam_databases?"
    assert run.requests == []


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("entry", [{"password": "{{ secret }}"}, {}], ids=["by template", "as it is"])
def test_an_inline_vaulted_password(ansible: Ansible, project: Project, entry: dict[str, Any], native: str) -> None:
    """Before core 2.19 such a value is of a type of its own."""
    key = ansible.write("vault-key", "the-vault-key\n")
    command = ["ansible-vault", "encrypt_string", "--vault-password-file", key, "--name", "secret"]
    done = subprocess.run(
        [*command, PASSWORD], env=ansible_env("", ansible.home), capture_output=True, text=True, check=True
    )
    vaulted = done.stdout.replace("!vault", "&vaulted !vault")
    ansible.write("inventory/group_vars/pg.yml", f"{vaulted}\npgbeam_database_defaults:\n  password: *vaulted\n")
    entries = [{"name": "a", "username": "app", **entry}]
    path = inventory(ansible, {"db1": {}}, {"pgbeam_project_id": project.id, "pgbeam_databases": entries})
    check = {
        "name": "check",
        "ansible.builtin.assert": {
            "that": "'p:YOUR_PASSWORD@h' | pgbeam.cloud.connection_string(secret) == 'p:pw-Zq7%22x%27%25%2F%40@h'",
            "quiet": True,
        },
    }
    words = ["-i", path, "--vault-password-file", key]
    play = ansible.write("play.yml", [{"hosts": "pg", "gather_facts": False, "tasks": [*ROLE, check]}])
    run = ansible.playbook(play, *words, env={"ANSIBLE_JINJA2_NATIVE": native})
    assert run.status == 0, run.output
    assert registered(project) == [("db1", "a")]


ODD = ["a{{ 7 * 7 }}b", "{'a': 1}", "[1]", "True", "007", " blank ", "ä{#b#}\\n"]
#: Text that ansible-core before 2.19 converts, and how it is then refused.
LITERALS = {
    "{'a': 1}": "a dictionary; it must be text",
    "[1]": "a list; it must be text",
    "True": "a boolean, not text; put it in quotes, even in a vault file",
}


def odd_passwords(ansible: Ansible, project: Project, server: Postgres, passwords: list[str]) -> Run:
    """Register databases of a real PostgreSQL with these passwords, a host for each, and test the connections."""
    hosts: dict[str, dict[str, Any]] = {}
    env: dict[str, str] = {}
    place = {"host": "127.0.0.1", "port": server.port, "ssl_mode": "prefer"}
    for number, password in enumerate(passwords):
        name = f"db{number}_{project.id}"
        server.create_database(name, name, password)
        env[f"ODD_{number}"] = password
        lookup = f"{{{{ lookup('ansible.builtin.env', 'ODD_{number}') }}}}"
        entry = {"name": name, "username": name, "password": "{{ secret }}", **place}
        hosts[f"db{number}"] = {"secret": lookup, "pgbeam_databases": [entry]}
    ansible.secrets += [password for password in passwords if len(password) > 6]
    variables = {"pgbeam_project_id": project.id, "pgbeam_test_connection": True}
    return ansible.playbook(REGISTER, "-i", inventory(ansible, hosts, variables), env=env)


def test_passwords_reach_postgresql_as_they_are(ansible: Ansible, project: Project, server: Postgres) -> None:
    """Whatever a template engine would make of them: checked with a real PostgreSQL."""
    passwords = [password for password in ODD if not (LITERALS_ARE_CONVERTED and password in LITERALS)]
    run = odd_passwords(ansible, project, server, passwords)
    assert run.status == 0, run.output
    assert [item["name"] for item in sorted(project.databases(), key=lambda item: str(item["name"]))] == [
        f"db{number}_{project.id}" for number in range(len(passwords))
    ]


@pytest.mark.skipif(not LITERALS_ARE_CONVERTED, reason="core leaves text as it is")
@pytest.mark.parametrize("password", LITERALS)
def test_a_password_that_core_converts_is_refused(
    ansible: Ansible, project: Project, server: Postgres, password: str
) -> None:
    run = odd_passwords(ansible, project, server, [password])
    assert f"password: the value is {LITERALS[password]}" in " ".join(run.output.split())
    assert run.requests == []


def test_the_controller_next_to_other_hosts(ansible: Ansible, project: Project) -> None:
    """An entry of all hosts is each server's; on the controller it means nothing of its own."""
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}
    path = inventory(ansible, {"localhost": {"ansible_connection": "local"}, "db1": {}}, variables)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    assert registered(project) == [("db1", "a")]


def test_hosts_of_a_variable(ansible: Ansible, project: Project) -> None:
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": [{"name": "a", **LOGIN}]}
    path = inventory(ansible, {"db1": {}, "db2": {}}, variables)
    assert ansible.playbook(REGISTER, "-i", path, "-e", "pgbeam_hosts=db2").status == 0
    assert registered(project) == [("db2", "a")]


def test_an_inventory_without_databases(ansible: Ansible) -> None:
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, {"db1": {}}))
    assert run.status == 0
    assert "No host of this play declares anything in pgbeam_databases or the other lists." in run.output
    assert run.requests == []


def test_the_audit(ansible: Ansible, sandbox: Sandbox, project: Project) -> None:
    databases = [{"name": "a", **LOGIN, "ssl_mode": "require"}, {"name": "b", **LOGIN}]
    variables = {"pgbeam_project_id": project.id, "pgbeam_databases": databases, "pgbeam_update_password": "always"}
    path = inventory(ansible, {"db1": {}}, variables)
    assert ansible.playbook(REGISTER, "-i", path).status == 0
    assert ansible.playbook(AUDIT, "-i", path).status == 0, "passwords are no drift"
    first, second = sorted(project.databases(), key=lambda item: str(item["name"]))
    project.api("PATCH", f"/{first['id']}", json={"ssl_mode": "disable", "query_timeout_ms": 5})
    project.api("DELETE", f"/{second['id']}")
    run = ansible.playbook(AUDIT, "-i", path)
    assert run.status != 0
    assert run.result("Report the drift")["msg"] == (
        "2 differences: a on db1:5432 differs in ssl_mode; b on db1:5432 is declared but not registered"
    )
    assert not run.writes
    project.register(name="unlisted")
    blog = sandbox.project()
    two = inventory(ansible, {"db1": {}, "db2": {"pgbeam_project_id": blog.id}}, variables)
    drift = ansible.playbook(AUDIT, "-i", two).result("Report the drift")["msg"]
    assert f"a on db1:5432 of {project.id} differs in ssl_mode; " in drift
    assert f"; a on db2:5432 of {blog.id} is declared but not registered; " in drift
    path = inventory(ansible, {"db1": {}}, variables)
    pruned = ansible.playbook(AUDIT, "-i", path, "-e", "pgbeam_prune=true")
    assert (
        "unlisted on db1.example.com:5432 is registered but should not be" in pruned.result("Report the drift")["msg"]
    )
    assert not pruned.writes


def test_an_undefined_variable_is_reported_and_not_hidden(ansible: Ansible, project: Project) -> None:
    variables = {
        "pgbeam_project_id": project.id,
        "pgbeam_databases": [{"name": "a", "password": "{{ vault_missing }}"}],
    }
    run = ansible.playbook(REGISTER, "-i", inventory(ansible, {"db1": {}}, variables))
    assert run.status != 0
    assert "vault_missing" in run.output
    assert run.requests == []
