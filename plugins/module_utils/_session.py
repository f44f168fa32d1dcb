# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run over the objects of one parent: what is there is read, then plans are carried out.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils import _checks, _engine, _errors, _lock
from ansible_collections.pgbeam.cloud.plugins.module_utils._client import Check, Client
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import ApiError, Call, PlanError
from ansible_collections.pgbeam.cloud.plugins.module_utils._module import Module
from ansible_collections.pgbeam.cloud.plugins.module_utils._register import Identities, Register
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Resource, Values

WRITES = ("created", "updated", "replaced", "deleted")
PROGRESS_SECONDS = 5
MOST_CONFLICTS = 5  # times that one object's write is planned again after another writer has changed it


@dataclass
class Outcome:
    """What became of one plan."""

    plan: Plan
    action: str = "unchanged"
    values: Values = field(default_factory=dict)
    error: ApiError | None = None
    connection_test: Values | None = None
    #: The first object, as the create's answer has it.
    first_answer: Values = field(default_factory=dict)
    #: The plan of the last attempt, after another writer has changed the object.
    replanned: Plan | None = None
    #: Whether what a create does not carry was sent after it, as far as that was needed.
    completed: bool = False
    #: Those of the objects that it replaces that are there still.
    left: list[Values] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.action in WRITES

    @property
    def changes(self) -> list[str]:
        return [name for name in self.plan.changes if self._made(name)] if self.changed else []

    def diff(self) -> Values:
        told = self.plan.diff()
        after = {name: value for name, value in told["after"].items() if self._made(name)}
        if "id" in after:
            after["id"] = [*after["id"], *(item["id"] for item in self.left)]
        return {**told, "after": after}

    def _made(self, name: str) -> bool:
        """Whether a field that moves did so: where the write after a create failed, its fields did not."""
        return not self.error or self.completed or name.partition(".")[0] not in self.plan.late


