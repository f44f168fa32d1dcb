# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the objects of one parent, plans what a task declares, and carries the plans out.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import planner, validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Identities, Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Action, Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Answer, Check, Client
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError, Call, bug, one_line
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import lock, secrets_file

WRITES = ("created", "updated", "replaced", "deleted")
PROGRESS_SECONDS = 5
ACTION_PAUSE = 5  # seconds between two calls of an action that has not succeeded
MAYBE_DONE = "the change may have been made, as a second run will tell"
MAX_CONFLICTS = 5  # times that one object's write is planned again after another writer has changed it


@dataclass(eq=False)  # two creates of one list may look alike
class Outcome:
    """What became of one plan."""

    plan: Plan
    action: str = "unchanged"
    values: Values = field(default_factory=dict)
    error: ApiError | None = None
    #: The last answer of the resource's action, if it was called.
    action_answer: Values | None = None
    #: The secrets that were issued, and whether some were that nobody will ever see.
    secrets: Values = field(default_factory=dict)
    secrets_lost: bool = False
    #: The first object, as the create's answer has it.
    nested_values: Values = field(default_factory=dict)
    #: The plan of the last attempt, after another writer has changed the object.
    replanned: Plan | None = None
    #: Whether what a create does not carry was sent after it, as far as that was needed.
    completed: bool = False
    #: Those of the objects that it replaces that are there still.
    not_removed: list[Values] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.action in WRITES

    @property
    def changes(self) -> list[str]:
        return [name for name in self.plan.changes if self._applied(name)] if self.changed else []

    def diff(self) -> Values:
        reported = self.plan.diff()
        after = {name: value for name, value in reported["after"].items() if self._applied(name)}
        key = self.plan.resource.id_field
        if key in after:
            after[key] = [*after[key], *(item[key] for item in self.not_removed)]
        return {**reported, "after": after}

    def _applied(self, name: str) -> bool:
        """Whether a field has changed as planned, also if a later write has failed."""
        if name in self.plan.achieves:
            return not self.error
        if name in self.plan.resource.issued:
            return not self.error or bool(self.secrets)
        return not self.error or self.completed or name.partition(".")[0] not in self.plan.deferred


@dataclass
class Run:
    """One run of a module: how it reads and writes, and whether it has changed anything."""

    client: Client
    check_mode: bool = False
    parallel: int = 1
    #: The ids of what the parent is in, by the resource's options for them.
    ancestors: Values = field(default_factory=dict)
    #: Whether an object that the API cannot update may be replaced.
    replace: bool = False
    #: The secret fields that are sent on every run.
    resent: frozenset[str] = frozenset()
    #: Whether the task asks for the resource's action, and how many seconds it is repeated until it succeeds.
    act: bool = False
    act_timeout: int = 0
    #: The folder of the lock files, and the locks, which are held until the run ends.
    lock_folder: str = ""
    until_end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    show_progress: t.Callable[[str], None] = lambda text: None
    warn: t.Callable[[str], None] = lambda text: None
    #: Masks the secrets in a server's words.
    redact: t.Callable[[str], str] = str
    changed: bool = False


