# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' bodies: parameters in, calls to the API, results and failures out.

The only place that touches module.params, exit_json and fail_json.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import time
import traceback
import typing as t
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleFallbackNotFound, AnsibleModule, missing_required_lib
from ansible_collections.pgbeam.cloud.plugins.module_utils import _client, _engine
from ansible_collections.pgbeam.cloud.plugins.module_utils._client import Client, ConfigError, Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import Plan, PlanError, Register, Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import API_KEY_VARIABLES, ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._masking import Masking

MAX_PARALLEL = 32
ACTIONS = ("created", "updated", "deleted", "unchanged", "failed", "skipped")
WRITES = ("created", "updated", "deleted")
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "write")
MESSAGES_SHOWN = 5
TURN_POLL = 0.05  # seconds
PROGRESS_SECONDS = 10


def first_env(*names: str) -> str:
    """A fallback for an argument spec: the first of these environment variables that is not empty."""
    for name in names:
        if os.environ.get(name):
            return os.environ[name]
    raise AnsibleFallbackNotFound


CONNECTION: dict[str, dict[str, t.Any]] = {
    "api_key": {"type": "str", "no_log": True, "fallback": (first_env, list(API_KEY_VARIABLES))},
    "api_url": {"type": "str", "default": Settings.api_url, "fallback": (first_env, ["PGBEAM_API_URL"])},
    "timeout": {"type": "int", "default": Settings.timeout},
    "retries": {"type": "int", "default": Settings.retries},
    "retry_budget": {"type": "int", "default": Settings.retry_budget},
    "validate_certs": {"type": "bool", "default": Settings.validate_certs},
    "ca_path": {"type": "path"},
}
STATE = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
WRITING = {
    "update_password": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
    "test_connection": {"type": "bool", "default": False},
}


def _parent_spec(resource: Resource) -> dict[str, dict[str, t.Any]]:
    return {resource.parent: {"type": "str", "required": True}}


def item_spec(resource: Resource) -> dict[str, dict[str, t.Any]]:
    """The argument spec of the module for one object."""
    fields = _engine.argument_spec(resource.writable)
    return {**CONNECTION, **_parent_spec(resource), **STATE, "id": {"type": "str"}, **fields, **WRITING}


def list_spec(resource: Resource) -> dict[str, dict[str, t.Any]]:
    """The argument spec of the module for a whole list."""
    entry = {**STATE, "id": {"type": "str"}, **_engine.argument_spec(resource.writable)}
    return {
        **CONNECTION,
        **_parent_spec(resource),
        resource.plural: {"type": "list", "elements": "dict", "required": True, "options": entry},
        "prune": {"type": "bool", "default": False},
        "parallel": {"type": "int", "default": 8},
        **WRITING,
    }


def info_spec(resource: Resource) -> dict[str, dict[str, t.Any]]:
    """The argument spec of the module that reads."""
    filters = _engine.argument_spec(resource.field(name) for name in resource.filters)
    return {**CONNECTION, **_parent_spec(resource), "id": {"type": "str"}, **filters}


