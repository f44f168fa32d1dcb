# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision of a policy on a statement, as far as the two alone decide it.

The verdicts and rules follow the vendor's conformance vectors, for kinds of statements, the access mode, tables, masks,
row filters and query templates. The only unsafe schema change that it knows is an index that is built under a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import re
from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.sandbox.declaration import Item

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns about each statement that it parses only in part
WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
KINDS: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
    ((exp.Select, exp.SetOperation, exp.Values, exp.Subquery), "select"),
    ((exp.Insert,), "insert"),
    ((exp.Update, exp.Merge), "update"),
    ((exp.Delete,), "delete"),
    ((exp.Create, exp.Alter, exp.Drop, exp.TruncateTable, exp.Grant, exp.Revoke, exp.Comment), "ddl"),
    ((exp.Copy,), "copy"),
    ((exp.Set,), "set"),
    ((exp.Transaction, exp.Commit, exp.Rollback), "transaction"),
)
COMMANDS = {"SHOW": "show", "EXPLAIN": "explain"}
EXPLAINED = re.compile(r"^\s*(\([^)]*\)\s*|(ANALYZE|VERBOSE)\s+)*", re.IGNORECASE)


class _BlockedError(Exception):
    """A rule blocks the statement. The hint is what the agent can do instead."""

    def __init__(self, rule: str, reason: str, hint: str) -> None:
        super().__init__(rule)
        self.answer: Item = {"verdict": "block", "rule": rule, "reason": reason, "hint": hint}


def evaluate(policy: Item, sql: str, templates: Mapping[str, str]) -> Item:
    """The decision on a text of one or more statements. ``templates`` are the enabled query templates by name."""
    try:
        trees = parse(sql)
        found = [_decide(policy, tree) for tree in trees]
        template = _template(policy, sql, templates)
    except _BlockedError as blocked:
        return blocked.answer
    masked = {(one["column"], one["kind"]) for masks, _filters in found for one in masks}
    predicates = list(dict.fromkeys(itertools.chain.from_iterable(filters for _masks, filters in found)))
    answer: Item = {"verdict": "allow", "rule": "ok", "reason": "The policy permits the statement."}
    if masked:
        answer.update(verdict="mask", reason="The policy permits the statement with masked columns.")
        answer["masked_columns"] = [{"column": column, "kind": kind} for column, kind in sorted(masked)]
    if predicates:
        answer.update(verdict="row-filter", reason="The policy permits the statement for some rows.")
        answer["row_filter_predicate"] = " AND ".join(predicates)
        answer["rewritten_sql"] = "; ".join(tree.sql(dialect="postgres") for tree in trees)
    notes = _notes(policy)
    return {**answer, **({"notes": notes} if notes else {}), **({"template": template} if template else {})}


def parse(sql: str) -> list[exp.Expr]:
    try:
        trees = [tree for tree in sqlglot.parse(sql.replace("\0", " "), dialect="postgres") if tree]
    except SqlglotError:
        raise _BlockedError("parse_error", "The statement cannot be parsed.", "Correct its syntax.") from None
    if not trees:
        raise _BlockedError("empty", "There is no statement.", "Send one.")
    return trees


def kind_of(tree: exp.Expr) -> str:
    """Return the kind of statement, as in the rules of a policy."""
    if isinstance(tree, exp.Command):
        return COMMANDS.get(str(tree.this).upper(), "other")
    return next((kind for types, kind in KINDS if isinstance(tree, types)), "other")


def fingerprint(sql: str) -> str:
    """The statement with a numbered placeholder for each literal and parameter: the same for the same shape."""
    numbers = itertools.count(1)

    def replaced(node: exp.Expr) -> exp.Expr:
        if isinstance(node, (exp.Literal, exp.Parameter)):
            return exp.Parameter(this=exp.Literal.number(next(numbers)))
        return node

    with contextlib.suppress(_BlockedError):
        return "; ".join(tree.transform(replaced).sql(dialect="postgres") for tree in parse(sql))
    return sql


def query_hash(sql: str) -> str:
    return hashlib.sha256(fingerprint(sql).encode()).hexdigest()[:16]


def _decide(policy: Item, tree: exp.Expr) -> tuple[list[Item], list[str]]:
    """Return the masked columns and the predicates of one statement, and add the predicates to its tree."""
    kind = kind_of(tree)
    if kind == "explain":
        explained = EXPLAINED.sub("", str(tree.expression.name if tree.expression else ""))
        for inner in parse(explained):
            _decide(policy, inner)
    _hold_to_floors(policy, tree)
    _hold_to_rules(policy, tree, kind)
    relations = _relations(tree)
    _hold_to_tables(policy, relations)
    _hold_to_migration_safety(policy, tree)
    return _masked(policy, tree, relations), _filtered(policy, relations)


def _hold_to_floors(policy: Item, tree: exp.Expr) -> None:
    if isinstance(tree, (exp.Drop, exp.TruncateTable)):
        raise _BlockedError("destructive_ddl", "The statement destroys data.", "Ask a person to run it.")
    writes = list(tree.find_all(exp.Update, exp.Delete))
    if any(not write.args.get("where") for write in writes):
        raise _BlockedError("whereless_write", "The statement changes every row.", "Add a WHERE clause.")
    if policy["max_affected_rows"] and any(cte.find(*WRITES) for cte in tree.find_all(exp.CTE)):
        raise _BlockedError(
            "max_affected_rows_writable_cte", "The rows that a WITH clause changes cannot be counted.",
            "Write without a WITH clause.",
        )  # fmt: skip


