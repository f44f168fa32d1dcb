# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' bodies: parameters in, calls to the API, results and failures out.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import os
import time
import traceback
import typing as t
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.pgbeam.cloud.plugins.module_utils import _checks, _client, _engine, _errors, _module
from ansible_collections.pgbeam.cloud.plugins.module_utils._client import Client, ConfigError, Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import Plan, PlanError, Register
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._module import CONNECTION, Module, sentences
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Resource, Values

WRITES = ("created", "updated", "replaced", "deleted")
TURN_POLL = 0.05  # seconds
PROGRESS_SECONDS = 10


@dataclass
class _Outcome:
    """What became of one plan."""

    plan: Plan
    action: str
    values: Values = field(default_factory=dict)
    error: ApiError | None = None
    connection_test: Values | None = None
    #: The first object, as the create's answer has it.
    first: Values = field(default_factory=dict)
    #: How many of the objects that it replaces are gone.
    removed: int = 0

    @property
    def changed(self) -> bool:
        return self.action in WRITES

    @property
    def changes(self) -> list[str]:
        return [name for name in self.plan.changes if self._made(name)] if self.changed else []

    def diff(self) -> Values:
        told = self.plan.diff()
        after = {name: value for name, value in told["after"].items() if self._made(name)}
        if "id" in after:  # of twins, those that could not be removed are there still
            after["id"] = [*after["id"], *(item["id"] for item in self.plan.replaces[self.removed :] if self.error)]
        return {**told, "after": after}

    def _made(self, name: str) -> bool:
        """Whether a field that moves did so: where the write after a create failed, its fields did not."""
        return not self.error or name not in self.plan.late


