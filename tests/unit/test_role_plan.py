# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the role from the variables of its hosts: the work by project, or the reasons to refuse it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _declared, _gather, _plan, _prune, _values
from jinja2 import UndefinedError

Values = dict[str, Any]
PASSWORD = "Pw-7fQ2-only-in-tests"
KEY = "pbu_0aB9-tests-only-Kk7"


def host(name: str, *databases: Any, **settings: Any) -> Values:
    """What a host has gathered."""
    own = {"project_id": "prj_1", "databases": list(databases), "api_key": KEY}
    return {"name": name, "address": name, **_gather.VARIABLES, **own, **settings}


class Templar:
    """Stands for Ansible's, for variables without templates."""

    def template(self, variable: Any) -> Any:
        return variable


def gathered(item: Values, beside: Values) -> Values:
    """What a host with these variables gathers, as it reaches the task that uses it."""
    variables = {f"pgbeam_{name}": item[name] for name in _gather.VARIABLES}
    found = _gather.gather({**variables, **beside}, Templar())
    result: Values = json.loads(json.dumps({"address": item["address"], **found}))
    return result


def runs(
    *hosts: Values,
    others: dict[str, Any] | None = None,
    beside: Values | None = None,
    check_mode: bool = False,
    **facts: Any,
) -> Values:
    """The plan for these hosts: its problems, and its projects and replicas as dictionaries.

    ``others`` are the variables of hosts outside the play, and ``beside`` is what its hosts have in the inventory, as
    far as the names count. The facts are those of ``_prune.View``.
    """
    names, beside = [item["name"] for item in hosts], beside or {}
    hostvars = {**dict.fromkeys(names, beside), **(others or {})}
    given = {"batch": names, "active": names, "targeted": names, "others": list(others or {}), "hostvars": hostvars}
    declared = [_declared.read(item["name"], gathered(item, beside)) for item in hosts]
    plan = _plan.plan(declared, _prune.View(gathered=names, **{**given, **facts}), check_mode)
    return {
        "problems": plan.problems,
        "projects": {
            project.key: {
                **project.settings,
                "id": project.id,
                "project": project.options,
                "databases": project.databases,
                "objects": project.objects,
            }
            for project in plan.projects
        },
        "replicas": [
            {"project": p.key, "index": r.index, "database": r.database, "replicas": r.declared}
            for p in plan.projects
            for r in p.replicas
        ],
    }


def entries(result: Values) -> list[Values]:
    """The entries of a result that has no problem and one project."""
    assert result["problems"] == []
    (run,) = result["projects"].values()
    listed: list[Values] = run["databases"]
    return listed


ORDERS: Values = {"name": "orders", "username": "app", "password": PASSWORD}


@pytest.mark.parametrize(
    "settings, entry, expected",
    [
        pytest.param({}, {"name": "a"}, {"name": "a", "host": "web1"}, id="inventory name"),
        pytest.param({"address": "10.0.0.5"}, {"name": "a"}, {"name": "a", "host": "10.0.0.5"}, id="address"),
        pytest.param({"address": "10.0.0.5"}, {"name": "a", "host": "db9"}, {"name": "a", "host": "db9"}, id="named"),
        pytest.param({}, {"name": "a", "host": None}, {"name": "a", "host": "web1"}, id="null"),
        pytest.param({}, {"id": "db_1"}, {"id": "db_1"}, id="id"),
        pytest.param({"database_defaults": {"host": "db9"}}, {"name": "a"}, {"name": "a", "host": "db9"}, id="default"),
    ],
)
def test_the_host_is_filled_in(settings: Values, entry: Values, expected: Values) -> None:
    assert entries(runs(host("web1", entry, **settings))) == [expected]


def test_defaults_are_merged_key_by_key() -> None:
    defaults = {"port": 6432, "ssl_mode": "require", "cache_config": {"enabled": True, "ttl_seconds": 5}}
    entry = {"name": "a", "ssl_mode": "prefer", "cache_config": {"ttl_seconds": 9}, "pool_config": {"pool_size": 3}}
    assert entries(runs(host("db1", entry, {"name": "b"}, database_defaults=defaults))) == [
        {**entry, "host": "db1", "port": 6432, "cache_config": {"enabled": True, "ttl_seconds": 9}},
        {**defaults, "host": "db1", "name": "b"},
    ]
    assert defaults["cache_config"] == {"enabled": True, "ttl_seconds": 5}


def test_an_entry_that_several_hosts_see_counts_once() -> None:
    entry = {"host": "db1", **ORDERS}
    result = runs(host("web1", entry), host("web2", dict(reversed(entry.items()))), host("db1", ORDERS))
    assert entries(result) == [entry]


def test_usernames_on_one_database_are_two_entries() -> None:
    result = runs(host("web1", {"host": "db1", **ORDERS}), host("db1", {**ORDERS, "username": "report"}))
    assert [entry["username"] for entry in entries(result)] == ["app", "report"]


