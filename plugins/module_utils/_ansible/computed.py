# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies of the modules that let the API compute something. They only read, although by a POST, also in check mode.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import argument_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.main import run_body
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.module import Module, join_errors
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    Field,
    Resource,
    UnresolvedName,
    Values,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.sql import shortened
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError, Call, bug, one_line
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import references
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler, worth_reporting

MAX_ROWS = 20
STATEMENTS = "statements"  # the option whose elements are sent one at a time
HEADING = ("statement", "expected", "got", "rule", "reason")


def run_replay(resource: Resource) -> None:
    """The body of a module that returns what the API computes from its options."""
    run_body(_replay, Module(resource, argument_spec.replay_spec(resource)))


def _replay(module: Module, reconciler: Reconciler) -> None:
    (result,) = _results(reconciler.resource)
    body = _body(module, reconciler, reconciler.resource.writable)
    computed: Values = {result.name: _compute(reconciler, body, result.name, result.fields)}
    module.exit(changed=False, **computed)


def run_evaluation(resource: Resource) -> None:
    """The body of a module that lets the API decide on statements, and fails if a decision is unexpected."""
    run_body(_evaluate, Module(resource, argument_spec.evaluation_spec(resource)))


@dataclass(eq=False)
class Evaluation:
    """A statement with the expected decision, and the decision of the API or the error of the call."""

    place: str
    statement: Values
    decision: Values = field(default_factory=dict)
    error: ApiError | None = None

    @property
    def passed(self) -> bool:
        expected = (self.statement["expect"], self.statement.get("rule", self.decision.get("rule")))
        return not self.error and expected == (self.decision["verdict"], self.decision["rule"])

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of the table of unexpected decisions."""
        rule = self.statement.get("rule")
        expected = self.statement["expect"] + (f" ({rule})" if rule else "")
        sql = shortened(self.statement["sql"])
        return (sql, expected, *(one_line(self.decision[name]) for name in ("verdict", "rule", "reason")))

    def as_dict(self, fields: t.Iterable[Field]) -> Values:
        known = {"sql": self.statement["sql"], "expected": self.statement["expect"], "passed": self.passed}
        result = {**dict.fromkeys(f.name for f in fields), **self.decision, **known}
        return {**result, "error": self.error.as_dict()} if self.error else result


def _evaluate(module: Module, reconciler: Reconciler) -> None:
    (result,) = _results(reconciler.resource)
    fields = t.cast(Field, result.elements).fields
    body = _body(module, reconciler, [f for f in reconciler.resource.writable if f.name != STATEMENTS])
    given = [validation.drop_nulls(statement) for statement in module.params[STATEMENTS]]
    evaluations = [Evaluation(f"{STATEMENTS}[{n}] ({shortened(one['sql'])})", one) for n, one in enumerate(given)]

    def evaluate(one: Evaluation) -> None:
        try:
            one.decision = _compute(reconciler, {**body, "sql": one.statement["sql"]}, one.place, fields)
        except ApiError as error:
            one.error = error
        except Exception as fault:  # of one statement, so that the decisions on the others are not lost
            one.error = ApiError(Call("POST", reconciler.path, one.place), *bug(fault))

    reconciler.run.in_parallel(evaluate, evaluations, STATEMENTS)
    errors = [one.error for one in evaluations if one.error]
    failed = [one for one in evaluations if not one.error and not one.passed]
    summary = {
        "passed": len(evaluations) - len(failed) - len(errors),
        "failed": len(failed),
        "not_evaluated": len(errors),
    }
    problems = []
    if failed:
        reference = reconciler.resource.references[0]
        noun = t.cast(Resource, reference.refers_to).noun
        name = one_line(module.params[reference.name] or module.params["definition"]["name"])
        problems = [
            f"{noun} {name}: unexpected decision for {len(failed)} of {len(evaluations)} statements; "
            f"correct the {noun} or the expectations",
            *_table(failed),
        ]
    problems += [join_errors(list(map(str, worth_reporting(errors))))] if errors else []
    module.exit(
        "\n".join(problems) or None,
        ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary.items() if count),
        changed=False,
        summary=summary,
        **{result.name: [one.as_dict(fields) for one in evaluations]},
    )


def _results(resource: Resource) -> list[Field]:
    return [f for f in resource.fields if f.read_only]


def _body(module: Module, reconciler: Reconciler, options: t.Sequence[Field]) -> Values:
    """Return the options under their names in the API, with ids in place of names.

    Raises TaskError for a name that does not match exactly one object, also in check mode: nothing is predicted here.
    """
    resource = reconciler.resource
    given = validation.drop_nulls({f.name: module.params[f.name] for f in options})
    given.update({f.name: UnresolvedName(given[f.name]) for f in resource.references if f.name in given})
    run = dataclasses.replace(reconciler.run, check_mode=False)
    problems = references.resolve(Reconciler(run, resource, reconciler.parent), [("", given, "present")])
    if problems:
        raise TaskError(join_errors(problems))
    return {f.api_name or f.name: given[f.name] for f in options if f.name in given}


def _compute(reconciler: Reconciler, body: Values, label: str, fields: t.Sequence[Field]) -> Values:
    """Return what the API computes, with null for each of these fields that it omits. Raises ApiError."""

    def check(values: Values) -> str | None:
        return validation.computed_error(fields, _named(fields, values))

    try:
        answer = reconciler.client.write("POST", reconciler.path, label, body, check)
    except ApiError as error:
        error.outcome_unknown = False  # nothing is stored
        raise
    return _completed(fields, answer.content)


def _named(fields: t.Iterable[Field], values: Values) -> Values:
    """Return the server's values under the names of these fields."""
    names = {f.api_name: f.name for f in fields if f.api_name}
    return {names.get(name, name): value for name, value in values.items()}


def _completed(fields: t.Iterable[Field], values: Values) -> Values:
    """Return the server's values with every field at every level, null if the server omits it."""
    found = {**{f.name: None for f in fields}, **_named(fields, values)}
    for f in fields:
        value = found[f.name]
        if f.fields and value is not None:
            found[f.name] = _completed(f.fields, value)
        elif f.elements and f.elements.fields and value is not None:
            found[f.name] = [_completed(f.elements.fields, item) for item in value]
    return found


def _table(failed: list[Evaluation]) -> list[str]:
    """Return the lines of a table of the statements with an unexpected decision."""
    rows = [HEADING, *(one.row for one in failed[:MAX_ROWS])]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return lines + ([f"and {len(failed) - MAX_ROWS} more"] if len(failed) > MAX_ROWS else [])
