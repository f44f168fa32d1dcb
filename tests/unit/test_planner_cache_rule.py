# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a resource that no task creates or deletes, whose id has another name and whose parent has a parent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import argument_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching, planner, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler, Run
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.cache_rule import CACHE_RULE

HASH, OTHER = "a1b2c3d4e5f60718", "0123456789abcdef"
SQL = "SELECT name FROM products WHERE id = $1"
NOT_FOUND = f"was not found in database db_1, or is not visible to this API key; {CACHE_RULE.if_missing}"
BY_HASH: Values = {"query_hash": HASH}
BY_SQL: Values = {"normalized_sql": SQL}


def seen(**fields: Any) -> Values:
    rule = {**BY_HASH, **BY_SQL, "cache_enabled": False, "call_count": 7, "recommendation": "good"}
    return CACHE_RULE.with_all_fields({**rule, **fields})


def planned(server: list[Values], wanted: Values) -> Plan:
    wanted = {"database_id": "db_1", **wanted}
    return make_plan(CACHE_RULE, wanted, Index(CACHE_RULE, server).find(wanted), "present", False)


@dataclass
class Case:
    server: list[Values]
    task: Values
    action: str = "unchanged"
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)


TWO = [seen(query_hash=OTHER, normalized_sql="SELECT 1"), seen()]
TIMES: Values = {"cache_ttl_seconds": 300, "cache_swr_seconds": 0}
TIMED = [seen(cache_enabled=True, **TIMES)]
CASES = {
    "unchanged-by-hash": Case(TWO, BY_HASH),
    "unchanged-by-sql": Case(TWO, {**BY_SQL, "cache_enabled": False}),
    "unchanged-by-both": Case(TWO, {**BY_HASH, **BY_SQL}),
    "unchanged-by-sql-in-lines": Case(TWO, {"normalized_sql": "SELECT name\n  FROM products\n\tWHERE id = $1\n"}),
    "unchanged-without-times": Case(TWO, {**BY_HASH, "cache_ttl_seconds": None, "cache_swr_seconds": None}),
    "unchanged-with-times": Case(TIMED, {**BY_HASH, **TIMES}),
    "enabled": Case(TWO, {**BY_SQL, "cache_enabled": True}, "updated", {"cache_enabled": True}, ["cache_enabled"]),
    "disabled-and-its-times-kept": Case(
        TIMED, {**BY_HASH, "cache_enabled": False}, "updated", {"cache_enabled": False, **TIMES}, ["cache_enabled"]
    ),
    "a-time-of-zero": Case(
        TWO, {**BY_HASH, "cache_ttl_seconds": 0}, "updated", {"cache_enabled": False, "cache_ttl_seconds": 0},
        ["cache_ttl_seconds"],
    ),
    "a-time-cleared-and-the-other-kept": Case(
        TIMED, {**BY_HASH, "cache_ttl_seconds": None}, "updated",
        {"cache_enabled": True, "cache_ttl_seconds": None, "cache_swr_seconds": 0}, ["cache_ttl_seconds"],
    ),
    "enabled-with-what-this-release-does-not-know": Case(
        [seen(cache_tags=["a"])], {**BY_HASH, "cache_enabled": True}, "updated",
        {"cache_enabled": True, "cache_tags": ["a"]}, ["cache_enabled"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan(case: Case) -> None:
    plan = planned(case.server, case.task)
    assert (plan.action, plan.body, plan.changes) == (case.action, case.body, case.changes)
    assert set(plan.after) == set(plan.changes)
    assert plan.id == HASH
    assert not plan.conditional  # there is no tag of one rule
    assert plan.predict() == {**(plan.current or {}), **case.body}


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"query_hash": "f" * 16},
            f"cache_rule {'f' * 16} {NOT_FOUND}",
        ),
        (
            {"normalized_sql": "SELECT 2"},
            f"cache_rule SELECT 2 {NOT_FOUND}",
        ),
        (
            {**BY_HASH, "normalized_sql": "SELECT 1"},
            f"cache_rule {SQL}: normalized_sql is '{SQL}' and cannot be changed to 'SELECT 1'; set the current "
            "value, or omit the option",
        ),
    ],
)
def test_a_rule_that_is_not_found(task: Values, words: str) -> None:
    with pytest.raises(TaskError) as caught:
        planned(TWO, {**task, "cache_enabled": True})
    assert str(caught.value) == words