class Session:
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
        #: The entity tag of each object that was read by itself, for a write that is made from it.
        self._etags: dict[str, str | None] = {}
        #: What new objects begin with, as far as an answer has shown it.
        self._begins_with: Values = {}

    def inside(self, identifier: str) -> Session:
        """The session over what is made with an object: the resource's first objects."""
        return Session(self.module, t.cast(Resource, self.resource.first), identifier, self.client)

    def take_lock(self) -> None:
        """Wait until no other run of this user on this machine writes to the same objects; raise PlanError in the end.

        The server would make an object once for each of two runs that both found it missing. A run that was killed
        counts as well, since its module goes on for a while. In check mode there is nothing to wait for.
        """
        settings = self.client.settings
        place = f"{settings.base_url} {self.path}"
        turn = _lock.turn(self.module.user_tmp, place, settings.retry_budget)
        if self.module.check_mode or self.module.until_end.enter_context(turn):
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
        there = {item["id"]: resource.whole(item) for item in items if not resource.is_gone(item)}
        return list(there.values())

    def read_one(self, identifier: str) -> list[Values]:
        """The object with this id as a list of one; an empty list where there is none."""
        resource = self.resource
        if not resource.readable or (resource.below_parent and not self.parent):
            return [item for item in self.read_all() if item["id"] == identifier]
        try:
            item = self._get(identifier, f"{resource.noun} {identifier}")
        except ApiError as error:
            if not error.missing:
                raise
            # Which of the two is not there, this object or its parent, only the list tells.
            return [item for item in self.read_all() if item["id"] == identifier] if resource.below_parent else []
        return [] if resource.is_gone(item) else [resource.whole(item)]

    def _get(self, identifier: str, target: str) -> Values:
        answer = self.client.get(self._item_path(identifier), target, self._only(identifier))
        self._etags[identifier] = answer.etag
        return answer.content

    def register(self, identifier: str | None) -> Register:
        """What is there: the one object where its id is known and enough, else all of them."""
        one = identifier if self.resource.readable else None
        return Register(self.resource, self.read_one(one) if one else self.read_all())

    def plan(self, register: Register, wanted: Values, state: str, shared: Identities = frozenset()) -> Plan:
        """What has to be done for one object. Raises PlanError where it cannot be done."""
        params = self.module.params
        replace = params.get("replace", False)
        resend = any(params.get(f"update_{f.name}") == "always" for f in self.resource.fields if f.secret)
        current = register.find(wanted, state, shared, replace)
        twins = register.like({**current, **wanted, "id": current["id"]}) if replace and current else []
        return _engine.plan(self.resource, wanted, current, state, resend, replace, twins)

    def _misfit(self, values: Values) -> str | None:
        return _checks.misfit(self.resource, values)

    def _only(self, identifier: str | None) -> Check:
        """A check that an answer is about the one object that was asked for. A cache on the way may have another."""

        def check(values: Values) -> str | None:
            other = None if values.get("id") == identifier else "another object than the one asked for"
            return self._misfit(values) or other

        return check

    def _item_path(self, identifier: str | None) -> str:
        return f"{self.path}/{identifier}"

    def carry_out(self, plans: list[Plan]) -> list[Outcome]:
        """Do what the plans say, or in check mode foresee it. One outcome a plan, in order; raises nothing."""
        if self.module.check_mode:
            return [Outcome(plan, plan.action, plan.predict()) for plan in plans]
        outcomes = [Outcome(plan, values=plan.current or {}) for plan in plans]
        going = [o for o in outcomes if o.plan.action == "deleted"]
        self._each(self._write, going)  # what goes makes room, where a plan allows no more
        self._settle(going)
        others = self._with_room(outcomes, going)
        # The first one shows what new objects begin with, so that the others take one call each.
        first = [o for o in others if any(self.resource.field(name).fields for name in o.plan.late)][:1]
        self._each(self._write, first)
        self._each(self._write, [o for o in others if o not in first])
        self._settle(others)
        for outcome in outcomes:
            if outcome.error and not outcome.changed:
                outcome.action = "failed"
        self.test(outcomes)
        return outcomes

    def finish(self, outcome: Outcome) -> None:
        """Do for an object that another write has created what is left of its plan."""
        self._each(self._complete, [outcome])
        self._settle([outcome])
        self.test([outcome])

    def test(self, outcomes: list[Outcome]) -> None:
        """Test the connection of each object that is there, where the task asks for it."""
        if self.module.params.get("test_connection") and self.resource.test:
            there = [o for o in outcomes if o.values and o.action not in ("failed", "skipped")]
            self._each(self._test, [o for o in there if not o.error])

    def errors(self, outcomes: list[Outcome], unpruned: bool = False) -> list[ApiError]:
        """What to tell of these outcomes: their errors, else what ended the run where it left something undone."""
        # Those that were not begun come last, since few sentences are shown and one says why.
        found = sorted((o.error for o in outcomes if o.error), key=lambda error: not error.begun)
        undone = unpruned or any(outcome.action == "skipped" for outcome in outcomes)
        ended = self.client.ended_by
        return found or ([ended] if ended and undone else [])

    def _each(self, do: t.Callable[[Outcome], None], outcomes: list[Outcome]) -> None:
        """Do it for each, in parallel, and tell from time to time how far that is."""

        def guarded(outcome: Outcome) -> None:
            try:
                do(outcome)
            except ApiError as error:
                outcome.error = error
            except Exception as bug:  # one object's, so that what became of the others is not lost with it
                call = Call("write", self.path, outcome.plan.label)
                outcome.error = ApiError(call, *_errors.unexpected(bug), maybe_done=True)

        if len(outcomes) < 2:
            list(map(guarded, outcomes))
            return
        told = time.monotonic()
        pool = ThreadPoolExecutor(min(self.parallel, len(outcomes)))
        try:
            for number, _done in enumerate(pool.map(guarded, outcomes), 1):
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    self.module.show(f"{number} of {len(outcomes)} {self.resource.of_parent(self.parent)}")
        finally:
            # Not waited for, since all are done, unless the task has run out of time.
            pool.shutdown(wait=False, cancel_futures=True)

    def _with_room(self, outcomes: list[Outcome], going: list[Outcome]) -> list[Outcome]:
        """Those of the others that can be carried out: none that would move to where one could not be removed."""
        stayed = Register(self.resource, [t.cast(Values, o.plan.current) for o in going if o.error])
        others = [o for o in outcomes if o.plan.action != "deleted"]
        for outcome in others:
            plan = outcome.plan
            for rival in _engine.rivals(plan, stayed):
                verb, place = self.resource.update_verb, self._item_path(plan.id)
                call = Call(verb, place, plan.label) if verb else Call("POST", self.path, plan.label)
                reason = f"not begun, since {self.resource.describe(rival)} ({rival['id']}) is still in its place"
                outcome.error = ApiError(call, reason, "remove that one, then run again", attempts=0)
        return [outcome for outcome in others if not outcome.error]

    def _write(self, outcome: Outcome) -> None:
        """Make a plan's writes. Those that are made stay made."""
        plan = outcome.plan
        try:
            if plan.action == "deleted":
                if self.client.delete(self._item_path(plan.id), plan.label):
                    self._made(outcome)
                outcome.values = {}
            elif plan.action != "unchanged":
                if plan.body:
                    self._send(outcome)
                self._complete(outcome)
        except ApiError as error:
            if error.begun or outcome.changed:
                raise
            outcome.action = "skipped"

    def _made(self, outcome: Outcome) -> None:
        outcome.action, self.module.changed = outcome.plan.action, True

    def _send(self, outcome: Outcome) -> None:
        """Make a plan's first write, and keep what is answered."""
        plan, resource = outcome.plan, self.resource
        if plan.action == "updated":
            outcome.plan = self._change(outcome, plan)
            if outcome.plan.action == "updated":
                self._made(outcome)
            return
        plan.complete(self._begins_with)
        key = resource.answer
        answer = self.client.write(
            "POST", self.path, plan.label, plan.request, lambda found: self._misfit(_within(found, key))
        )
        made = _within(answer.content, key)
        outcome.values = resource.whole(made)
        if answer.etag and not key:  # it is the tag of what is answered
            self._etags[made["id"]] = answer.etag
        objects = (f.name for f in resource.writable if f.fields and f.name not in plan.body)
        self._begins_with.update((name, made[name]) for name in objects if made.get(name))
        if plan.first and resource.first:
            first = _within(answer.content, resource.first.noun)
            outcome.first_answer = {} if _checks.misfit(resource.first, first) else resource.first.whole(first)
        self._made(outcome)

    def _change(self, outcome: Outcome, plan: Plan) -> Plan:
        """Change an object in place and keep what is answered. Returns the plan that was carried out in the end.

        A body made from what was read is sent with the tag of that object, so that no change of another writer is
        undone: after one, the change is planned again. A server without tags is written to without them.
        """
        resource, identifier = self.resource, t.cast(str, plan.id)
        received = self._etags.get(identifier)
        tag = _strong(received)
        fresh = not plan.conditional or identifier in self._etags
        conflicts, lost = 0, None  # the plan of a write whose answer was lost, so that what is found may be its work
        while True:
            try:
                if not fresh:
                    current, refused = self._get(identifier, plan.label), received
                    plan, received = self._planned_again(plan, current, lost), self._etags[identifier]
                    outcome.replanned = plan
                    if not plan.body:
                        outcome.values = resource.whole(current)
                        break
                    # Nothing has changed, so the strong form is not what the server compares.
                    tag = received if conflicts and received == refused else _strong(received)
                answer = self.client.write(
                    resource.update_verb, self._item_path(identifier), plan.label, plan.body, self._only(identifier),
                    tag if plan.conditional else None,
                )  # fmt: skip
            except ApiError as error:
                lost = plan if error.maybe_done and plan.body else lost
                error.maybe_done = lost is not None
                if error.status != 412 or not plan.conditional or conflicts == MOST_CONFLICTS:
                    raise
                conflicts, fresh = conflicts + 1, False
            else:
                self._etags[identifier] = answer.etag
                outcome.values = resource.whole(answer.content)
                break
        return plan

    def _planned_again(self, plan: Plan, current: Values, lost: Plan | None) -> Plan:
        """The plan for the object as it is now, with the changes of a write whose answer was lost.

        Raises ApiError if there is none.
        """
        reason = "it was deleted meanwhile" if self.resource.is_gone(current) else ""
        try:
            again = plan.again(self.resource.whole(current), lost)
        except PlanError as error:
            reason = reason or str(error)
        if reason:
            call = Call(self.resource.update_verb, self._item_path(plan.id), plan.label)
            raise ApiError(call, reason, "nothing was written to it")
        return again

    def _complete(self, outcome: Outcome, there: Register | None = None) -> None:
        """Make the writes after the first: what a create does not take, and what is replaced.

        ``there`` is what was found after a lost answer: what is not in it any more has been removed.
        """
        plan = outcome.plan
        late = plan.late
        outcome.left = list(plan.replaces)
        try:
            if late:
                self._follow_up(outcome)
            for item in plan.replaces:
                lost = there is not None and not there.find({"id": item["id"]})
                if lost or self.client.delete(self._item_path(item["id"]), f"{plan.label} ({item['id']})"):
                    self._made(outcome)
                outcome.left.remove(item)
        except ApiError as error:
            without = f"without {', '.join(late)}" if late else "beside the one that it replaces"
            error.advice += f"; the {self.resource.noun} {outcome.values['id']} is there now, {without}"
            raise

    def _follow_up(self, outcome: Outcome) -> None:
        """Send what the create did not carry, as far as the object made differs."""
        made = outcome.values
        try:
            plan = outcome.plan.follow_up(made)
        except PlanError as error:
            call = Call(self.resource.update_verb, self._item_path(made["id"]), outcome.plan.label)
            raise ApiError(call, str(error), "nothing of it was sent", attempts=0) from None
        if plan.body:
            self._change(outcome, plan)
        outcome.completed = True

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Where a write's outcome is unknown, list once more: what is there now tells how it ended."""
        unknown = [o for o in outcomes if o.error and o.error.maybe_done]
        if not unknown:
            return
        register: Register | None = None
        with contextlib.suppress(Exception):  # each write's own error is the one to tell
            # Without a parent to list, the one object was named by its id.
            register = self.register(None if self.parent else unknown[0].plan.id)
        for outcome in unknown:
            found = _found(outcome, register) if register else None
            if found is not None:
                outcome.values, outcome.error = found, None
                self._made(outcome)
                self._each(lambda o: self._complete(o, register), [outcome])
            if outcome.error and outcome.error.maybe_done:
                outcome.error.advice += "; the change may have been made, as a second run will tell"

    def _test(self, outcome: Outcome) -> None:
        path = f"{self._item_path(outcome.values['id'])}/{self.resource.test}"
        call = Call("POST", path, f"connection test of {outcome.plan.label}")
        try:
            outcome.connection_test = self.client.write(call.method, path, call.target).content
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


def _found(outcome: Outcome, there: Register) -> Values | None:
    """The object after the write that was lost, where what is there shows that it was made; else None."""
    plan = outcome.plan
    found = (outcome.replanned or plan).done(there)
    if outcome.left:  # the loss was of its removal
        return None if there.find({"id": outcome.left[0]["id"]}) else found
    lost_late = found is not None and outcome.changed and plan.resource.moves(plan.late, found)
    return None if lost_late else found


def _strong(tag: str | None) -> str | None:
    """The strong form of an entity tag, the only one that HTTP lets match: gateways that compress weaken tags."""
    return tag and tag.removeprefix("W/")


def _within(answer: Values, key: str) -> Values:
    """The object in an answer, where it does not stand for itself."""
    found = answer.get(key) if key else answer
    return found if isinstance(found, dict) else {}
