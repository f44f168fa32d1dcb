# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox decides on statements as the vendor's conformance vectors say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.sandbox.evaluator import evaluate, fingerprint, query_hash
from tests.sandbox.kinds import KINDS

pytestmark = pytest.mark.once

Values = dict[str, Any]
WRITER: Values = {"access_mode": "read_write"}
MASKED: Values = {"masking_rules": [{"table": "people", "column": "phone", "kind": "hash"}]}
FILTERED: Values = {"row_filters": [{"table": "people", "predicate": "branch = 7"}]}
ALLOWED: Values = {"table_allowlist": ["people", "sales.orders"]}
DENIED: Values = {"table_denylist": ["cards"]}
CAPPED: Values = {**WRITER, "max_affected_rows": 10}
SAFE: Values = {**WRITER, "migration_safety": "block"}


def rules(allow: Iterable[str] = (), deny: Iterable[str] = ()) -> Values:
    return {"statement_rules": {"allow": [*allow], "deny": [*deny]}}


# fmt: off
DECISIONS: list[tuple[Values, str, str, str]] = [
    ({}, "SELECT name FROM people", "allow", "ok"),
    ({}, "EXPLAIN SELECT name FROM people", "allow", "ok"),
    ({}, "EXPLAIN ANALYZE DELETE FROM people WHERE id = 1", "block", "read_only"),
    ({}, "SHOW search_path", "allow", "ok"),
    ({}, "INSERT INTO people (name) VALUES ('a')", "block", "read_only"),
    ({}, "UPDATE people SET name = 'a' WHERE id = 1", "block", "read_only"),
    ({}, "CREATE TABLE copies (id int)", "block", "read_only"),
    ({}, "WITH gone AS (DELETE FROM people WHERE id = 1 RETURNING id) SELECT * FROM gone", "block", "read_only"),
    ({}, "SELECT name FROM people FOR UPDATE", "block", "locking_select"),
    ({}, "COPY people TO STDOUT", "block", "copy_blocked"),
    ({}, "LISTEN news", "block", "unknown_statement"),
    ({}, "-- nothing", "block", "empty"),
    ({}, "SELECT * FROM", "block", "parse_error"),
    ({}, "SELECT 1; DROP TABLE people", "block", "destructive_ddl"),
    (WRITER, "UPDATE people SET name = 'a' WHERE id = 1", "allow", "ok"),
    (WRITER, "BEGIN", "allow", "ok"),
    (CAPPED, "DELETE FROM people", "block", "whereless_write"),
    (CAPPED, "DELETE FROM people WHERE id = 1", "allow", "ok"),
    (CAPPED, "WITH gone AS (DELETE FROM people WHERE id = 1 RETURNING id) SELECT count(*) FROM gone",
     "block", "max_affected_rows_writable_cte"),
    (rules(["select", "delete"]), "DELETE FROM people WHERE id = 1", "block", "read_only"),
    ({**WRITER, **rules(["select"])}, "DELETE FROM people WHERE id = 1", "block", "statement_not_allowed"),
    ({**WRITER, **rules(deny=["delete"])}, "DELETE FROM people WHERE id = 1", "block", "statement_denied"),
    (ALLOWED, "SELECT name FROM PUBLIC.People", "allow", "ok"),
    (ALLOWED, "SELECT id FROM sales.orders", "allow", "ok"),
    (ALLOWED, "SELECT id FROM orders", "block", "table_not_allowed"),
    (ALLOWED, "SELECT p.id FROM people p JOIN cards c ON c.id = p.id", "block", "table_not_allowed"),
    (ALLOWED, "WITH found AS (SELECT id FROM people) SELECT id FROM found", "allow", "ok"),
    (DENIED, "SELECT (SELECT number FROM sales.cards LIMIT 1)", "block", "table_denied"),
    (DENIED, "SELECT name FROM people", "allow", "ok"),
    (MASKED, "SELECT row_to_json(p) FROM people p", "block", "masked_column_expression"),
    (MASKED, "SELECT phone || '' FROM people", "block", "masked_column_expression"),
    (MASKED, "VALUES ((SELECT phone FROM people LIMIT 1))", "block", "masked_column_expression"),
    (MASKED, "SELECT x FROM people AS p(x)", "block", "masked_column_rename"),
    (FILTERED, "SELECT id FROM orders", "allow", "ok"),
    (SAFE, "CREATE INDEX by_name ON people (name)", "block", "migration_block"),
    (SAFE, "CREATE INDEX CONCURRENTLY by_name ON people (name)", "allow", "ok"),
    (SAFE, "ALTER TABLE people ADD COLUMN nickname text", "allow", "ok"),
]
MASKS: list[tuple[str, list[str]]] = [
    ("SELECT phone FROM people", ["phone"]),
    ("SELECT phone AS contact FROM people p", ["contact", "phone"]),
    ("SELECT * FROM people", ["phone"]),
    ("SELECT name FROM people", ["phone"]),
    ("WITH found AS (SELECT phone FROM people) SELECT * FROM found", ["phone"]),
    ("SELECT phone FROM people UNION ALL SELECT phone FROM people", ["phone"]),
    ("UPDATE people SET name = name WHERE id = 1 RETURNING phone", ["phone"]),
]
# fmt: on


def decide(policy: Values, sql: str, **templates: str) -> Values:
    project: Any = None  # the defaults of a policy depend on none
    return evaluate({**KINDS["policies"].defaults(project), **policy}, sql, templates)


@pytest.mark.parametrize(("policy", "sql", "verdict", "rule"), DECISIONS)
def test_decisions(policy: Values, sql: str, verdict: str, rule: str) -> None:
    decision = decide(policy, sql)
    assert (decision["verdict"], decision["rule"]) == (verdict, rule)
    assert ("hint" in decision) == (verdict == "block")


@pytest.mark.parametrize(("sql", "columns"), MASKS)
def test_masks(sql: str, columns: list[str]) -> None:
    decision = decide({**MASKED, **WRITER}, sql)
    assert (decision["verdict"], decision["rule"]) == ("mask", "ok")
    assert decision["masked_columns"] == [{"column": column, "kind": "hash"} for column in columns]


def test_row_filters() -> None:
    sql = "SELECT p.id FROM people p JOIN orders o ON o.person = p.id WHERE p.id = 1"
    decision = decide({**FILTERED, **MASKED}, sql)
    assert (decision["verdict"], decision["row_filter_predicate"]) == ("row-filter", "branch = 7")
    assert decision["rewritten_sql"].endswith("WHERE p.id = 1 AND branch = 7")
    assert decision["masked_columns"] == [{"column": "phone", "kind": "hash"}]


def test_templates() -> None:
    policy = {"query_mode": "templates"}
    by_id = "SELECT name FROM people WHERE id = $1"
    assert decide(policy, "select name from people where id = 5", by_id=by_id)["template"] == "by_id"
    assert decide(policy, "SELECT phone FROM people WHERE id = 5", by_id=by_id)["rule"] == "template_required"


def test_notes() -> None:
    assert "notes" not in decide({}, "SELECT 1")
    assert len(decide({"approval_mode": "all", "budget_queries_per_day": 5}, "SELECT 1")["notes"]) == 2


def test_a_shape_has_no_literals() -> None:
    one, other = "SELECT a FROM t WHERE b = 1 AND c = 'x'", "select a from t where b = $1 and c = 'y'"
    assert fingerprint(one) == "SELECT a FROM t WHERE b = $1 AND c = $2"
    assert query_hash(one) == query_hash(other) != query_hash("SELECT a FROM t")
