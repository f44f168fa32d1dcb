# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written in two places is the same in both: documentation, argument specs, Resource, metadata."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible.argument_spec import CONNECTION
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.responses import RETRY_STATUSES
from ansible_collections.pgbeam.cloud.plugins.module_utils._version import VERSION
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._role import STEPS

from generate.declared import SPECS as SPEC
from generate.declared import Field
from generate.modules import modules
from tests.tree import ROOT

Values = dict[str, Any]
SPECS: dict[str, Values] = {name: SPEC[module.form](module.resource) for name, module in modules().items()}
MODULES = sorted(SPECS)
COMPARED = ("type", "choices", "default", "required", "elements")
#: What a task can hold beside its module.
KEYWORDS = {"name", "register", "loop", "loop_control", "when", "no_log", "vars", "delegate_to", "run_once", "tags"}
each_module = pytest.mark.parametrize("module", MODULES)


def source(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def constants(nodes: Iterable[ast.stmt]) -> dict[str, str]:
    """The texts that are assigned to names."""
    return {
        node.targets[0].id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def module_docs(module: str, name: str) -> Any:
    return yaml.safe_load(constants(source(f"plugins/modules/{module}.py").body)[name])


def connection_options() -> Values:
    """The options of the fragment that all modules share."""
    (fragment,) = [
        node for node in source("plugins/doc_fragments/_connection.py").body if isinstance(node, ast.ClassDef)
    ]
    options: Values = yaml.safe_load(constants(fragment.body)["DOCUMENTATION"])["options"]
    return options


def essence(options: Values) -> Values:
    """What documentation and argument spec have to agree in, with what each may leave out filled in."""
    defaults: Values = {"type": "str", "required": False}
    return {
        name: {**defaults, **{key: option[key] for key in COMPARED if key in option}}
        for name, option in options.items()
    }


LAYERS = ("_http", "_engine", "_reconcile", "_ansible")
SHARED = sorted(file for layer in LAYERS for file in (ROOT / "plugins" / "module_utils" / layer).glob("*.py"))


@pytest.mark.parametrize("file", [f for f in SHARED if f.stem != "responses"], ids=lambda file: str(file.stem))
def test_a_resource_is_known_by_its_declaration_alone(file: Path) -> None:
    """What is shared by all resources names none of them, in code or in words, save the one that a key is of."""
    words = set(re.findall(r"[a-z]+", file.read_text().lower()))
    assert words.isdisjoint(
        {name for module in modules().values() for name in (module.resource.noun, module.resource.plural)}
    )


def test_the_connection_options_are_documented() -> None:
    documented = connection_options()
    assert essence(documented) == essence(CONNECTION)
    for name, option in CONNECTION.items():
        for variable in option.get("fallback", (None, []))[1]:
            assert f"E({variable})" in " ".join(documented[name]["description"])


@each_module
def test_secrets_are_hidden_by_the_argument_spec(module: str) -> None:
    flat = flattened(SPECS[module])
    hidden = {name.split(".")[-1] for name, option in flat.items() if option.get("no_log")}
    fields = flat_fields(modules()[module].resource.options).values() if modules()[module].writes else ()
    assert hidden == {"api_key", *(f.name for f in fields if f.secret)}


def flattened(options: Values, prefix: str = "") -> Values:
    found: Values = {}
    for name, option in options.items():
        found[prefix + name] = option
        found.update(flattened(option.get("options") or {}, f"{prefix}{name}."))
    return found


def flat_fields(fields: Iterable[Field], prefix: str = "") -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field in fields:
        found[prefix + field.name] = field
        members = field.elements.fields if field.elements else field.fields
        found.update(flat_fields(members, f"{prefix}{field.name}."))
    return found


@each_module
def test_returned_samples_have_the_type_that_is_told(module: str) -> None:
    types = {"str": str, "int": int, "float": float, "bool": bool, "list": list}

    def check(values: Values) -> None:
        for name, value in values.items():
            assert {"description", "type", "returned"} <= set(value), name
            if "contains" in value:
                check(value["contains"])
            else:
                assert value["sample"].__class__ is types[value["type"]], name
            if "choices" in value:
                assert value["sample"] in value["choices"], name

    check(module_docs(module, "RETURN"))


@each_module
def test_examples(module: str) -> None:
    """At least two tasks, each with a module's full name; the collection's own are given options that exist."""
    tasks = module_docs(module, "EXAMPLES")
    assert len(tasks) >= 2
    used = []
    for task in tasks:
        (action,) = set(task) - KEYWORDS
        assert action.count(".") == 2 and task["name"][0].isupper()
        namespace, dummy, name = action.rpartition(".")
        if namespace == "pgbeam.cloud":
            used.append(name)
            given = task[action]
            assert set(given) <= set(SPECS[name])
            assert all(option in given for option, spec in SPECS[name].items() if spec.get("required"))
            listed = modules()[name].resource.plural
            for entry in given.get(listed, []):
                if isinstance(entry, dict):
                    assert set(entry) <= set(SPECS[name][listed]["options"])
    assert module in used


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_versions() -> None:
    galaxy = load("galaxy.yml")
    assert galaxy["version"] == VERSION
    assert (galaxy["namespace"], galaxy["name"]) == ("pgbeam", "cloud")


@each_module
def test_a_module_is_not_newer_than_the_collection(module: str) -> None:
    added = module_docs(module, "DOCUMENTATION")["version_added"]
    assert [int(part) for part in added.split(".")] <= [int(part) for part in VERSION.split(".")]


def test_the_action_group_holds_every_module() -> None:
    assert sorted(load("meta/runtime.yml")["action_groups"]["all"]) == MODULES


def test_every_module_is_run_by_the_action() -> None:
    routing = load("meta/runtime.yml")["plugin_routing"]
    assert routing["modules"] == {module: {"action_plugin": "pgbeam.cloud.database"} for module in MODULES}
    assert routing["action"] == {
        name.removeprefix("pgbeam.cloud."): {"redirect": "pgbeam.cloud.database"} for name in STEPS
    }


def test_role_defaults() -> None:
    options = load("roles/pgbeam/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = {name: option["default"] for name, option in options.items() if "default" in option}
    assert load("roles/pgbeam/defaults/main.yml") == defaults


def test_role_options_are_those_of_the_list_form() -> None:
    """A role option that the module has too is of the same type, with the same choices and default."""
    options = load("roles/pgbeam/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    module = SPECS["databases"]
    shared = {name: option for name, option in options.items() if name.removeprefix("pgbeam_") in module}
    own = {"pgbeam_database_defaults", "pgbeam_project", "pgbeam_replace_replicas"}
    assert set(options) - set(shared) == own
    for name, option in shared.items():
        other = module[name.removeprefix("pgbeam_")]
        # The role reads these itself: a list may be a text, and what is vaulted is no text on every core.
        raw = "raw" if name in ("pgbeam_databases", "pgbeam_api_key") else other["type"]
        assert (option["type"], option.get("choices")) == (raw, other.get("choices")), name
        if "default" in option and not other.get("required"):
            assert option["default"] == other["default"], name


def test_retried_statuses_are_documented() -> None:
    text = " ".join(connection_options()["retries"]["description"])
    assert all(str(status) in text for status in RETRY_STATUSES)


PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.rst"), *ROOT.glob("roles/*/*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_nothing_twice(page: Path) -> None:
    """Of what a page lists."""
    bullets = re.findall(r"^- (.+(?:\n  .+)*)", page.read_text(), re.MULTILINE)
    folded = [" ".join(bullet.split()) for bullet in bullets]
    assert sorted(set(folded)) == sorted(folded)
