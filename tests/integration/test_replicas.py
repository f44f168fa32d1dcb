# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules pgbeam.cloud.replica and replicas against the sandbox, mostly without ansible-playbook around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, Sandbox
from tests.integration.conftest import Ansible
from tests.integration.test_project import Done, Runner
from tests.unit.scripted import ScriptedServer

Values = dict[str, Any]
STRICT = "verify-full"


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Runner:
    return Runner(sandbox.url, tmp_path)


@pytest.fixture
def project(sandbox: Sandbox) -> Project:
    return sandbox.project()


@pytest.fixture
def database(project: Project) -> str:
    return str(project.register()["id"])


def actions(done: Done) -> list[str]:
    return [item["action"] for item in done.result["replicas"]]


def there(project: Project) -> list[tuple[str, int, str]]:
    """Host, port and ssl_mode of every replica that the server truly has."""
    return sorted((r["host"], r["port"], r["ssl_mode"]) for r in project.stored("replicas").values())


def test_a_whole_life(run: Runner, project: Project, database: str) -> None:
    """Check, do, repeat, refuse, replace, absent: each is foreseen, and not done twice."""
    steps: list[tuple[Values, str, list[str], str]] = [
        ({"host": "r1", "state": "absent"}, "unchanged", [], "GET"),
        ({"host": "r1"}, "created", ["host", "port"], "GET POST"),
        ({"host": "R1", "port": 5432}, "unchanged", [], "GET"),
        ({"host": "r1", "ssl_mode": "prefer", "replace": True}, "unchanged", [], "GET"),
        ({"host": "r1", "ssl_mode": STRICT, "replace": True}, "replaced", ["ssl_mode"], "GET POST DELETE"),
        ({"host": "r1", "ssl_mode": STRICT, "replace": True}, "unchanged", [], "GET"),
        ({"host": "r1", "port": 6432}, "created", ["host", "port"], "GET POST"),
        ({"host": "r1", "state": "absent"}, "deleted", [], "GET DELETE"),
        ({"host": "r1", "state": "absent"}, "unchanged", [], "GET"),
    ]
    for options, action, changes, methods in steps:
        done = run.foreseen("replica", "replica", database_id=database, **options)
        assert not done.failed, done.result["msg"]
        assert (done.result["action"], done.result["changes"]) == (action, changes)
        assert done.methods == methods.split(), options
        assert done.result["changed"] == (action != "unchanged")
        assert bool(done.result["replica"]) == (options.get("state") != "absent")
        assert done.result["replica"].get("database_id", database) == database
    assert there(project) == [("r1", 6432, "prefer")]


REFUSED: dict[str, tuple[str, Values, str]] = {
    "drift by id": ("replica", {"id": "{0}", "host": "r9"}, "host is 'r1' and PgBeam cannot change it to 'r9'"),
    "drift in a list": (
        "replicas",
        {"replicas": [{"host": "r2"}, {"host": "r1", "ssl_mode": STRICT}, {"id": "{0}", "port": 1}]},
        "replicas[1] (r1): replica r1:5432 ({0}): ssl_mode is 'prefer' and PgBeam cannot change it to 'verify-full'; "
        "set replace: true to create a replacement and then delete this one; "
        "replicas[2]: replica r1:5432 ({0}): port is 5432",
    ),
    "one in two entries": (
        "replicas",
        {"replicas": [{"host": "r2"}, {"host": "R2", "port": 5432}]},
        "replicas[0] (r2) and replicas[1] (R2) are both replica R2:5432; keep one of them",
    ),
    "one by id and by host": (
        "replicas",
        {"replicas": [{"host": "r1"}, {"id": "{0}"}]},
        "replicas[0] (r1) and replicas[1] are both replica {0}; keep one of them",
    ),
    "null for a state": (
        "replicas",
        {"replicas": [{"host": "r2", "state": None}]},
        "replicas[0] (r2): state: null is not allowed; it must be one of present, absent",
    ),
}


