# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource that is put and deleted by its identity, which never changes and of which parts may be null."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.schema_annotation import SCHEMA_ANNOTATION

TABLE: Values = {"table_name": "orders"}
COLUMN: Values = {"schema_name": "billing", "table_name": "orders", "column_name": "total"}


def live(**fields: Any) -> Values:
    return SCHEMA_ANNOTATION.with_all_fields({"id": "sca_1", "project_id": "prj_1", "description": "old", **fields})


def planned(server: list[Values], wanted: Values, state: str = "present") -> Plan:
    wanted = {"project_id": "prj_1", **wanted}
    return make_plan(SCHEMA_ANNOTATION, wanted, Index(SCHEMA_ANNOTATION, server).find(wanted), state, False)


@dataclass
class Case:
    server: list[Values]
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)


OF_TABLE, OF_COLUMN = live(**TABLE), live(id="sca_2", **COLUMN)
EMPTY = {"schema_name": "", "column_name": ""}
NULL = {"schema_name": None, "column_name": None}
NEW = {"description": "new"}
PUT = ["description"]
CASES = {
    "create-of-a-table": Case([OF_COLUMN], {**TABLE, **NEW}, "created", {**TABLE, **NEW}, [*TABLE, *PUT]),
    "create-of-a-table-by-null": Case(
        [OF_COLUMN], {**TABLE, **NULL, **NEW}, "created", {**TABLE, **NEW}, [*TABLE, *PUT]
    ),
    "create-of-a-column": Case([OF_TABLE], {**COLUMN, **NEW}, "created", {**COLUMN, **NEW}, [*COLUMN, *PUT]),
    "create-of-a-column-of-no-schema": Case(
        [OF_TABLE, OF_COLUMN], {**TABLE, "column_name": "total", **NEW}, "created",
        {**TABLE, "column_name": "total", **NEW}, ["table_name", "column_name", *PUT],
    ),
    "unchanged-of-a-table": Case([OF_COLUMN, OF_TABLE], {**TABLE, "description": "old"}),
    "unchanged-by-null": Case([OF_COLUMN, OF_TABLE], {**TABLE, **NULL}),
    "unchanged-by-empty-texts": Case([OF_COLUMN, OF_TABLE], {**TABLE, **EMPTY}),
    "unchanged-that-the-server-leaves-empty": Case([live(**TABLE, **EMPTY)], {**TABLE, **NULL}),
    "unchanged-of-a-column": Case([OF_TABLE, OF_COLUMN], COLUMN),
    "unchanged-by-id": Case([OF_TABLE, OF_COLUMN], {"id": "sca_2", **COLUMN}),
    "unchanged-by-id-and-empty-texts": Case([OF_TABLE], {"id": "sca_1", **TABLE, **EMPTY}),
    "update-of-a-table": Case([OF_COLUMN, OF_TABLE], {**TABLE, **NEW}, "updated", {**TABLE, **NEW}, PUT),
    "update-of-a-column": Case([OF_TABLE, OF_COLUMN], {**COLUMN, **NEW}, "updated", {**COLUMN, **NEW}, PUT),
    "update-by-id": Case([OF_TABLE, OF_COLUMN], {"id": "sca_2", **NEW}, "updated", {**COLUMN, **NEW}, PUT),
    "update-with-what-this-release-does-not-know": Case(
        [live(**TABLE, language="en")], {**TABLE, **NEW}, "updated", {**TABLE, "language": "en", **NEW}, PUT
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan(case: Case) -> None:
    plan = planned(case.server, case.task)
    assert (plan.action, plan.body, plan.changes) == (case.action, case.body, case.changes)
    assert set(plan.after) == set(plan.changes)
    assert not plan.conditional


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_name": None}, "schema_name is 'billing' and cannot be changed to null"),
        ({"schema_name": "other"}, "schema_name is 'billing' and cannot be changed to 'other'"),
        ({"table_name": "invoices"}, "table_name is 'orders' and cannot be changed to 'invoices'"),
        ({"column_name": ""}, "column_name is 'total' and cannot be changed to ''"),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_the_identity_of_one_with_an_id_never_changes(change: Values, words: str, state: str) -> None:
    """A PUT with another identity would make a second one."""
    with pytest.raises(TaskError) as caught:
        planned([OF_COLUMN], {"id": "sca_2", **change, **NEW}, state)
    assert str(caught.value).startswith(f"schema_annotation billing.orders (column total): {words}; ")


def test_what_is_absent() -> None:
    for task, found in ((TABLE, "sca_1"), ({**TABLE, **EMPTY}, "sca_1"), (COLUMN, "sca_2"), ({"id": "sca_2"}, "sca_2")):
        assert planned([OF_TABLE, OF_COLUMN], task, "absent").id == found
    assert planned([OF_COLUMN], TABLE, "absent").action == "unchanged"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (TABLE, "schema_annotation orders"),
        ({**TABLE, "schema_name": "billing", "column_name": ""}, "schema_annotation billing.orders"),
        ({**TABLE, "column_name": "total"}, "schema_annotation orders (column total)"),
        (COLUMN, "schema_annotation billing.orders (column total)"),
        ({"id": "sca_1"}, "schema_annotation sca_1"),
    ],
)
def test_the_label(values: Values, words: str) -> None:
    assert SCHEMA_ANNOTATION.describe(values) == words


def test_two_entries_of_one_identity() -> None:
    assert matching.duplicate_entries(SCHEMA_ANNOTATION, [TABLE, COLUMN, {**TABLE, **EMPTY}, COLUMN], str) == [
        "0 and 2 are both schema_annotation orders; keep one of them",
        "1 and 3 are both schema_annotation billing.orders (column total); keep one of them",
    ]


@pytest.mark.parametrize(("text", "right"), [("", False), ("x", True), ("é" * 4096, True), ("x" * 4097, False)])
def test_descriptions(text: str, right: bool) -> None:
    assert (validation.validate(SCHEMA_ANNOTATION, {**TABLE, "description": text}) == []) == right


def test_what_a_task_needs_to_find_one() -> None:
    assert validation.missing_identity(SCHEMA_ANNOTATION, TABLE) is None
    assert validation.missing_identity(SCHEMA_ANNOTATION, {"column_name": "total"}) == (
        "table_name: missing; set table_name, or id, to identify the schema_annotation"
    )
