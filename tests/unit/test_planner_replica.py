# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner on replicas, which the API cannot change, as tables: what is added, and what is then removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.validation import validate
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler, Run
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA

pytestmark = pytest.mark.once

LIVE: Values = {
    "id": "rep_1",
    "database_id": "db_1",
    "host": "r1.example.com",
    "port": 5432,
    "ssl_mode": "prefer",
    "created_at": "2026-11-01T08:00:00Z",
    "updated_at": "2026-11-01T08:00:00Z",
}
STRICT = "verify-full"


def live(number: int = 1, **fields: Any) -> Values:
    return {**LIVE, "id": f"rep_{number}", **fields}


def task(**fields: Any) -> Values:
    return {"database_id": "db_1", "host": "r1.example.com", **fields}


def by_id(number: int = 1, **fields: Any) -> Values:
    return {"database_id": "db_1", "id": f"rep_{number}", **fields}


def sent(**fields: Any) -> Values:
    return {"host": "r1.example.com", "port": 5432, **fields}


def planned(server: list[Values], wanted: Values, state: str = "present", replace: bool = False) -> Plan:
    """Return the plan of a module."""
    run = Run(cast(Any, None), replace=replace)
    return Reconciler(run, REPLICA, "db_1").plan(Index(REPLICA, server), wanted, state)


@dataclass
class Case:
    server: list[Values]
    task: Values
    action: str = "unchanged"
    #: What is added, and then the ids of what is removed.
    body: Values = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    state: str = "present"
    #: The id of the object that exists in the end; None for a new one.
    kept: str | None = "rep_1"

    def plan(self) -> Plan:
        return planned(self.server, self.task, self.state, replace=True)


def created(body: Values, **named: Any) -> Case:
    return Case([], task(**named), "created", body, [], list(body), {}, body, kept=None)


def replaced(server: list[Values], wanted: Values, body: Values, removed: list[str], **old: Any) -> Case:
    """A case in which the first replica is replaced; ``old`` are its fields that change."""
    after = {name: wanted[name] for name in old}
    return Case(server, wanted, "replaced", body, removed, list(old), old, after, kept=None)


def left_over(server: list[Values], wanted: Values, ids: list[str], kept: str) -> Case:
    """A case in which a replacement was interrupted after the new one was added."""
    return Case(server, wanted, "replaced", {}, ids, ["id"], {"id": [kept, *ids]}, {"id": [kept]}, kept=kept)


# fmt: off
CASES = {
    "create": created(sent()),
    "create-all": created(sent(port=6432, ssl_mode=STRICT), port=6432, ssl_mode=STRICT),
    "unchanged-identity-alone": Case([live()], task()),
    "unchanged-every-field": Case([live()], task(host="R1.example.com", port=5432, ssl_mode="prefer")),
    "unchanged-by-id": Case([live(2), live()], by_id()),
    "unchanged-by-id-beside-twins": Case([live(), live(2, ssl_mode=STRICT), live(3)], by_id(ssl_mode="prefer")),
    "replace-ssl-mode": replaced(
        [live(), live(2, host="r2")], task(ssl_mode=STRICT), sent(ssl_mode=STRICT), ["rep_1"], ssl_mode="prefer",
    ),
    "replace-by-id": replaced(
        [live()], by_id(ssl_mode=STRICT), sent(ssl_mode=STRICT), ["rep_1"], ssl_mode="prefer",
    ),
    "replace-where-the-answer-leaves-the-port-out": replaced(
        [live(port=None)], task(ssl_mode=STRICT), sent(ssl_mode=STRICT), ["rep_1"], ssl_mode="prefer",
    ),
    "replace-host-and-port-by-id": replaced(
        [live()], by_id(host="r9", port=6432), {"host": "r9", "port": 6432, "ssl_mode": "prefer"}, ["rep_1"],
        host="r1.example.com", port=5432,
    ),
    "replace-by-id-beside-a-twin-that-is-otherwise": replaced(
        [live(), live(2, ssl_mode="disable")], by_id(ssl_mode=STRICT), sent(ssl_mode=STRICT), ["rep_1"],
        ssl_mode="prefer",
    ),
    "finish": left_over([live(), live(2, ssl_mode=STRICT)], task(ssl_mode=STRICT), ["rep_1"], "rep_2"),
    "finish-of-three": left_over(
        [live(), live(2, ssl_mode=STRICT), live(3)], task(ssl_mode=STRICT), ["rep_1", "rep_3"], "rep_2",
    ),
    "finish-by-id": Case(
        [live(), live(2, ssl_mode=STRICT)], by_id(ssl_mode=STRICT), "replaced", {}, ["rep_1"], ["ssl_mode"],
        {"ssl_mode": "prefer"}, {"ssl_mode": STRICT}, kept="rep_2",
    ),
    "delete": Case([live()], task(ssl_mode=STRICT), "deleted", before=live(), state="absent", kept=None),
    "delete-one-of-two-by-id": Case([live(), live(2)], by_id(), "deleted", before=live(), state="absent", kept=None),
    "absent-already": Case([live()], task(port=6432), state="absent", kept=None),
    "absent-already-by-id": Case([live()], by_id(2), state="absent", kept=None),
}
# fmt: on
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_case
def test_plan(case: Case) -> None:
    result = case.plan()
    assert (result.action, result.body, result.changes) == (case.action, case.body, case.changes)
    assert [item["id"] for item in result.replaces] == case.removed
    assert (result.before, result.after) == (case.before, case.after)