@pytest.mark.parametrize("module, options, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_before_any_write(
    run: Runner, project: Project, database: str, module: str, options: Values, message: str
) -> None:
    known = str(project.register_replica(database, host="r1")["id"])
    filled = json.loads(json.dumps(options).replace("{0}", known))
    done = run.foreseen(module, "replica", **{"database_id": database, **filled})
    assert done.failed
    assert message.format(known, database) in done.result["msg"]
    assert set(done.methods) <= {"GET"}


def test_duplicates(run: Runner, project: Project, database: str) -> None:
    """The remains of an interrupted replacement are deleted if it is clear which object stays."""
    ids = sorted(project.register_replica(database, host="r1", ssl_mode=mode)["id"] for mode in ("prefer", STRICT))
    fitting = next(r["id"] for r in project.replicas(database) if r["ssl_mode"] == STRICT)
    (other,) = set(ids) - {fitting}
    ambiguous: list[Values] = [
        {},
        {"ssl_mode": STRICT},
        {"replace": True},
        {"ssl_mode": "require", "replace": True},
        {"state": "absent", "ssl_mode": STRICT, "replace": True},
    ]
    for options in ambiguous:
        done = run.foreseen("replica", "replica", database_id=database, host="r1", **options)
        assert f"replica r1:5432 exists 2 times in PgBeam ({', '.join(ids)})" in done.result["msg"], options
        assert done.methods == ["GET"]
    done = run.foreseen("replica", "replica", database_id=database, host="r1", ssl_mode=STRICT, replace=True)
    assert (done.result["action"], done.result["changes"]) == ("replaced", ["id"])
    assert done.result["diff"]["before"] == {"id": [fitting, other]}
    assert done.result["diff"]["after"] == {"id": [fitting]}
    assert done.methods == ["GET", "DELETE"]
    assert done.result["replica"]["id"] == fitting
    assert [r["id"] for r in project.replicas(database)] == [fitting]


@pytest.mark.parametrize("status, code", [(409, "CONFLICT"), (403, "FORBIDDEN"), (500, "INTERNAL_ERROR")])
@pytest.mark.parametrize("module", ["replica", "replicas"])
def test_a_replacement_whose_old_one_stays(
    run: Runner, project: Project, database: str, module: str, status: int, code: str
) -> None:
    """Both exist, which is reported, and the next run deletes the old one."""
    old = project.register_replica(database, host="r1")["id"]
    entry: Values = {"host": "r1", "ssl_mode": STRICT}
    options = entry if module == "replica" else {"replicas": [entry]}
    wanted: Values = {"database_id": database, "replace": True, **options}
    project.fault("status", method="DELETE", status=status, code=code, times=9)
    done = run(module, **wanted)
    project.clear_faults()
    assert (done.failed, done.result["changed"]) == (True, True)
    (new,) = {r["id"] for r in project.replicas(database)} - {old}
    reported = done.result["replicas"][0] if module == "replicas" else {**done.result["replica"], **done.result}
    assert (reported["action"], reported["changes"], reported["error"]["status"]) == ("replaced", ["ssl_mode"], status)
    assert (done.result["replicas"][0] if module == "replicas" else done.result["replica"])["id"] == new
    assert f"DELETE replica r1:5432 ({old}): {status} {code}" in done.result["msg"]
    assert f"the replica {new} exists, but {old} may still exist" in done.result["msg"]
    again = run(module, **wanted)
    assert (again.failed, again.methods) == (False, ["GET", "DELETE"])
    assert [r["id"] for r in project.replicas(database)] == [new]
    assert run(module, **wanted).methods == ["GET"]


def test_duplicates_of_which_one_can_be_deleted(run: Runner, project: Project, database: str) -> None:
    """The diff shows what exists after the task."""
    modes = ("require", "prefer", STRICT)
    ids = {mode: project.register_replica(database, host="r1", ssl_mode=mode)["id"] for mode in modes}
    project.fault("status", method="DELETE", status=403, code="FORBIDDEN", skip=1)
    done = run("replica", database_id=database, host="r1", ssl_mode=STRICT, replace=True)
    assert (done.failed, done.result["action"], done.result["changes"]) == (True, "replaced", ["id"])
    left = [r["id"] for r in project.replicas(database)]
    assert len(left) == 2
    assert sorted(done.result["diff"]["before"]["id"]) == sorted(ids.values())
    assert sorted(done.result["diff"]["after"]["id"]) == sorted(left)


