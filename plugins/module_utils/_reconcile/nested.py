# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The object that is made with another one, in one call: kept as the task says, and what a deletion takes with it.

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
    """Raise TaskError if a deletion would also delete nested objects that the task does not expect; None allows any."""
    children = reconciler.of_nested(t.cast(str, plan.id))
    children.take_lock()  # until the end, so that nothing is added after the count
    if expected is not None:
        refuse_unexpected(plan, children.read_all(), expected)


def plan_nested(reconciler: Reconciler, plan: Plan) -> tuple[Reconciler, Plan] | None:
    """The reconciler over what is in an object that is there, and the plan for the first object that the task names."""
    first = t.cast(Resource, reconciler.resource.nested)
    declared = plan.wanted.get(first.noun)
    if not declared:
        return None
    children = reconciler.of_nested(t.cast(str, plan.id))
    children.take_lock()
    return children, children.plan(children.load_index(None), {**declared, first.parent: plan.id}, "present")


def apply_nested(reconciler: Reconciler, outcome: Outcome, inner: tuple[Reconciler, Plan] | None) -> list[Outcome]:
    """What becomes of the first object in one that is as it should be; nothing where that has failed."""
    made = outcome.plan.nested
    if inner:
        return [] if outcome.error else inner[0].apply([inner[1]])
    if not made or outcome.action != "created":
        return []
    if reconciler.run.check_mode:
        return [Outcome(made, "created", made.predict())]
    children = reconciler.of_nested(outcome.values[reconciler.resource.id_field])
    reported = Outcome(
        made, "created", outcome.nested_values or {**made.predict(), made.resource.parent: children.parent}
    )
    if reconciler.client.fatal_error and outcome.error and not made.deferred:  # the next call would only meet the same
        return [reported]
    try:
        found = outcome.nested_values or made.confirmed_by(children.load_index(None))
    except ApiError as error:
        reported.error = error
        return [reported]
    if found is None:
        return children.apply([made])
    reported.values = found
    children.finish(reported)
    return [reported]


def refuse_unexpected(plan: Plan, items: list[Values], expected: t.Sequence[str]) -> None:
    """Raise TaskError where a deletion takes first objects with it that the task does not name or expect.

    ``items`` are those that are there. One is expected by its id, or by a name that no other one has.
    """
    first = t.cast(Resource, plan.resource.nested)
    wanted = plan.wanted.get(first.noun)
    match = None
    with contextlib.suppress(TaskError):  # of several that the task may mean, it expects none
        match = Index(first, items).find(wanted, "absent") if wanted else None
    names = [item.get("name") for item in items]
    surplus = [
        item
        for item in items
        if item[first.id_field] not in expected
        and not (item.get("name") in expected and names.count(item.get("name")) == 1)
        and item is not match
    ]
    if surplus:
        reported = ", ".join(f"{first.describe(item)} ({item[first.id_field]})" for item in surplus[:5])
        more = f" and {len(surplus) - 5} more" if len(surplus) > 5 else ""
        raise TaskError(
            f"{plan.label} ({plan.id}) would go with {len(items)} {first.noun if len(items) == 1 else first.plural}, "
            f"{len(surplus)} of them not expected: "
            f"{reported}{more}; list them in expected_{first.plural}, or set force: true"
        )
