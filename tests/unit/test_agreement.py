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
from ansible_collections.pgbeam.cloud.plugins.module_utils import _errors, _module
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.organization import ORGANIZATION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.region import REGION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.module_utils._version import VERSION
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._role import STEPS

from tests.tree import ROOT

Values = dict[str, Any]
#: Which resource a module is about, and which argument spec it has.
ABOUT: dict[str, tuple[Resource, Any]] = {
    "database": (DATABASE, _module.item_spec),
    "databases": (DATABASE, _module.list_spec),
    "database_info": (DATABASE, _module.info_spec),
    "organization_info": (ORGANIZATION, _module.info_spec),
    "project": (PROJECT, _module.item_spec),
    "project_info": (PROJECT, _module.info_spec),
    "region_info": (REGION, _module.info_spec),
    "replica": (REPLICA, _module.item_spec),
    "replicas": (REPLICA, _module.list_spec),
    "replica_info": (REPLICA, _module.info_spec),
}
SPECS: dict[str, Values] = {name: spec(resource) for name, (resource, spec) in ABOUT.items()}
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
DOCUMENTATION = ("DOCUMENTATION", "EXAMPLES", "RETURN")
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


def documented_options(module: str) -> Values:
    """A module's options, with those of the fragments that it extends."""
    documentation = module_docs(module, "DOCUMENTATION")
    options: Values = {}
    for fragment in documentation["extends_documentation_fragment"]:
        collection, dummy, name = fragment.rpartition(".")
        assert collection == "pgbeam.cloud"
        body = source(f"plugins/doc_fragments/{name}.py").body
        (fragment_class,) = [node for node in body if isinstance(node, ast.ClassDef)]
        options.update(yaml.safe_load(constants(fragment_class.body)["DOCUMENTATION"])["options"])
    assert not set(options) & set(documentation["options"])
    return {**options, **documentation["options"]}


def essence(options: Values, members: str) -> Values:
    """What documentation and argument spec have to agree in, with what each may leave out filled in."""
    defaults: Values = {"type": "str", "required": False}
    return {
        name: {
            **defaults,
            **{key: option[key] for key in COMPARED if key in option},
            "options": essence(option.get(members) or {}, members),
        }
        for name, option in options.items()
    }


def test_every_module_is_covered() -> None:
    assert set(MODULES) == set(SPECS)


SHARED = sorted((ROOT / "plugins" / "module_utils").glob("_*.py"))


@pytest.mark.parametrize("file", [f for f in SHARED if f.stem != "_errors"], ids=lambda file: str(file.stem))
def test_a_resource_is_known_by_its_declaration_alone(file: Path) -> None:
    """What is shared by all resources names none of them, in code or in words, save the one that a key is of."""
    words = set(re.findall(r"[a-z]+", file.read_text().lower()))
    assert words.isdisjoint({name for resource, dummy in ABOUT.values() for name in (resource.noun, resource.plural)})


@each_module
def test_documentation_and_argument_spec(module: str) -> None:
    assert essence(documented_options(module), "suboptions") == essence(SPECS[module], "options")


@each_module
def test_secrets_are_hidden_by_the_argument_spec(module: str) -> None:
    flat = flattened(SPECS[module])
    hidden = {name.split(".")[-1] for name, option in flat.items() if option.get("no_log")}
    resource, spec = ABOUT[module]
    writes = spec is not _module.info_spec
    assert hidden == {"api_key", *(f.name for f in flat_fields(resource.options).values() if f.secret and writes)}


def flattened(options: Values, prefix: str = "") -> Values:
    found: Values = {}
    for name, option in options.items():
        found[prefix + name] = option
        found.update(flattened(option.get("options") or option.get("suboptions") or {}, f"{prefix}{name}."))
    return found


def flat_fields(fields: Iterable[Field], prefix: str = "") -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field in fields:
        found[prefix + field.name] = field
        members = field.elements.fields if field.elements else field.fields
        found.update(flat_fields(members, f"{prefix}{field.name}."))
    return found


def object_options(module: str) -> Values:
    """The documented options that are about one object, flattened."""
    resource, spec = ABOUT[module]
    options = documented_options(module)
    if spec is _module.list_spec:
        options = options[resource.plural]["suboptions"]
    fields = {f.name for f in told_fields(module)}
    return flattened({name: option for name, option in options.items() if name in fields})


def told_fields(module: str) -> tuple[Field, ...]:
    """The fields of the resource that a module has options for."""
    resource, spec = ABOUT[module]
    return tuple(resource.field(name) for name in resource.filters) if spec is _module.info_spec else resource.options


@each_module
def test_options_are_the_fields_of_the_resource(module: str) -> None:
    """Every writable field is an option with the same type, choices and elements."""
    expected = {
        name: ("raw" if field.secret else field.type, list(field.choices), field.elements and field.elements.type)
        for name, field in flat_fields(told_fields(module)).items()
    }
    documented = object_options(module)
    assert {n: (o["type"], o.get("choices", []), o.get("elements")) for n, o in documented.items()} == expected


