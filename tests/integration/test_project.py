# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module pgbeam.cloud.project against the sandbox, mostly without ansible-playbook around it."""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness import API_KEY, Organization, Sandbox
from tests.integration.conftest import PASSWORD, PASSWORD_LOOKUP, Ansible, exposes, run_recorded
from tests.unit.scripted import ScriptedServer

Values = dict[str, Any]
DATABASE: Values = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD}
FIRST_CHANGES = ["database.host", "database.port", "database.name", "database.username", "database.password"]
CIDRS: list[Values] = [{"cidr": "10.0.0.1", "label": "Office"}, {"cidr": "10.9.9.9/8"}]
#: Fields that a write may change in addition.
MOVING = ("updated_at", "connection_string", "database_count")


@dataclass
class Done:
    """What one run of a module gave and sent."""

    result: Values
    exchanges: list[Values]

    @property
    def methods(self) -> list[str]:
        return [entry["method"] for entry in self.exchanges]

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    def bodies(self, method: str) -> list[Values]:
        return [entry["body"] for entry in self.exchanges if entry["method"] == method]


@dataclass
class Runner:
    """Runs modules against the sandbox, and holds each run to what must always be true."""

    url: str
    folder: Path

    def __call__(self, module: str, check: bool = False, **options: Any) -> Done:
        given = {"retries": 0, "_ansible_diff": True, **options}
        result, exchanges = run_recorded(self.url, module, given, self.folder, check)
        shown = json.dumps(result) + repr(result)
        assert not exposes(shown, (API_KEY, PASSWORD))
        assert "report this bug" not in shown, shown
        return Done(result, exchanges)

    def foreseen(self, module: str, noun: str, **options: Any) -> Done:
        """Run the module in check mode and then live; both must report the same."""
        foreseen, done = self(module, check=True, **options), self(module, **options)
        if done.failed:
            assert foreseen.result["msg"] == done.result["msg"]
            return done
        for key in ("action", "changes", "changed", "diff"):
            assert foreseen.result.get(key) == done.result.get(key), key
        for key in (noun, "database"):
            reported, live = foreseen.result.get(key, {}), done.result.get(key, {})
            assert reported.keys() == live.keys()
            known = {k: v for k, v in _known(reported).items() if k not in (*MOVING, "allowed_cidrs")}
            for name, value in known.items():
                assert value == ({k: live[name][k] for k in value} if isinstance(value, dict) else live[name]), name
        return done