class Reconciler:
    """The objects of one parent in one run: reads, then writes in parallel until something ends the run.

    In check mode the parent may be empty: it does not exist yet, so nothing is in it.
    """

    def __init__(self, run: Run, resource: Resource, parent: str) -> None:
        self.run = run
        self.resource = resource
        self.parent = parent
        self._ids = {**run.ancestors, resource.parent: parent}
        self.path = resource.path.format(**self._ids)
        self.client = run.client
        #: The entity tag of each object that was read by itself, for a write that is made from it.
        self._etags: dict[str, str | None] = {}
        #: What new objects begin with, as far as an answer has shown it.
        self._begins_with: Values = {}

    def of_nested(self, identifier: str) -> Reconciler:
        """The reconciler of the objects whose first one is created together with this object."""
        return Reconciler(self.run, t.cast(Resource, self.resource.nested), identifier)

    def take_lock(self) -> None:
        """Wait until no other run of this user on this machine writes to the same objects; raise TaskError in the end.

        The server would make an object once for each of two runs that both found it missing. A run that was killed
        counts as well, since its module goes on for a while. In check mode there is nothing to wait for.
        """
        settings = self.client.settings
        place = f"{settings.base_url} {self.path}"
        turn = lock.turn(self.run.lock_folder, place, settings.retry_budget)
        if self.run.check_mode or self.run.until_end.enter_context(turn):
            return
        resource = self.resource
        what = resource.collection_label(self.parent) if resource.path_has_parent else resource.plural
        raise TaskError(
            f"another run on this machine is changing the {what}, "
            f"and has not ended within retry_budget ({settings.retry_budget} s); "
            "run again when it has, or raise retry_budget"
        )

    @property
    def _parent_exists(self) -> bool:
        return not self.resource.path_has_parent or all(self._ids.values())

    def read_all(self) -> list[Values]:
        resource = self.resource
        if not self._parent_exists:
            return []
        if resource.is_singleton:
            label = resource.describe({resource.parent: self.parent})
            return [resource.with_all_fields(self.client.get(self.path, label, self._expect_id(None)).content)]
        query = {resource.parent: self.parent} if resource.parent and not resource.path_has_parent else None
        target = resource.collection_label(self.parent)
        items = self.client.list_all(
            self.path, resource.items_key, target, self._response_error, query=query, paged=resource.paged
        )
        # By id, since an object can be on two pages where others come and go between them.
        key = resource.id_field
        there = {item[key]: resource.with_all_fields(item) for item in items if not resource.is_deleted(item)}
        return list(there.values())

    def read_one(self, identifier: str) -> list[Values]:
        """The object with this id as a list of one; an empty list where there is none."""
        resource, key = self.resource, self.resource.id_field
        if not (resource.get_by_id and self._parent_exists):
            return [item for item in self.read_all() if item[key] == identifier]
        try:
            item = self._get(identifier, f"{resource.noun} {identifier}")
        except ApiError as error:
            if not error.not_found:
                raise
            # Which of the two is not there, this object or its parent, only the list tells.
            return [item for item in self.read_all() if item[key] == identifier] if resource.path_has_parent else []
        return [] if resource.is_deleted(item) else [resource.with_all_fields(item)]

    def _get(self, identifier: str, target: str) -> Values:
        answer = self.client.get(self._item_path(identifier), target, self._expect_id(identifier))
        self._etags[identifier] = answer.etag
        return answer.content

    def load_index(self, identifier: str | None) -> Index:
        """What is there: the one object where its id is known and enough, else all of them."""
        one = identifier if self.resource.get_by_id else None
        return Index(self.resource, self.read_one(one) if one else self.read_all())

    def plan(self, index: Index, wanted: Values, state: str, shared: Identities = frozenset()) -> Plan:
        """What has to be done for one object. Raises TaskError where it cannot be done."""
        replace = self.run.replace
        resend = not self.run.resent.isdisjoint(self.resource.secret_names)
        current = index.find(wanted, state, shared, replace)
        key = self.resource.id_field
        duplicates = index.duplicates_of({**current, **wanted, key: current[key]}) if replace and current else []
        plan = planner.make_plan(self.resource, wanted, current, state, resend, replace, duplicates)
        if plan.action == "created" and self.resource.becomes:
            became = self._became.find({name: wanted[name] for name in self.resource.identity})
            plan = planner.plan_nothing(self.resource, wanted, became) if became else plan
        if self.run.act:
            planner.expect_action(plan)
        return plan

    @functools.cached_property
    def _became(self) -> Index:
        """What objects of this resource have become. It is listed only if one of them would be created otherwise."""
        other = Reconciler(self.run, t.cast(Resource, self.resource.becomes), self.parent)
        return Index(other.resource, other.read_all())

    def _response_error(self, values: Values) -> str | None:
        return validation.response_error(self.resource, values)

    def _expect_id(self, identifier: str | None, envelope: str = "") -> Check:
        """A check that an answer is about the one object that was asked for. A cache on the way may have another."""

        def check(answer: Values) -> str | None:
            values = _unwrap(answer, envelope)
            expected = self.parent if self.resource.is_singleton else identifier
            is_another = values.get(self.resource.answer_key) != expected
            return self._response_error(values) or ("another object than the one asked for" if is_another else None)

        return check

    def _item_path(self, identifier: str | None) -> str:
        """The path of the writes to an object that exists."""
        if self.resource.is_singleton:
            return self.resource.write_path.format(**self._ids)
        return self.path if self.resource.put_by_identity else f"{self.path}/{identifier}"

    def apply(self, plans: list[Plan]) -> list[Outcome]:
        """Do what the plans say, or in check mode foresee it. One outcome a plan, in order; raises nothing."""
        if self.run.check_mode:
            return [Outcome(plan, plan.action, plan.predict()) for plan in plans]
        outcomes = [Outcome(plan, values=plan.current or {}) for plan in plans]
        deletions = [o for o in outcomes if o.plan.action == "deleted"]
        self._in_parallel(self._write, deletions)  # what goes makes room, where a plan allows no more
        self._resolve_unknown(deletions)
        others = self._unblocked(outcomes, deletions)
        # The first one shows what new objects begin with, so that the others take one call each.
        first = [o for o in others if any(self.resource.field(name).fields for name in o.plan.deferred)][:1]
        self._in_parallel(self._write, first)
        self._in_parallel(self._write, [o for o in others if o not in first])
        self._resolve_unknown(others)
        for outcome in outcomes:
            if outcome.error and not outcome.changed:
                outcome.action = "failed"
        self.act(outcomes)
        return outcomes

    def finish(self, outcome: Outcome) -> None:
        """Do for an object that another write has created what is left of its plan."""
        self._in_parallel(self._finish_writes, [outcome])
        self._resolve_unknown([outcome])
        self.act([outcome])

    def act(self, outcomes: list[Outcome]) -> None:
        """Call the resource's action for each object that exists, if the task asks for it and it has not succeeded."""
        action = self.resource.action
        if not self.run.act or not action:
            return
        existing = [o for o in outcomes if o.values and not o.error and o.action not in ("failed", "skipped")]
        if action.changes:
            existing = [o for o in existing if o.values.get(action.success[0]) != action.success[1]]
        deadline = time.monotonic() + self.run.act_timeout
        self._in_parallel(lambda outcome: self._act(action, outcome, deadline), existing)

    def errors(self, outcomes: list[Outcome], prune_skipped: bool = False) -> list[ApiError]:
        """What to tell of these outcomes: their errors, else what ended the run where it left something undone.

        A refusal that writes met at the same time, such as a plan's limit, is told once.
        """
        # Those that were not begun come last, since few sentences are shown and one says why.
        found = sorted((o.error for o in outcomes if o.error), key=lambda error: not error.sent)
        first = {(error.status, error.code): error for error in reversed(found) if error.fatal}
        found = [error for error in found if not error.fatal or first[error.status, error.code] is error]
        undone = prune_skipped or any(outcome.action == "skipped" for outcome in outcomes)
        ended = self.client.fatal_error
        return found or ([ended] if ended and undone else [])

    def _in_parallel(self, do: t.Callable[[Outcome], None], outcomes: list[Outcome]) -> None:
        """Do it for each, in parallel, and tell from time to time how far that is."""

        def guarded(outcome: Outcome) -> None:
            try:
                do(outcome)
            except ApiError as error:
                outcome.error = error
            except Exception as fault:  # one object's, so that what became of the others is not lost with it
                methods = {"updated": self.resource.update_verb or "POST", "deleted": "DELETE"}
                call = Call(methods.get(outcome.plan.action, self.resource.create_verb), self.path, outcome.plan.label)
                outcome.error = ApiError(call, *bug(fault), outcome_unknown=True)

        if len(outcomes) < 2:
            list(map(guarded, outcomes))
            return
        reported = time.monotonic()
        pool = ThreadPoolExecutor(min(self.run.parallel, len(outcomes)))
        try:
            for number, _done in enumerate(pool.map(guarded, outcomes), 1):
                if time.monotonic() - reported >= PROGRESS_SECONDS:
                    reported = time.monotonic()
                    self.run.show_progress(f"{number} of {len(outcomes)} {self.resource.collection_label(self.parent)}")
        finally:
            # Not waited for, since all are done, unless the task has run out of time.
            pool.shutdown(wait=False, cancel_futures=True)

    def _unblocked(self, outcomes: list[Outcome], deletions: list[Outcome]) -> list[Outcome]:
        """Those of the others that can be carried out: none that would move to where one could not be removed."""
        undeleted = Index(self.resource, [t.cast(Values, o.plan.current) for o in deletions if o.error])
        others = [o for o in outcomes if o.plan.action != "deleted"]
        for outcome in others:
            plan = outcome.plan
            for rival in planner.occupants(plan, undeleted):
                verb, place = self.resource.update_verb, self._item_path(plan.id)
                call = Call(verb, place, plan.label) if verb else Call("POST", self.path, plan.label)
                held_by = f"{self.resource.describe(rival)} ({rival[self.resource.id_field]})"
                reason = f"not begun, since {held_by} is still in its place"
                outcome.error = ApiError(call, reason, "remove that one, then run again", attempts=0)
        return [outcome for outcome in others if not outcome.error]

    def _write(self, outcome: Outcome) -> None:
        """Make a plan's writes. Those that are made stay made."""
        plan = outcome.plan
        try:
            if plan.action == "deleted":
                query = self.resource.identity_query(t.cast(Values, plan.current))
                if self.client.delete(self._item_path(plan.id), plan.label, query):
                    self._mark_changed(outcome)
                outcome.values = {}
            elif plan.action != "unchanged":
                if plan.body:
                    self._first_write(outcome)
                self._finish_writes(outcome)
                if plan.rotates:
                    self._rotate(outcome)
        except ApiError as error:
            if error.status == 409 and error.call.path in (self.path, self._item_path(plan.id)):
                error.advice = self.resource.if_conflict or error.advice
            if error.sent or outcome.changed:
                raise
            outcome.action = "skipped"

    def _mark_changed(self, outcome: Outcome) -> None:
        outcome.action, self.run.changed = outcome.plan.action, True

    def _first_write(self, outcome: Outcome) -> None:
        """Make a plan's first write, and keep what is answered."""
        plan, resource = outcome.plan, self.resource
        if plan.action == "updated":
            outcome.plan = self._update(outcome, plan)
            if outcome.plan.action == "updated":
                self._mark_changed(outcome)
            return
        plan.complete(self._begins_with)
        key = resource.create_envelope
        answer = self._send(resource.create_verb, self.path, plan.label, plan.create_body, self._check_created)
        made = _unwrap(answer.content, key)
        outcome.values = resource.with_all_fields(made)
        if answer.etag and not key:  # it is the tag of what is answered
            self._etags[made[resource.id_field]] = answer.etag
        objects = (f.name for f in resource.writable if f.fields and f.name not in plan.body)
        self._begins_with.update((name, made[name]) for name in objects if made.get(name))
        if plan.nested and resource.nested:
            first = _unwrap(answer.content, resource.nested.noun)
            outcome.nested_values = (
                {} if validation.response_error(resource.nested, first) else resource.nested.with_all_fields(first)
            )
        self._mark_changed(outcome)
        self._keep_secrets(outcome, answer.content)

    def _check_created(self, answer: Values) -> str | None:
        """What is wrong with the answer to a create, or to a rotation."""
        wrong = self._response_error(_unwrap(answer, self.resource.create_envelope))
        absent = [name for name in self.resource.shown_once if not isinstance(answer.get(name), str)]
        return wrong or (f"no {absent[0]}" if absent else None)

    def _send(self, method: str, path: str, label: str, body: Values, check: Check, etag: str | None = None) -> Answer:
        """Write an object. What the server has in it, this release does not know and the server refuses is left out."""
        keyed = method != "POST" or self.resource.idempotency_key
        try:
            return self.client.write(method, path, label, body, check, etag, keyed)
        except ApiError as error:
            known = self.resource.only_known(body)
            if error.status not in (400, 422) or known == body:
                raise
        answer = self.client.write(method, path, label, known, check, etag, keyed)
        names = ", ".join(self.resource.unknown_names(body)) or "parts of a list"
        self.run.warn(
            f"{label}: PgBeam refused {names}, which it returns and this release does not know, so the update left "
            "that out; check the object, and update the pgbeam.cloud collection"
        )
        return answer

    def _keep_secrets(self, outcome: Outcome, answer: Values) -> None:
        """Write the secrets of an answer to the task's file, before anything else can go wrong."""
        outcome.secrets = {name: answer[name] for name in self.resource.shown_once}
        path = outcome.plan.wanted.get("secrets_file")
        if not path or not outcome.secrets:
            return
        identifier = outcome.values[self.resource.id_field]
        try:
            secrets_file.write(path, {"id": identifier, **outcome.secrets})
        except OSError as error:
            call = Call("POST", self.path, outcome.plan.label)
            raise ApiError(
                call,
                f"its secrets could not be written to {path} ({error.strerror})",
                f"the {self.resource.noun} {identifier} exists: make the file writable, then set rotate: true to issue "
                "new ones",
            ) from None

    def _rotate(self, outcome: Outcome) -> None:
        """Issue new secrets for an object that exists."""
        identifier = outcome.values[self.resource.id_field]
        path = f"{self._item_path(identifier)}/{self.resource.rotate_action}"
        try:
            answer = self.client.write("POST", path, f"new secrets of {outcome.plan.label}", None, self._check_created)
        except ApiError as error:
            if error.outcome_unknown or not outcome.plan.rotates:
                outcome.secrets_lost = True
                error.advice += f"; its secrets are lost: set rotate: true to issue new ones for {identifier}"
            raise
        outcome.values = self.resource.with_all_fields(_unwrap(answer.content, self.resource.create_envelope))
        self._mark_changed(outcome)
        self._keep_secrets(outcome, answer.content)

    def _update(self, outcome: Outcome, plan: Plan) -> Plan:
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
                        outcome.values = resource.with_all_fields(current)
                        break
                    # Nothing has changed, so the strong form is not what the server compares.
                    tag = received if conflicts and received == refused else _strong(received)
                answer = self._send(
                    resource.update_verb,
                    self._item_path(identifier),
                    plan.label,
                    plan.body,
                    # One that somebody has deleted meanwhile is created again, with another id.
                    self._response_error
                    if resource.put_by_identity
                    else self._expect_id(identifier, resource.update_envelope),
                    tag if plan.conditional else None,
                )
            except ApiError as error:
                lost = plan if error.outcome_unknown else lost
                error.outcome_unknown = lost is not None
                if error.status != 412 or not plan.conditional or conflicts == MAX_CONFLICTS:
                    raise
                conflicts, fresh = conflicts + 1, False
            else:
                outcome.values = resource.with_all_fields(_unwrap(answer.content, resource.update_envelope))
                break
        return plan

    def _planned_again(self, plan: Plan, current: Values, lost: Plan | None) -> Plan:
        """The plan for the object as it is now, with the changes of a write whose answer was lost.

        Raises ApiError if there is none.
        """
        reason = "it was deleted meanwhile" if self.resource.is_deleted(current) else ""
        try:
            again = plan.again(self.resource.with_all_fields(current), lost)
        except TaskError as error:
            reason = reason or str(error)
        if reason:
            call = Call(self.resource.update_verb, self._item_path(plan.id), plan.label)
            raise ApiError(call, reason, "nothing was written to it")
        return again

    def _finish_writes(self, outcome: Outcome, there: Index | None = None) -> None:
        """Make the writes after the first: what a create does not take, and what is replaced.

        ``there`` is what was found after a lost answer: what is not in it any more has been removed.
        """
        plan, key = outcome.plan, self.resource.id_field
        late = plan.deferred
        outcome.not_removed = list(plan.replaces)
        try:
            if late:
                self._send_deferred(outcome)
            for item in plan.replaces:
                lost = there is not None and not there.with_id(item[key])
                if lost or self.client.delete(self._item_path(item[key]), f"{plan.label} ({item[key]})"):
                    self._mark_changed(outcome)
                outcome.not_removed.remove(item)
        except ApiError as error:
            without = f"without {', '.join(late)}" if late else "beside the one that it replaces"
            error.advice += f"; the {self.resource.noun} {outcome.values[key]} is there now, {without}"
            raise

    def _send_deferred(self, outcome: Outcome) -> None:
        """Send what the create did not carry, as far as the object made differs."""
        made = outcome.values
        try:
            plan = outcome.plan.follow_up(made)
        except TaskError as error:
            path = self._item_path(made[self.resource.id_field])
            call = Call(self.resource.update_verb, path, outcome.plan.label)
            raise ApiError(call, str(error), "nothing of it was sent", attempts=0) from None
        if plan.body:
            self._update(outcome, plan)
        outcome.completed = True

    def _resolve_unknown(self, outcomes: list[Outcome]) -> None:
        """Where a write's outcome is unknown, list once more: what is there now tells how it ended."""
        unknown = [o for o in outcomes if o.error and o.error.outcome_unknown and not o.secrets_lost]
        if not unknown:
            return
        index: Index | None = None
        with contextlib.suppress(Exception):  # each write's own error is the one to tell
            # Without a parent to list, the one object was named by its id.
            index = self.load_index(None if self.parent else unknown[0].plan.id)
        for outcome in unknown:
            found = _resolved(outcome, index) if index else None
            if found is not None:
                outcome.values, outcome.error = found, None
                self._mark_changed(outcome)
                self._in_parallel(lambda o: self._finish_found(o, index), [outcome])
            if outcome.error and outcome.error.outcome_unknown and not outcome.secrets_lost:
                outcome.error.advice += f"; {MAYBE_DONE}"

    def _finish_found(self, outcome: Outcome, index: Index | None) -> None:
        """Do what is left of a plan whose first write was made, although its answer was lost."""
        self._finish_writes(outcome, index)
        if outcome.plan.issues_secrets and not outcome.secrets:
            self._rotate(outcome)
            if not outcome.plan.rotates:
                self.run.warn(
                    f"{outcome.plan.label}: the answer that showed its secrets was lost, so new ones were issued"
                )

    def _act(self, action: Action, outcome: Outcome, deadline: float) -> None:
        """Call the action once, then every few seconds until it succeeds or the deadline has passed."""
        identifier = outcome.values[self.resource.id_field]
        path = f"{self._item_path(identifier)}/{action.verb}"
        call = Call("POST", path, f"{action.label} of {outcome.plan.label}")
        name, value = action.success
        while True:
            try:
                answer = self.client.write(call.method, path, call.target).content
            except ApiError as error:
                error.outcome_unknown = error.outcome_unknown and action.changes
                error.advice += f"; {MAYBE_DONE}" if error.outcome_unknown else ""
                raise
            outcome.action_answer = {key: part for key, part in answer.items() if key != self.resource.noun}
            succeeded = answer.get(name) == value and type(answer[name]) is type(value)
            left = deadline - time.monotonic()
            if succeeded or left <= 0:
                break
            time.sleep(min(left, ACTION_PAUSE))
        if not succeeded:
            told = ((each, answer.get(each)) for each in action.reasons)
            found = (str(part) if each == "error" else f"{each} {part}" for each, part in told if part)
            reason = one_line(next(found, "it does not say why"), self.run.redact)
            outcome.error = ApiError(
                call, f"{action.failure}: {reason}", action.advice(outcome.values), code=action.code, message=reason
            )
        elif action.changes:
            shown = _unwrap(answer, self.resource.noun)
            valid = bool(shown) and not self._expect_id(identifier)(shown)
            outcome.values = {**(self.resource.with_all_fields(shown) if valid else outcome.values), name: value}
            self._mark_changed(outcome)


def _resolved(outcome: Outcome, there: Index) -> Values | None:
    """The object after the write that was lost, where what is there shows that it was made; else None."""
    plan = outcome.plan
    found = (outcome.replanned or plan).confirmed_by(there)
    if outcome.not_removed:  # the loss was of its removal
        return None if there.with_id(outcome.not_removed[0][plan.resource.id_field]) else found
    lost_late = found is not None and outcome.changed and plan.resource.changed_fields(plan.deferred, found)
    return None if lost_late else found


def _strong(tag: str | None) -> str | None:
    """The strong form of an entity tag, the only one that HTTP lets match: gateways that compress weaken tags."""
    return tag and tag.removeprefix("W/")


def _unwrap(answer: Values, key: str) -> Values:
    """The object in an answer, where it does not stand for itself."""
    found = answer.get(key) if key else answer
    return found if isinstance(found, dict) else {}