def test_duplicates_of_which_one_is_deleted_without_an_answer(run: Runner) -> None:
    """A deletion that the listing shows counts once."""
    path = "/v1/databases/db_1/replicas"
    modes = ("prefer", "require", "disable", STRICT)
    known = [
        {"id": f"rep_{n}", "database_id": "db_1", "host": "r1", "port": 5432, "ssl_mode": mode}
        for n, mode in enumerate(modes)
    ]
    with ScriptedServer().running() as server:
        server.expect("GET", path, 200, {"replicas": known})
        server.expect("DELETE", f"{path}/rep_0", 204)
        server.expect("DELETE", f"{path}/rep_1", drop=True)
        server.expect("GET", path, 200, {"replicas": known[2:]})
        server.expect("DELETE", f"{path}/rep_2", 409, {"error": {"code": "CONFLICT"}})
        done = run("replica", database_id="db_1", host="r1", ssl_mode=STRICT, replace=True, api_url=server.url)
    assert (done.failed, done.result["action"]) == (True, "replaced")
    assert done.result["diff"]["after"] == {"id": ["rep_3", "rep_2"]}


@pytest.mark.parametrize("status, code", [(409, "CONFLICT"), (500, "INTERNAL_ERROR")])
def test_duplicates_of_which_none_can_be_deleted(
    run: Runner, project: Project, database: str, status: int, code: str
) -> None:
    """Nothing was written, so nothing is changed."""
    for mode in ("prefer", STRICT):
        project.register_replica(database, host="r1", ssl_mode=mode)
    project.fault("status", method="DELETE", status=status, code=code, times=9)
    done = run("replica", database_id=database, host="r1", ssl_mode=STRICT, replace=True)
    assert (done.failed, done.result["changed"], done.result["action"]) == (True, False, "failed")
    assert (done.result["changes"], done.result["diff"]) == ([], {"before": {}, "after": {}})


@pytest.mark.parametrize("kind, made", [("drop_after", True), ("truncate", True), ("drop_before", False)])
@pytest.mark.parametrize("duplicate", [False, True], ids=["alone", "beside another one"])
def test_a_replacement_whose_create_is_lost(
    run: Runner, project: Project, database: str, kind: str, made: bool, duplicate: bool
) -> None:
    """The old one is deleted only if the list shows the new one; another one of its host does not count."""
    old = project.register_replica(database, host="r1")["id"]
    others = [project.register_replica(database, host="r1", ssl_mode="disable")["id"]] if duplicate else []
    project.fault(kind, method="POST")
    wanted: Values = {"database_id": database, "host": "r1", "ssl_mode": STRICT, "replace": True}
    done = run("replica", **wanted, **({"id": old} if duplicate else {}))
    assert (done.failed, done.result["changed"]) == (not made, made)
    assert done.methods == ["GET", "POST", "GET", "DELETE"] if made else ["GET", "POST", "GET"]
    now = {r["id"]: r["ssl_mode"] for r in project.replicas(database)}
    assert (old in now) != made
    assert (STRICT in now.values()) == made
    assert set(others) <= set(now)


def test_a_refusal_after_lost_answers_ends_the_run(run: Runner, project: Project, database: str) -> None:
    """If the first deletion of several replacements is refused, the others do not continue."""
    old = {f"r{n}": project.register_replica(database, host=f"r{n}")["id"] for n in range(3)}
    project.fault("drop_after", method="POST", times=3)
    project.fault("status", method="DELETE", status=403, code="FORBIDDEN", times=9)
    wanted = [{"host": f"r{n}", "ssl_mode": STRICT} for n in range(3)]
    done = run("replicas", database_id=database, replicas=wanted, replace=True, parallel=1, retries=0)
    assert done.methods == ["GET", "POST", "POST", "POST", "GET", "DELETE"]
    assert actions(done) == ["replaced"] * 3
    assert [item["error"]["attempts"] for item in done.result["replicas"]] == [1, 0, 0]
    ids = {r["host"]: r["id"] for r in project.replicas(database) if r["ssl_mode"] == STRICT}
    assert done.result["msg"].startswith("DELETE replica r0:5432 (")
    for host in ("r1", "r2"):
        assert f"the replica {ids[host]} exists, but {old[host]} may still exist" in done.result["msg"]
    project.clear_faults()
    again = run("replicas", database_id=database, replicas=wanted, replace=True)
    assert (again.result["msg"], again.methods) == ("3 replaced", ["GET"] + ["DELETE"] * 3)
    assert there(project) == [(f"r{n}", 5432, STRICT) for n in range(3)]


