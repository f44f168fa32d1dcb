# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of variables and options: what they are evaluated to, and which cannot be used."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _declared, _gather, _values

DAY = datetime.date(2026, 1, 1)


class Templar:
    """Stands for Ansible's: a text in double braces is one of the values, and no other text is a template."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def template(self, variable: Any) -> Any:
        if isinstance(variable, dict):
            return {name: self.template(value) for name, value in variable.items()}
        if isinstance(variable, list):
            return [self.template(value) for value in variable]
        is_template = isinstance(variable, str) and variable.startswith("{{ ")
        return self.values[variable[3:-3]] if is_template else variable


@pytest.mark.parametrize(
    "value, problems",
    [
        ({"a": [{"b": DAY}]}, ["a[0].b: 2026-01-01 is a date; put it in quotes"]),
        ({"a": datetime.datetime(2026, 1, 1, 10)}, ["a: 2026-01-01 10:00:00 is a time; put it in quotes"]),
        ({"a": b"x"}, ["a: b'x' is a binary value; remove the tag !!binary, and write it as text"]),
        ({"a": {"x"}}, ["a: a set was given; write it as a list"]),
        ({"a": int("f" * 5000, 16)}, ["a: the number is too large; correct it, or put it in quotes"]),
        ({"a": {True: 1}, None: 2},
         ["a: the option name True is not text; put it in quotes",
          "the options: the option name None is not text; put it in quotes"]),
        ({"password": DAY, "api_key": {"x": [b"x"]}},
         ["password: a date was given; put it in quotes",
          "api_key.x[0]: a binary value was given; remove the tag !!binary, and write it as text"]),
        ({"a": ["x", 1, 1.5, True, None, {}, ()]}, []),
    ],
)  # fmt: skip
def test_values_that_json_cannot_hold(value: Any, problems: list[str]) -> None:
    assert list(_values.problems(value)) == problems


def gathered(templar: Templar | None = None, **variables: Any) -> dict[str, Any]:
    given = {f"pgbeam_{name}": value for name, value in {**_gather.VARIABLES, **variables}.items()}
    return _gather.gather({**given, "omit": "__omit__"}, templar or Templar())


@pytest.mark.parametrize(
    "value, expected",
    [
        ('[{"name": "a"}]', [{"name": "a"}]),
        ("- name: a\n- {name: b, port: 6432}", [{"name": "a"}, {"name": "b", "port": 6432}]),
        ('- name: "{{ own }}"', [{"name": "it's: {{ x }}"}]),
        ("{{ whole }}", [{"name": "{{ y }}"}]),
        ("{{ text }}", [{"name": "{{ own }}"}]),
        ([{"name": "{{ own }}", "port": "__omit__"}], [{"name": "it's: {{ x }}"}]),
        ("", []),
        (None, []),
    ],
)
def test_a_list_may_be_a_text_and_each_template_is_evaluated_once(value: Any, expected: Any) -> None:
    templar = Templar(own="it's: {{ x }}", whole=[{"name": "{{ y }}"}], text='[{"name": "{{ own }}"}]')
    found = gathered(templar, databases=value)
    assert (found["values"]["databases"], found["problems"]) == (expected, [])


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("databases", "[{'name'", "pgbeam_databases: the text is neither YAML nor JSON; correct it, or set a list"),
        ("project", "{a", "pgbeam_project: the text is neither YAML nor JSON; correct it, or set a dictionary"),
        ("databases", "{{ missing }}",
         "pgbeam_databases: a template in it cannot be evaluated; check the variables that it uses"),
        ("databases", [{"name": DAY}], "pgbeam_databases[0].name: 2026-01-01 is a date; put it in quotes"),
        ("databases", "- name: 2026-01-01", "pgbeam_databases[0].name: 2026-01-01 is a date; put it in quotes"),
        ("api_key", DAY, "pgbeam_api_key: a date was given; put it in quotes"),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_used(name: str, value: Any, problem: str) -> None:
    found = gathered(**{name: value})
    assert (found["values"][name], found["problems"]) == (_gather.VARIABLES[name], [problem])


def test_what_is_vaulted_is_decrypted() -> None:
    """Cores before 2.19 have an object for it."""

    class Vaulted:
        __ENCRYPTED__ = True

        def __str__(self) -> str:
            return "{{ 7 * 7 }}"

    found = gathered(database_defaults={"password": Vaulted()}, api_key=Vaulted())
    assert found["values"]["database_defaults"] == {"password": "{{ 7 * 7 }}"}
    assert found["values"]["api_key"] == "{{ 7 * 7 }}"


@pytest.mark.parametrize(
    "settings, problem",
    [
        ({"prune": "maybe"}, "pgbeam_prune: 'maybe' is not allowed; it must be true or false"),
        ({"parallel": 33}, "pgbeam_parallel: 33 is not allowed; it must be a whole number from 1 to 32"),
        (
            {"update_password": "never"},
            "pgbeam_update_password: 'never' is not allowed; it must be one of on_create, always",
        ),
        ({"api_key": 12345}, "pgbeam_api_key: the value is not text; put it in quotes"),
        (
            {"databases": {"a": 1}},
            "pgbeam_databases: a dictionary was given; it must be a list (with -e, pass it as JSON or in a file)",
        ),
    ],
)
def test_settings_that_are_not_allowed(settings: dict[str, Any], problem: str) -> None:
    """Core has validated them before, unless the role is included without that."""
    host = _declared.read("db1", {"address": "db1", **gathered(**settings)})
    assert host.problems == [problem]


@pytest.mark.parametrize("text, value", [("yes", True), ("False", False), ("on", True), (1, True)])
def test_booleans_and_numbers_as_templates_give_them(text: Any, value: bool) -> None:
    assert gathered(prune=text, parallel="4")["values"] == {**_gather.VARIABLES, "prune": value, "parallel": 4}


@pytest.mark.parametrize(
    "address, local",
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("0.0.0.0", True), ("::", True),
        ("169.254.3.4", True), ("fe80::1", True), ("fe80::1%eth0", True), ("::ffff:127.0.0.1", True),
        ("localhost", True), ("LocalHost.", True), ("db.localhost", True),
        ("10.0.0.1", False), ("2001:db8::1", False), ("db1", False), ("localhost.example.com", False),
    ],
)  # fmt: skip
def test_addresses_of_the_machine_that_they_are_used_on(address: str, local: bool) -> None:
    assert _declared.is_local(address) is local