@each_module
def test_ranges_of_fields_are_documented(module: str) -> None:
    documented = object_options(module)
    for name, field in flat_fields(told_fields(module)).items():
        text = " ".join(documented[name]["description"])
        if field.type == "int":
            assert f"{field.minimum} to {field.maximum}" in text, name
        if field.type == "list":
            assert f"{field.maximum} at most" in text, name
        if field.initial is not None and ABOUT[module][1] is not _module.info_spec:
            assert f"V({field.initial})" in text, name


@each_module
def test_the_environment_variables_of_options_are_documented(module: str) -> None:
    options = documented_options(module)
    for name, option in _module.CONNECTION.items():
        for variable in option.get("fallback", (None, []))[1]:
            assert f"E({variable})" in " ".join(options[name]["description"])


def returned(values: Values) -> Values:
    return {
        name: returned(value["contains"]) if "contains" in value else value["type"] for name, value in values.items()
    }


def readable(resource: Resource) -> Values:
    """What a result tells of an object, as its documentation has it."""

    def told(field: Field) -> Any:
        members = field.elements.fields if field.elements else field.fields
        return {member.name: told(member) for member in members} or field.type

    return {field.name: told(field) for field in resource.fields if not field.secret}


@each_module
def test_every_readable_field_is_returned(module: str) -> None:
    resource, spec = ABOUT[module]
    if spec is _module.list_spec:
        return
    result = returned(module_docs(module, "RETURN"))
    assert result[resource.noun if spec is _module.item_spec else resource.plural] == readable(resource)
    if resource.first and spec is _module.item_spec:
        assert result[resource.first.noun] == readable(resource.first)


@pytest.mark.parametrize("module", [name for name, (dummy, spec) in ABOUT.items() if spec is _module.list_spec])
def test_a_list_form_returns_the_summary_of_the_resource(module: str) -> None:
    resource, dummy = ABOUT[module]
    result = returned(module_docs(module, "RETURN"))
    entry = {name: result[resource.plural].pop(name) for name in resource.summary}
    assert entry == {name: readable(resource)[name] for name in resource.summary}
    tested = {"connection_test"} if resource.test else set()
    assert set(result[resource.plural]) == {"action", "changes", "error"} | tested
    assert list(result["summary"]) == list(resource.actions)


@each_module
def test_the_parts_of_an_error_are_returned(module: str) -> None:
    parts = list(ApiError(Call("GET", "/", "database db_1"), "failed", "run again").as_dict())
    result = module_docs(module, "RETURN")
    assert list(result["error"]["contains"]) == parts
    resource, spec = ABOUT[module]
    if spec is _module.list_spec:
        assert list(result[resource.plural]["contains"]["error"]["contains"]) == parts


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
            listed = ABOUT[name][0].plural
            for entry in given.get(listed, []):
                if isinstance(entry, dict):
                    assert set(entry) <= set(SPECS[name][listed]["options"])
    assert module in used


@each_module
def test_a_module_is_documentation_and_a_few_lines(module: str) -> None:
    rest = [
        node
        for node in source(f"plugins/modules/{module}.py").body
        if not isinstance(node, ast.Import | ast.ImportFrom) and not set(constants([node])) & set(DOCUMENTATION)
    ]
    assert 0 < sum((node.end_lineno or 0) - node.lineno + 1 for node in rest) < 10


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
    module = documented_options("databases")
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
    text = " ".join(documented_options("database")["retries"]["description"])
    assert all(str(status) in text for status in _errors.RETRY_STATUSES)


@pytest.mark.parametrize("module", [name for name, (dummy, spec) in ABOUT.items() if spec is _module.info_spec])
def test_a_module_that_reads_documents_no_failure_of_a_write(module: str) -> None:
    error = module_docs(module, "RETURN")["error"]["contains"]
    assert error["method"]["sample"] == "GET"
    assert "V(false)" in error["maybe_done"]["description"]
    assert not re.search("CONNECTION_TEST_FAILED|PLAN_LIMIT_REACHED|(?i:registration)", str(error))


@pytest.mark.parametrize("module", [name for name, (dummy, spec) in ABOUT.items() if spec is _module.list_spec])
def test_the_message_of_a_list_form_is_documented_in_its_order(module: str) -> None:
    words = module_docs(module, "RETURN")["msg"]["description"]
    assert "the reasons come first and the summary follows in brackets" in words


PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.rst"), *ROOT.glob("roles/*/*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_nothing_twice(page: Path) -> None:
    """Of what a page lists."""
    bullets = re.findall(r"^- (.+(?:\n  .+)*)", page.read_text(), re.MULTILINE)
    folded = [" ".join(bullet.split()) for bullet in bullets]
    assert sorted(set(folded)) == sorted(folded)