def _hold_to_rules(policy: Item, tree: exp.Expr, kind: str) -> None:
    rules = policy["statement_rules"]
    if kind in rules["deny"]:
        raise _BlockedError("statement_denied", f"The policy denies {kind}.", "Send another kind of statement.")
    if policy["access_mode"] == "read_only":
        hint = "Read instead, or ask for a policy that permits writes."
        if kind == "copy":
            raise _BlockedError("copy_blocked", "The policy is read-only.", hint)
        if kind == "ddl" or tree.find(*WRITES):
            raise _BlockedError("read_only", "The policy is read-only.", hint)
        if tree.find(exp.Lock):
            raise _BlockedError("locking_select", "The statement locks rows, and the policy is read-only.", hint)
    if rules["allow"] and kind not in rules["allow"]:
        raise _BlockedError("statement_not_allowed", f"The policy does not allow {kind}.", f"Use {rules['allow']}.")
    if kind == "other":
        raise _BlockedError("unknown_statement", "The kind of the statement is not known.", "Send another statement.")


def _relations(tree: exp.Expr) -> list[exp.Table]:
    """Return the references to tables, except those to the statement's own WITH queries."""
    defined = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    return [table for table in tree.find_all(exp.Table) if table.db or table.name.lower() not in defined]


def _is(table: exp.Table, entry: str, schema: str | None) -> bool:
    """Whether an entry of a list matches the table. ``schema`` is that of an entry without one, None for any."""
    named, _dot, name = entry.lower().rpartition(".")
    wanted = named or schema
    return table.name.lower() == name and wanted in (None, table.db.lower() or "public")


def _hold_to_tables(policy: Item, relations: list[exp.Table]) -> None:
    for table in relations:
        if any(_is(table, entry, None) for entry in policy["table_denylist"]):
            raise _BlockedError("table_denied", f"The policy denies the table {table.name}.", "Use another table.")
    allowed = policy["table_allowlist"]
    for table in relations:
        if allowed and not any(_is(table, entry, "public") for entry in allowed):
            reason = f"The policy does not allow the table {table.name}."
            raise _BlockedError("table_not_allowed", reason, f"Use one of {', '.join(allowed)}.")


def _hold_to_migration_safety(policy: Item, tree: exp.Expr) -> None:
    locks = isinstance(tree, exp.Create) and tree.kind == "INDEX" and not tree.args.get("concurrently")
    if locks and policy["migration_safety"] == "block":
        raise _BlockedError("migration_block", "The index is built under a lock.", "Build it CONCURRENTLY.")


def _masked(policy: Item, tree: exp.Expr, relations: list[exp.Table]) -> list[Item]:
    """Return the masked columns of every table in the statement, under their own names and those in the result."""
    found: list[Item] = []
    kinds: dict[str, str] = {}
    rows: set[str] = set()
    for rule in policy["masking_rules"]:
        for table in relations:
            if _is(table, rule["table"], None):
                if table.args.get("alias") and table.args["alias"].columns:
                    hint = "Rename no column of the table."
                    raise _BlockedError("masked_column_rename", "A masked column would get another name.", hint)
                kinds[rule["column"].lower()] = rule["kind"]
                rows.add(table.alias_or_name.lower())
                found.append({"column": rule["column"], "kind": rule["kind"]})
    for output in _outputs(tree):
        value = output.unalias()
        if isinstance(value, exp.Column):
            kind = kinds.get(value.name.lower())
            found += [{"column": output.alias_or_name, "kind": kind}] if kind else []
        elif any(column.name.lower() in {*kinds, *rows} for column in value.find_all(exp.Column)):
            reason = "The value of a masked column would be computed with."
            raise _BlockedError("masked_column_expression", reason, "Select the column itself.")
    return found


def _outputs(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the output columns of the statement and of its subqueries, which stand for themselves."""
    for part in tree.find_all(exp.Select, exp.Returning, exp.Tuple):
        of_values = isinstance(part, exp.Tuple) and isinstance(part.parent, exp.Values)
        for output in part.expressions if of_values or not isinstance(part, exp.Tuple) else []:
            if of_values or not isinstance(output.unalias(), (exp.Subquery, exp.Star)):
                yield output


def _filtered(policy: Item, relations: list[exp.Table]) -> list[str]:
    """Return the predicates of the row filters, and add each to the part of the statement that reads the table."""
    found = []
    for rule in policy["row_filters"]:
        for table in relations:
            part = table.find_ancestor(exp.Select, exp.Update, exp.Delete)
            if part and _is(table, rule["table"], None):
                part.where(rule["predicate"], dialect="postgres", copy=False)  # type: ignore[attr-defined]  # all three
                found.append(rule["predicate"])
    return found


def _template(policy: Item, sql: str, templates: Mapping[str, str]) -> str | None:
    if policy["query_mode"] != "templates":
        return None
    for name, text in templates.items():
        if fingerprint(text) == fingerprint(sql):
            return name
    raise _BlockedError("template_required", "The statement matches no query template.", "Use a query template.")


def _notes(policy: Item) -> list[str]:
    """Return what the decision also depends on, beyond the statement."""
    budgets = ("budget_queries_per_hour", "budget_queries_per_day", "egress_bytes_per_day")
    facts = {
        "Budgets are not evaluated.": any(policy[name] for name in budgets),
        "A person may have to approve the statement.": policy["approval_mode"] != "off",
        "The write is not committed.": policy["write_mode"] != "normal",
    }
    return [note for note, applies in facts.items() if applies]