@pytest.mark.parametrize(
    "other",
    [{**ORDERS, "ssl_mode": "require"}, {**ORDERS, "password": "other"}, {"name": "orders"}],
    ids=["another field", "another password", "without username"],
)
def test_a_contradiction_names_both_hosts(other: Values) -> None:
    result = runs(host("web1", {"host": "DB1", **ORDERS}), host("web2"), host("db1", other))
    assert len(result["problems"]) == 1
    assert result["problems"][0].startswith("an entry of web1 and an entry of db1 are both database orders on ")
    assert PASSWORD not in repr(result["problems"])


def test_a_port_as_text_is_the_same_port() -> None:
    """A template gives text, on the cores before 2.19."""
    hosts = [host(name, {"host": "db9", **ORDERS, "port": port}) for name, port in (("db1", 6432), ("db2", "6432"))]
    assert len(entries(runs(*hosts))) == 1


def test_entries_with_a_null_id_are_distinguished_by_identity() -> None:
    """A null is an option that is not named, as it is for the modules."""
    assert len(entries(runs(host("db1", {"id": None, "name": "a"}, {"id": None, "name": "b"})))) == 2


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_an_entry_without_host_that_the_controller_alone_sees(name: str) -> None:
    (problem,) = runs(host(name, ORDERS), host("db1", {"name": "other"}))["problems"]
    assert problem.startswith(f"{name}: the entry 'orders' of pgbeam_databases has no host")
    assert PASSWORD not in problem


def test_an_entry_without_host_that_a_server_sees_too() -> None:
    assert entries(runs(host("localhost", ORDERS), host("db1", ORDERS))) == [{"host": "db1", **ORDERS}]


def test_a_controller_with_an_address_is_a_host() -> None:
    assert entries(runs(host("localhost", ORDERS, address="10.0.0.5"))) == [{"host": "10.0.0.5", **ORDERS}]


@pytest.mark.parametrize(
    "setting, value",
    [
        ("api_key", "pbu_another-key"),
        ("api_url", "https://other.example.com"),
        ("prune", True),
        ("project", {"id": "prj_1", "description": "another"}),
        ("replace_replicas", True),
        ("update_password", "always"),
        ("test_connection", True),
        ("parallel", 4),
    ],
)
def test_settings_that_differ_are_named_without_values(setting: str, value: Any) -> None:
    result = runs(
        host("web1", {"name": "a"}), host("web2", {"name": "b"}), host("web3", {"name": "c"}, **{setting: value})
    )
    assert result["problems"] == [
        f"web1 and web3 share project prj_1 but differ in pgbeam_{setting}; set the same value",
    ]


def test_projects_are_runs_of_their_own() -> None:
    result = runs(
        host("db1", {"name": "a"}, parallel=4),
        host("db2", {"name": "b"}, project_id="prj_2", api_key="pbu_another-key"),
        host("db3", {"name": "c"}, parallel=4),
    )
    assert result["problems"] == []
    assert {k: [e["host"] for e in run["databases"]] for k, run in result["projects"].items()} == {
        "prj_1": ["db1", "db3"],
        "prj_2": ["db2"],
    }
    assert [run["parallel"] for run in result["projects"].values()] == [4, 8]
    assert [run["api_key"] for run in result["projects"].values()] == [KEY, "pbu_another-key"]


def test_hosts_without_databases_are_left_aside() -> None:
    result = runs(host("web1", parallel=2), host("web2", project_id=""), host("db1", {"name": "a"}))
    assert entries(result) == [{"name": "a", "host": "db1"}]


def test_databases_without_a_project() -> None:
    result = runs(host("db1", ORDERS, project_id=""))
    assert result == {
        "problems": [
            "db1: pgbeam_databases is set but pgbeam_project_id is missing; set it to the id of the project, "
            "or declare the project in pgbeam_project"
        ],
        "projects": {},
        "replicas": [],
    }


def test_an_entry_that_is_no_dictionary() -> None:
    (problem,) = runs(host("db1", PASSWORD))["problems"]
    assert problem == "db1: pgbeam_databases[0]: text was given; it must be a dictionary"


# Prune


PRUNED = [host("db1", ORDERS, prune=True), host("db2", {"name": "b"}, prune=True)]


@pytest.mark.parametrize("prune", [True, False], ids=["prune", "no prune"])
@pytest.mark.parametrize(
    "facts, why",
    [
        ({"limit": "db*"}, "--limit is set"),
        ({"targeted": ["db1", "db2", "db3"]}, "db3 failed or left the play"),
        ({"active": ["db1"]}, "db2 failed or left the play"),
        ({"active": []}, "db1 (and 1 more) failed or left the play"),
        ({"batch": ["db1"]}, "db2 is not in this batch (serial), or was added while the play ran"),
    ],
    ids=["limit", "unreachable host", "failed host", "failed hosts", "serial"],
)
def test_a_run_that_does_not_see_every_list(prune: bool, facts: Values, why: str) -> None:
    hosts = [{**item, "prune": prune} for item in PRUNED]
    expected = (
        f"pgbeam_prune: this run does not see every list of project prj_1, because {why}; "
        "run on all hosts at once, or without pgbeam_prune"
    )
    assert runs(*hosts, **facts)["problems"] == ([expected] if prune else [])


