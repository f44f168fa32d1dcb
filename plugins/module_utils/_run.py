# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' bodies: parameters in, calls to the API, results and failures out.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import gc
import typing as t
from collections import Counter

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.pgbeam.cloud.plugins.module_utils import (
    _checks,
    _client,
    _engine,
    _errors,
    _first,
    _module,
    _register,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._client import Client, ConfigError, Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import ApiError, PlanError
from ansible_collections.pgbeam.cloud.plugins.module_utils._module import CONNECTION, Module, sentences
from ansible_collections.pgbeam.cloud.plugins.module_utils._register import Register
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._session import Outcome, Session


def _module_main(body: t.Callable[[Module, Session], None], module: Module) -> None:
    """Run a module's body; whatever is raised ends as one sentence."""
    gc.freeze()  # what was imported stays to the end, and walking through it takes longer than many a module's work
    with module.until_end:
        _run(body, module)


def _run(body: t.Callable[[Module, Session], None], module: Module) -> None:
    client: Client | None = None
    if _client.REQUESTS_IMPORT_ERROR:
        module.finish(missing_required_lib("requests"))
    failure: str | None = None
    result: Values = {}
    try:
        found = module.problems()
        if found:
            raise PlanError(sentences(found))
        client = Client(Settings(**{name: module.params[name] for name in CONNECTION}), module.conceal)
        module.endings = client.endings
        parent = module.params.get(module.resource.parent) or ""
        body(module, Session(module, module.resource, parent, client))
    except (ConfigError, PlanError) as error:
        failure = str(error)
    except ApiError as error:
        failure = str(error)
        result["error"] = error.as_dict()
    except Exception as error:
        failure = "; ".join(_errors.unexpected(error))
    except SystemExit:
        raise
    except BaseException:
        # The task has run out of time, or the user has interrupted it. What is under way has its turn to the end.
        if client:
            client.cancel(then=module.until_end.pop_all().close)
        raise
    # Not in an except block: there core could be told to show the exception, whose text may quote a secret.
    module.finish(failure, changed=module.changed, **result)


def run_item(resource: Resource) -> None:
    """The body of a module for one object."""
    _module_main(_item, Module(resource, _module.item_spec(resource)))


def _item(module: Module, session: Session) -> None:
    resource, params = session.resource, module.params
    wanted = _wanted(session, params)
    problem = _checks.incomplete(resource, wanted)
    if problem:
        raise PlanError(problem)
    session.take_lock()
    register = session.register(wanted.get("id"))
    plan = session.plan(register, wanted, params["state"])
    if plan.relocates:
        if "id" in wanted and resource.readable:  # else all that is there was listed
            parent = session.parent or t.cast(Values, plan.current).get(resource.parent) or ""
            register = Session(module, resource, parent, session.client).register(None)
        problem = _engine.crowded(plan, register.without(plan.about))
        if problem:
            raise PlanError(problem)
    inner = None
    if resource.first and plan.action == "deleted":
        _first.guard_deletion(session, plan)
    elif resource.first and plan.id:
        inner = _first.plan_first(session, plan)
    _warn_of_kept_secrets(module, [plan, *([inner[1]] if inner else [])])
    outcomes = session.carry_out([plan])
    if resource.first and resource.first.noun in wanted and params["state"] == "present":
        outcomes += _first.carry_out_first(session, outcomes[0], inner)
    _finish_item(module, session, outcomes)


def _finish_item(module: Module, session: Session, outcomes: list[Outcome]) -> None:
    """End a module for one object. The second outcome is that of the first object in it."""
    outcome, first = outcomes[0], outcomes[1] if len(outcomes) > 1 else None
    changed = [o for o in outcomes if o.changed]
    within = [f"{first.plan.resource.noun}.{name}" for name in first.changes] if first else []
    result: Values = {
        session.resource.noun: outcome.values,
        "action": outcome.action if outcome.action != "unchanged" or not changed else "updated",
        "changes": outcome.changes + within,
        "changed": bool(changed),
    }
    if first:
        result[first.plan.resource.noun] = first.values
    if module.params.get("test_connection"):
        result["connection_test"] = outcomes[-1].connection_test
    if module._diff:
        diffs = [o.diff() for o in changed]
        result["diff"] = diffs if len(diffs) > 1 else (diffs or [{"before": {}, "after": {}}])[0]
    errors = session.errors(outcomes)
    if errors:
        module.finish(sentences(list(map(str, errors))), error=errors[0].as_dict(), **result)
    else:
        module.finish(**result)


def run_list(resource: Resource) -> None:
    """The body of a module for a whole list."""
    _module_main(_list, Module(resource, _module.list_spec(resource)))


def _list(module: Module, session: Session) -> None:
    resource, params = session.resource, module.params
    placed = _module.entries(resource, params)
    places = [place for place, entry in placed]
    entries = [_wanted(session, entry) for place, entry in placed]
    found = [p for p in (_checks.incomplete(resource, e, f"{w}: ") for w, e in zip(places, entries)) if p]
    found = found or _register.clashes(resource, entries, lambda index: places[index])
    if params["prune"] and not entries:
        found.append(
            f"prune: the list of {resource.plural} is empty, and pruning by it would delete all "
            f"{resource.of_parent(session.parent)}; give the list, or use state=absent"
        )
    if found:
        raise PlanError(sentences(found))
    session.take_lock()
    register = session.register(None)
    plans = _plans(session, places, entries, register)
    surplus = register.unclaimed([item for plan in plans for item in plan.about]) if params["prune"] else []
    _refuse_to_prune_more(session, surplus, register)
    _warn_of_kept_secrets(module, plans)
    outcomes = session.carry_out(plans)
    unpruned = params["prune"] and (session.client.ended_by or any(outcome.error for outcome in outcomes))
    if not unpruned:
        outcomes += session.carry_out([_engine.plan_delete(resource, {}, item) for item in surplus])
    _finish_list(module, session, outcomes, bool(unpruned))


def _refuse_to_prune_more(session: Session, surplus: list[Values], register: Register) -> None:
    """Raise PlanError if prune would delete more than its limit allows: rather a list lost entries on its way here."""
    resource, limit = session.resource, str(session.module.params["prune_limit"])
    pruned = [f"{resource.describe(item)} ({item['id']})" for item in surplus]
    problem = _checks.prune_problem(pruned, register.size, resource.of_parent(session.parent), limit)
    if problem:
        raise PlanError(problem)


def _plans(session: Session, places: list[str], entries: list[Values], register: Register) -> list[Plan]:
    """A plan an entry. Raises PlanError with every entry that cannot be planned, before anything is written."""
    resource, params = session.resource, session.module.params
    shared = _register.shared_identities(resource, entries, register)
    plans: dict[str, Plan] = {}
    found: list[str] = []
    for place, wanted, given in zip(places, entries, params[resource.plural]):
        try:
            plans[place] = session.plan(register, wanted, given["state"], shared)
        except PlanError as error:
            found.append(f"{place}: {error}")
    planned = list(plans)
    found += _engine.collisions(list(plans.values()), lambda index: planned[index])
    if any(plan.relocates for plan in plans.values()):
        others = register.without([item for plan in plans.values() for item in plan.about])
        crowded = {place: _engine.crowded(plan, others) for place, plan in plans.items()}
        found += [f"{place}: {said}" for place, said in crowded.items() if said]
    if found:
        raise PlanError(sentences(found))
    return list(plans.values())


def _finish_list(module: Module, session: Session, outcomes: list[Outcome], unpruned: bool) -> None:
    resource = session.resource
    counts = Counter(outcome.action for outcome in outcomes)
    said = ", ".join(f"{counts[action]} {action}" for action in resource.actions if counts[action]) or "nothing to do"
    result: Values = {
        resource.plural: [_told(module, outcome) for outcome in outcomes],
        "summary": {action: counts[action] for action in resource.actions},
        "changed": any(outcome.changed for outcome in outcomes),
    }
    if module._diff:
        result["diff"] = [outcome.diff() for outcome in outcomes if outcome.changed]
    errors = list(dict.fromkeys(map(str, session.errors(outcomes, unpruned))))
    if errors:
        said += ", nothing was pruned" if unpruned else ""
        module.finish(sentences(errors), said, **result)
    else:
        module.finish(counted=said, **result)


def _told(module: Module, outcome: Outcome) -> Values:
    """What the list form tells of one entry."""
    resource = outcome.plan.resource
    known = {**outcome.plan.wanted, **(outcome.plan.current or {}), **outcome.values}
    told: Values = {"action": outcome.action}
    for name in resource.summary:
        told[name] = known.get(name, resource.field(name).initial)
    told["changes"] = outcome.changes
    if module.params.get("test_connection"):
        told["connection_test"] = outcome.connection_test
    if outcome.error:
        told["error"] = outcome.error.as_dict()
    return told


def _warn_of_kept_secrets(module: Module, plans: list[Plan]) -> None:
    """Warn where the login changes and the secret that is named with it is not sent: the old one stays in force."""
    for plan in plans:
        resource = plan.resource
        for secret in (f.name for f in resource.fields if f.secret):
            if resource.tie_breaker in plan.changes and secret in plan.wanted and secret not in plan.body:
                module.warn(
                    f"{plan.label}: {resource.tie_breaker} changes, but PgBeam keeps the {secret} of the old one; "
                    f"set update_{secret}: always in this run to send it"
                )


def _wanted(session: Session, values: Values) -> Values:
    """What the task names of one object, with the parent that it belongs to."""
    names = {"id", *(f.name for f in session.resource.options)}
    wanted = _checks.named({name: value for name, value in values.items() if name in names})
    return {**wanted, session.resource.parent: session.parent} if session.parent else wanted


def run_info(resource: Resource) -> None:
    """The body of a module that reads."""
    _module_main(_info, Module(resource, _module.info_spec(resource)))


def _info(module: Module, session: Session) -> None:
    resource = session.resource
    wanted = _checks.named({name: module.params[name] for name in ("id", *resource.filters)})
    if resource.parent and not resource.below_parent and not session.parent and "id" not in wanted:
        raise PlanError(f"{resource.parent}: it is missing; give it, or the id, to say which {resource.plural}")
    filters = [resource.field(name) for name in resource.filters if name in wanted]
    items = session.read_one(wanted["id"]) if "id" in wanted else session.read_all()
    kept = [item for item in items if all(f.same(wanted[f.name], item.get(f.name)) for f in filters)]
    hidden = {f.name for f in filters for item in items if item.get(f.name) is None and f.zero is None}
    if hidden:
        module.warn(f"PgBeam does not show {', '.join(sorted(hidden))} of all {resource.plural}; those are left out")
    for twins in Register(resource, kept).twins():
        module.warn(twins)
    result: Values = {resource.plural: kept}
    module.finish(changed=False, **result)
