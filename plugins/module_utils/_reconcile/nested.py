# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Support for a child that the API creates together with its parent, in one request.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Outcome, Reconciler


def check_deletion(reconciler: Reconciler, plan: Plan, expected: t.Sequence[str] | None) -> None:
    """Raise TaskError if deleting the parent would delete children that the task does not expect; None allows any."""
    children = reconciler.for_nested(t.cast(str, plan.id))
    children.take_lock()  # held until the end, so that no child is added after the check
    if expected is not None:
        refuse_unexpected(plan, children.read_all(), expected)


def plan_nested(reconciler: Reconciler, plan: Plan) -> tuple[Reconciler, Plan] | None:
    """Return the reconciler of an existing parent's children, and the plan for the child that the task declares."""
    child = t.cast(Resource, reconciler.resource.nested)
    declared = plan.wanted.get(child.noun)
    if not declared:
        return None
    children = reconciler.for_nested(t.cast(str, plan.id))
    children.take_lock()
    return children, children.plan(children.load_index(None), {**declared, child.parent: plan.id}, "present")


def apply_nested(reconciler: Reconciler, outcome: Outcome, inner: tuple[Reconciler, Plan] | None) -> list[Outcome]:
    """Apply the plan of the child after that of its parent. Returns no outcome if the parent failed."""
    planned = outcome.plan.nested
    if inner:
        return [] if outcome.error else inner[0].apply([inner[1]])
    if not planned or outcome.action != "created":
        return []
    if reconciler.run.check_mode:
        return [Outcome(planned, "created", planned.predict())]
    children = reconciler.for_nested(outcome.values[reconciler.resource.id_field])
    reported = Outcome(
        planned, "created", outcome.nested_values or {**planned.predict(), planned.resource.parent: children.parent}
    )
    if reconciler.client.fatal_error and outcome.error and not planned.deferred:  # the next call would fail too
        return [reported]
    try:
        found = outcome.nested_values or planned.confirmed_by(children.load_index(None))
    except ApiError as error:
        reported.error = error
        return [reported]
    if found is None:
        return children.apply([planned])
    reported.values = found
    children.finish(reported)
    return [reported]


def refuse_unexpected(plan: Plan, items: list[Values], expected: t.Sequence[str]) -> None:
    """Raise TaskError if deleting the parent would delete children that the task neither declares nor expects.

    ``items`` are the existing children. One is expected by its id, or by a name that is unique among them.
    """
    child = t.cast(Resource, plan.resource.nested)
    wanted = plan.wanted.get(child.noun)
    match = None
    with contextlib.suppress(TaskError):  # if several match, none is expected
        match = Index(child, items).find(wanted, "absent") if wanted else None
    names = [item.get("name") for item in items]
    surplus = [
        item
        for item in items
        if item[child.id_field] not in expected
        and not (item.get("name") in expected and names.count(item.get("name")) == 1)
        and item is not match
    ]
    if surplus:
        reported = ", ".join(f"{child.describe(item)} ({item[child.id_field]})" for item in surplus[:5])
        more = f" and {len(surplus) - 5} more" if len(surplus) > 5 else ""
        raise TaskError(
            f"{plan.label} ({plan.id}): deleting it would also delete unexpected {child.plural} "
            f"({len(surplus)} of {len(items)}): {reported}{more}; add each to expected_{child.plural}, or set "
            "force: true"
        )