@pytest.mark.parametrize("alone", [True, False], ids=["nothing else to do", "after a create"])
def test_a_duplicate_that_another_client_deletes(run: Runner, alone: bool) -> None:
    """A task that changed nothing reports no change."""
    mode = STRICT if alone else "disable"
    known = [
        {"id": "rep_1", "database_id": "db_1", "host": "r1", "port": 5432, "ssl_mode": "prefer"},
        {"id": "rep_2", "database_id": "db_1", "host": "r1", "port": 5432, "ssl_mode": STRICT},
    ]
    new = {**known[0], "id": "rep_3", "ssl_mode": mode}
    with ScriptedServer().running() as server:
        server.expect("GET", "/v1/databases/db_1/replicas", 200, {"replicas": known if alone else known[:1]})
        if not alone:
            server.expect("POST", "/v1/databases/db_1/replicas", 201, new)
        server.expect("DELETE", "/v1/databases/db_1/replicas/rep_1", 404, {"error": {"code": "NOT_FOUND"}})
        done = run("replica", database_id="db_1", host="r1", ssl_mode=mode, replace=True, api_url=server.url)
    assert not done.failed, done.result["msg"]
    assert (done.result["action"], done.result["changed"]) == (("unchanged", False) if alone else ("replaced", True))
    assert done.result["changes"] == ([] if alone else ["ssl_mode"])
    assert done.result["replica"]["id"] == ("rep_2" if alone else "rep_3")


def test_a_database_that_goes_while_its_replicas_come(run: Runner) -> None:
    with ScriptedServer().running() as server:
        server.expect("GET", "/v1/databases/db_1/replicas", 200, {"replicas": []})
        server.expect("POST", "/v1/databases/db_1/replicas", 404, {"error": {"code": "NOT_FOUND"}})
        done = run("replica", database_id="db_1", host="r1", api_url=server.url)
    assert done.result["msg"] == (
        "POST replica r1:5432: 404 NOT_FOUND; "
        "database db_1 not found, or not visible to this API key: check database_id and the key"
    )


ONE_IN_THE_END: dict[str, tuple[list[Values], str]] = {
    "moved to where another one is added": (
        [{"id": "{0}", "host": "r9"}, {"host": "r9"}],
        "replicas[0] (r9) and replicas[1] (r9) would both be replica r9:5432; keep one of them",
    ),
    "moved to where another one is": (
        [{"host": "r2"}, {"id": "{0}", "host": "R2"}],
        "replicas[0] (r2) and replicas[1] (R2) would both be replica R2:5432; keep one of them",
    ),
    "both moved": (
        [{"id": "{0}", "host": "r9"}, {"id": "{2}", "host": "r9"}],
        "replicas[0] (r9) and replicas[1] (r9) would both be replica r9:5432; keep one of them",
    ),
    "removed by another entry": (
        [{"host": "r1", "ssl_mode": STRICT}, {"id": "{0}"}],
        "replicas[0] (r1) and replicas[1] are both replica {0}; keep one of them",
    ),
    "each in its place": ([{"id": "{0}", "host": "r9"}, {"host": "r2"}], ""),
    "in the place of one that goes": (
        [{"id": "{0}", "host": "r2"}, {"id": "{2}", "state": "absent"}],
        "",
    ),
    "two that share a place by id": ([{"id": "{0}"}, {"id": "{1}"}], ""),
    "exchanged": (
        [
            {"id": "{1}", "host": "r2"},
            {"id": "{2}", "host": "r1", "ssl_mode": "require"},
            {"id": "{0}", "state": "absent"},
        ],
        "",
    ),
    "moved to where one is that the list does not name": (
        [{"id": "{2}", "host": "r1", "ssl_mode": "require"}, {"id": "{0}"}],
        "replicas[0] (r1): replica r1:5432 already exists ({1}), and {2} would become its duplicate; "
        "delete {1}, or leave {2} unchanged",
    ),
    "moved to where the same one is": (
        [{"id": "{2}", "host": "r1"}],
        "replicas[0] (r1): replica r1:5432 already exists ({0}, {1}), and {2} would become its duplicate; "
        "delete {0}, {1}, or leave {2} unchanged",
    ),
}


