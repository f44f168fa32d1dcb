# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AnsibleModule as this collection needs it: its options, what it refuses, and what it shows of them.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import (
    CONNECTION,
    MAX_ACTION_TIMEOUT,
    MAX_PARALLEL,
    Spec,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import validation
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.redact import Redactor
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Ending
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import API_KEY_VARIABLES

MAX_ERRORS = 5
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
#: Shows a line in the terminal; None where the module runs in a process of its own, whose output is its result.
SHOW: t.Callable[[str], t.Any] | None = None


class Module(AnsibleModule):
    """AnsibleModule whose results and logs hold no list of entries, and whose refusals name the entry."""

    def __init__(self, resource: Resource, spec: Spec) -> None:
        self.resource = resource
        #: The operations in use whose end the API has announced.
        self.endings: t.Mapping[str, Ending] = {}
        spec_failed = True
        # Core's own checks stumble over some values: cache_config: [null].
        with contextlib.suppress(AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            super().__init__(argument_spec=spec, supports_check_mode=True)
            spec_failed = False
        if spec_failed:
            self.fail_json("the options cannot be read; check the type of each")

    def _load_params(self) -> None:
        super()._load_params()
        for name in self._parents if self.resource.path_has_parent else ():
            if self.params.get(name, "") is None:
                self.params[name] = ""  # in check mode it may be null, which core would make the text "None" of
        #: The options before core converts them, as it drops entries that it cannot read, and quotes them.
        self.raw_params: Values = dict(self.params)

    @property
    def _invocation(self) -> Values:
        """What ``invocation`` shows: no list, and no option outside the spec, as a misspelled one may hold a secret."""
        return {"module_args": _loggable(self.argument_spec, self.params, self._secrets)}

    @property
    def user_tmp(self) -> str:
        """Ansible's folder for this user's temporary files, the same for all runs; ``tmpdir`` is this run's own."""
        return str(os.path.expandvars(os.path.expanduser(self._remote_tmp)))

    def log(self, msg: str, log_args: dict[str, t.Any] | None = None) -> None:
        """Log of the options what ``invocation`` shows of them, and nothing of those whose members hold secrets.

        Core logs these as escaped text, where masking can miss a secret; newer cores log a password in an address, too.
        """
        if log_args:
            holding = {name for name, option in self.argument_spec.items() if _secret_names(option.get("options", {}))}
            shown = self._invocation["module_args"]
            log_args = {name: shown[name] for name in log_args if name in shown and name not in holding}
        if log_args:  # core masks the message, but not what goes to systemd's journal beside it
            log_args = self._redactor.mask({name: str(value) for name, value in log_args.items()})
            msg = "Invoked with " + " ".join(f"{name}={value!s}" for name, value in log_args.items())
        super().log(msg, log_args)

    def exit(self, failure: str | None = None, totals: str = "", **result: t.Any) -> t.NoReturn:
        """End the module: as failed where there is a failure to tell, else well.

        What was counted is told in this collection's own words, which no secret gets into. No secret is left in the
        rest for core to mask, which for a large list would take longer than the work itself.
        """
        if self.endings:
            told = "; ".join(map(str, self.endings.values()))
            self.warn(f"PgBeam has announced the end of {told}; update the pgbeam.cloud collection")
        result = self._redactor.mask({**result, "invocation": self._invocation, "msg": failure or ""})
        result["msg"] = " ".join(filter(None, (result["msg"], f"[{totals}]" if failure and totals else totals)))
        if not result["msg"]:
            del result["msg"]
        self.no_log_values: set[str] = set()
        if failure is None:
            self.exit_json(**result)
        super().fail_json(**result)
        raise AssertionError  # fail_json has ended the process

    def show(self, progress: str) -> None:
        """Tell how far the work is: in the system's log, and in the terminal where the module can write to it."""
        self.log(progress)
        if SHOW and not self.no_log:
            SHOW(self.redact(progress))

    def redact(self, text: str) -> str:
        """The text without secrets."""
        return str(self._redactor.mask(text))

    def warn(self, warning: str) -> None:
        super().warn(self.redact(warning))

    @functools.cached_property
    def _secrets(self) -> set[str]:
        """All secrets that the options hold: core gives up collecting them at the first entry of a wrong type."""
        given = _secrets(_secret_names(self.argument_spec), self.raw_params)
        return {*self.no_log_values, *given, *filter(None, map(os.environ.get, API_KEY_VARIABLES))}

    @functools.cached_property
    def _redactor(self) -> Redactor:
        return Redactor(self._secrets, {*self.resource.actions, *METHODS, *self.resource.changed_names})

    def fail_json(self, msg: str, **kwargs: t.Any) -> None:
        """Core calls this when its own checks refuse the options; ours say the same with the entry's place."""
        found = [] if kwargs else self.problems()
        result = {"invocation": self._invocation, **kwargs, "msg": join_errors(found) if found else msg}
        super().fail_json(**self._redactor.mask(result))

    def problems(self) -> list[str]:
        """What is wrong with the values of the options, each in a sentence, before any request."""
        resource, given = self.resource, self.raw_params
        found = self._parent_problems()
        action = resource.offered_action
        found += self._type_problems()
        bounds = {"parallel": (1, MAX_PARALLEL)}
        bounds |= {action.timeout_option: (0, MAX_ACTION_TIMEOUT)} if action and action.timeout_option else {}
        large = [name for name in (*CONNECTION, *bounds) if _is_large(self.params.get(name))]
        found += [f"{name}: a number of that size is not allowed; give a smaller one" for name in large]
        for name, (least, most) in bounds.items():
            number = self.params.get(name)
            if isinstance(number, int) and not least <= number <= most and not large:
                found.append(f"{name}: {number} is not allowed; it must be a whole number from {least} to {most}")
        asked = action and self.params.get(action.option) and self.params.get("state") != "absent"
        if action and asked and not resource.action:
            noun = resource.nested.noun if resource.nested else ""
            if not validation.drop_nulls({noun: given.get(noun)}):
                found.append(f"{action.option}: there is no {noun} to test; name it in {noun}, or leave it out")
        if resource.plural not in self.argument_spec:
            return found + validation.validate(resource, given)
        found += validation.limit_errors(self.params.get("prune_limit"), "prune_limit") if resource.deletable else []
        found += _shape_errors(resource.plural, given.get(resource.plural))
        for place, entry in entries(resource, given):
            found += validation.validate_entry(resource, entry, f"{place}: ")
        return found

    def _type_problems(self) -> list[str]:
        """Sentences on values of a wrong type, which some core would convert, of the options that are no field."""
        found = []
        own = {self.resource.id_field, self.resource.plural, *(f.name for f in self.resource.options)}
        for name in self.raw_params.keys() & self.argument_spec.keys() - own:
            option, value = self.argument_spec[name], self.raw_params[name]
            items = value if option["type"] == "list" and isinstance(value, list) else [value]
            for item in items:
                reason = None
                if item is None or option["type"] == "bool":
                    continue
                if option["type"] == "int" and validation.whole_number(item) is None:
                    reason = f"{validation.as_yaml(item) or 'the value'} is not allowed; give a whole number"
                elif option["type"] != "int":
                    reason = validation.text_error(item, secret=bool(option.get("no_log")))
                if reason:
                    found.append(f"{name}: {reason}")
        return sorted(found)

    @property
    def _parents(self) -> tuple[str, ...]:
        """The options of the ids that the path holds."""
        return (*self.resource.ancestors, self.resource.parent)

    def _parent_problems(self) -> list[str]:
        found: list[str] = []
        for name in self._parents if self.resource.path_has_parent else ():
            parent = self.params.get(name)
            if parent != "" or self.resource.is_singleton:
                found += validation.id_errors(parent, name)
            elif not self.check_mode:
                noun = name.removesuffix("_id")
                found.append(
                    f"{name}: it is empty; that is allowed in check mode only, for a {noun} that is not there yet"
                )
        return found


def _loggable(spec: Values, params: Values, secrets: set[str]) -> Values:
    """These options as a result may show them."""
    shown = {}
    for name, option in spec.items():
        value = params.get(name)
        if option.get("type") == "list" and "options" in option:
            continue
        if _is_large(value):
            value = "(a large number)"
        # An address with a user in it holds a password as well, and masking spares a short secret in an id.
        hidden = option.get("no_log") or (name == "api_url" and "@" in str(value)) or str(value) in secrets
        if value and hidden:
            value = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
        elif value and "options" in option:
            value = _loggable(option["options"], value, secrets) if isinstance(value, dict) else "(not a dictionary)"
        shown[name] = value
    return shown


def _is_large(value: t.Any) -> bool:
    """Whether a value is a number that Python may make no text of, because it has too many digits."""
    return isinstance(value, int) and not validation.as_yaml(value)


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


def entries(resource: Resource, params: Values) -> list[tuple[str, Values]]:
    """Each entry of a list-form module's options with its place in words; none for the other modules."""
    listed = params.get(resource.plural)
    if not isinstance(listed, list):
        return []
    found = [(f"{resource.plural}[{n}]", entry) for n, entry in enumerate(listed) if isinstance(entry, dict)]
    return [(validation.entry_label(where, entry), entry) for where, entry in found]


def _shape_errors(name: str, listed: t.Any) -> list[str]:
    """What is no dictionary in a list of them. Core takes text for one, and a password in it for something else."""
    if listed is None:
        return []
    if not isinstance(listed, list):
        return [f"{name}: {validation.kind(listed)} was given; it must be a list of dictionaries"]
    others = [(n, validation.kind(entry)) for n, entry in enumerate(listed) if not isinstance(entry, dict)]
    return [f"{name}[{n}]: {what} was given; it must be a dictionary" for n, what in others]


def join_errors(errors: list[str]) -> str:
    """The first errors as one text."""
    shown = errors[:MAX_ERRORS]
    if len(errors) > len(shown):
        shown.append(f"and {len(errors) - len(shown)} more")
    return "; ".join(shown)
