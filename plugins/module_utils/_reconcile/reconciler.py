# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the objects of one parent, plan what a task declares, and apply the plans.

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
ACTION_PAUSE = 5  # seconds between two calls of an action that did not succeed
MAY_BE_APPLIED = "the change may have been applied"
OUTCOME_UNKNOWN = f"{MAY_BE_APPLIED}; run the task again to find out"
MAX_CONFLICTS = 5  # retries of a write after another client changed the object
Item = t.TypeVar("Item")


@dataclass(eq=False)  # two creates of one list may look alike
class Outcome:
    """The result of applying one plan."""

    plan: Plan
    action: str = "unchanged"
    values: Values = field(default_factory=dict)
    error: ApiError | None = None
    #: The last answer of the resource's action, if it was called.
    action_answer: Values | None = None
    #: The secrets that were issued, and whether issued secrets were lost.
    secrets: Values = field(default_factory=dict)
    secrets_lost: bool = False
    #: The child, from the answer to the create.
    nested_values: Values = field(default_factory=dict)
    #: The plan of the last attempt, after another client changed the object.
    replanned: Plan | None = None
    #: Whether the deferred values were sent, if needed.
    completed: bool = False
    #: The replaced objects that still exist.
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
        """Whether a field has changed as planned, even if a later write failed."""
        if name in self.plan.achieves:
            return not self.error
        if name in self.plan.resource.issued:
            return not self.error or bool(self.secrets)
        return not self.error or self.completed or name.partition(".")[0] not in self.plan.deferred


@dataclass
class Run:
    """One run of a module: its settings, and whether it has changed anything."""

    client: Client
    check_mode: bool = False
    parallel: int = 1
    #: The ids of the parent's ancestors, by option.
    ancestors: Values = field(default_factory=dict)
    #: Whether an object that the API cannot update may be replaced.
    replace: bool = False
    #: The secret fields that are sent on every run.
    resent: frozenset[str] = frozenset()
    #: Whether the task requests the resource's action, and for how many seconds it is repeated until it succeeds.
    act: bool = False
    act_timeout: int = 0
    #: The directory of the lock files, and the locks, which are held until the run ends.
    lock_folder: str = ""
    until_end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    show_progress: t.Callable[[str], None] = lambda text: None
    warn: t.Callable[[str], None] = lambda text: None
    #: Masks the secrets in a server's texts.
    redact: t.Callable[[str], str] = str
    changed: bool = False

    def in_parallel(self, do: t.Callable[[Item], None], items: list[Item], label: str) -> None:
        """Call ``do``, which raises nothing, for each item in parallel, and report progress."""
        if len(items) < 2:
            list(map(do, items))
            return
        reported = time.monotonic()
        pool = ThreadPoolExecutor(min(self.parallel, len(items)))
        try:
            for number, _done in enumerate(pool.map(do, items), 1):
                if time.monotonic() - reported >= PROGRESS_SECONDS:
                    reported = time.monotonic()
                    self.show_progress(f"{number} of {len(items)} {label}")
        finally:
            # No wait: all are done, unless the task timed out.
            pool.shutdown(wait=False, cancel_futures=True)


def worth_reporting(errors: t.Iterable[ApiError]) -> list[ApiError]:
    """Return the errors in the order to report them. One that calls have in common, such as a plan's limit, is one."""
    # Calls that were not sent come last, because only the first errors are shown.
    found = sorted(errors, key=lambda error: not error.sent)
    first = {(error.status, error.code): error for error in reversed(found) if error.fatal}
    return [error for error in found if not error.fatal or first[error.status, error.code] is error]