class _Session:
    """One run of a module over one parent: reads, then writes in parallel until something ends the run.

    In check mode the parent may be empty: it is not there yet, so nothing is in it.
    """

    def __init__(self, module: Module, resource: Resource, parent: str, client: Client) -> None:
        self.module = module
        self.resource = resource
        self.parent = parent
        self.path = resource.path.format(**{resource.parent: parent})
        self.client = client
        self.parallel: int = module.params.get("parallel") or 1

    def inside(self, identifier: str) -> _Session:
        """The session over what is made with an object: the resource's first objects."""
        return _Session(self.module, t.cast(Resource, self.resource.first), identifier, self.client)

    def take_turn(self) -> None:
        """Wait until no other run of this user on this machine writes to the same objects; raise PlanError in the end.

        The server would make an object once for each of two runs that both found it missing. A run that was killed
        counts as well, since its module goes on for a while. The turn ends with the process. A file system without
        locks gives no turns. In check mode there is nothing to wait for.
        """
        if self.module.check_mode:
            return
        settings = self.client.settings
        place = f"{settings.api_url.rstrip('/')} {self.path}"
        name = f"pgbeam.cloud-{hashlib.sha256(place.encode()).hexdigest()[:16]}.lock"
        deadline = time.monotonic() + settings.retry_budget
        try:
            os.makedirs(self.module.user_tmp, mode=0o700, exist_ok=True)
            # Without a link in its place, which could lead to somebody's file. Open until the end.
            turn = os.open(os.path.join(self.module.user_tmp, name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                time.sleep(TURN_POLL)
        except OSError:
            return
        resource = self.resource
        what = resource.of_parent(self.parent) if resource.below_parent else resource.plural
        raise PlanError(
            f"another run on this machine is changing the {what}, "
            f"and has not ended within retry_budget ({settings.retry_budget} s); "
            "run again when it has, or raise retry_budget"
        )

    def read_all(self) -> list[Values]:
        resource = self.resource
        if resource.below_parent and not self.parent:
            return []
        query = {resource.parent: self.parent} if resource.parent and not resource.below_parent else None
        target = resource.of_parent(self.parent)
        items = self.client.list(self.path, resource.plural, target, self._misfit, query=query, paged=resource.paged)
        # By id, since an object can be on two pages where others come and go between them.
        there = {item["id"]: _engine.whole(resource, item) for item in items if not resource.is_gone(item)}
        return list(there.values())

    def read_one(self, identifier: str) -> list[Values]:
        """The object with this id as a list of one; an empty list where there is none."""
        resource = self.resource
        if not resource.readable or (resource.below_parent and not self.parent):
            return [item for item in self.read_all() if item["id"] == identifier]
        try:
            item = self.client.get(self._item_path(identifier), f"{resource.noun} {identifier}", self._misfit)
        except ApiError as error:
            if not error.missing:
                raise
            # Which of the two is not there, this object or its parent, only the list tells.
            return [item for item in self.read_all() if item["id"] == identifier] if resource.below_parent else []
        return [] if resource.is_gone(item) else [_engine.whole(resource, item)]

    def register(self, identifier: str | None) -> Register:
        """What is there: the one object where its id is known and enough, else all of them."""
        one = identifier if self.resource.readable else None
        return Register(self.resource, self.read_one(one) if one else self.read_all())

    def plan(self, register: Register, wanted: Values, state: str, shared: _engine.Identities = frozenset()) -> Plan:
        """What has to be done for one object. Raises PlanError where it cannot be done."""
        params = self.module.params
        replace = params.get("replace", False)
        current = register.find(wanted, state, shared, replace)
        twins = register.like({**current, **wanted, "id": current["id"]}) if replace and current else []
        resend = params.get("update_password") == "always"
        return _engine.plan(self.resource, wanted, current, state, resend, twins if replace else None)

    def _misfit(self, values: Values) -> str | None:
        return _engine.misfit(self.resource, values)

    def _item_path(self, identifier: str | None) -> str:
        return f"{self.path}/{identifier}"

    def carry_out(self, plans: list[Plan]) -> list[_Outcome]:
        """Do what the plans say, or in check mode foresee it. One outcome a plan, in order; raises nothing."""
        if self.module.check_mode:
            return [_Outcome(plan, plan.action, plan.predict()) for plan in plans]
        outcomes = [_Outcome(plan, plan.action, plan.current or {}) for plan in plans]
        for goes in (True, False):  # what goes makes room, where a plan allows no more
            self._each(self._write, [o for o in outcomes if (o.plan.action == "deleted") == goes])
        self._settle(outcomes)
        if self.module.params.get("test_connection") and self.resource.test:
            self._each(self._test, [o for o in outcomes if o.values and o.action not in ("failed", "skipped")])
        return outcomes

    def _each(self, do: t.Callable[[_Outcome], None], outcomes: list[_Outcome]) -> None:
        """Do it for each, in parallel. The system's log, all that a running module can write to, tells how far."""

        def guarded(outcome: _Outcome) -> None:
            try:
                do(outcome)
            except ApiError as error:
                if error.attempts or outcome.action != "failed":
                    outcome.error = error
                else:
                    outcome.action = "skipped"
            except Exception as bug:  # one object's, so that what became of the others is not lost with it
                call = Call("write", self.path, outcome.plan.label)
                outcome.error = ApiError(call, *_unexpected(bug), maybe_done=True)

        if len(outcomes) < 2:
            list(map(guarded, outcomes))
            return
        told = time.monotonic()
        with ThreadPoolExecutor(min(self.parallel, len(outcomes))) as pool:
            for number, _done in enumerate(pool.map(guarded, outcomes), 1):
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    self.module.log(f"{number} of {len(outcomes)} {self.resource.plural} of {self.parent} are done")

    def _write(self, outcome: _Outcome) -> None:
        plan = outcome.plan
        if plan.action == "unchanged":
            return
        outcome.action = "failed"  # until the first write is known to be made
        if plan.action == "deleted":
            outcome.action = "deleted" if self.client.delete(self._item_path(plan.id), plan.label) else "unchanged"
            outcome.values = {}
        else:
            if plan.body:
                self._send(outcome)
            self._complete(outcome)
        self.module.changed |= outcome.changed

    def _send(self, outcome: _Outcome) -> None:
        """Make a plan's first write, and keep what is answered."""
        plan, resource = outcome.plan, self.resource
        if plan.action == "updated":
            outcome.values = self._change(plan.id, plan, plan.body)
            return
        key = resource.answer
        answer = self.client.write(
            "POST", self.path, plan.label, plan.request, lambda found: self._misfit(_within(found, key))
        )
        outcome.values = _engine.whole(resource, _within(answer, key))
        if plan.first and resource.first:
            first = _within(answer, resource.first.noun)
            outcome.first = {} if _engine.misfit(resource.first, first) else _engine.whole(resource.first, first)

    def _change(self, identifier: str | None, plan: Plan, body: Values) -> Values:
        """Change an object in place and return it as answered."""
        path = self._item_path(identifier)
        answer = self.client.write(self.resource.update_verb, path, plan.label, body, self._misfit)
        return _engine.whole(self.resource, answer)

    def _complete(self, outcome: _Outcome, there: Register | None = None) -> None:
        """Make the writes after the first: what a create does not take, and what is replaced. Those made stay made.

        ``there`` is what was found after a lost answer: what is not in it any more has been removed.
        """
        plan = outcome.plan
        outcome.removed = 0
        if plan.body:
            outcome.action, self.module.changed = plan.action, True
        late = _engine.plan(self.resource, plan.late, outcome.values, "present", False).body
        try:
            if late:
                outcome.values = self._change(outcome.values["id"], plan, late)
            for item in plan.replaces:
                lost = there is not None and not there.find({"id": item["id"]})
                if lost or self.client.delete(self._item_path(item["id"]), f"{plan.label} ({item['id']})"):
                    outcome.action, self.module.changed = plan.action, True
                outcome.removed += 1
        except ApiError as error:
            without = f"without {', '.join(late)}" if late else "beside the one that it replaces"
            error.advice += f"; the {self.resource.noun} {outcome.values['id']} is there now, {without}"
            raise
        if outcome.action == "failed":  # somebody else has removed all that was to be removed
            outcome.action = "unchanged"

    def _settle(self, outcomes: list[_Outcome]) -> None:
        """Where a write's outcome is unknown, list once more: what is there now tells how it ended."""
        unknown = [o for o in outcomes if o.error and o.error.maybe_done]
        if not unknown:
            return
        register: Register | None = None
        with contextlib.suppress(Exception):  # each write's own error is the one to tell
            # Without a parent to list, the one object was named by its id.
            register = self.register(None if self.parent else unknown[0].plan.id)
        for outcome in unknown:
            done = outcome.plan.done(register) if register else None
            if register and done is not None and self._shows(outcome, done, register):
                outcome.values, outcome.error = done, None
                if outcome.plan.late or outcome.plan.replaces:
                    self._each(lambda o: self._complete(o, register), [outcome])
                else:
                    outcome.action, self.module.changed = outcome.plan.action, True
            if outcome.error and outcome.error.maybe_done:
                outcome.error.advice += "; the change may have been made, as a second run will tell"

    def _shows(self, outcome: _Outcome, done: Values, there: Register) -> bool:
        """Whether what is there shows the write that was lost, where it was not the plan's first one."""
        plan, call = outcome.plan, t.cast(ApiError, outcome.error).call
        if call.method == "DELETE":
            return there.find({"id": call.path.rpartition("/")[2]}) is None
        return call.method == "POST" or not _engine.plan(self.resource, plan.late, done, "present", False).body

    def _test(self, outcome: _Outcome) -> None:
        path = f"{self._item_path(outcome.values['id'])}/{self.resource.test}"
        call = Call("POST", path, f"connection test of {outcome.plan.label}")
        try:
            outcome.connection_test = self.client.write(call.method, path, call.target)
        except ApiError as error:
            error.maybe_done = False  # a test changes nothing
            raise
        if outcome.connection_test.get("ok") is not True:
            said = str(outcome.connection_test.get("error") or "it does not say why")
            reason = _errors.line(said, self.module.conceal)
            outcome.error = ApiError(
                call, f"PgBeam cannot connect to it: {reason}",
                "check host, port, username, password, ssl_mode and the network path from PgBeam to the server",
                code="CONNECTION_TEST_FAILED", message=reason,
            )  # fmt: skip


def _within(answer: Values, key: str) -> Values:
    """The object in an answer, where it does not stand for itself."""
    found = answer.get(key) if key else answer
    return found if isinstance(found, dict) else {}


def _module_main(body: t.Callable[[Module, _Session], None], module: Module) -> None:
    """Run a module's body; whatever is raised ends as one sentence."""
    gc.freeze()  # what was imported stays to the end, and walking through it takes longer than many a module's work
    if _client.REQUESTS_IMPORT_ERROR:
        module.finish(missing_required_lib("requests"))
    failure: str | None = None
    result: Values = {}
    try:
        found = module.problems()
        if found:
            raise PlanError(sentences(found))
        client = Client(Settings(**{name: module.params[name] for name in CONNECTION}), module.conceal)
        parent = module.params.get(module.resource.parent) or ""
        body(module, _Session(module, module.resource, parent, client))
    except (ConfigError, PlanError) as error:
        failure = str(error)
    except ApiError as error:
        failure = str(error)
        result["error"] = error.as_dict()
    except Exception as error:
        failure = "; ".join(_unexpected(error))
    # Not in an except block: there core could be told to show the exception, whose text may quote a secret.
    module.finish(failure, changed=module.changed, **result)


def _unexpected(error: Exception) -> tuple[str, str]:
    """What happened and what to do, for a fault of our own, by type and place; its text may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"unexpected {type(error).__name__} at {place}", "this is a bug in pgbeam.cloud, please report it"


def run_item(resource: Resource) -> None:
    """The body of a module for one object."""
    _module_main(_item, Module(resource, _module.item_spec(resource)))


def _item(module: Module, session: _Session) -> None:
    resource, params = session.resource, module.params
    wanted = _wanted(session, params)
    problem = _engine.incomplete(resource, wanted)
    if problem:
        raise PlanError(problem)
    session.take_turn()
    register = session.register(wanted.get("id"))
    plan = session.plan(register, wanted, params["state"])
    if plan.relocates:
        if "id" in wanted and resource.readable:  # else all that is there was listed
            parent = session.parent or t.cast(Values, plan.current).get(resource.parent) or ""
            register = _Session(module, resource, parent, session.client).register(None)
        problem = _engine.crowded(plan, register.without(plan.about))
        if problem:
            raise PlanError(problem)
    inner = _inner(session, plan) if resource.first and plan.id else None
    _warn_of_kept_secrets(module, [plan, *([inner[1]] if inner else [])])
    outcomes = session.carry_out([plan])
    if resource.first and resource.first.noun in wanted and params["state"] == "present":
        outcomes += _with_first(session, outcomes[0], inner)
    outcome, first = outcomes[0], outcomes[1] if len(outcomes) > 1 else None
    changed = [o for o in outcomes if o.changed]
    within = [f"{first.plan.resource.noun}.{name}" for name in first.changes] if first else []
    result: Values = {
        resource.noun: outcome.values,
        "action": outcome.action if outcome.action != "unchanged" or not changed else "updated",
        "changes": outcome.changes + within,
        "changed": bool(changed),
    }
    if first:
        result[first.plan.resource.noun] = first.values
    if params.get("test_connection"):
        result["connection_test"] = outcomes[-1].connection_test
    if module._diff:
        diffs = [o.diff() for o in changed]
        result["diff"] = diffs if len(diffs) > 1 else (diffs or [{"before": {}, "after": {}}])[0]
    errors = [o.error for o in outcomes if o.error]
    if session.client.ended_by and not errors and any(o.action == "skipped" for o in outcomes):
        errors = [session.client.ended_by]
    if errors:
        module.finish(sentences(list(map(str, errors))), error=errors[0].as_dict(), **result)
    else:
        module.finish(**result)


def _inner(session: _Session, plan: Plan) -> tuple[_Session, Plan] | None:
    """The session over what is in an object that is there, and the plan for its first object where the task names it.

    Raises PlanError where the object would be deleted with more in it than the task expects.
    """
    first = t.cast(Resource, session.resource.first)
    inside = session.inside(t.cast(str, plan.id))
    named = plan.wanted.get(first.noun)
    if plan.action == "deleted":
        params = session.module.params
        if not params["force"]:
            _engine.refuse_surplus(plan, inside.read_all(), params[f"expected_{first.plural}"] or [])
        return None
    if not named:
        return None
    inside.take_turn()
    return inside, inside.plan(inside.register(None), {**named, first.parent: plan.id}, "present")


def _with_first(session: _Session, outcome: _Outcome, inner: tuple[_Session, Plan] | None) -> list[_Outcome]:
    """What becomes of the first object in one that is as it should be; nothing where that has failed."""
    made = outcome.plan.first
    if inner:
        return [] if outcome.error else inner[0].carry_out([inner[1]])
    if not made or outcome.action != "created":
        return []
    if session.module.check_mode:
        return [_Outcome(made, "created", made.predict())]
    inside = session.inside(outcome.values["id"])
    told = _Outcome(made, "created", outcome.first or {**made.predict(), made.resource.parent: inside.parent})
    if session.client.ended_by and outcome.error:
        return [told]
    try:
        found = outcome.first or made.done(inside.register(None))
    except ApiError as error:
        told.error = error
        return [told]
    if found is None:
        return inside.carry_out([made])
    (told,) = inside.carry_out([Plan(made.resource, "unchanged", made.wanted, found)])
    told.plan, told.action = made, "created"
    return [told]


def run_list(resource: Resource) -> None:
    """The body of a module for a whole list."""
    _module_main(_list, Module(resource, _module.list_spec(resource)))


def _list(module: Module, session: _Session) -> None:
    resource, params = session.resource, module.params
    placed = _module.entries(resource, params)
    places = [place for place, entry in placed]
    entries = [_wanted(session, entry) for place, entry in placed]
    found = [p for p in (_engine.incomplete(resource, e, f"{w}: ") for w, e in zip(places, entries)) if p]
    found = found or _engine.clashes(resource, entries, lambda index: places[index])
    if params["prune"] and not entries:
        found.append(
            f"prune: the list of {resource.plural} is empty, and pruning by it would delete all "
            f"{resource.of_parent(session.parent)}; give the list, or use state=absent"
        )
    if found:
        raise PlanError(sentences(found))
    session.take_turn()
    register = session.register(None)
    plans = _plans(session, places, entries, register)
    _warn_of_kept_secrets(module, plans)
    outcomes = session.carry_out(plans)
    unpruned = params["prune"] and (session.client.ended_by or any(outcome.error for outcome in outcomes))
    if params["prune"] and not unpruned:
        kept = [item for plan in plans for item in plan.about]
        outcomes += session.carry_out([_engine.plan_delete(resource, {}, item) for item in register.unclaimed(kept)])
    _finish_list(module, session, outcomes, bool(unpruned))


def _plans(session: _Session, places: list[str], entries: list[Values], register: Register) -> list[Plan]:
    """A plan an entry. Raises PlanError with every entry that cannot be planned, before anything is written."""
    resource, params = session.resource, session.module.params
    shared = _engine.shared_identities(resource, entries)
    plans: dict[str, Plan] = {}
    found: list[str] = []
    for place, wanted, given in zip(places, entries, params[resource.plural]):
        try:
            plans[place] = session.plan(register, wanted, given["state"], shared)
        except PlanError as error:
            found.append(f"{place}: {error}")
    planned = list(plans)
    found += _engine.collisions(list(plans.values()), lambda index: planned[index])
    if not params["prune"] and any(plan.relocates for plan in plans.values()):
        others = register.without([item for plan in plans.values() for item in plan.about])
        crowded = {place: _engine.crowded(plan, others) for place, plan in plans.items() if plan.relocates}
        found += [f"{place}: {said}" for place, said in crowded.items() if said]
    if found:
        raise PlanError(sentences(found))
    return list(plans.values())


def _finish_list(module: Module, session: _Session, outcomes: list[_Outcome], unpruned: bool) -> None:
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
    # Those that were not begun come last, since few sentences are shown and one says why.
    failed = sorted((o.error for o in outcomes if o.error), key=lambda error: error.attempts == 0)
    errors = list(dict.fromkeys(map(str, failed)))
    if session.client.ended_by and not errors and (counts["skipped"] or unpruned):
        errors = [str(session.client.ended_by)]
    if errors:
        said += ", nothing was pruned" if unpruned else ""
        module.finish(f"{sentences(errors)} [{said}]", **result)
    else:
        module.finish(msg=said, **result)


def _told(module: Module, outcome: _Outcome) -> Values:
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


def _wanted(session: _Session, values: Values) -> Values:
    """What the task names of one object, with the parent that it belongs to."""
    names = {"id", *(f.name for f in session.resource.options)}
    wanted = _checks.named({name: value for name, value in values.items() if name in names})
    return {**wanted, session.resource.parent: session.parent} if session.parent else wanted


def run_info(resource: Resource) -> None:
    """The body of a module that reads."""
    _module_main(_info, Module(resource, _module.info_spec(resource)))


def _info(module: Module, session: _Session) -> None:
    resource = session.resource
    wanted = _checks.named({name: module.params[name] for name in ("id", *resource.filters)})
    if resource.parent and not resource.below_parent and not session.parent and "id" not in wanted:
        raise PlanError(f"{resource.parent}: it is missing; give it, or the id, to say which {resource.plural}")
    filters = [resource.field(name) for name in resource.filters if name in wanted]
    items = session.read_one(wanted["id"]) if "id" in wanted else session.read_all()
    kept = [item for item in items if all(f.same(wanted[f.name], item.get(f.name)) for f in filters)]
    for twins in Register(resource, kept).twins():
        module.warn(twins)
    result: Values = {resource.plural: kept}
    module.finish(changed=False, **result)