class _Module(AnsibleModule):
    """AnsibleModule whose results and logs hold no list of entries, and whose refusals name the entry."""

    def __init__(self, resource: Resource, spec: dict[str, dict[str, t.Any]]) -> None:
        self._resource = resource
        stumbled = True
        # Core's own checks stumble over some values: cache_config: [null].
        with contextlib.suppress(AttributeError, IndexError, KeyError, TypeError, ValueError):
            super().__init__(argument_spec=spec, supports_check_mode=True)
            stumbled = False
        if stumbled:
            self.fail_json("the options cannot be read; check the type of each")

    def _load_params(self) -> None:
        super()._load_params()
        #: The options before core converts them, as it drops entries that it cannot read, and quotes them.
        self.given: Values = dict(self.params)

    @property
    def _echo(self) -> Values:
        """What ``invocation`` shows: no list, and no option outside the spec, as a misspelled one may hold a secret."""
        return {"module_args": _echoed(self.argument_spec, self.params)}

    @property
    def user_tmp(self) -> str:
        """Ansible's folder for this user's temporary files, the same for all runs; ``tmpdir`` is this run's own."""
        return str(os.path.expandvars(os.path.expanduser(self._remote_tmp)))

    def log(self, msg: str, log_args: dict[str, t.Any] | None = None) -> None:
        """Core logs a list as escaped text, where its masking can miss a secret: leave such options out."""
        listed = {name for name, option in self.argument_spec.items() if option.get("elements") == "dict"}
        if log_args:
            log_args = {name: value for name, value in log_args.items() if name not in listed}
        if log_args:  # core masks the message, but not what goes to systemd's journal beside it
            log_args = self._masking.mask({name: str(value) for name, value in log_args.items()})
            msg = "Invoked with " + " ".join(f"{name}={value!s}" for name, value in log_args.items())
        super().log(msg, log_args)

    def finish(self, failure: str | None = None, **result: t.Any) -> None:
        """End the module: as failed where there is a failure to tell, else well.

        No secret is left in the result for core to mask, which for a large list would take longer than the work itself.
        """
        if failure is not None:
            result["msg"] = failure
        result = self._masking.mask({**result, "invocation": self._echo})
        self.no_log_values: set[str] = set()
        if failure is None:
            self.exit_json(**result)
        else:
            super().fail_json(**result)

    def conceal(self, text: str) -> str:
        """The text without secrets."""
        return str(self._masking.mask(text))

    def warn(self, warning: str) -> None:
        super().warn(self.conceal(warning))

    @functools.cached_property
    def _masking(self) -> Masking:
        """Of all secrets that the options hold: core gives up collecting them at the first entry of a wrong type."""
        secrets = {*self.no_log_values, *_secrets(_secret_names(self.argument_spec), self.given)}
        secrets.update(filter(None, map(os.environ.get, API_KEY_VARIABLES)))
        return Masking(secrets, {*ACTIONS, *METHODS, *_engine.names(self._resource)})

    def fail_json(self, msg: str, **kwargs: t.Any) -> None:
        """Core calls this when its own checks refuse the options; ours say the same with the entry's place."""
        found = [] if kwargs else _option_problems(self._resource, self.params, self.given)
        result = {"invocation": self._echo, **kwargs, "msg": _sentences(found) if found else msg}
        super().fail_json(**self._masking.mask(result))


def _echoed(spec: Values, params: Values) -> Values:
    """These options as a result may show them."""
    shown = {}
    for name, option in spec.items():
        value = params.get(name)
        if option.get("type") == "list" and "options" in option:
            continue
        # An address with a user in it holds a password as well.
        if value and (option.get("no_log") or (name == "api_url" and "@" in str(value))):
            value = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
        elif value and "options" in option:
            value = _echoed(option["options"], value) if isinstance(value, dict) else "(not a dictionary)"
        shown[name] = value
    return shown


def _secret_names(spec: Values) -> set[str]:
    """The names of the options that hold secrets, at any depth."""
    deeper = [_secret_names(option["options"]) for option in spec.values() if "options" in option]
    return {name for name, option in spec.items() if option.get("no_log")}.union(*deeper)


def _secrets(names: set[str], value: t.Any, secret: bool = False) -> t.Iterator[str]:
    """The texts and numbers under these names, at any depth of what may be anything."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets(names, item, secret or name in names)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(names, item, secret)
    elif secret and value is not None and not isinstance(value, bool):
        yield str(value)


def _entries(resource: Resource, params: Values) -> list[tuple[str, Values]]:
    """Each entry of a list-form module's options with its place in words; none for the other modules."""
    listed = params.get(resource.plural)
    if not isinstance(listed, list):
        return []
    entries = [(f"{resource.plural}[{n}]", entry) for n, entry in enumerate(listed) if isinstance(entry, dict)]
    # The role's list is of many hosts' making, so an index alone would say little.
    named = [
        (place, " on ".join(str(entry[k]) for k in ("name", "host") if entry.get(k)), entry) for place, entry in entries
    ]
    return [(f"{place} ({name})" if name else place, entry) for place, name, entry in named]


