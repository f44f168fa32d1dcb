# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies of the modules: from parameters through calls to the API to results and failures.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import gc
import typing as t
from collections import Counter

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import argument_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import CONNECTION
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.module import Module, entries, join_errors
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import matching, planner, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    Action,
    Resource,
    UnresolvedName,
    Values,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._http import client, errors
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Client, ConfigError, Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import nested, references, secrets_file
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Outcome, Reconciler, Run

Body = t.Callable[[Module, Reconciler], None]


def run_body(body: Body, module: Module) -> t.NoReturn:
    """Run the body of a module. Every exception becomes one sentence."""
    gc.freeze()  # imports stay until the end, and collecting them takes longer than many a module
    if client.REQUESTS_IMPORT_ERROR:
        module.exit(missing_required_lib("requests"))
    failure: str | None = None
    result: Values = {}
    run: Run | None = None
    with contextlib.ExitStack() as until_end:
        try:
            _raise(module.problems())
            run = _run(module, until_end)
            body(module, Reconciler(run, module.resource, module.params.get(module.resource.parent) or ""))
        except (ConfigError, TaskError) as error:
            failure = str(error)
        except ApiError as error:
            failure = str(error)
            result["error"] = error.as_dict()
        except Exception as error:
            failure = "; ".join(errors.bug(error))
        except SystemExit:
            raise
        except BaseException:
            # The task timed out or was interrupted. Calls in flight may end.
            if run:
                run.client.cancel(then=until_end.pop_all().close)
            raise
        # Not in an except block, where core may show the exception, whose text may quote a secret.
        module.exit(failure, changed=bool(run and run.changed), **result)


def _run(module: Module, until_end: contextlib.ExitStack) -> Run:
    """The run that the module's options describe. Raises ConfigError."""
    params, action = module.params, module.resource.offered_action
    connection = Client(Settings(**{name: params[name] for name in CONNECTION}), module.redact)
    module.deprecations = connection.deprecations
    return Run(
        connection,
        check_mode=module.check_mode,
        parallel=params.get("parallel") or 1,
        ancestors={name: params[name] or "" for name in module.resource.ancestors},
        replace=params.get("replace", False),
        resent=frozenset(name for name in module.resource.secret_names if params.get(f"update_{name}") == "always"),
        act=bool(action and params.get(action.option)),
        act_timeout=(params.get(action.timeout_option) or 0) if action else 0,
        lock_folder=module.user_tmp,
        until_end=until_end,
        show_progress=module.show,
        warn=module.warn,
        redact=module.redact,
    )


def run_item(resource: Resource) -> None:
    """The body of a module for one object."""
    run_body(_item, Module(resource, argument_spec.item_spec(resource)))


def _item(module: Module, reconciler: Reconciler) -> None:
    resource, params = reconciler.resource, module.params
    state = params.get("state", "present")
    wanted = _wanted(reconciler, params, module.raw_params)
    problem = validation.missing_identity(resource, wanted)
    _raise([problem] if problem else _destination_problems(module, [("", wanted)]))
    reconciler.take_lock()
    _raise(references.resolve(reconciler, [("", wanted, state)]))
    index = reconciler.load_index(wanted.get(resource.id_field))
    _raise(references.resolve_inside(reconciler, wanted, state, index))
    plan = reconciler.plan(index, wanted, state)
    _raise(_secrets_without_destination(module, [plan]))
    if plan.moves_existing:
        if resource.id_field in wanted and resource.get_by_id:  # otherwise all objects were listed
            parent = reconciler.parent or t.cast(Values, plan.current).get(resource.parent) or ""
            index = Reconciler(reconciler.run, resource, parent).load_index(None)
        problem = planner.identity_taken(plan, index.without(plan.affected))
        _raise([problem] if problem else [])
    inner = None
    if resource.nested and plan.action == "deleted":
        expected = params[f"expected_{resource.nested.plural}"] or []
        nested.check_deletion(reconciler, plan, None if params["force"] else expected)
    elif resource.nested and plan.id:
        inner = nested.plan_nested(reconciler, plan)
    _warn(module, [plan, *([inner[1]] if inner else [])])
    outcomes = reconciler.apply([plan])
    if resource.nested and resource.nested.noun in wanted and state == "present":
        outcomes += nested.apply_nested(reconciler, outcomes[0], inner)
    _finish_item(module, reconciler, outcomes)