def _known(values: Values) -> Values:
    """Return the prediction of check mode: null for values that only the server knows."""
    known = {name: _known(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in known.items() if value is not None}


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Runner:
    return Runner(sandbox.url, tmp_path)


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    return sandbox.organization()


def task(organization: Organization, **options: Any) -> Values:
    return {"org_id": organization.id, "name": "shop", **options}


def test_a_whole_life(run: Runner, organization: Organization) -> None:
    """Fail, check, create, repeat, update, absent: each is predicted and takes the fewest calls, once."""
    named = {"org_id": organization.id, "name": "shop"}
    database = {**DATABASE, "cache_config": {"ttl_seconds": 5}}
    full = {**named, "tags": ["prod", "eu"], "cloud": "gcp", "allowed_cidrs": CIDRS, "status": "suspended"}
    created = ["org_id", "name", "tags", "cloud", "allowed_cidrs", "status", *FIRST_CHANGES]
    created.append("database.cache_config.ttl_seconds")
    other = {**database, "ssl_mode": "require"}
    steps: list[tuple[Values, str, list[str], str]] = [
        ({**named, "state": "absent"}, "unchanged", [], "GET"),
        ({**full, "database": database}, "created", created, "GET POST GET PATCH GET PATCH"),
        ({**full, "database": database}, "unchanged", [], "GET GET"),
        ({**full, "tags": ["eu", "prod"], "allowed_cidrs": CIDRS[::-1]}, "unchanged", [], "GET"),
        (named, "unchanged", [], "GET"),
        ({**named, "tags": ["eu"], "description": "Shop"}, "updated", ["description", "tags"], "GET GET PATCH"),
        ({**named, "database": other}, "updated", ["database.ssl_mode"], "GET GET PATCH"),
        (
            {**named, "agents_disabled": True, "database": {**other, "role": "replica"}},
            "updated", ["agents_disabled", "database.role"], "GET GET PATCH PATCH",
        ),
        ({**named, "allowed_cidrs": [], "tags": [], "status": "active"}, "updated",
         ["tags", "allowed_cidrs", "status"], "GET GET PATCH"),
        ({**named, "state": "absent", "expected_databases": ["orders"]}, "deleted", [], "GET GET DELETE"),
        ({**named, "state": "absent", "expected_databases": ["orders"]}, "unchanged", [], "GET"),
    ]  # fmt: skip
    for options, action, changes, methods in steps:
        done = run.foreseen("project", "project", **options)
        assert not done.failed, done.result["msg"]
        assert (done.result["action"], done.result["changes"]) == (action, changes)
        assert done.methods == methods.split(), options
        assert done.result["changed"] == (action != "unchanged")
        assert bool(done.result["project"]) == (options.get("state") != "absent")
    assert organization.projects() == []


def test_what_a_create_sends(run: Runner, organization: Organization) -> None:
    """Each field in the request that accepts it, and nothing that the task omits."""
    early = {"description": "Shop", "tags": ["b", "a"], "cloud": "azure", "self_hosted": True}
    late = {"allowed_cidrs": [{"cidr": "10.0.0.1"}], "agents_disabled": True, "default_policy_profile_id": "pol_1",
            "residency": "eu", "status": "suspended"}  # fmt: skip
    done = run("project", **task(organization, **early, **late, database=DATABASE))
    first = {**DATABASE, "port": 5432, "password": "(not recorded)"}
    assert done.bodies("POST") == [{**task(organization), **early, "database": first}]
    assert done.bodies("PATCH") == [late]
    (project,) = organization.truth().values()
    (database,) = project["databases"]
    assert done.result["project"]["id"] == project["id"]
    assert done.result["project"]["allowed_cidrs"] == [{"cidr": "10.0.0.1/32"}]
    assert (done.result["database"]["id"], done.result["database"]["project_id"]) == (database["id"], project["id"])
    assert done.result["database"]["connection_string"].startswith("postgresql://app:YOUR_PASSWORD@")
    defaults = {"allowed_cidrs": [], "agents_disabled": False, "default_policy_profile_id": "", "status": "active"}
    plain = run("project", **{**task(organization, **defaults, database=DATABASE), "name": "plain"})
    assert plain.methods == ["GET", "POST"]


def test_the_default_policy_by_its_name(run: Runner, sandbox: Sandbox, organization: Organization) -> None:
    """It is one of the project itself, so that a new project has none yet."""
    declared = task(organization, default_policy="readers", database=DATABASE)
    nothing = "default_policy: the project does not exist yet, so it has no policies; create the project without"
    refused = run("project", **declared)
    assert refused.failed and refused.result["msg"].startswith(nothing)
    assert refused.methods == ["GET"]
    foreseen = run("project", check=True, **declared)
    assert foreseen.result["action"] == "created"
    assert "default_policy_profile_id" in foreseen.result["changes"]
    made = organization.create_project()["project"]
    readers = sandbox.project_of(made["id"]).create("policies", name="readers")["id"]
    declared = task(organization, default_policy="readers")
    for check in (True, False):
        done = run("project", check=check, **declared)
        assert (done.result["action"], done.result["changes"]) == ("updated", ["default_policy_profile_id"])
        assert done.result["project"]["default_policy_profile_id"] == readers
    assert done.bodies("PATCH") == [{"default_policy_profile_id": readers}]
    for same in (declared, task(organization, default_policy=readers), {"id": made["id"], "default_policy": "readers"}):
        again = run("project", **same)
        assert (again.result["action"], again.methods) == ("unchanged", ["GET", "GET"])
    missing = task(organization, default_policy="writers")
    assert "use an existing one: readers" in run("project", **missing).result["msg"]
    foreseen = run("project", check=True, **missing)
    assert (foreseen.result["action"], foreseen.result["changes"]) == ("updated", ["default_policy_profile_id"])
    cleared = run("project", **task(organization, default_policy_profile_id=""))
    assert cleared.result["action"] == "updated"


REFUSED: dict[str, tuple[Values, str]] = {
    "no password": (
        {"database": {**DATABASE, "password": None}},
        "database orders on db1.example.com:5432 does not exist yet; set password to create it",
    ),
    "no host": (
        {"database": {"name": "orders"}},
        "database.host: missing; set host and name to identify the database",
    ),
    "misspelled password": (
        {"database": {**DATABASE, "passwrd": PASSWORD}},
        "database.passwrd: unknown option; did you mean password?",
    ),
    "text for a database": (
        {"database": f"host=db1 name=orders username=app password={PASSWORD}"},
        "database: text was given; it must be a dictionary",
    ),
    "network": ({"allowed_cidrs": [{"cidr": "10.0.0.256"}]}, "allowed_cidrs[0].cidr: '10.0.0.256' is not allowed"),
    "null tag": ({"tags": ["a", None]}, "tags[1]: null is not allowed; set a value, or omit it"),
    "no such id": (
        {"id": "prj_none"},
        "project prj_none was not found in organization {org}, or is not visible to this API key",
    ),
    "no such id, without an organization": (
        {"id": "prj_none", "org_id": None},
        "project prj_none was not found in PgBeam, or is not visible to this API key; check the id",
    ),
}


@pytest.mark.parametrize("options, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_before_any_write(
    run: Runner, organization: Organization, options: Values, message: str
) -> None:
    done = run.foreseen("project", "project", **task(organization, **options))
    assert done.failed
    assert message.format(org=organization.id) in done.result["msg"]
    assert not done.result.get("changed")
    assert set(done.methods) <= {"GET"}


def test_drift_of_what_never_changes(run: Runner, sandbox: Sandbox) -> None:
    organization = sandbox.organization(omit_zero=True)
    known = organization.create_project()["project"]["id"]
    cases: list[tuple[Values, str]] = [
        (
            {"cloud": "gcp"},
            "cloud is 'aws' and cannot be changed to 'gcp'; set the current value, omit the option, or create another",
        ),
        ({"self_hosted": True}, "self_hosted is False and cannot be changed to True"),
        ({"id": known, "org_id": "org_other"}, f"org_id is '{organization.id}' and cannot be changed to 'org_other'"),
        ({"id": known, "org_id": "org_other", "state": "absent"}, "cannot be changed to 'org_other'"),
    ]
    for options, message in cases:
        done = run.foreseen("project", "project", **{**task(organization), **options})
        assert done.failed
        assert message in done.result["msg"]
        assert done.methods == ["GET"]
    assert not run("project", **task(organization, cloud="aws", self_hosted=False, tags=[])).result["changed"]


LATE: Values = {"allowed_cidrs": CIDRS, "status": "suspended"}


def test_a_second_call_that_fails(run: Runner, organization: Organization) -> None:
    """The task reports the created project and its missing settings, and the next run sets them."""
    organization.fault("status", method="PATCH", status=409, code="CONFLICT", message="busy")
    wanted = task(organization, tags=["a"], **LATE, database=DATABASE)
    done = run("project", **wanted)
    (project,) = organization.truth().values()
    assert (done.failed, done.result["changed"], done.result["action"]) == (True, True, "created")
    assert done.result["project"]["id"] == project["id"]
    assert done.result["database"]["id"] == project["databases"][0]["id"]
    assert "409 CONFLICT: busy" in done.result["msg"]
    assert f"the project {project['id']} was created without allowed_cidrs, status" in done.result["msg"]
    assert done.result["changes"] == ["org_id", "name", "tags", *FIRST_CHANGES]
    assert "allowed_cidrs" not in json.dumps(done.result["diff"])
    again = run.foreseen("project", "project", **wanted)
    assert (again.result["action"], again.result["changes"]) == ("updated", list(LATE))
    assert run("project", **wanted).result["action"] == "unchanged"
    assert len(organization.projects()) == 1


@pytest.mark.parametrize(
    "kind, made", [("drop_after", True), ("drop_before", False), ("truncate", True), ("html", False)]
)
def test_a_second_call_whose_answer_is_lost(run: Runner, organization: Organization, kind: str, made: bool) -> None:
    """The list shows whether it was applied; without retries, it is not sent again."""
    organization.fault(kind, method="PATCH")
    wanted = task(organization, **LATE, database=DATABASE)
    done = run("project", **wanted)
    assert (done.failed, done.result["action"], done.result["changed"]) == (not made, "created", True)
    assert done.methods == ["GET", "POST", "GET", "PATCH", "GET"]
    (project,) = organization.truth().values()
    assert project["status"] == done.result["project"]["status"] == ("suspended" if made else "active")
    assert done.result["changes"] == ["org_id", "name", *(LATE if made else ()), *FIRST_CHANGES]
    if not made:
        reported = (
            f"; the project {project['id']} was created without allowed_cidrs, status; the change may have been applied"
        )
        assert reported in done.result["msg"]
        assert run("project", **wanted).result["changes"] == list(LATE)


@pytest.mark.parametrize("kind", ["drop_after", "truncate", "late_status", "empty", "not_object"])
def test_a_create_whose_answer_is_lost(run: Runner, organization: Organization, kind: str) -> None:
    """The list shows that it was made, and what follows a create follows it."""
    organization.fault(kind, method="POST", path_ends="/projects")
    wanted = task(organization, **LATE, database=DATABASE)
    done = run("project", **wanted)
    assert (done.failed, done.result["action"], done.result["changed"]) == (False, "created", True)
    assert done.methods == ["GET", "POST", "GET", "GET", "PATCH", "GET"]
    (project,) = organization.truth().values()
    assert (project["status"], len(project["databases"])) == ("suspended", 1)
    assert done.result["database"]["id"] == project["databases"][0]["id"]
    assert run("project", **wanted).result["action"] == "unchanged"


def test_a_create_whose_answer_comes_too_late(run: Runner, organization: Organization) -> None:
    """The budget is spent, but the list shows that it was applied; nothing after it is attempted."""
    organization.settings(connection_test={"ok": True})
    organization.fault("stall", method="POST", path_ends="/projects", seconds=1.5, times=9)
    wanted = task(organization, database=DATABASE, test_connection=True)
    done = run("project", **wanted, timeout=1, retries=5, retry_budget=1)
    assert (done.failed, done.result["action"], done.result["connection_test"]) == (True, "created", None)
    untested = "connection test of database orders on db1.example.com:5432: not attempted"
    assert f"{untested}: the run stopped after POST project shop" in done.result["msg"]
    assert "would exceed retry_budget (1 s): run again later" in done.result["msg"]
    (project,) = organization.truth().values()
    assert done.result["database"]["id"] == project["databases"][0]["id"]
    organization.clear_faults()
    again = run("project", **wanted)
    assert (again.result["action"], again.result["connection_test"]) == ("unchanged", {"ok": True})


def test_a_create_that_was_never_made(run: Runner, organization: Organization) -> None:
    organization.fault("drop_before", method="POST")
    wanted = task(organization, **LATE, database=DATABASE)
    done = run("project", **wanted)
    assert (done.failed, done.result["action"], done.result["changed"]) == (True, "failed", False)
    assert done.methods == ["GET", "POST", "GET"]
    assert done.result["changes"] == []
    assert "the change may have been applied; run the task again to find out" in done.result["msg"]
    assert run("project", **wanted).result["action"] == "created"


def test_a_plan_limit(run: Runner, sandbox: Sandbox) -> None:
    organization = sandbox.organization(plan_limit=0)
    done = run("project", **task(organization, **LATE, database=DATABASE, test_connection=True))
    assert (done.failed, done.result["action"], done.result["changed"]) == (True, "failed", False)
    assert done.methods == ["GET", "POST"]
    assert done.result["msg"].startswith(
        f"POST project shop of {organization.id}: 403 PLAN_LIMIT_REACHED: The plan allows 0 databases."
    )
    assert done.result["error"]["code"] == "PLAN_LIMIT_REACHED"
    assert (done.result["project"], done.result["connection_test"], organization.projects()) == ({}, None, [])


@pytest.mark.parametrize("status, code", [(401, "UNAUTHORIZED"), (403, "FORBIDDEN")])
def test_a_key_that_is_revoked_after_the_create(
    run: Runner, organization: Organization, status: int, code: str
) -> None:
    """Nothing else is attempted, not even the connection test; the answer to the create is reported."""
    organization.fault("status", method="PATCH", status=status, code=code)
    done = run("project", **task(organization, **LATE, database=DATABASE, test_connection=True))
    assert (done.failed, done.result["action"], done.result["connection_test"]) == (True, "created", None)
    assert done.result["msg"].startswith("PATCH project shop")
    assert done.methods == ["GET", "POST", "GET", "PATCH"]
    (project,) = organization.truth().values()
    assert done.result["database"]["id"] == project["databases"][0]["id"]
    assert done.result["database"]["connection_string"]


def test_a_first_database_that_cannot_be_read_after_the_create(run: Runner, organization: Organization) -> None:
    """The answer that showed it was lost, but what was sent is known all the same."""
    organization.fault("drop_after", method="POST")
    organization.fault("status", method="GET", path_ends="/databases", status=503)
    done = run("project", **task(organization, database=DATABASE))
    assert (done.failed, done.result["action"], done.result["changed"]) == (True, "created", True)
    assert done.result["changes"] == ["org_id", "name", *FIRST_CHANGES]
    (project,) = organization.truth().values()
    assert done.result["project"]["id"] == project["id"]
    database = done.result["database"]
    assert (database["name"], database["project_id"], database["id"]) == ("orders", project["id"], None)


def test_the_first_database_is_kept_as_written(run: Runner, sandbox: Sandbox, organization: Organization) -> None:
    made = organization.create_project()
    project = sandbox.project_of(made["project"]["id"])
    wanted = task(organization, database={**DATABASE, "host": DATABASE["host"].upper()})
    assert run("project", **wanted).result["action"] == "unchanged"

    sent = run.foreseen("project", "project", **wanted, update_password="always")
    assert (sent.result["action"], sent.result["changes"]) == ("updated", ["database.password"])
    assert sent.result["diff"]["after"] == {"password": "(sent, not shown)"}
    assert sent.bodies("PATCH") == [{"password": "(not recorded)"}]

    project.api("PATCH", f"/{made['database']['id']}", json={"username": "old"})
    renamed = run.foreseen("project", "project", **wanted)
    assert renamed.result["changes"] == ["database.username"]
    assert "PgBeam keeps the old password" in str(renamed.result["warnings"])

    project.api("DELETE", f"/{made['database']['id']}")
    project.register(name="other")
    again = run.foreseen("project", "project", **wanted)
    assert (again.result["action"], again.result["changes"]) == ("updated", FIRST_CHANGES)
    assert again.methods == ["GET", "GET", "POST"]
    assert run("project", **wanted).result["action"] == "unchanged"
    assert sorted(item["name"] for item in project.databases()) == ["orders", "other"]


def test_a_database_that_fails_in_a_project_that_is_there(run: Runner, organization: Organization) -> None:
    """The project is updated first, and reported; if it fails, its database is not changed."""
    organization.create_project()
    wanted = task(organization, tags=["a"], database={**DATABASE, "ssl_mode": "require"})
    organization.fault("status", method="PATCH", status=409, code="CONFLICT")
    failed = run("project", **wanted)
    assert (failed.failed, failed.result["action"], failed.result["changed"]) == (True, "failed", False)
    assert failed.methods == ["GET", "GET", "GET", "PATCH"]
    organization.fault("status", method="PATCH", status=409, code="CONFLICT", skip=1)
    half = run("project", **wanted)
    assert (half.failed, half.result["action"], half.result["changes"]) == (True, "updated", ["tags"])
    assert half.result["msg"].startswith("PATCH database orders on db1.example.com:5432: 409 CONFLICT")
    assert half.result["database"]["ssl_mode"] == "verify-full"
    assert run("project", **wanted).result["changes"] == ["database.ssl_mode"]


def test_a_databases_task_adds_no_duplicate(run: Runner, organization: Organization) -> None:
    wanted = task(organization, database=DATABASE)
    project = run("project", **wanted).result["project"]
    entries = [DATABASE, {**DATABASE, "name": "invoices"}]
    done = run("databases", project_id=project["id"], databases=entries, prune=True)
    assert done.result["msg"] == "1 created, 1 unchanged"
    assert run("project", **wanted).result["action"] == "unchanged"
    assert run("project", **wanted).result["project"]["database_count"] == 2


ABSENT: dict[str, tuple[Values, list[str]]] = {
    "nothing expected": ({}, ["orders", "orders", "invoices"]),
    "one by name": ({"expected_databases": ["invoices"]}, ["orders", "orders"]),
    "a name of two": ({"expected_databases": ["orders", "invoices"]}, ["orders", "orders"]),
    "by id, and a name of two": ({"expected_databases": ["{0}", "orders", "invoices"]}, ["orders"]),
    "the database that the task names": (
        {"database": {"host": "db1.example.com", "name": "orders"}, "expected_databases": ["invoices"]},
        ["orders"],
    ),
    "all by id": ({"expected_databases": ["{0}", "{1}", "{2}"]}, []),
    "all by name, id and the task": (
        {"database": {"host": "db1.example.com", "name": "orders"}, "expected_databases": ["{1}", "invoices"]},
        [],
    ),
    "by force": ({"force": True}, []),
}


@pytest.mark.parametrize("options, surplus", ABSENT.values(), ids=ABSENT.keys())
def test_what_may_go_with_a_project(
    run: Runner, sandbox: Sandbox, organization: Organization, options: Values, surplus: list[str]
) -> None:
    made = organization.create_project()
    project = sandbox.project_of(made["project"]["id"])
    others = [project.register(host="db2.example.com"), project.register(name="invoices")]
    ids = [made["database"]["id"], *(item["id"] for item in others)]
    expected = [name.format(*ids) for name in options.get("expected_databases", [])]
    wanted = task(organization, **{**options, "expected_databases": expected}, state="absent")
    done = run.foreseen("project", "project", **wanted)
    assert done.failed == bool(surplus)
    if surplus:
        assert (
            f"({project.id}): deleting it would also delete unexpected databases ({len(surplus)} of 3): "
            in done.result["msg"]
        )
        assert [word for word in done.result["msg"].split() if word in ("orders", "invoices")] == surplus
        assert done.result["msg"].endswith("add each to expected_databases, or set force: true")
        assert done.methods == ["GET", "GET"]
        return
    assert done.methods == ["GET", "DELETE"] if options.get("force") else ["GET", "GET", "DELETE"]
    assert (done.result["action"], done.result["project"]) == ("deleted", {})
    assert done.result["diff"]["before"]["id"] == project.id
    assert run.foreseen("project", "project", **wanted).result["action"] == "unchanged"


@pytest.mark.parametrize("kind, deleted", [("drop_after", True), ("drop_before", False)])
@pytest.mark.parametrize("named_by", ["id", "name"])
def test_a_delete_whose_answer_is_lost(
    run: Runner, organization: Organization, kind: str, deleted: bool, named_by: str
) -> None:
    known = organization.create_project()["project"]["id"]
    organization.fault(kind, method="DELETE")
    wanted = {"id": known} if named_by == "id" else task(organization)
    done = run("project", **wanted, state="absent", force=True)
    assert (done.failed, done.result["changed"]) == (not deleted, deleted)
    assert done.methods == ["GET", "DELETE", "GET"]


def test_by_id(run: Runner, organization: Organization) -> None:
    """One call reads it; the organization need not be named, and may be null."""
    known = organization.create_project()["project"]["id"]
    for more in ({}, {"org_id": None}, {"org_id": organization.id}):
        assert run("project", id=known, **more).methods == ["GET"]
    renamed = run.foreseen("project", "project", id=known, name="archive", tags=[])
    assert (renamed.result["changes"], renamed.methods) == (["name"], ["GET", "GET", "PATCH"])
    assert run("project", id=known, name="archive").result["action"] == "unchanged"
    assert "does not exist yet" in run("project", **task(organization)).result["msg"]
    refused = run("project", id=known, state="absent")
    assert "would also delete unexpected databases (1 of 1): database orders" in refused.result["msg"]
    for action in ("deleted", "unchanged"):
        assert run("project", id=known, state="absent", force=True).result["action"] == action
    assert "was not found in PgBeam, or is not visible to this API key" in run("project", id=known).result["msg"]


def test_a_name_that_another_project_has(run: Runner, organization: Organization) -> None:
    """They would be duplicates, so that the next task by name would fail."""
    known, other = (organization.create_project(name=name)["project"]["id"] for name in ("shop", "archive"))
    refused = run.foreseen("project", "project", id=known, name="archive")
    assert refused.result["msg"] == (
        f"project archive of {organization.id} already exists ({other}), and "
        f"{known} would become its duplicate; delete {other}, or leave {known} unchanged"
    )
    assert refused.methods == ["GET", "GET"]


def test_all_failures_are_reported(run: Runner, organization: Organization) -> None:
    organization.fault("status", method="PATCH", status=409, code="CONFLICT")
    organization.fault("status", method="POST", path_ends="/test-connection", status=500)
    done = run("project", **task(organization, **LATE, database=DATABASE, test_connection=True))
    assert done.methods == ["GET", "POST", "GET", "PATCH", "POST"]
    assert done.result["msg"].startswith(f"PATCH project shop of {organization.id}: 409 CONFLICT")
    assert "; POST connection test of database orders on db1.example.com:5432: 500 " in done.result["msg"]
    assert done.result["error"]["status"] == 409


@pytest.mark.parametrize("kind, made", [("drop_after", True), ("drop_before", False)])
def test_an_update_by_id_whose_answer_is_lost(run: Runner, organization: Organization, kind: str, made: bool) -> None:
    """Without the organization there is no list to look into, but the project can be read."""
    known = organization.create_project()["project"]["id"]
    organization.fault(kind, method="PATCH")
    done = run("project", id=known, tags=["a"])
    assert (done.failed, done.result["action"]) == (not made, "updated" if made else "failed")
    assert done.methods == ["GET", "PATCH", "GET"]
    assert {entry["status"] for entry in done.exchanges if entry["method"] == "GET"} == {200}


def test_two_projects_of_one_name(run: Runner, organization: Organization) -> None:
    ids = sorted(organization.create_project()["project"]["id"] for dummy in range(2))
    for state in ("present", "absent"):
        done = run.foreseen("project", "project", **task(organization, state=state, tags=["a"]))
        assert f"project shop of {organization.id} exists 2 times in PgBeam ({ids[0]}, {ids[1]})" in done.result["msg"]
        assert done.methods == ["GET"]
    assert run("project", **task(organization, id=ids[1], tags=["a"])).result["action"] == "updated"


def test_a_project_that_is_shown_as_deleted(run: Runner) -> None:
    """It counts as absent, in a list and by id."""
    project = {"id": "prj_1", "org_id": "org_1", "name": "shop", "status": "deleted"}
    with ScriptedServer().running() as server:
        for body, path in (({"projects": [project], "total": 1}, "/v1/projects"), (project, "/v1/projects/prj_1")):
            server.expect("GET", path, 200, body)
            server.expect("GET", path, 200, body)
        named: list[Values] = [{"org_id": "org_1", "name": "shop"}, {"id": "prj_1"}]
        refusals = ("project shop of org_1 does not exist yet", "project prj_1 was not found in PgBeam")
        for which, refusal in zip(named, refusals):
            gone = run("project", **which, state="absent", api_url=server.url)
            assert gone.result["action"] == "unchanged"
            assert refusal in run("project", **which, api_url=server.url).result["msg"]


@pytest.mark.parametrize(
    "module, options, path",
    [
        ("project", {"id": "prj_1", "state": "absent"}, "/v1/projects/prj_1"),
        ("project_info", {"id": "prj_1"}, "/v1/projects/prj_1"),
        ("database", {"project_id": "prj_1", "id": "db_1", "state": "absent"}, "/v1/projects/prj_1/databases/db_1"),
        ("database_info", {"project_id": "prj_1", "id": "db_1"}, "/v1/projects/prj_1/databases/db_1"),
    ],
)
def test_a_404_of_a_gateway(run: Runner, module: str, options: Values, path: str) -> None:
    """It proves nothing about existing objects, so nothing is reported as deleted."""
    with ScriptedServer().running() as server:
        server.expect("GET", path, 404, "<html><h1>404 Not Found</h1></html>")
        done = run(module, **options, api_url=server.url)
    assert done.failed
    reported = "404 with a body that is not a JSON object; the response is not from the PgBeam API: check api_url"
    assert reported in done.result["msg"]


def test_an_id_in_a_project_that_is_not_there(run: Runner, organization: Organization) -> None:
    """Of a mistyped project, nothing is reported as absent; an id that the project does not have is."""
    made = organization.create_project()
    known = made["database"]["id"]
    for module in ("database", "database_info"):
        absent: Values = {"state": "absent"} if module == "database" else {}
        mistyped = run(module, project_id="prj_typo", id=known, **absent)
        reads = "project prj_typo not found, or not visible to this API key: check project_id and the key"
        assert reads in mistyped.result["msg"], module
        assert mistyped.failed
    gone = run("database", project_id=made["project"]["id"], id="db_none", state="absent")
    assert (gone.result["action"], gone.methods) == ("unchanged", ["GET", "GET"])


def test_runs_on_projects_take_turns(run: Runner, organization: Organization, tmp_path: Path) -> None:
    """However they name the project; and through a file that is nobody else's."""
    known = organization.create_project()["project"]["id"]
    run("project", id=known)
    run("project", **task(organization))
    (lock,) = tmp_path.glob("pgbeam.cloud-*.lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for options in ({"id": known}, task(organization)):
            waiting = run("project", **options, retry_budget=1)
            assert waiting.result["msg"] == (
                "projects: locked by another run on this machine for longer than retry_budget (1 s); "
                "run again when it has ended, or raise retry_budget"
            )
            assert run("project", check=True, **options, retry_budget=1).result["action"] == "unchanged"
    lock.unlink()
    (tmp_path / "precious").write_text("kept")
    lock.symlink_to(tmp_path / "precious")
    assert run("project", id=known).result["action"] == "unchanged"
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_deletion_takes_turns_with_what_registers_databases(
    run: Runner, organization: Organization, tmp_path: Path
) -> None:
    """Else a database that comes after the count would go with the project, although nobody expects it."""
    known = organization.create_project(name="shop", database=DATABASE)["project"]["id"]
    assert run("databases", project_id=known, databases=[DATABASE]).result["msg"] == "1 unchanged"
    (lock,) = tmp_path.glob("pgbeam.cloud-*.lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for options in ({"expected_databases": ["orders"]}, {"force": True}):
            waiting = run("project", id=known, state="absent", retry_budget=1, **options)
            assert f"databases of project {known}: locked by another run on this machine" in waiting.result["msg"]
            assert waiting.methods == ["GET"]
    assert run("project", id=known, state="absent", expected_databases=["orders"]).result["action"] == "deleted"


def test_a_project_on_the_second_page(run: Runner, sandbox: Sandbox) -> None:
    organization = sandbox.organization(page_limit=3, empty_pages=True, extra_fields=True)
    for n in range(7):
        organization.create_project(name=f"shop{n}")
    done = run("project", org_id=organization.id, name="shop6", tags=[], description="")
    assert done.result["action"] == "unchanged"
    assert all(entry["query"]["org_id"] == organization.id for entry in done.exchanges)


CONNECTED = {"ok": True, "latency_ms": 9.5, "server_version": "17.2"}
REFUSES = {"ok": False, "error": 'password authentication failed for user "app"'}


@pytest.mark.parametrize("answer", [CONNECTED, REFUSES], ids=["connects", "does not connect"])
def test_the_connection_is_tested(run: Runner, sandbox: Sandbox, answer: Values) -> None:
    organization = sandbox.organization(connection_test=answer)
    wanted = task(organization, database=DATABASE, test_connection=True)
    foreseen = run("project", check=True, **wanted)
    assert (foreseen.result["action"], foreseen.result["connection_test"]) == ("created", None)
    for action, changed in (("created", True), ("unchanged", False)):
        done = run("project", **wanted)
        assert (done.result["action"], done.result["changed"]) == (action, changed)
        assert done.result["connection_test"]["ok"] == answer["ok"]
        assert done.failed != answer["ok"]
        assert done.failed == ("PgBeam cannot connect to it: password authentication failed" in str(done.result))
        assert done.methods[-1] == "POST"
    for check in (True, False):
        without = run("project", check=check, **task(organization, test_connection=True))
        reads = "test_connection: no database to test; set database, or omit test_connection"
        assert without.result["msg"] == reads
        assert without.methods == []
        nulls = task(organization, test_connection=True, database=dict.fromkeys(DATABASE))
        assert run("project", check=check, **nulls).result["msg"] == reads
    absent = run("project", **wanted, state="absent")
    assert (absent.result["action"], absent.result["connection_test"]) == ("deleted", None)


@pytest.mark.parametrize("options", [{"org_id": "org_1", "name": "shop"}, {"id": "prj_1"}], ids=["list", "id"])
def test_a_key_that_is_not_accepted(run: Runner, options: Values) -> None:
    done = run("project", **options, api_key="of-nobody")
    assert done.result["error"]["status"] == 401
    assert "check api_key (or PGBEAM_API_KEY) and that the key is not revoked" in done.result["msg"]
    assert done.methods == ["GET"]


def test_an_organization_that_the_key_may_not_see(run: Runner) -> None:
    done = run("project", org_id="org_of_others", name="shop", database=DATABASE)
    assert done.result["msg"].startswith("GET projects of organization org_of_others: 403 FORBIDDEN")
    assert not done.result["changed"]


def test_as_ansible_runs_it(ansible: Ansible, organization: Organization) -> None:
    """From nothing, also in check mode, in which no id is known; every event is scanned for the password."""
    login = {"username": "app", "password": PASSWORD_LOOKUP}
    tasks: list[Values] = [
        {
            "name": "project",
            "pgbeam.cloud.project": task(
                organization, tags=["prod"], allowed_cidrs=CIDRS, database={**DATABASE, **login},
            ),
            "register": "made",
        },
        {
            "name": "databases",
            "pgbeam.cloud.databases": {
                "project_id": "{{ made.project.id }}", "databases": [{"host": "db2", "name": "stock", **login}],
            },
        },
        {
            "name": "database_info",
            "pgbeam.cloud.database_info": {"project_id": "{{ made.project.id }}"},
        },
        {
            "name": "replica",
            "pgbeam.cloud.replica": {"database_id": "{{ made.database.id }}", "host": "r1"},
        },
    ]  # fmt: skip
    foreseen = ansible.play(tasks, "--diff", "-vvvvv", check=True)
    assert (foreseen.status, foreseen.changed) == (0, 3), foreseen.output
    assert [method for method, dummy in foreseen.requests] == ["GET"]
    first = ansible.play(tasks, "--diff", "-vvvvv")
    assert (first.status, first.changed) == (0, 3), first.output
    for run in (foreseen, first):
        project, database = run.result("project")["diff"]
        assert (project["before"], database["before"]) == ({}, {})
        assert project["after"]["tags"] == ["prod"]
        assert database["after"]["password"] == "(sent, not shown)"
    again = ansible.play(tasks, "--diff")
    assert (again.changed, again.writes) == (0, [])