def _option_problems(resource: Resource, params: Values, given: Values) -> list[str]:
    """What is wrong with the values of a module's options, each in a sentence, before any request."""
    found = []
    parent = params.get(resource.parent)
    if parent is not None and not re.fullmatch(_engine.ID_PATTERN, str(parent)):
        found.append(f"{resource.parent}: {parent!r} is not an id; allowed are {_engine.ID_RULE}")
    parallel = params.get("parallel")
    if isinstance(parallel, int) and not 1 <= parallel <= MAX_PARALLEL:
        found.append(f"parallel: {parallel} is not allowed; it must be a whole number from 1 to {MAX_PARALLEL}")
    if resource.plural not in params:
        return found + _engine.problems(resource, params)
    found += _misread(resource.plural, given.get(resource.plural))
    for place, entry in _entries(resource, given):
        found += _engine.unknown_options({"id", "state", *(f.name for f in resource.writable)}, entry, f"{place}: ")
        found += _engine.problems(resource, entry, f"{place}: ")
        state = entry.get("state")
        if state not in (None, "present", "absent"):
            found.append(f"{place}: state: {state!r} is not allowed; it must be one of present, absent")
    return found


def _misread(name: str, listed: t.Any) -> list[str]:
    """What is no dictionary in a list of them. Core takes text for one, and a password in it for something else."""
    if listed is None:
        return []
    if not isinstance(listed, list):
        return [f"{name}: a value of type {type(listed).__name__} was given; it must be a list of dictionaries"]
    others = [(n, type(entry).__name__) for n, entry in enumerate(listed) if not isinstance(entry, dict)]
    return [f"{name}[{n}]: a value of type {what} was given; it must be a dictionary" for n, what in others]


def _sentences(found: list[str]) -> str:
    shown = found[:MESSAGES_SHOWN]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    return "; ".join(shown)


@dataclass
class _Outcome:
    """What became of one plan."""

    plan: Plan
    action: str
    values: Values
    error: ApiError | None = None
    connection_test: Values | None = None

    @property
    def changed(self) -> bool:
        return self.action in WRITES

    @property
    def changes(self) -> list[str]:
        return self.plan.changes if self.changed else []