def _finish_item(module: Module, reconciler: Reconciler, outcomes: list[Outcome]) -> None:
    """End a module for one object. The second outcome is that of its child."""
    outcome, first = outcomes[0], outcomes[1] if len(outcomes) > 1 else None
    changed = [o for o in outcomes if o.changed]
    nested_changes = [f"{first.plan.resource.noun}.{name}" for name in first.changes] if first else []
    result: Values = {
        reconciler.resource.noun: outcome.values,
        "action": outcome.action if outcome.action != "unchanged" or not changed else "updated",
        "changes": outcome.changes + nested_changes,
        "changed": bool(changed),
    }
    if first:
        result[first.plan.resource.noun] = first.values
    result.update(_requested_extras(module, reconciler, outcome, outcomes[-1]))
    if module._diff:
        diffs = [o.diff() for o in changed]
        result["diff"] = diffs if len(diffs) > 1 else (diffs or [{"before": {}, "after": {}}])[0]
    errors = reconciler.errors(outcomes)
    if errors:
        module.exit(join_errors(list(map(str, errors))), error=errors[0].as_dict(), **result)
    else:
        module.exit(**result)


def run_list(resource: Resource) -> None:
    """The body of a module for a whole list."""
    run_body(_list, Module(resource, argument_spec.list_spec(resource)))


def _list(module: Module, reconciler: Reconciler) -> None:
    resource, params = reconciler.resource, module.params
    labelled = entries(resource, params)
    places = [place for place, entry in labelled]
    given = [entry for place, entry in entries(resource, module.raw_params)]
    wanted = [_wanted(reconciler, entry, raw) for (place, entry), raw in zip(labelled, given)]
    found = [p for p in (validation.missing_identity(resource, e, f"{w}: ") for w, e in zip(places, wanted)) if p]
    found = found or matching.duplicate_entries(resource, wanted, lambda index: places[index])
    prune = params.get("prune", False)
    if prune and not wanted:
        found.append(
            f"prune: the list of {resource.plural} is empty, so prune would delete all "
            f"{resource.collection_label(reconciler.parent)}; add entries, or delete individual ones with state: absent"
        )
    prefixed = [(f"{place}: ", entry) for place, entry in zip(places, wanted)]
    _raise(found or _destination_problems(module, prefixed))
    reconciler.take_lock()
    states = [entry.get("state", "present") for place, entry in labelled]
    _raise(references.resolve(reconciler, [(*entry, state) for entry, state in zip(prefixed, states)]))
    index = reconciler.load_index(None)
    plans = _plans(reconciler, places, wanted, states, index)
    surplus = index.unclaimed([item for plan in plans for item in plan.affected]) if prune else []
    _check_prune_limit(module, reconciler, surplus, index)
    _raise(_secrets_without_destination(module, plans))
    _warn(module, plans)
    outcomes = reconciler.apply(plans)
    prune_skipped = prune and (reconciler.client.fatal_error or any(outcome.error for outcome in outcomes))
    if not prune_skipped:
        outcomes += reconciler.apply([planner.plan_delete(resource, {}, item) for item in surplus])
    _finish_list(module, reconciler, outcomes, bool(prune_skipped))


def _check_prune_limit(module: Module, reconciler: Reconciler, surplus: list[Values], index: Index) -> None:
    """Raise TaskError if prune would delete more than its limit allows, because the list may be incomplete."""
    if not surplus:
        return
    resource, limit = reconciler.resource, str(module.params["prune_limit"])
    pruned = [f"{resource.describe(item)} ({item[resource.id_field]})" for item in surplus]
    problem = validation.prune_error(pruned, index.size, resource.collection_label(reconciler.parent), limit)
    _raise([problem] if problem else [])