def test_a_host_that_did_not_run_the_role() -> None:
    names = ["db1", "db2", "db3"]
    facts: Values = {"batch": names, "active": names, "targeted": names}
    (problem,) = runs(*PRUNED, others={"db3": {}}, **facts)["problems"]
    assert "because db3 did not run the role" in problem


def test_prune_that_sees_every_list() -> None:
    result = runs(*PRUNED, others={"web1": {}, "web2": {"pgbeam_project_id": "prj_2", "pgbeam_databases": [ORDERS]}})
    assert [entry["host"] for entry in entries(result)] == ["db1", "db2"]
    assert result["projects"]["prj_1"]["prune"] is True


class Unreadable:
    """Variables that need something that only their host has."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get(self, key: str, default: Any = None) -> Any:
        raise self._error


SHOP: Values = {"org_id": "org_1", "name": "shop"}
OUTSIDE: Values = {"pgbeam_project_id": "prj_1"}


@pytest.mark.parametrize(
    "variables, reported",
    [
        pytest.param({**OUTSIDE, "pgbeam_databases": [ORDERS]}, True, id="a database of its own"),
        pytest.param({**OUTSIDE, "ansible_host": "db1", "pgbeam_databases": [ORDERS]}, False, id="same by address"),
        pytest.param({**OUTSIDE, "pgbeam_databases": [{"host": "DB1", **ORDERS}]}, False, id="same by host"),
        pytest.param(
            {**OUTSIDE, "pgbeam_database_defaults": {"host": "db1"}, "pgbeam_databases": [ORDERS]}, False,
            id="same by default",
        ),
        pytest.param(
            {**OUTSIDE, "pgbeam_databases": [{"host": "db1", **ORDERS, "username": "report"}]}, True,
            id="another username",
        ),
        pytest.param({**OUTSIDE, "pgbeam_databases": [{"id": "db_9"}]}, True, id="another id"),
        pytest.param({"pgbeam_project": {"id": "prj_1", "database": {"host": "db9", **ORDERS}}}, True, id="first"),
        pytest.param({"pgbeam_project": {"id": "prj_1", "database": {"host": "db1", **ORDERS}}}, False, id="kept"),
        pytest.param({**OUTSIDE, "pgbeam_databases": [{**ORDERS, "state": "absent"}]}, False, id="absent"),
        pytest.param({**OUTSIDE, "pgbeam_databases": []}, False, id="no databases"),
        pytest.param(OUTSIDE, False, id="no list"),
        pytest.param({"pgbeam_databases": []}, False, id="neither project nor databases"),
        pytest.param({"pgbeam_project_id": "{{ shared }}"}, False, id="template for a project, no databases"),
    ],
)  # fmt: skip
def test_an_inventory_host_outside_the_play(variables: Values, reported: bool) -> None:
    hosts = [*PRUNED, host("db3", {"id": "db_1"}, prune=True)]
    assert runs(*hosts, others={"db9": variables})["problems"] == [
        "pgbeam_prune: db9 is not among the play's hosts, and declares databases of prj_1; "
        "run on all hosts of the project, or without pgbeam_prune"
    ] * reported  # fmt: skip


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({**OUTSIDE, "pgbeam_databases": [{**ORDERS, "host": ["a"]}]}, id="a list for a host"),
        pytest.param({**OUTSIDE, "pgbeam_databases": ["orders"]}, id="an entry that is no dictionary"),
        pytest.param({**OUTSIDE, "pgbeam_databases": 5}, id="no list"),
        pytest.param({**OUTSIDE, "pgbeam_databases": "{{ theirs }}"}, id="template for a list"),
        pytest.param(
            {**OUTSIDE, "pgbeam_databases": [ORDERS], "pgbeam_database_defaults": "x"}, id="text for defaults"
        ),
        pytest.param({"pgbeam_project_id": "{{ shared }}", "pgbeam_databases": [ORDERS]}, id="template"),
        pytest.param({"pgbeam_project_id": "{% if a %}prj_1{% endif %}", "pgbeam_databases": [ORDERS]}, id="statement"),
        pytest.param(
            {"pgbeam_project": {"org_id": "{{ org }}"}, "pgbeam_databases": [ORDERS]}, id="template in a project"
        ),
        pytest.param(Unreadable(AnsibleError("undefined")), id="unreadable"),
        pytest.param(Unreadable(UndefinedError("undefined")), id="undefined, as newer cores tell it"),
    ],
)
def test_an_inventory_host_outside_the_play_whose_variables_cannot_be_read(variables: Any) -> None:
    """They may name anything."""
    assert runs(*PRUNED, others={"db9": variables})["problems"] == [
        "pgbeam_prune: db9 is not among the play's hosts, and its variables cannot be read here, so it may declare "
        "objects of project prj_1; run on all hosts of the project, or without pgbeam_prune"
    ]


def test_an_inventory_host_outside_the_play_whose_project_only_its_play_names() -> None:
    others = {"db9": {"pgbeam_databases": [ORDERS]}}
    assert runs(*PRUNED, others=others)["problems"] == [
        "pgbeam_prune: db9 is not among the play's hosts, and declares databases but no project that this run can see, "
        "so they may belong to prj_1; run on all hosts of the project, or without pgbeam_prune"
    ]
    assert runs(*PRUNED, others={"db9": {"pgbeam_databases": [{"host": "db1", **ORDERS}]}})["problems"] == []
    assert runs(host("db1", ORDERS), others=others)["problems"] == []


@pytest.mark.parametrize(
    "own, outside, reported",
    [
        ([{"host": "r1"}], [{"host": "r1"}, {"host": "r2"}], True),
        ([{"host": "r1"}], [{"host": "r1", "port": 6432}], True),
        ([{"host": "r1"}], [{"host": "R1", "port": "5432"}], False),
        ([{"host": "r1"}], None, False),
        ([], [{"host": "r2"}], False),
    ],
)
def test_replicas_that_a_host_outside_the_play_names(own: list[Values], outside: Any, reported: bool) -> None:
    """Prune deletes the replicas of a database whose entry has some, except those."""
    entry = {"host": "central", **ORDERS}
    other = {**OUTSIDE, "pgbeam_databases": [{**entry, "replicas": outside}]}
    found = runs(host("db1", {**entry, "replicas": own}, prune=True), others={"db9": other})["problems"]
    assert ["and declares replicas of prj_1; run" in problem for problem in found] == [True] * reported


def test_an_empty_list_with_prune_is_left_to_the_module() -> None:
    """The module refuses it; dropping the project here would leave its registrations without a word."""
    assert entries(runs(host("db1", prune=True))) == []


@pytest.mark.parametrize(
    "own, outside",
    [
        ({}, {"pgbeam_project": SHOP}),
        ({"project_id": "", "project": SHOP}, OUTSIDE),
        ({"project_id": "", "project": SHOP}, {"pgbeam_project": {"id": "prj_1"}}),
    ],
)
def test_an_inventory_host_outside_the_play_that_names_its_project_in_another_way(own: Values, outside: Values) -> None:
    """The two may be one project, and prune would delete what that host declares."""
    hosts = [host("db1", ORDERS, prune=True, **own)]
    (problem,) = runs(*hosts, others={"db9": {**outside, "pgbeam_databases": [ORDERS]}})["problems"]
    assert problem.startswith("pgbeam_prune: db9 is not among the play's hosts, and refers to its project as ")
    assert runs(*hosts, others={"db9": {**outside, "pgbeam_databases": []}})["problems"] == []
    assert runs(host("db1", ORDERS, **own), others={"db9": {**outside, "pgbeam_databases": [ORDERS]}})["problems"] == []


@pytest.mark.parametrize("more", [{"ssl_mode": "require"}, {"port": 5432}, {"replicas": [{"host": "r1"}]}])
def test_the_database_of_a_project_and_an_entry_that_contradict(more: Values) -> None:
    """Check mode shows the first with the project, so that only the run that writes would fail."""
    shop = {"project_id": "", "project": {**SHOP, "database": {"host": "db1", **ORDERS}}}
    assert runs(host("db1", ORDERS, **shop))["problems"] == []
    (problem,) = runs(host("db1", {**ORDERS, **more}, **shop))["problems"]
    assert problem.startswith("pgbeam_project.database and an entry of pgbeam_databases are both database orders")


@pytest.mark.parametrize("odd", [{True: "db1"}, {"cache_config": {"enabled": 1, None: 2}}], ids=repr)
@pytest.mark.parametrize("defaults", [True, False])
def test_an_option_whose_name_is_no_text(odd: dict[Any, Any], defaults: bool) -> None:
    entry = {**ORDERS, "cache_config": {"ttl_seconds": 5}}
    there = host("db1", entry, database_defaults=odd) if defaults else host("db1", {**entry, **odd})
    (problem,) = runs(there)["problems"]
    assert "is not text; put it in quotes" in problem


def test_a_project_whose_database_has_a_list_for_a_value() -> None:
    shop = {"project_id": "", "project": {**SHOP, "database": {**ORDERS, "host": ["db1"]}}}
    shop_by_default = {
        "project_id": "",
        "project": {**SHOP, "database": ORDERS},
        "database_defaults": {"host": ["db1"]},
    }
    for there in (host("db1", prune=True, **shop_by_default), host("db1", ORDERS, prune=True, **shop)):
        assert runs(there)["problems"] == [
            "db1: pgbeam_project.database (orders): host: ['db1'] is a list; it must be text"
        ]


def test_a_new_project_is_identified_by_organization_and_name() -> None:
    shop, other = {"project_id": "", "project": SHOP}, {"project_id": "", "project": {**SHOP, "name": "blog"}}
    result = runs(host("db1", ORDERS, **shop), host("db2", ORDERS, **shop), host("db3", ORDERS, **other))
    assert result["problems"] == []
    assert {key: (run["id"], len(run["databases"])) for key, run in result["projects"].items()} == {
        "org_1/shop": ("", 2),
        "org_1/blog": ("", 1),
    }


@pytest.mark.parametrize("where", ["project_id", "project"])
def test_a_project_by_its_id(where: str) -> None:
    settings = {"project_id": "prj_7", "project": SHOP} if where == "project_id" else {"project": {"id": "prj_7"}}
    result = runs(host("db1", ORDERS, **{"project_id": "", **settings}))
    assert [(key, run["id"]) for key, run in result["projects"].items()] == [("prj_7", "prj_7")]


def test_a_project_is_made_with_the_first_database_that_is_to_be_there() -> None:
    gone, stock = {"name": "gone", "state": "absent"}, {**ORDERS, "name": "stock"}
    run = runs(host("db1", gone, ORDERS, stock, project_id="", project=SHOP))["projects"]["org_1/shop"]
    assert [entry["name"] for entry in run["databases"]] == ["orders", "gone", "stock"]
    assert run["project"]["database"] == {**ORDERS, "host": "db1"}


@pytest.mark.parametrize("listed", [True, False])
def test_a_project_is_made_with_its_own_database(listed: bool) -> None:
    own = {"host": "db1", "name": "stock"}
    hosts = host(
        "db1",
        ORDERS,
        *([own] if listed else []),
        project_id="",
        project={**SHOP, "database": own},
        database_defaults={"port": 6432},
    )
    run = runs(hosts)["projects"]["org_1/shop"]
    assert [entry["name"] for entry in run["databases"]] == ["stock", "orders"]
    assert run["project"]["database"] == {**own, "port": 6432}


def test_replicas_are_separate_and_keep_the_index_of_their_database() -> None:
    replicas = [{"host": "r1"}, {"host": "r2", "port": 6432}]
    gone = {"name": "gone", "state": "absent", "replicas": replicas}
    result = runs(host("db1", ORDERS, {**ORDERS, "name": "stock", "replicas": replicas}, gone))
    assert all("replicas" not in entry for entry in entries(result))
    assert result["replicas"] == [
        {"project": "prj_1", "index": 1, "database": "database stock on db1:5432", "replicas": replicas}
    ]


@pytest.mark.parametrize(
    ("replicas", "reported"),
    [
        ("r1", ": text was given; it must be a list of dictionaries"),
        ({"host": "r1"}, ": a dictionary was given; it must be a list of dictionaries"),
        (["r1"], "[0]: text was given; it must be a dictionary"),
    ],
    ids=repr,
)
def test_replicas_that_are_no_list_of_dictionaries(replicas: Any, reported: str) -> None:
    (problem,) = runs(host("db1", {**ORDERS, "replicas": replicas}))["problems"]
    assert problem == f"db1: pgbeam_databases[0].replicas{reported}"


# Values


TO_BE_MADE: Values = {"project_id": "", "project": SHOP}
MISSING = "missing; set host and name, or id, to identify the database"


def test_a_null_host_hides_that_of_the_defaults() -> None:
    project = {"org_id": "org_1", "name": "shop", "database": {"name": "a", "host": None}}
    found = runs(host("db1", project=project, project_id="", database_defaults={"host": "db9"}))["problems"]
    assert "db1: pgbeam_project.database: host is missing; set it to the PostgreSQL server" in found


@pytest.mark.parametrize("own", [True, False], ids=["pgbeam_project.database", "pgbeam_databases"])
@pytest.mark.parametrize(
    "odd, problem",
    [
        ({"port": 99999}, " (b on db1): port: 99999 is not allowed; it must be a whole number from 1 to 65535"),
        ({"prot": 5432}, " (b on db1): prot: unknown option; did you mean port?"),
        ({"name": None}, f" (db1): name: {MISSING}"),
        ({"host": {"x": "y"}}, " (b): host: {'x': 'y'} is a dictionary; it must be text"),
        ({"host": "a b"},
         " (b on a b): host: 'a b' is not allowed; it must be a host name or an IP address, and nothing else"),
        (
            {"password": 5},
            " (b on db1): password: the value is a number, not text; put it in quotes, even in a vault file",
        ),
        ({"cache_config": {"ttl_secs": 5}},
         " (b on db1): cache_config.ttl_secs: unknown option; did you mean ttl_seconds?"),
        ({"replicas": "r1"}, ".replicas: text was given; it must be a list of dictionaries"),
        ({"replicas": ""}, ".replicas: text was given; it must be a list of dictionaries"),
        ({"replicas": [{"host": "r1", "sl_mode": "allow"}]},
         " (b on db1): replicas[0] (r1): sl_mode: unknown option; did you mean ssl_mode?"),
        ({"replicas": [{"host": "r1", "state": "gone"}]},
         " (b on db1): replicas[0] (r1): state: 'gone' is not allowed; it must be one of present, absent"),
        ({"replicas": [{"port": 5432}]},
         " (b on db1): replicas[0]: host: missing; set host, or id, to identify the replica"),
        ({"replicas": [{"host": "r"}, {"host": "q"}, {"host": "R", "port": "5432"}]},
         " (b on db1): replicas[0] (r) and replicas[2] (R) are both replica R:5432; keep one of them"),
        ({5: "x"}, ": the option name 5 is not text; put it in quotes"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_a_module_would_refuse_is_reported_before_any_write(odd: Values, problem: str, own: bool) -> None:
    """The modules come one after the other, so that a project would be there before its second database is refused."""
    entry = {"host": "db1", **ORDERS, "name": "b", **odd}
    where = "pgbeam_project.database" if own else "pgbeam_databases[1]"
    project = {**SHOP, "database": entry} if own else SHOP
    found = runs(host("db1", ORDERS, *([] if own else [entry]), **{**TO_BE_MADE, "project": project}))["problems"]
    assert found == [f"db1: {where}{problem}"]
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(
    "odd, problem",
    [
        (
            {"state": "absent"},
            "pgbeam_project.database: state is not allowed here, because the project is created with this database; "
            "omit state, or declare another database",
        ),
        (
            {"id": "db_1"},
            "pgbeam_project.database: id is not allowed here, because the project is created with this database; "
            "omit id, or declare another database",
        ),
        ({"state": "present"}, None),
    ],
)
@pytest.mark.parametrize("default", [True, False])
def test_a_project_is_not_created_with_a_registered_or_absent_database(
    odd: Values, problem: str | None, default: bool
) -> None:
    own = {"host": "db1", **ORDERS, **({} if default else odd)}
    shop = {"project_id": "", "project": {**SHOP, "database": own}, "database_defaults": odd if default else {}}
    assert runs(host("db1", **shop))["problems"] == ([f"db1: {problem}"] if problem else [])


@pytest.mark.parametrize(
    "project, problem",
    [
        ({"databse": {}}, "databse: unknown option; did you mean database?"),
        ({"cloud": "ibm"}, "cloud: 'ibm' is not allowed; it must be one of aws, azure, gcp"),
        ({"tags": [["x"]]}, "tags[0]: ['x'] is a list; it must be text"),
        ({"id": "a/b"}, "id: 'a/b' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
    ],
)
def test_the_values_of_a_project(project: Values, problem: str) -> None:
    """Else another project would be there before this one is refused."""
    found = runs(host("db1", ORDERS, project_id="", project={**SHOP, **project}))["problems"]
    assert found == [f"db1: pgbeam_project.{problem}"]


def test_a_project_whose_id_is_empty() -> None:
    """Such as the default of a template: the organization and the name identify the project."""
    assert list(runs(host("db1", ORDERS, project_id="", project={**SHOP, "id": ""}))["projects"]) == ["org_1/shop"]
    assert runs(host("db1", ORDERS, project_id="", project={**SHOP, "id": ""}))["problems"] == []


@pytest.mark.parametrize("where", ["entry", "defaults", "project", "key"])
def test_a_secret_in_the_place_of_another_value(where: str) -> None:
    """The modules mask it too."""
    secret = 'it\'s "odd" \\ too'
    own, plain = {**ORDERS, "password": secret}, {"name": "orders", "username": "app"}
    wrong = {"name": "b", "ssl_mode": secret}
    hosts = {
        "entry": host("db1", own, wrong),
        "defaults": host("db1", plain, wrong, database_defaults={"password": secret}),
        "project": host("db1", wrong, **{**TO_BE_MADE, "project": {**SHOP, "database": {"host": "db1", **own}}}),
        "key": host("db1", wrong, api_key=secret),
    }
    (problem,) = runs(hosts[where])["problems"]
    assert "ssl_mode: '********' is not allowed" in problem and "odd" not in problem


def test_a_short_secret_leaves_the_words_of_a_sentence() -> None:
    (problem,) = runs(host("db1", {**ORDERS, "password": "e", "ssl_mode": "e"}))["problems"]
    allowed = "disable, allow, prefer, require, verify-ca, verify-full"
    assert problem == (
        f"db1: pgbeam_databases[0] (orders on db1): ssl_mode: ******** is not allowed; it must be one of {allowed}"
    )


def test_a_list_that_is_wrong_throughout_makes_no_endless_message() -> None:
    wrong = {"database_defaults": {"port": 0}}
    found = runs(host("db1", *({"name": f"n{n}"} for n in range(100)), **wrong))["problems"]
    assert _values.sentences(found).endswith("must be a whole number from 1 to 65535; and 90 more")


ODD_VALUES = ["9" * 5000, int("f" * 5000, 16), "٣", "²", float("nan"), float("inf"), datetime.date(2026, 1, 1), b"x"]


@pytest.mark.parametrize("port", ODD_VALUES, ids=range(len(ODD_VALUES)))
@pytest.mark.parametrize(
    "where", ["port", "state", "id", "name", "host", "username", "password", "query_timeout_ms", "replicas"]
)
def test_no_value_raises(where: str, port: Any) -> None:
    """A hexadecimal number of YAML may have more digits than Python converts to text."""
    value = [{"host": "r1", "port": port}] if where == "replicas" else port
    own = {"host": "db1", **ORDERS, where: value}
    for entry in (own, {"host": "db1", **ORDERS}):
        runs(host("db1", own, **{**TO_BE_MADE, "project": {**SHOP, "database": entry}}), host("db2", own))


@pytest.mark.parametrize("same", [{"port": "5432"}, {"port": 5432}, {"port": 5432, "host": "DB1"}], ids=repr)
def test_the_database_of_a_project_and_an_entry_that_is_the_same(same: Values) -> None:
    own = {"host": "db1", "port": 5432, **ORDERS}
    hosts = [host(name, {**own, **same}, **{**TO_BE_MADE, "project": {**SHOP, "database": own}}) for name in ("a", "b")]
    assert entries(runs(*hosts)) == [own]
    assert len(entries(runs(host("a", own), host("b", {**own, **same})))) == 1


# The other lists

READERS: Values = {"name": "readers", "access_mode": "read_only"}
BOT: Values = {"name": "bot", "policy": "readers"}


def objects(result: Values) -> dict[str, list[Values]]:
    """The entries of the other lists of a result that has no problem and one project."""
    assert result["problems"] == []
    (run,) = result["projects"].values()
    found: dict[str, list[Values]] = run["objects"]
    return found


def test_the_lists_of_all_hosts_are_put_together_by_project() -> None:
    """In the order in which they are applied, whatever the order of the variables."""
    lists = {"agents": [BOT], "policies": [READERS, {"name": "writers"}]}
    hosts = [host("a", **lists), host("b", policies=[dict(reversed(READERS.items())), {"name": "third"}])]
    found = objects(runs(*hosts))
    assert list(found) == ["policies", "agents"]
    assert [entry["name"] for entry in found["policies"]] == ["readers", "writers", "third"]
    other = host("c", project_id="prj_2", honeytokens=[{"relation_name": "x", "action": "kill"}])
    both = runs(*hosts, other)["projects"]
    assert [list(project["objects"]) for project in both.values()] == [["policies", "agents"], ["honeytokens"]]


def test_a_null_counts_only_if_it_clears_a_field() -> None:
    entries = [{**BOT, "expires_at": None, "status": None}, {**BOT, "expires_at": None}]
    assert objects(runs(*(host(f"db{n}", agents=[entry]) for n, entry in enumerate(entries)))) == {
        "agents": [{**BOT, "expires_at": None}]
    }


def test_objects_that_contradict_name_both_hosts() -> None:
    hosts = [host("db1", policies=[READERS]), host("db2"), host("db3", policies=[{**READERS, "max_rows": 5}])]
    assert runs(*hosts)["problems"] == [
        "an entry of db1 and an entry of db3 are both policy readers; keep one of them"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "lists, problem",
    [
        ({"policies": [{}]}, "pgbeam_policies[0]: name: missing; set name, or id, to identify the policy"),
        (
            {"policies": [READERS, {"name": "b", "max_rows": -1}]},
            "pgbeam_policies[1] (b): max_rows: -1 is not allowed; it must be a whole number of 0 or more",
        ),
        (
            {"policies": [{"name": "b", "acess_mode": "read_only"}]},
            "pgbeam_policies[0] (b): acess_mode: unknown option; did you mean access_mode?",
        ),
        (
            {"policies": [{"name": "b", "masking_rules": [{"table": "t", "column": "c", "kind": "x"}]}]},
            "pgbeam_policies[0] (b): masking_rules[0].kind: 'x' is not allowed; it must be one of redact, null, hash",
        ),
        ({"agents": ["bot"]}, "pgbeam_agents[0]: text was given; it must be a dictionary"),
        (
            {"agents": [{**BOT, "policy_profile_id": "pol_1"}]},
            "pgbeam_agents[0] (bot): policy: policy_profile_id is also set; keep one of them",
        ),
        (
            {"honeytokens": [{"relation_name": "a", "state": "gone"}]},
            "pgbeam_honeytokens[0]: state: 'gone' is not allowed; it must be one of present, absent",
        ),
        (
            {"policies": {"name": "a"}},
            "pgbeam_policies: a dictionary was given; it must be a list (with -e, pass it as JSON or in a file)",
        ),
        (
            {"agents": [BOT], "project_id": ""},
            "pgbeam_agents is set but pgbeam_project_id is missing; set it to the id of the project, or declare "
            "the project in pgbeam_project",
        ),
    ],
)
def test_an_object_that_cannot_be_applied(lists: Values, problem: str) -> None:
    result = runs(host("db1", **lists), host("db2", honeytokens=[{"relation_name": "x", "action": "kill"}]))
    assert result["problems"] == [f"db1: {problem}"]
    assert result["projects"] == {}


def test_files_for_secrets(tmp_path: Path) -> None:
    """Files that cannot be written are refused, and so is one file for two agents, also of two projects."""
    file, missing = str(tmp_path / "bot.json"), str(tmp_path / "none" / "bot.json")
    assert objects(runs(host("db1", agents=[{**BOT, "secrets_file": file}])))
    other = host("db2", project_id="prj_2", agents=[{**BOT, "secrets_file": file}])
    assert runs(host("db1", agents=[{**BOT, "secrets_file": file}]), other)["problems"] == [
        "project prj_2: agent bot: secrets_file: the same file as project prj_1: agent bot; set a different one"
    ]
    (problem,) = runs(host("db1", agents=[{**BOT, "secrets_file": missing}]))["problems"]
    assert problem.startswith("project prj_1: agent bot: secrets_file: the directory ")
    agents = [{**BOT, "secrets_file": missing}]
    assert runs(host("db1", agents=agents), check_mode=True)["problems"] == []  # an earlier task may create it
    agents = [{**BOT, "secrets_file": f"{__file__}/bot.json"}]
    (problem,) = runs(host("db1", agents=agents), check_mode=True)["problems"]
    assert problem.endswith("is not a directory; correct the path")
    assert objects(runs(host("db1", agents=[{"name": "bot", "state": "absent", "secrets_file": missing}])))


@pytest.mark.parametrize(
    "own, outside, reported",
    [
        ({"policies": [READERS]}, {"pgbeam_policies": [{"name": "other"}]}, "policies"),
        ({"policies": [READERS]}, {"pgbeam_policies": [{**READERS, "max_rows": 5}]}, ""),
        ({"policies": [READERS]}, {"pgbeam_policies": [{"name": "other", "state": "absent"}]}, ""),
        ({"policies": [READERS]}, {"pgbeam_agents": [BOT]}, ""),
        ({"policies": [READERS]}, {"pgbeam_databases": [ORDERS]}, ""),
        ({"policies": [READERS], "agents": [BOT]},
         {"pgbeam_agents": [{"name": "x"}], "pgbeam_policies": [{"name": "x"}]}, "policies and agents"),
        ({"policies": [READERS], "databases": [{"host": "a", **ORDERS}]},
         {"pgbeam_databases": [ORDERS], "pgbeam_policies": [{"name": "x"}]}, "databases and policies"),
    ],
)  # fmt: skip
def test_objects_of_an_inventory_host_outside_the_play(own: Values, outside: Values, reported: str) -> None:
    """They count if the run prunes their kind."""
    found = runs(host("db1", prune=True, **own), others={"db9": {**OUTSIDE, **outside}})["problems"]
    assert found == [
        f"pgbeam_prune: db9 is not among the play's hosts, and declares {reported} of prj_1; run on all hosts of the "
        "project, or without pgbeam_prune"
    ] * bool(reported)  # fmt: skip


@pytest.mark.parametrize("theirs", [5, ["x"], "{{ theirs }}"], ids=repr)
def test_objects_of_an_inventory_host_outside_the_play_that_cannot_be_read(theirs: Any) -> None:
    others = {"db9": {**OUTSIDE, "pgbeam_policies": theirs}}
    (problem,) = runs(host("db1", prune=True, policies=[READERS]), others=others)["problems"]
    assert "its variables cannot be read here" in problem


# Names of variables


ROOT = Path(__file__).parents[2]


def test_the_results_that_the_role_knows() -> None:
    (block,) = yaml.safe_load((ROOT / "roles/pgbeam/tasks/register.yml").read_text())
    facts = block["always"][0]["ansible.builtin.set_fact"]
    assert {name for name in facts if name.startswith("pgbeam_")} == set(_gather.OTHER_VARIABLES) - {"pgbeam_hosts"}


@pytest.mark.parametrize(
    "variables, problem",
    [
        ({"pgbeam_database": []}, "pgbeam_database: not a variable of this role; did you mean pgbeam_databases?"),
        ({"pgbeam_update_passwort": 1}, "pgbeam_update_passwort: not a variable of this role; did you mean "
         "pgbeam_update_password?"),
        ({"pgbeam_project_ids": [], "pgbeam_project_id": "prj_1"}, None),
        ({"pgbeam_database": "a", "pgbeam_databases": []}, None),
        ({"pgbeam_hosts": "pg", "pgbeam_result": {}, "pgbeam_project_result": {}, "pgbeam_replica_results": []}, None),
        ({"pgbeam_own": 1, "pgbeam_": 1, "pgbeam_database_servers": 1, "database": 1, "__pgbeam_run": 1}, None),
    ],
)  # fmt: skip
def test_a_variable_whose_name_is_nearly_one_of_the_role(variables: Values, problem: str | None) -> None:
    """Without a word, its host would have no databases, which prune would delete."""
    assert runs(host("db2"), beside=variables)["problems"] == ([f"db2: {problem}"] if problem else [])


@pytest.mark.parametrize("setting", [{"databases": [ORDERS]}, {"update_password": "always"}, {"prune": True}], ids=repr)
def test_a_variable_of_the_inventory_next_to_one_of_the_play(setting: Values) -> None:
    """hostvars does not show what a play or the role's parameters set."""
    (name,) = setting
    (problem,) = runs(host("db1"), beside={f"pgbeam_{name}s": "x"})["problems"]
    assert problem.endswith(f"did you mean pgbeam_{name}?")
    assert runs({**host("db1"), **setting}, beside={f"pgbeam_{name}s": "x"})["problems"] == []


def test_one_misspelled_variable_of_many_hosts_is_reported_once() -> None:
    assert runs(*(host(f"db{n}") for n in range(40)), beside={"pgbeam_database": []})["problems"] == [
        "db0 (and 39 more): pgbeam_database: not a variable of this role; did you mean pgbeam_databases?"
    ]