class _Session:
    """One run of a module over one parent: reads, then writes in parallel until something ends the run."""

    def __init__(self, module: _Module, resource: Resource) -> None:
        params = module.params
        self.module = module
        self.resource = resource
        self.parent: str = params[resource.parent]
        self.path = resource.path.format(**{resource.parent: self.parent})
        self.client = Client(Settings(**{name: params[name] for name in CONNECTION}), module.conceal)
        self.parallel: int = params.get("parallel") or 1
        self.ended_by: ApiError | None = None
        self._turn: t.IO[str] | None = None

    def take_turn(self) -> None:
        """Wait until no other run of this user on this machine writes to the same objects; raise PlanError in the end.

        The server would register a database once for each of two runs that both found it missing. A run that was killed
        counts as well, since its module goes on for a while. The turn ends with the process. A file system without
        locks gives no turns.
        """
        settings = self.client.settings
        name = hashlib.sha256(f"{settings.api_url} {self.path}".encode()).hexdigest()[:16]
        deadline = time.monotonic() + settings.retry_budget
        try:
            os.makedirs(self.module.user_tmp, mode=0o700, exist_ok=True)
            place = os.path.join(self.module.user_tmp, f"pgbeam.cloud-{name}.lock")
            self._turn = open(place, "w")  # noqa: SIM115  # it stays open until the process ends
            while True:
                try:
                    return fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        break
                time.sleep(TURN_POLL)
        except OSError:
            return None
        raise PlanError(
            f"another run on this machine is changing the {self.resource.plural} of "
            f"{self.resource.parent.removesuffix('_id')} {self.parent}, and has not ended within retry_budget "
            f"({settings.retry_budget} s); run again when it has, or raise retry_budget"
        )

    def read_all(self) -> list[Values]:
        target = f"{self.resource.plural} of {self.resource.parent.removesuffix('_id')} {self.parent}"
        items = self.client.list(self.path, self.resource.plural, target, self._misfit)
        return [_engine.whole(self.resource, item) for item in items]

    def read_one(self, identifier: str) -> list[Values]:
        """The object with this id as a list of one; an empty list where there is none."""
        try:
            item = self.client.get(self._item_path(identifier), f"{self.resource.noun} {identifier}", self._misfit)
        except ApiError as error:
            if error.status != 404:
                raise
            return []
        return [_engine.whole(self.resource, item)]

    def _misfit(self, values: Values) -> str | None:
        return _engine.misfit(self.resource, values)

    def _item_path(self, identifier: str | None) -> str:
        return f"{self.path}/{identifier}"

    def carry_out(self, plans: list[Plan]) -> list[_Outcome]:
        """Do what the plans say, or in check mode foresee it. One outcome a plan, in order; raises nothing."""
        if self.module.check_mode:
            return [_Outcome(plan, plan.action, plan.predict()) for plan in plans]
        outcomes = self._each(self._write, plans)
        self._settle(outcomes)
        if self.module.params["test_connection"]:
            present = [o for o in outcomes if o.values and o.action in ("created", "updated", "unchanged")]
            self._each(self._test, present)
        return outcomes

    def _each(self, do: t.Callable[[t.Any], t.Any], items: list[t.Any]) -> list[t.Any]:
        """Do it for each item, in parallel. The system's log, all that a running module can write to, tells how far."""
        if len(items) < 2:
            return [do(item) for item in items]
        done: list[t.Any] = []
        told = time.monotonic()
        with ThreadPoolExecutor(min(self.parallel, len(items))) as pool:
            for outcome in pool.map(do, items):
                done.append(outcome)
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    self.module.log(f"{len(done)} of {len(items)} {self.resource.plural} of {self.parent} are done")
        return done

    def _write(self, plan: Plan) -> _Outcome:
        if plan.action == "unchanged":
            return _Outcome(plan, plan.action, plan.predict())
        if self.ended_by:
            return _Outcome(plan, "skipped", plan.current or {})
        try:
            if plan.action == "deleted":
                done = self.client.delete(self._item_path(plan.id), plan.label)
                return _Outcome(plan, "deleted" if done else "unchanged", {})
            method, path = "POST", self.path
            if plan.action == "updated":
                method, path = self.resource.update_verb, self._item_path(plan.id)
            answer = self.client.write(method, path, plan.label, plan.body, self._misfit)
            return _Outcome(plan, plan.action, _engine.whole(self.resource, answer))
        except ApiError as error:
            self._note(error)
            return _Outcome(plan, "failed", plan.current or {}, error)
        except Exception as bug:  # one entry's, so that what the others did is not lost with it
            told = ApiError(Call("write", self.path, plan.label), *_unexpected(bug), maybe_done=True)
            return _Outcome(plan, "failed", plan.current or {}, told)

    def _note(self, error: ApiError) -> None:
        """Begin nothing new after an error that every further call would meet as well."""
        if error.ends_the_run:
            self.ended_by = error

    def _settle(self, outcomes: list[_Outcome]) -> None:
        """Where a write's outcome is unknown, list once more: what is there now tells how it ended."""
        unknown = [o for o in outcomes if o.error and o.error.maybe_done]
        if not unknown:
            return
        try:
            register = Register(self.resource, self.read_all())
        except ApiError:
            register = None  # each write's own error is the one to tell
        for outcome in unknown:
            done = outcome.plan.done(register) if register else None
            if done is not None:
                outcome.action, outcome.values, outcome.error = outcome.plan.action, done, None
            elif outcome.error:
                outcome.error.advice += "; the change may have been made, as a second run will tell"

    def _test(self, outcome: _Outcome) -> None:
        if self.ended_by:
            outcome.error = self.ended_by
            return
        try:
            path = f"{self._item_path(outcome.values['id'])}/{self.resource.test}"
            target = f"connection test of {outcome.plan.label}"
            outcome.connection_test = self.client.write("POST", path, target)
        except ApiError as error:
            self._note(error)
            outcome.error = error
            return
        if outcome.connection_test.get("ok") is not True:
            reason = outcome.connection_test.get("error") or "it does not say why"
            outcome.error = ApiError(
                Call("POST", path, target), f"PgBeam cannot connect to it: {reason}",
                "check host, port, username, password, ssl_mode and the network path from PgBeam to the server",
                code="CONNECTION_TEST_FAILED", message=reason,
            )  # fmt: skip