def _plans(
    reconciler: Reconciler, places: list[str], entries: list[Values], states: list[str], index: Index
) -> list[Plan]:
    """Return one plan per entry. Raises TaskError for all entries that cannot be planned, before any write."""
    resource = reconciler.resource
    shared = matching.shared_identities(resource, entries, index)
    plans: dict[str, Plan] = {}
    found: list[str] = []
    for place, wanted, state in zip(places, entries, states):
        try:
            plans[place] = reconciler.plan(index, wanted, state, shared)
        except TaskError as error:
            found.append(f"{place}: {error}")
    planned = list(plans)
    found += planner.conflicts(list(plans.values()), lambda index: planned[index])
    if any(plan.moves_existing for plan in plans.values()):
        others = index.without([item for plan in plans.values() for item in plan.affected])
        taken = {place: planner.identity_taken(plan, others) for place, plan in plans.items()}
        found += [f"{place}: {problem}" for place, problem in taken.items() if problem]
    _raise(found)
    return list(plans.values())


def _finish_list(module: Module, reconciler: Reconciler, outcomes: list[Outcome], prune_skipped: bool) -> None:
    resource = reconciler.resource
    counts = Counter(outcome.action for outcome in outcomes)
    counted = [f"{counts[action]} {action}" for action in resource.actions if counts[action]]
    totals = ", ".join(counted) or "nothing to do"
    result: Values = {
        resource.plural: [_entry_result(module, reconciler, outcome) for outcome in outcomes],
        "summary": {action: counts[action] for action in resource.actions},
        "changed": any(outcome.changed for outcome in outcomes),
    }
    if module._diff:
        result["diff"] = [outcome.diff() for outcome in outcomes if outcome.changed]
    errors = list(dict.fromkeys(map(str, reconciler.errors(outcomes, prune_skipped))))
    if errors:
        totals += ", nothing was pruned" if prune_skipped else ""
        module.exit(join_errors(errors), totals, **result)
    else:
        module.exit(totals=totals, **result)


def _entry_result(module: Module, reconciler: Reconciler, outcome: Outcome) -> Values:
    """Return what a list module reports for one entry."""
    resource = outcome.plan.resource
    known = {**outcome.plan.wanted, **(outcome.plan.current or {}), **outcome.values}
    reported: Values = {"action": outcome.action}
    for name in resource.summary:
        reported[name] = known.get(name, resource.field(name).identity_default)
    reported["changes"] = outcome.changes
    reported.update(_requested_extras(module, reconciler, outcome, outcome))
    if outcome.error:
        reported["error"] = outcome.error.as_dict()
    return reported


def _requested_extras(module: Module, reconciler: Reconciler, issuing: Outcome, acting: Outcome) -> Values:
    """Return what a result contains beside the object: what it became, the answer to its action, and new secrets."""
    other = reconciler.resource.becomes
    result: Values = {other.noun: issuing.plan.became} if other else {}
    if reconciler.run.act:
        result[t.cast(Action, reconciler.resource.offered_action).result] = acting.action_answer
    if module.params.get("return_secrets"):
        result["secrets"] = _secrets(issuing)
    return result


def _secrets(outcome: Outcome) -> Values:
    """Return the secrets that this run issued, null in check mode; empty if it issued none."""
    predicted = dict.fromkeys(outcome.plan.resource.shown_once) if outcome.plan.issues_secrets else {}
    return outcome.secrets or ({} if outcome.error or not outcome.changed else predicted)


def _destination_problems(module: Module, labelled: list[tuple[str, Values]]) -> list[str]:
    """Return a sentence for each destination of secrets that cannot be used."""
    problems = []
    if module.params.get("return_secrets") and not module.no_log:
        problems.append("return_secrets: Ansible would show the secrets; also set no_log: true on the task")
    paths = [(place, wanted["secrets_file"]) for place, wanted in labelled if "secrets_file" in wanted]
    return problems + secrets_file.problems(paths, module.check_mode)


