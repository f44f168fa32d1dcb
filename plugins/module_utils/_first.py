# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The object that is made with another one, in one call: kept as the task says, and what a deletion takes with it.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import ApiError, PlanError
from ansible_collections.pgbeam.cloud.plugins.module_utils._register import Register
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._session import Outcome, Session


def guard_deletion(session: Session, plan: Plan) -> None:
    """Raise PlanError where an object would be deleted with more in it than the task expects."""
    first = t.cast(Resource, session.resource.first)
    inside = session.inside(t.cast(str, plan.id))
    inside.take_lock()  # until the end, so that nothing comes after the count
    if not session.module.params["force"]:
        refuse_surplus(plan, inside.read_all(), session.module.params[f"expected_{first.plural}"] or [])


def plan_first(session: Session, plan: Plan) -> tuple[Session, Plan] | None:
    """The session over what is in an object that is there, and the plan for the first object that the task names."""
    first = t.cast(Resource, session.resource.first)
    named = plan.wanted.get(first.noun)
    if not named:
        return None
    inside = session.inside(t.cast(str, plan.id))
    inside.take_lock()
    return inside, inside.plan(inside.register(None), {**named, first.parent: plan.id}, "present")


def carry_out_first(session: Session, outcome: Outcome, inner: tuple[Session, Plan] | None) -> list[Outcome]:
    """What becomes of the first object in one that is as it should be; nothing where that has failed."""
    made = outcome.plan.first
    if inner:
        return [] if outcome.error else inner[0].carry_out([inner[1]])
    if not made or outcome.action != "created":
        return []
    if session.module.check_mode:
        return [Outcome(made, "created", made.predict())]
    inside = session.inside(outcome.values["id"])
    told = Outcome(made, "created", outcome.first_answer or {**made.predict(), made.resource.parent: inside.parent})
    if session.client.ended_by and outcome.error and not made.late:  # the next call would only meet the same
        return [told]
    try:
        found = outcome.first_answer or made.done(inside.register(None))
    except ApiError as error:
        told.error = error
        return [told]
    if found is None:
        return inside.carry_out([made])
    told.values = found
    inside.finish(told)
    return [told]


def refuse_surplus(plan: Plan, items: list[Values], expected: t.Sequence[str]) -> None:
    """Raise PlanError where a deletion takes first objects with it that the task does not name or expect.

    ``items`` are those that are there. One is expected by its id, or by a name that no other one has.
    """
    first = t.cast(Resource, plan.resource.first)
    wanted = plan.wanted.get(first.noun)
    meant = None
    with contextlib.suppress(PlanError):  # of several that the task may mean, it expects none
        meant = Register(first, items).find(wanted, "absent") if wanted else None
    names = [item.get("name") for item in items]
    surplus = [
        item
        for item in items
        if item["id"] not in expected
        and not (item.get("name") in expected and names.count(item.get("name")) == 1)
        and item is not meant
    ]
    if surplus:
        told = ", ".join(f"{first.describe(item)} ({item['id']})" for item in surplus[:5])
        more = f" and {len(surplus) - 5} more" if len(surplus) > 5 else ""
        raise PlanError(
            f"{plan.label} ({plan.id}) would go with {len(items)} {first.noun if len(items) == 1 else first.plural}, "
            f"{len(surplus)} of them not expected: "
            f"{told}{more}; list them in expected_{first.plural}, or set force: true"
        )