def _module_main(body: t.Callable[[_Module, _Session], None], module: _Module, writes: bool = True) -> None:
    """Run a module's body; whatever is raised ends as one sentence."""
    resource = module._resource
    if _client.REQUESTS_IMPORT_ERROR:
        module.finish(missing_required_lib("requests"))
    failure: str | None = None
    result: Values = {"changed": False}
    try:
        found = _option_problems(resource, module.params, module.given)
        if found:
            raise PlanError(_sentences(found))
        session = _Session(module, resource)
        if writes and not module.check_mode:
            session.take_turn()
        body(module, session)
    except (ConfigError, PlanError) as error:
        failure = str(error)
    except ApiError as error:
        failure = str(error)
        result["error"] = error.as_dict()
    except Exception as error:
        failure = "; ".join(_unexpected(error))
    # Not in an except block: there core could be told to show the exception, whose text may quote a secret.
    module.finish(failure, **result)


def _unexpected(error: Exception) -> tuple[str, str]:
    """What happened and what to do, for a fault of our own, by type and place; its text may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"unexpected {type(error).__name__} at {place}", "this is a bug in pgbeam.cloud, please report it"


def run_item(resource: Resource) -> None:
    """The body of a module for one object."""
    _module_main(_item, _Module(resource, item_spec(resource)))


def _item(module: _Module, session: _Session) -> None:
    resource, params = session.resource, module.params
    wanted = _wanted(session, params)
    problem = _engine.incomplete(resource, wanted)
    if problem:
        raise PlanError(problem)
    existing = session.read_one(wanted["id"]) if "id" in wanted else session.read_all()
    current = Register(resource, existing).find(wanted, params["state"])
    plan = _engine.plan(resource, wanted, current, params["state"], params["update_password"] == "always")
    _warn_of_kept_secrets(module, [plan])
    outcome = session.carry_out([plan])[0]
    result: Values = {
        resource.noun: outcome.values,
        "action": outcome.action,
        "changes": outcome.changes,
        "changed": outcome.changed,
    }
    if params["test_connection"]:
        result["connection_test"] = outcome.connection_test
    if module._diff:
        result["diff"] = plan.diff() if outcome.changed else {"before": {}, "after": {}}
    if outcome.error:
        module.finish(str(outcome.error), error=outcome.error.as_dict(), **result)
    else:
        module.finish(**result)


def run_list(resource: Resource) -> None:
    """The body of a module for a whole list."""
    _module_main(_list, _Module(resource, list_spec(resource)))


def _list(module: _Module, session: _Session) -> None:
    resource, params = session.resource, module.params
    placed = _entries(resource, params)
    places = [place for place, entry in placed]
    entries = [_wanted(session, entry) for place, entry in placed]
    found = [p for p in (_engine.incomplete(resource, e, f"{w}: ") for w, e in zip(places, entries)) if p]
    found = found or _engine.clashes(resource, entries, lambda index: places[index])
    if params["prune"] and not entries:
        found.append(
            f"prune: the list of {resource.plural} is empty, and pruning by it would delete every registration of "
            f"{resource.parent.removesuffix('_id')} {session.parent}; give the list, or use state=absent"
        )
    if found:
        raise PlanError(_sentences(found))
    register = Register(resource, session.read_all())
    plans = _plans(session, places, entries, register)
    _warn_of_kept_secrets(module, plans)
    outcomes = session.carry_out(plans)
    unpruned = params["prune"] and (session.ended_by or any(outcome.error for outcome in outcomes))
    if params["prune"] and not unpruned:
        kept = [plan.current for plan in plans if plan.current]
        outcomes += session.carry_out([_engine.plan_delete(resource, {}, item) for item in register.unclaimed(kept)])
    _finish_list(module, session, outcomes, bool(unpruned))


def _plans(session: _Session, places: list[str], entries: list[Values], register: Register) -> list[Plan]:
    """A plan an entry. Raises PlanError with every entry that cannot be planned, before anything is written."""
    resource, params = session.resource, session.module.params
    shared = _engine.shared_identities(resource, entries)
    plans: list[Plan] = []
    found: list[str] = []
    claimed: dict[str, str] = {}
    for place, wanted, given in zip(places, entries, params[resource.plural]):
        try:
            current = register.find(wanted, given["state"], shared)
            plans.append(_engine.plan(resource, wanted, current, given["state"], params["update_password"] == "always"))
        except PlanError as error:
            found.append(f"{place}: {error}")
            continue
        if current is not None:
            earlier = claimed.setdefault(current["id"], place)
            if earlier != place:
                found.append(f"{earlier} and {place} are both {resource.noun} {current['id']}; keep one of them")
    if found:
        raise PlanError(_sentences(found))
    return plans


def _finish_list(module: _Module, session: _Session, outcomes: list[_Outcome], unpruned: bool) -> None:
    resource = session.resource
    counts = Counter(outcome.action for outcome in outcomes)
    said = ", ".join(f"{counts[action]} {action}" for action in ACTIONS if counts[action]) or "nothing to do"
    result: Values = {
        resource.plural: [_told(module, outcome) for outcome in outcomes],
        "summary": {action: counts[action] for action in ACTIONS},
        "changed": any(outcome.changed for outcome in outcomes),
    }
    if module._diff:
        result["diff"] = [outcome.plan.diff() for outcome in outcomes if outcome.changed]
    errors = list(dict.fromkeys(str(outcome.error) for outcome in outcomes if outcome.error))
    if session.ended_by and not errors and (counts["skipped"] or unpruned):
        errors = [str(session.ended_by)]
    if errors:
        said += ", nothing was pruned" if unpruned else ""
        module.finish(f"{_sentences(errors)} [{said}]", **result)
    else:
        module.finish(msg=said, **result)


def _told(module: _Module, outcome: _Outcome) -> Values:
    """What the list form tells of one entry."""
    resource = outcome.plan.resource
    known = {**outcome.plan.wanted, **(outcome.plan.current or {}), **outcome.values}
    told: Values = {"action": outcome.action}
    for name in resource.summary:
        told[name] = known.get(name, resource.field(name).initial)
    told["changes"] = outcome.changes
    if module.params["test_connection"]:
        told["connection_test"] = outcome.connection_test
    if outcome.error:
        told["error"] = outcome.error.as_dict()
    return told


def _warn_of_kept_secrets(module: _Module, plans: list[Plan]) -> None:
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
    names = {"id", *(f.name for f in session.resource.writable)}
    wanted = _engine.named({name: value for name, value in values.items() if name in names})
    return {**wanted, session.resource.parent: session.parent}


def run_info(resource: Resource) -> None:
    """The body of a module that reads."""
    _module_main(_info, _Module(resource, info_spec(resource)), writes=False)


def _info(module: _Module, session: _Session) -> None:
    resource = session.resource
    wanted = _wanted(session, module.params)
    items = session.read_one(wanted["id"]) if "id" in wanted else session.read_all()
    filters = [resource.field(name) for name in resource.filters if name in wanted]
    kept = [item for item in items if all(f.same(wanted[f.name], item.get(f.name)) for f in filters)]
    for twins in Register(resource, kept).twins():
        module.warn(twins)
    result: Values = {resource.plural: kept}
    module.finish(changed=False, **result)