def _secrets_without_destination(module: Module, plans: list[Plan]) -> list[str]:
    """Return a sentence for each plan that would issue secrets without a destination."""
    if module.params.get("return_secrets"):
        return []
    return [
        f"{plan.label}: PgBeam shows new secrets only once; set secrets_file, or return_secrets: true and no_log: true"
        for plan in plans
        if plan.issues_secrets and not plan.wanted.get("secrets_file")
    ]


def _raise(problems: list[str]) -> None:
    if problems:
        raise TaskError(join_errors(problems))


def _warn(module: Module, plans: list[Plan]) -> None:
    """Show the warnings of the plans, and warn of a changed login whose secret is not sent."""
    for plan in plans:
        for warning in plan.warnings:
            module.warn(warning)
        path = plan.wanted.get("secrets_file")
        missing = secrets_file.missing_directory(path) if path else None
        if missing:  # only possible in check mode
            module.warn(f"{plan.label}: secrets_file: {missing}; {references.unless_created('it')}")
        resource = plan.resource
        for secret in (f.name for f in resource.fields if f.secret):
            if resource.tie_breaker in plan.changes and secret in plan.wanted and secret not in plan.body:
                module.warn(
                    f"{plan.label}: {resource.tie_breaker} changes, but PgBeam keeps the old {secret}; "
                    f"set update_{secret}: always for this run to send the new one"
                )


def _wanted(reconciler: Reconciler, values: Values, given: Values) -> Values:
    """Return what the task sets for one object, with its parent.

    ``values`` are the options as core completed and converted them, ``given`` as they were before.
    """
    resource = reconciler.resource
    names = {resource.id_field, *(f.name for f in resource.options)}
    wanted = validation.drop_nulls({name: value for name, value in values.items() if name in names})
    wanted.update(validation.explicit_nulls(resource, given))
    if values.get("state") == "absent":
        unused = (f.name_option for f in resource.references if f.name not in resource.identity)
        for name in ("secrets_file", "rotate", *unused):
            wanted.pop(name, None)
    for f in resource.references:
        if f.name_option in wanted:
            wanted[f.name] = UnresolvedName(wanted.pop(f.name_option))
    return {**wanted, resource.parent: reconciler.parent} if reconciler.parent else wanted


def run_info(resource: Resource) -> None:
    """The body of a module that reads."""
    run_body(_info, Module(resource, argument_spec.info_spec(resource)))


def _info(module: Module, reconciler: Reconciler) -> None:
    resource = reconciler.resource
    key = resource.id_field
    names = (key, *(f.name for f in resource.info_fields))
    wanted = validation.drop_nulls({name: module.params.get(name) for name in names})
    if resource.parent and not resource.path_has_parent and not reconciler.parent and key not in wanted:
        raise TaskError(f"{resource.parent}: missing; set {resource.parent} or {key}")
    query = {f.name: wanted[f.name] for f in resource.query if f.name in wanted}
    items = reconciler.read_one(wanted[key], query) if key in wanted else reconciler.read_all(query)
    if resource.is_singleton:
        returned: Values = {resource.noun: items[0]}
        module.exit(changed=False, **returned)
    # Includes the filters of the query, because a server ignores those that it does not know.
    filters = [resource.field(name) for name in resource.filter_names if name in wanted]
    kept = [item for item in items if all(f.equals(wanted[f.name], item.get(f.name)) for f in filters)]
    unclear = [f for f in filters if f.zero is None and not f.nullable]
    hidden = {f.name for f in unclear for item in items if item.get(f.name) is None}
    if hidden:
        module.warn(
            f"{resource.plural}: PgBeam does not return {', '.join(sorted(hidden))} for some of them; those are omitted"
        )
    for duplicates in Index(resource, kept).duplicate_warnings():
        module.warn(duplicates)
    result: Values = {resource.plural: kept}
    module.exit(changed=False, **result)