class Reconciler:
    """The objects of one parent in one run: reads them, then writes in parallel until a fatal error.

    In check mode the parent may be empty, if it does not exist yet.
    """

    def __init__(self, run: Run, resource: Resource, parent: str) -> None:
        self.run = run
        self.resource = resource
        self.parent = parent
        self._ids = {**run.ancestors, resource.parent: parent}
        self.path = resource.path.format(**self._ids)
        self.client = run.client
        #: The entity tag of each object that was read by id, for conditional writes.
        self._etags: dict[str, str | None] = {}
        #: The defaults of new objects, as far as an answer contained them.
        self._new_object_defaults: Values = {}

    def for_nested(self, identifier: str) -> Reconciler:
        """Return the reconciler of the children of this object."""
        return Reconciler(self.run, t.cast(Resource, self.resource.nested), identifier)

    def take_lock(self) -> None:
        """Wait until no other run of this user on this machine writes to the same objects. Raises TaskError on timeout.

        Otherwise two runs that both find an object missing would both create it. A killed run also holds the lock, as
        long as its module continues. Check mode does not wait.
        """
        settings = self.client.settings
        key = f"{settings.base_url} {self.path}"
        acquired = lock.acquire(self.run.lock_folder, key, settings.retry_budget)
        if self.run.check_mode or self.run.until_end.enter_context(acquired):
            return
        resource = self.resource
        what = resource.collection_label(self.parent) if resource.path_has_parent else resource.plural
        raise TaskError(
            f"{what}: locked by another run on this machine for longer than retry_budget ({settings.retry_budget} s); "
            "run again when it has ended, or raise retry_budget"
        )

    @property
    def _parent_exists(self) -> bool:
        return not self.resource.path_has_parent or all(self._ids.values())

    def read_all(self, query: Values | None = None, with_deleted: bool = False) -> list[Values]:
        """Return all objects, or those that the query selects."""
        resource = self.resource
        if not self._parent_exists:
            return []
        if resource.is_singleton:
            label = resource.describe({resource.parent: self.parent})
            return [resource.with_all_fields(self.client.get(self.path, label, self._expect_id(None), query).content)]
        above = {resource.parent: self.parent} if resource.parent and not resource.path_has_parent else {}
        target = resource.collection_label(self.parent)
        query = {**above, **(query or {})} or None
        items = self.client.list_all(self.path, resource.items_key, target, self._response_error, query, resource.paged)
        if not resource.id_field:
            return [resource.with_all_fields(item) for item in items]
        # By id, because an object can be on two pages if others are created or deleted between the requests.
        key = resource.id_field
        shown = [item for item in items if with_deleted or not resource.is_deleted(item)]
        return list({item[key]: resource.with_all_fields(item) for item in shown}.values())

    def read_one(self, identifier: str, query: Values | None = None) -> list[Values]:
        """Return the object with this id as a list, empty if it does not exist. A listing uses the query."""
        resource, key = self.resource, self.resource.id_field
        if not (resource.get_by_id and self._parent_exists):
            return [item for item in self.read_all(query) if item[key] == identifier]
        try:
            item = self._get(identifier, f"{resource.noun} {identifier}")
        except ApiError as error:
            if not error.not_found:
                raise
            # Only the list shows which of the two is missing, this object or its parent.
            return [item for item in self.read_all() if item[key] == identifier] if resource.path_has_parent else []
        return [] if resource.is_deleted(item) else [resource.with_all_fields(item)]

    def _get(self, identifier: str, target: str) -> Values:
        answer = self.client.get(self._item_path(identifier), target, self._expect_id(identifier))
        self._etags[identifier] = answer.etag
        return answer.content

    def load_index(self, identifier: str | None) -> Index:
        """Read the existing objects: only the one with this id if that is possible, otherwise all."""
        one = identifier if self.resource.get_by_id else None
        return Index(self.resource, self.read_one(one) if one else self.read_all())

    def plan(self, index: Index, wanted: Values, state: str, shared: Identities = frozenset()) -> Plan:
        """Plan one object. Raises TaskError if the task cannot be carried out."""
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
        """The objects that those of this resource turn into, listed only if one of these would be created otherwise."""
        other = Reconciler(self.run, t.cast(Resource, self.resource.becomes), self.parent)
        return Index(other.resource, other.read_all())

    def _response_error(self, values: Values) -> str | None:
        return validation.response_error(self.resource, values)

    def _expect_id(self, identifier: str | None, envelope: str = "") -> Check:
        """Return a check that an answer contains the requested object. A cache may return another one."""

        def check(answer: Values) -> str | None:
            values = _unwrap(answer, envelope)
            expected = self.parent if self.resource.is_singleton else identifier
            other = (
                None if values.get(self.resource.answer_key) == expected else "an object other than the requested one"
            )
            return self._response_error(values) or other

        return check

    def _item_path(self, identifier: str | None) -> str:
        """The path of writes to an existing object."""
        if self.resource.is_singleton:
            return self.resource.write_path.format(**self._ids)
        return self.path if self.resource.put_by_identity else f"{self.path}/{identifier}"

    def apply(self, plans: list[Plan]) -> list[Outcome]:
        """Apply the plans, or predict their outcomes in check mode. One outcome per plan, in order; raises nothing."""
        if self.run.check_mode:
            return [Outcome(plan, plan.action, plan.predict()) for plan in plans]
        outcomes = [Outcome(plan, values=plan.current or {}) for plan in plans]
        deletions = [o for o in outcomes if o.plan.action == "deleted"]
        self._in_parallel(self._write, deletions)  # first, because deletions make room within the plan's limits
        self._resolve_unknown(deletions)
        others = self._unblocked(outcomes, deletions)
        # The first create shows the defaults of new objects, so that the others take one call each.
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
        """Make the remaining writes of a plan whose object was created by another write."""
        self._in_parallel(self._finish_writes, [outcome])
        self._resolve_unknown([outcome])
        self.act([outcome])

    def act(self, outcomes: list[Outcome]) -> None:
        """Call the resource's action for each existing object, if the task requests it and it has not succeeded."""
        action = self.resource.action
        if not self.run.act or not action:
            return
        pending = [o for o in outcomes if o.values and not o.error and o.action not in ("failed", "skipped")]
        if action.changes:
            pending = [o for o in pending if o.values.get(action.success[0]) != action.success[1]]
        deadline = time.monotonic() + self.run.act_timeout
        # In rounds over all objects, so that those that wait do not delay the first call of the others.
        while True:
            self._in_parallel(lambda outcome: self._act(action, outcome), pending)
            pending = [o for o in pending if not o.error and not action.succeeded(o.action_answer)]
            remaining = deadline - time.monotonic()
            if not pending or remaining <= 0:
                break
            time.sleep(min(remaining, ACTION_PAUSE))
        for outcome in pending:
            outcome.error = self._action_error(action, outcome)

    def errors(self, outcomes: list[Outcome], prune_skipped: bool = False) -> list[ApiError]:
        """Return the errors to report: those of the outcomes, or the fatal error if it left something undone."""
        found = worth_reporting(o.error for o in outcomes if o.error)
        undone = prune_skipped or any(outcome.action == "skipped" for outcome in outcomes)
        ended = self.client.fatal_error
        return found or ([ended] if ended and undone else [])

    def _in_parallel(self, do: t.Callable[[Outcome], None], outcomes: list[Outcome]) -> None:
        """Call ``do`` for each outcome in parallel, and keep the errors."""

        def guarded(outcome: Outcome) -> None:
            try:
                do(outcome)
            except ApiError as error:
                outcome.error = error
            except Exception as fault:  # of one object, so that the outcomes of the others are not lost
                methods = {"updated": self.resource.update_verb or "POST", "deleted": "DELETE"}
                call = Call(methods.get(outcome.plan.action, self.resource.create_verb), self.path, outcome.plan.label)
                outcome.error = ApiError(call, *bug(fault), outcome_unknown=True)

        self.run.in_parallel(guarded, outcomes, self.resource.collection_label(self.parent))

    def _unblocked(self, outcomes: list[Outcome], deletions: list[Outcome]) -> list[Outcome]:
        """Return the other outcomes, and fail those whose new identity is held by an object that was not deleted."""
        undeleted = Index(self.resource, [t.cast(Values, o.plan.current) for o in deletions if o.error])
        others = [o for o in outcomes if o.plan.action != "deleted"]
        for outcome in others:
            plan = outcome.plan
            for occupant in planner.occupants(plan, undeleted):
                verb, place = self.resource.update_verb, self._item_path(plan.id)
                call = Call(verb, place, plan.label) if verb else Call("POST", self.path, plan.label)
                other = f"{self.resource.describe(occupant)} ({occupant[self.resource.id_field]})"
                reason = f"not attempted: {other} still has the identity that this one would take"
                outcome.error = ApiError(call, reason, "delete that one, then run again", attempts=0)
        return [outcome for outcome in others if not outcome.error]

    def _write(self, outcome: Outcome) -> None:
        """Make the writes of a plan. Writes before a failure stay applied."""
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
            creates = plan.action == "created" or not self.resource.creatable
            own = creates and error.call.path in (self.path, self._item_path(plan.id))
            if own and error.code == "CONFLICT":
                error.advice = self.resource.if_conflict or error.advice
            if error.sent or outcome.changed:
                raise
            outcome.action = "skipped"

    def _mark_changed(self, outcome: Outcome) -> None:
        outcome.action, self.run.changed = outcome.plan.action, True

    def _first_write(self, outcome: Outcome) -> None:
        """Make the first write of a plan, and store the answer."""
        plan, resource = outcome.plan, self.resource
        if plan.action == "updated":
            outcome.plan = self._update(outcome, plan)
            if outcome.plan.action == "updated":
                self._mark_changed(outcome)
            return
        plan.complete(self._new_object_defaults)
        key = resource.create_envelope
        answer = self._send(resource.create_verb, self.path, plan.label, plan.create_body, self._check_created)
        made = _unwrap(answer.content, key)
        outcome.values = resource.with_all_fields(made)
        if answer.etag and not key:  # it is the tag of the whole answer
            self._etags[made[resource.id_field]] = answer.etag
        objects = (f.name for f in resource.writable if f.fields and f.name not in plan.body)
        self._new_object_defaults.update((name, made[name]) for name in objects if made.get(name))
        if plan.nested and resource.nested:
            first = _unwrap(answer.content, resource.nested.noun)
            outcome.nested_values = (
                {} if validation.response_error(resource.nested, first) else resource.nested.with_all_fields(first)
            )
        self._mark_changed(outcome)
        self._keep_secrets(outcome, answer.content)

    def _check_created(self, answer: Values) -> str | None:
        """Return what is wrong with the answer to a create or a rotation, or None."""
        wrong = self._response_error(_unwrap(answer, self.resource.create_envelope))
        absent = [name for name in self.resource.shown_once if not isinstance(answer.get(name), str)]
        return wrong or (f"no {absent[0]}" if absent else None)

    def _send(self, method: str, path: str, label: str, body: Values, check: Check, etag: str | None = None) -> Answer:
        """Write an object. If the server refuses it, send it again without fields that this release does not know."""
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
            f"{label}: the update was sent without {names}, which PgBeam returns but does not accept, and which "
            "this release does not know; check the object, and update the pgbeam.cloud collection"
        )
        return answer

    def _keep_secrets(self, outcome: Outcome, answer: Values) -> None:
        """Write the secrets of an answer to the task's file, before anything else can fail."""
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
                f"the {self.resource.noun} {identifier} exists: free space or make the directory writable, then set "
                "rotate: true to issue new ones",
            ) from None

    def _rotate(self, outcome: Outcome) -> None:
        """Issue new secrets for an existing object."""
        identifier = outcome.values[self.resource.id_field]
        path = f"{self._item_path(identifier)}/{self.resource.rotate_action}"
        try:
            answer = self.client.write("POST", path, f"new secrets of {outcome.plan.label}", None, self._check_created)
        except ApiError as error:
            if error.outcome_unknown or not outcome.plan.rotates:
                outcome.secrets_lost = True
                said = "may have been replaced" if outcome.plan.rotates else "are lost"
                error.advice += f"; its secrets {said}: set rotate: true to issue new ones for {identifier}"
            raise
        outcome.values = self.resource.with_all_fields(_unwrap(answer.content, self.resource.create_envelope))
        self._mark_changed(outcome)
        self._keep_secrets(outcome, answer.content)

    def _update(self, outcome: Outcome, plan: Plan) -> Plan:
        """Update an object in place and store the answer. Returns the plan that was applied in the end.

        A body with values that were read is sent with the entity tag of that read, so that no change of another client
        is undone. After such a change, the update is planned again. Servers without tags are written to without them.
        """
        resource, identifier = self.resource, t.cast(str, plan.id)
        received = self._etags.get(identifier)
        tag = _strong(received)
        fresh = not plan.conditional or identifier in self._etags
        conflicts, lost = 0, None  # the plan of a write whose answer was lost and that may have been applied
        while True:
            try:
                if not fresh:
                    current, refused = self._get(identifier, plan.label), received
                    plan, received = self._plan_again(plan, current, lost), self._etags[identifier]
                    outcome.replanned = plan
                    if not plan.body:
                        outcome.values = resource.with_all_fields(current)
                        break
                    # The object has not changed, so the server does not compare the strong form.
                    tag = received if conflicts and received == refused else _strong(received)
                answer = self._send(
                    resource.update_verb,
                    self._item_path(identifier),
                    plan.label,
                    plan.body,
                    # If another client deleted it, it is created again with another id.
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

    def _plan_again(self, plan: Plan, current: Values, lost: Plan | None) -> Plan:
        """Return the plan for the current object, with the changes of a write whose answer was lost.

        Raises ApiError if the object cannot be updated any more.
        """
        problem, remedy = "another client has deleted it", ""
        if not self.resource.is_deleted(current):
            try:
                return plan.again(self.resource.with_all_fields(current), lost)
            except TaskError as error:
                problem, remedy = error.problem.removeprefix(f"{self.resource.describe(current)}: "), error.remedy
        call = Call(self.resource.update_verb, self._item_path(plan.id), plan.label)
        default = "check the object" if lost else "it was not updated: run the task again"
        raise ApiError(call, problem, remedy or default)

    def _finish_writes(self, outcome: Outcome, index: Index | None = None) -> None:
        """Make the writes after the first: send deferred values, and delete replaced objects.

        ``index`` contains the objects found after a lost answer: a replaced object that it lacks was deleted.
        """
        plan, key = outcome.plan, self.resource.id_field
        deferred = plan.deferred
        outcome.not_removed = list(plan.replaces)
        try:
            if deferred:
                self._send_deferred(outcome)
            for item in plan.replaces:
                lost = index is not None and not index.with_id(item[key])
                if lost or self.client.delete(self._item_path(item[key]), f"{plan.label} ({item[key]})"):
                    self._mark_changed(outcome)
                outcome.not_removed.remove(item)
        except ApiError as error:
            remaining = ", ".join(item[key] for item in outcome.not_removed)
            said = (
                f"was created without {', '.join(deferred)}" if deferred else f"exists, but {remaining} may still exist"
            )
            error.advice += f"; the {self.resource.noun} {outcome.values[key]} {said}"
            raise

    def _send_deferred(self, outcome: Outcome) -> None:
        """Send the deferred values in which the created object differs."""
        made = outcome.values
        try:
            plan = outcome.plan.follow_up(made)
        except TaskError as error:
            path = self._item_path(made[self.resource.id_field])
            call = Call(self.resource.update_verb, path, outcome.plan.label)
            problem = error.problem.removeprefix(f"{self.resource.describe(made)}: ")
            raise ApiError(call, f"not sent: {problem}", error.remedy or "check the object", attempts=0) from None
        if plan.body:
            self._update(outcome, plan)
        outcome.completed = True

    def _resolve_unknown(self, outcomes: list[Outcome]) -> None:
        """List once more to find out whether writes with an unknown outcome were applied."""
        unknown = [o for o in outcomes if o.error and o.error.outcome_unknown and not o.secrets_lost]
        if not unknown:
            return
        index: Index | None = None
        with contextlib.suppress(Exception):  # the error of each write is reported instead
            # Without a parent to list, the task has one object, by its id.
            index = self.load_index(None if self.parent else unknown[0].plan.id)
        for outcome in unknown:
            found = _resolved(outcome, index) if index else None
            if found is not None:
                outcome.values, outcome.error = found, None
                self._mark_changed(outcome)
                self._in_parallel(lambda o: self._finish_found(o, index), [outcome])
            if outcome.error and outcome.error.outcome_unknown and not outcome.secrets_lost:
                outcome.error.advice += f"; {_how_to_find_out(outcome.plan)}"

    def _finish_found(self, outcome: Outcome, index: Index | None) -> None:
        """Make the remaining writes of a plan whose first write was applied although its answer was lost."""
        self._finish_writes(outcome, index)
        if outcome.plan.issues_secrets and not outcome.secrets:
            self._rotate(outcome)
            if not outcome.plan.rotates:
                self.run.warn(f"{outcome.plan.label}: the response with its secrets was lost, so new ones were issued")

    def _action_call(self, action: Action, outcome: Outcome) -> Call:
        path = f"{self._item_path(outcome.values[self.resource.id_field])}/{action.verb}"
        return Call("POST", path, f"{action.label} of {outcome.plan.label}")

    def _act(self, action: Action, outcome: Outcome) -> None:
        """Call the action once, and store the answer."""
        call = self._action_call(action, outcome)
        try:
            answer = self.client.write(call.method, call.path, call.target).content
        except ApiError as error:
            error.outcome_unknown = error.outcome_unknown and action.changes
            error.advice += f"; {OUTCOME_UNKNOWN}" if error.outcome_unknown else ""
            raise
        outcome.action_answer = {key: part for key, part in answer.items() if key != self.resource.noun}
        if action.changes and action.succeeded(answer):
            shown = _unwrap(answer, self.resource.noun)
            valid = bool(shown) and not self._expect_id(outcome.values[self.resource.id_field])(shown)
            known = self.resource.with_all_fields(shown) if valid else outcome.values
            outcome.values = {**known, action.success[0]: action.success[1]}
            self._mark_changed(outcome)

    def _action_error(self, action: Action, outcome: Outcome) -> ApiError:
        """Return the error of an action that did not succeed, with the cause from its last answer."""
        answer = outcome.action_answer or {}
        parts = ((each, answer.get(each)) for each in action.reasons)
        reasons = (str(part) if each == "error" else f"{each} {part}" for each, part in parts if part)
        reason = one_line(next(reasons, "no reason given"), self.run.redact)
        call = self._action_call(action, outcome)
        advice = action.advice(outcome.values)
        return ApiError(call, f"{action.failure}: {reason}", advice, code=action.code, message=reason)


def _resolved(outcome: Outcome, index: Index) -> Values | None:
    """Return the object after a write with a lost answer, or None if the index does not show that it was applied."""
    plan = outcome.plan
    found = (outcome.replanned or plan).confirmed_by(index)
    if outcome.not_removed:  # the lost answer was that of its deletion
        return None if index.with_id(outcome.not_removed[0][plan.resource.id_field]) else found
    deferred_lost = found is not None and outcome.changed and plan.resource.changed_fields(plan.deferred, found)
    return None if deferred_lost else found


def _how_to_find_out(plan: Plan) -> str:
    """Return how the user finds out whether a write was applied. Another run does not see whether a secret was."""
    if plan.action == "created" and plan.resource.issued:
        return f"{MAY_BE_APPLIED}; run the task again, and if it reports no change, set rotate: true for new secrets"
    secrets = [name for name in plan.resource.secret_names if name in plan.changes and plan.action == "updated"]
    if secrets:
        return f"{MAY_BE_APPLIED}; send the {secrets[0]} again with update_{secrets[0]}: always"
    return OUTCOME_UNKNOWN


def _strong(tag: str | None) -> str | None:
    """Return the strong form of an entity tag, which HTTP requires to match. Gateways that compress weaken tags."""
    return tag and tag.removeprefix("W/")


def _unwrap(answer: Values, key: str) -> Values:
    """Return the object in an answer, which may be under a key."""
    found = answer.get(key) if key else answer
    return found if isinstance(found, dict) else {}
