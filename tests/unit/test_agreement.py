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
from ansible_collections.pgbeam.cloud.plugins.module_utils._version import VERSION
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._role import STEPS

from generate import fragments
from generate.declared import CONNECTION, VARIABLES, Field
from generate.declared import SPECS as SPEC
from generate.modules import modules
from tests.tree import ROOT

Values = dict[str, Any]
SPECS: dict[str, Values] = {name: SPEC[module.form](module.resource) for name, module in modules().items()}
MODULES = sorted(SPECS)
#: The keywords of a task in addition to its module.
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


LAYERS = ("_http", "_engine", "_reconcile", "_ansible")
SHARED = sorted(file for layer in LAYERS for file in (ROOT / "plugins" / "module_utils" / layer).glob("*.py"))


@pytest.mark.parametrize("file", [f for f in SHARED if f.stem != "responses"], ids=lambda file: str(file.stem))
def test_a_resource_is_known_by_its_declaration_alone(file: Path) -> None:
    """Shared code and words mention no resource, except the one of a key."""
    text = re.sub("User-Agent|set_policy|allowed_domains", "", file.read_text())  # of HTTP and of its cookies
    words = set(re.findall(r"[a-z]+", text.lower())) - {"plan", "plans"}  # what has to be done is called this, too
    assert words.isdisjoint(
        {name for module in modules().values() for name in (module.resource.noun, module.resource.plural)}
    )


@pytest.mark.parametrize("name", CONNECTION)
def test_the_environment_variables_of_an_option_are_documented(name: str) -> None:
    text = " ".join(fragments.documentation("connection")["options"][name]["description"])
    dummy, variables = CONNECTION[name].get("fallback", (None, []))
    assert all(f"E({variable})" in text for variable in variables)


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
def test_returned_samples_have_the_documented_type(module: str) -> None:
    types = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}

    def check(values: Values) -> None:
        for name, value in values.items():
            assert {"description", "type", "returned"} <= set(value), name
            if "contains" in value:
                check(value["contains"])
            else:
                always_null = "Always null" in str(value["description"])
                assert value["sample"].__class__ is (type(None) if always_null else types[value["type"]]), name
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


def test_the_index_of_modules_by_task_lists_each_once() -> None:
    page = (ROOT / "docs/docsite/rst/modules_by_task.rst").read_text()
    assert sorted(re.findall(r"<pgbeam\.cloud\.(\w+)#module>", page)) == MODULES


@each_module
def test_a_module_is_not_newer_than_the_collection(module: str) -> None:
    added = module_docs(module, "DOCUMENTATION")["version_added"]
    assert [int(part) for part in added.split(".")] <= [int(part) for part in VERSION.split(".")]


def test_every_step_of_the_role_is_run_by_the_action() -> None:
    assert load("meta/runtime.yml")["plugin_routing"]["action"] == {
        name.removeprefix("pgbeam.cloud."): {"redirect": "pgbeam.cloud.database"} for name in STEPS
    }


def test_a_role_variable_has_the_default_of_the_option_that_it_sets() -> None:
    options = {name: option for name, option in SPECS["databases"].items() if option.get("default") is not None}
    # The role does not pass on what is empty.
    found = {name: default for name, default in VARIABLES.items() if name in options and default != ""}
    assert found == {name: options[name]["default"] for name in found}
    assert found.keys() >= {"prune", "prune_limit", "update_password", "test_connection", "parallel"}


PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.rst"), *ROOT.glob("roles/*/*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_repeats_no_paragraph(page: Path) -> None:
    """Of what a page lists."""
    bullets = re.findall(r"^- (.+(?:\n  .+)*)", page.read_text(), re.MULTILINE)
    folded = [" ".join(bullet.split()) for bullet in bullets]
    assert sorted(set(folded)) == sorted(folded)