@pytest.mark.parametrize("entries, message", ONE_IN_THE_END.values(), ids=ONE_IN_THE_END.keys())
def test_entries_that_would_be_one_replica(
    run: Runner, project: Project, database: str, entries: list[Values], message: str
) -> None:
    """No list creates duplicates."""
    places = [("r1", "prefer"), ("r1", STRICT), ("r2", "prefer")]
    known = [project.register_replica(database, host=host, ssl_mode=mode)["id"] for host, mode in places]
    text = json.dumps(entries)
    for number, identifier in enumerate(known):
        text = text.replace(f"{{{number}}}", identifier)
    foreseen, done = (
        run("replicas", check, database_id=database, replicas=json.loads(text), replace=True) for check in (True, False)
    )
    assert (foreseen.failed, done.failed) == (bool(message), bool(message)), done.result["msg"]
    assert message.format(*known) in done.result["msg"]
    assert set(done.methods) == {"GET"} or not message


def test_a_move_onto_another_replica(run: Runner, project: Project, database: str) -> None:
    """Afterwards there would be one fewer."""
    one, other = (project.register_replica(database, host=host)["id"] for host in ("r1", "r2"))
    for check in (True, False):
        done = run("replica", check, database_id=database, id=one, host="r2", replace=True)
        assert f"replica r2:5432 already exists ({other})" in done.result["msg"]
        assert done.methods == ["GET"]


def test_a_replacement_that_was_interrupted(run: Runner, project: Project, database: str) -> None:
    """Without replace, the message contains the remedy."""
    for mode in ("prefer", STRICT):
        project.register_replica(database, host="r1", ssl_mode=mode)
    both: tuple[Values, Values] = ({"state": "absent"}, {"ssl_mode": STRICT})
    for options in both:
        refused = run("replica", database_id=database, host="r1", **options)
        hint = "or set replace: true to keep the one that matches the task" in refused.result["msg"]
        assert hint == ("state" not in options)
    assert run("replica", database_id=database, host="r1", ssl_mode=STRICT, replace=True).result["changes"] == ["id"]


def test_a_whole_list(run: Runner, project: Project, database: str) -> None:
    """Check mode predicts each step, results are in list order, a second run changes nothing; one listing is enough."""
    for host, mode in (("r0", "prefer"), ("r1", "prefer"), ("r2", STRICT), ("r2", "prefer"), ("old", "prefer")):
        project.register_replica(database, host=host, ssl_mode=mode)
    wanted = [
        {"host": "r1", "ssl_mode": STRICT}, {"host": "r2", "ssl_mode": STRICT}, {"host": "r3", "ssl_mode": STRICT},
        {"host": "r0"}, {"host": "r9", "state": "absent"},
    ]  # fmt: skip
    options: Values = {"database_id": database, "replicas": wanted, "replace": True, "prune": True}
    foreseen, done = run("replicas", check=True, **options), run("replicas", **options)
    reported = ["replaced", "replaced", "created", "unchanged", "unchanged", "deleted"]
    for one in (foreseen, done):
        assert not one.failed, one.result["msg"]
        assert actions(one) == reported
        assert one.result["msg"] == "1 created, 2 replaced, 1 deleted, 2 unchanged"
        assert one.result["summary"] == {
            "created": 1, "replaced": 2, "deleted": 1, "unchanged": 2, "failed": 0, "skipped": 0,
        }  # fmt: skip
    assert foreseen.result["diff"] == done.result["diff"]
    assert [item["host"] for item in done.result["replicas"]] == ["r1", "r2", "r3", "r0", "r9", "old"]
    assert sorted(done.methods) == ["DELETE"] * 3 + ["GET"] + ["POST"] * 2
    assert len({e["path"] for e in done.exchanges if e["method"] == "DELETE"}) == 3
    assert there(project) == [(h, 5432, STRICT if h != "r0" else "prefer") for h in ("r0", "r1", "r2", "r3")]
    again = run("replicas", **options)
    assert (again.result["msg"], again.methods) == ("5 unchanged", ["GET"])