def test_two_rules_of_one_query() -> None:
    with pytest.raises(TaskError) as caught:
        planned([seen(query_hash=OTHER), seen()], BY_SQL)
    assert str(caught.value) == (
        f"cache_rule {SQL} exists 2 times in PgBeam ({OTHER}, {HASH}); set query_hash to choose one"
    )


def test_two_entries_of_one_rule() -> None:
    assert matching.duplicate_entries(CACHE_RULE, [BY_HASH, BY_SQL, BY_HASH], str) == [
        f"0 and 2 are both cache_rule {HASH}; keep one of them"
    ]
    plans = [planned(TWO, BY_HASH), planned(TWO, BY_SQL)]
    assert planner.conflicts(plans, str) == [f"0 and 1 are both cache_rule {HASH}; keep one of them"]


def test_what_a_task_needs_to_find_one() -> None:
    assert validation.missing_identity(CACHE_RULE, BY_HASH) is None
    assert validation.missing_identity(CACHE_RULE, BY_SQL) is None
    assert validation.missing_identity(CACHE_RULE, {"cache_enabled": True}) == (
        "normalized_sql: missing; set normalized_sql, or query_hash, to identify the cache_rule"
    )


@pytest.mark.parametrize(("text", "right"), [(HASH, True), (HASH[1:], False), (HASH.upper(), False), ("", False)])
def test_hashes(text: str, right: bool) -> None:
    assert (validation.validate(CACHE_RULE, {"query_hash": text}) == []) == right
    assert (validation.validate_entry(CACHE_RULE, {"query_hash": text}, "") == []) == right


def test_a_rule_in_words() -> None:
    assert CACHE_RULE.describe({**BY_HASH, **BY_SQL}) == f"cache_rule {SQL}"
    assert CACHE_RULE.describe(BY_HASH) == f"cache_rule {HASH}"
    assert CACHE_RULE.describe({"normalized_sql": "SELECT\n" + "a, " * 50}) == (
        "cache_rule SELECT a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a…"
    )
    assert CACHE_RULE.describe({"normalized_sql": f"SELECT\n{'a' * 60}"}) == f"cache_rule SELECT {'a' * 52}…"


def test_options() -> None:
    """Both parents, what finds a rule and what can be changed; neither a state nor pruning."""
    shared = {*argument_spec.CONNECTION, "project_id", "database_id"}
    own = {"query_hash", "normalized_sql", "cache_enabled", "cache_ttl_seconds", "cache_swr_seconds"}
    item, listed = argument_spec.item_spec(CACHE_RULE), argument_spec.list_spec(CACHE_RULE)
    assert item.keys() == shared | own
    assert listed.keys() == {*shared, "cache_rules", "parallel"}
    assert listed["cache_rules"]["options"].keys() == own
    assert all(spec[name]["required"] for spec in (item, listed) for name in ("project_id", "database_id"))
    assert CACHE_RULE.actions == ("updated", "unchanged", "failed", "skipped")


@pytest.mark.parametrize(("project", "database"), [("", "db_1"), ("prj_1", ""), ("", "")])
def test_a_parent_that_does_not_exist_yet(project: str, database: str) -> None:
    """Nothing is read of it: a client that is none would raise."""
    run = Run(cast(Any, None), check_mode=True, ancestors={"project_id": project})
    reconciler = Reconciler(run, CACHE_RULE, database)
    assert (reconciler.read_all(), reconciler.read_one(HASH)) == ([], [])


def test_the_path_has_both_parents() -> None:
    run = Run(cast(Any, None), ancestors={"project_id": "prj_1"})
    assert Reconciler(run, CACHE_RULE, "db_1").path == "/v1/projects/prj_1/databases/db_1/cache-rules"