@each_case
def test_predict(case: Case) -> None:
    predicted = case.plan().predict()
    assert predicted.get("id") == case.kept
    if case.state == "present":
        assert set(predicted) == set(LIVE)
        assert predicted["database_id"] == "db_1"
        assert {name: predicted[name] for name in case.body} == case.body


@pytest.mark.parametrize(
    "wanted, reported",
    [
        (task(ssl_mode=STRICT), "ssl_mode is 'prefer' and PgBeam cannot change it to 'verify-full'"),
        (by_id(ssl_mode=STRICT), "ssl_mode is 'prefer' and PgBeam cannot change it to 'verify-full'"),
        (by_id(host="r9", ssl_mode=STRICT), "host is 'r1.example.com' and PgBeam cannot change it to 'r9'"),
        (by_id(port=6432), "port is 5432 and PgBeam cannot change it to 6432"),
    ],
)
def test_drift_is_refused_where_nothing_may_be_replaced(wanted: Values, reported: str) -> None:
    with pytest.raises(TaskError) as caught:
        planned([live()], wanted)
    assert str(caught.value) == (
        f"replica r1.example.com:5432 (rep_1): {reported}; "
        "set replace: true to create a replacement and then delete this one"
    )


@pytest.mark.parametrize(
    "server, wanted, state, replace",
    [
        pytest.param([live(), live(2)], task(), "present", False, id="two"),
        pytest.param([live(), live(2)], task(ssl_mode=STRICT), "present", False, id="two, of which none fits"),
        pytest.param([live(), live(2, ssl_mode=STRICT)], task(ssl_mode=STRICT), "present", False, id="one that fits"),
        pytest.param([live(), live(2)], task(), "present", True, id="both fit"),
        pytest.param([live(), live(2)], task(ssl_mode=STRICT), "present", True, id="none fits"),
        pytest.param([live(), live(2)], task(), "absent", False, id="absent"),
        pytest.param(
            [live(), live(2, ssl_mode=STRICT)], task(ssl_mode=STRICT), "absent", True, id="one that fits, absent"
        ),
    ],
)
def test_a_tie_is_refused_with_the_ids(server: list[Values], wanted: Values, state: str, replace: bool) -> None:
    reported = r"^replica r1.example.com:5432 exists 2 times in PgBeam \(rep_1, rep_2\); set id to choose one"
    with pytest.raises(TaskError, match=reported) as caught:
        planned(server, wanted, state, replace)
    fitting = [item for item in server if not REPLICA.changed_fields(wanted, item)]
    hint = state == "present" and not replace and len(fitting) == 1  # otherwise replace would be refused too
    assert ("or set replace: true to keep the one that matches the task" in str(caught.value)) == hint


def test_an_id_that_is_not_there_is_never_added() -> None:
    with pytest.raises(
        TaskError, match=r"^replica rep_2 was not found in database db_1, or is not visible to this API key; "
    ):
        planned([live()], by_id(2, host="r1.example.com"), replace=True)


ADDED = live(9, ssl_mode=STRICT)


@pytest.mark.parametrize(
    "case, now, found",
    [
        ("create", [], None),
        ("create", [live()], "rep_1"),
        ("create", [live(), live(2)], None),
        ("replace-ssl-mode", [live()], None),
        ("replace-ssl-mode", [live(), ADDED], "rep_9"),
        ("replace-ssl-mode", [ADDED], "rep_9"),
        ("replace-host-and-port-by-id", [live()], None),
        ("replace-host-and-port-by-id", [live(), live(9, host="r9", port=6432)], "rep_9"),
        # The other one of the same host and port is not the new one, and the first one must stay.
        ("replace-by-id-beside-a-twin-that-is-otherwise", [live(), live(2, ssl_mode="disable")], None),
        ("replace-by-id-beside-a-twin-that-is-otherwise", [live(), live(2, ssl_mode="disable"), ADDED], "rep_9"),
        ("finish", [live(), live(2, ssl_mode=STRICT)], "rep_2"),
    ],
)
def test_how_a_write_ended_whose_answer_was_lost(case: str, now: list[Values], found: str | None) -> None:
    done = CASES[case].plan().confirmed_by(Index(REPLICA, now))
    assert (done and done["id"]) == found


@pytest.mark.parametrize("now, done", [([], {}), ([live()], None), ([live(2)], {})])
def test_how_a_delete_ended_whose_answer_was_lost(now: list[Values], done: Values | None) -> None:
    assert CASES["delete"].plan().confirmed_by(Index(REPLICA, now)) == done


@pytest.mark.parametrize(
    "values, sentence",
    [
        (
            {"host": "r 1"},
            "host: 'r 1' is not allowed; it must be a host name or an IP address, and nothing else",
        ),
        ({"host": ["r1"]}, "host: ['r1'] is a list; it must be text"),
        ({"port": 70000}, "port: 70000 is not allowed; it must be a whole number from 1 to 65535"),
        (
            {"ssl_mode": "on"},
            "ssl_mode: 'on' is not allowed; it must be one of disable, allow, prefer, require, verify-ca, verify-full",
        ),
        ({"id": "rep/1"}, "id: 'rep/1' is not an id; it must consist of letters, digits, '_', '.' and '-'"),
    ],
)
def test_bad_value(values: Values, sentence: str) -> None:
    assert validate(REPLICA, values, "replicas[7]: ") == [f"replicas[7]: {sentence}"]