def test_one_failure_does_not_stop_the_others_but_the_prune(run: Runner, project: Project, database: str) -> None:
    project.register_replica(database, host="r1")
    project.register_replica(database, host="unlisted")
    project.fault("status", method="POST", status=422, code="INVALID_INPUT", message="not that one", body_has='"r2"')
    project.fault("status", method="DELETE", status=409, code="CONFLICT")
    wanted = [{"host": "r1", "ssl_mode": STRICT}, {"host": "r2"}, {"host": "r3"}]
    done = run("replicas", database_id=database, replicas=wanted, replace=True, prune=True)
    assert actions(done) == ["replaced", "failed", "created"]
    assert (done.failed, done.result["changed"]) == (True, True)
    assert done.result["msg"].endswith("[1 created, 1 replaced, 1 failed, nothing was pruned]")
    assert [bool(item.get("error")) for item in done.result["replicas"]] == [True, True, False]
    assert len(done.result["diff"]) == 2
    project.clear_faults()
    again = run("replicas", database_id=database, replicas=wanted, replace=True, prune=True)
    assert again.result["msg"] == "1 created, 1 replaced, 1 deleted, 1 unchanged"
    assert [host for host, *dummy in there(project)] == ["r1", "r2", "r3"]


LIST_FAULTS: dict[str, tuple[Values, str]] = {
    "no such database": ({"kind": "status", "status": 404, "code": "NOT_FOUND"}, "404 NOT_FOUND"),
    "server": ({"kind": "status", "status": 503}, "503 SERVICE_UNAVAILABLE"),
    "gateway": ({"kind": "html"}, "502 with a body that is not a JSON object"),
    "endless": ({"kind": "same_token", "times": 9}, "200 with a next page token that repeats"),
}


@pytest.mark.parametrize("fault, message", LIST_FAULTS.values(), ids=LIST_FAULTS.keys())
def test_a_list_that_cannot_be_read(run: Runner, project: Project, database: str, fault: Values, message: str) -> None:
    """Nothing is written by a list that is not whole."""
    for module, options in (("replicas", {"replicas": [{"host": "r1"}]}), ("replica", {"host": "r1"})):
        project.fault(method="GET", **fault)
        done = run(module, database_id=database, **options)
        project.clear_faults()
        assert done.result["msg"].startswith(f"GET replicas of database {database}: {message}")
        assert set(done.methods) == {"GET"}


def test_as_ansible_runs_it(ansible: Ansible, project: Project, database: str) -> None:
    wanted: Values = {"database_id": database, "replicas": [{"host": "r1"}, {"host": "r2", "port": "6432"}]}
    one: Values = {"database_id": database, "host": "r1", "ssl_mode": STRICT}
    tasks: list[Values] = [
        {"name": "replicas", "pgbeam.cloud.replicas": wanted},
        {"name": "drift", "pgbeam.cloud.replica": one, "ignore_errors": True},
        {"name": "replica", "pgbeam.cloud.replica": {**one, "replace": True}},
    ]
    first, second = ansible.play(tasks, "--diff"), ansible.play(tasks[2:], "--diff")
    assert first.result("replicas")["msg"] == "2 created"
    assert "PgBeam cannot change it to 'verify-full'; set replace: true" in first.result("drift")["msg"]
    assert first.result("replica")["action"] == "replaced"
    assert (second.changed, second.writes) == (0, [])
    assert there(project) == [("r1", 5432, STRICT), ("r2", 6432, "prefer")]
