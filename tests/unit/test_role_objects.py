# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a project other than databases: the order of calls, skipped and deleted objects."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _apply, _objects, _report
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._plan import Project

Values = dict[str, Any]
SETTINGS: Values = {
    "api_key": "",
    "api_url": "",
    "prune": False,
    "prune_limit": "50%",
    "replace_replicas": False,
    "update_password": "on_create",
    "test_connection": False,
    "parallel": 4,
}
DECLARED: dict[str, list[Values]] = {
    "policies": [{"name": "readers"}],
    "agents": [{"name": "bot", "policy": "readers"}],
    "honeytokens": [{"relation_name": "salaries", "action": "kill"}],
}
#: Every kind of the role, also those of which DECLARED has none.
BY_PLURAL = {kind.plural: kind for kind in KINDS}


def failure(status: int | None) -> Values:
    return {"failed": True, "msg": f"{status} NO", "error": {"status": status}}


class Platform:
    """Stands for the list modules: has objects by kind, and answers as the modules do."""

    def __init__(self, existing: dict[str, list[Values]] | None = None, failing: Values | None = None) -> None:
        self.existing = {plural: list((existing or {}).get(plural, [])) for plural in BY_PLURAL}
        self.failing = failing or {}
        self.calls: list[tuple[str, Values]] = []
        self.foreseen: list[str] = []
        self.announced: list[str] = []

    def call(self, module: str, options: Values) -> Values:
        self.calls.append((module, options))
        return self._answer(module, options, live=True)

    def foresee(self, module: str, options: Values) -> Values:
        self.foreseen.append(module)
        return self._answer(module, options, live=False)

    def _answer(self, module: str, options: Values, live: bool) -> Values:
        if module in self.failing:
            return dict(self.failing[module])
        if module == "databases":
            return {"databases": [], "msg": "nothing to do"}
        kind, there = BY_PLURAL[module], self.existing[module]
        found = [self._entry(kind, entry, there, live) for entry in options[module]]
        if options["prune"]:
            named = [item["id"] for item in found]
            found += [{**item, "action": "deleted", "changes": []} for item in there if item["id"] not in named]
        if live:
            gone = [item["id"] for item in found if item["action"] == "deleted"]
            self.existing[module] = [item for item in there if item["id"] not in gone]
        changed = any(item["action"] != "unchanged" for item in found)
        return {module: found, "changed": changed, "failed": False, "msg": "counted"}

    def _entry(self, kind: Resource, entry: Values, there: list[Values], live: bool) -> Values:
        keys = ["id"] if "id" in entry else kind.identity
        matching = [item for item in there if all(item.get(k) == entry.get(k) for k in keys)]
        if matching:
            action = "deleted" if entry.get("state") == "absent" else "unchanged"
            return {**matching[0], "action": action, "changes": []}
        made = {**{name: entry.get(name) for name in kind.summary}, "id": f"{kind.noun}_new" if live else None}
        if entry.get("state") == "absent":
            return {**made, "id": None, "action": "unchanged", "changes": []}
        there += [made] if live else []
        return {**made, "action": "created", "changes": list(kind.identity)}

    def _announce(self, text: str) -> None:
        assert not self.calls, "what prune deletes is announced before the first write"
        self.announced.append(text)

    @property
    def named(self) -> list[str]:
        return [module for module, dummy in self.calls if module != "databases"]

    def run(self, declared: dict[str, list[Values]], audit: bool = False, **settings: Any) -> _report.Results:
        project = Project("prj_1", "prj_1", {}, [], [], {**SETTINGS, **settings}, declared)
        results, problem = _apply.run([project], self.call, self.foresee, self._announce, audit)
        assert problem is None
        return results


def test_kinds_refer_only_to_kinds_before_them() -> None:
    for place, kind in enumerate(KINDS):
        assert kind.parent == "project_id"
        assert all(f.refers_to in KINDS[:place] for f in kind.references)


def test_each_kind_is_one_call_in_order() -> None:
    platform = Platform()
    results = platform.run(dict(reversed(DECLARED.items())))
    assert platform.named == list(DECLARED)
    assert platform.foreseen == []
    given = dict(platform.calls)["agents"]
    assert given["agents"] == [{"name": "bot", "policy_profile_id": "policy_new"}]
    assert (given["project_id"], given["prune"], given["parallel"]) == ("prj_1", False, 4)
    assert [(r["project"], r["kind"]) for r in results.objects] == [("prj_1", plural) for plural in DECLARED]


def there(**more: list[Values]) -> dict[str, list[Values]]:
    """What DECLARED declares, and more."""
    own = {
        "policies": [{"id": "pol_1", "name": "readers"}],
        "agents": [{"id": "agt_1", "name": "bot"}],
        "honeytokens": [{"id": "ht_1", "relation_name": "salaries"}],
    }
    return {plural: own[plural] + more.get(plural, []) for plural in own}


OLD = {"policies": [{"id": "pol_9", "name": "old"}], "agents": [{"id": "agt_9", "name": "old-bot"}]}


def test_prune_of_what_is_as_declared_is_one_call_a_kind() -> None:
    platform = Platform(there())
    results = platform.run(DECLARED, prune=True)
    assert (platform.named, platform.foreseen) == ([], list(DECLARED))
    assert [entry["action"] for r in results.objects for entry in r[r["kind"]]] == ["unchanged"] * 3
    assert platform.announced == []


def test_what_is_pruned_is_announced_and_deleted_in_reverse_order_after_all_kinds() -> None:
    platform = Platform(there(**OLD))
    platform.run(DECLARED, prune=True)
    assert platform.named == ["policies", "agents", "agents", "policies"]
    assert [options[module] for module, options in platform.calls[-2:]] == [
        [{"id": "agt_9", "state": "absent"}],
        [{"id": "pol_9", "state": "absent"}],
    ]
    assert platform.announced == [
        "1 of the 2 policies of project prj_1: policy old (pol_9)",
        "1 of the 2 agents of project prj_1: agent old-bot (agt_9)",
    ]
    again = Platform(platform.existing)
    again.run(DECLARED, prune=True)
    assert again.named == []


def test_a_kind_that_no_host_declares_is_not_pruned() -> None:
    platform = Platform(there(**OLD))
    platform.run({"agents": DECLARED["agents"]}, prune=True)
    assert platform.existing["policies"] == there(**OLD)["policies"]
    assert platform.existing["agents"] == there()["agents"]


def test_absent_entries_are_deleted_in_reverse_order_too() -> None:
    absent = {plural: [{**entry, "state": "absent"} for entry in entries] for plural, entries in DECLARED.items()}
    platform = Platform(there(**OLD))
    platform.run(absent)
    assert platform.named == list(reversed(DECLARED))
    assert {plural: items for plural, items in platform.existing.items() if items} == OLD
    assert platform.announced == []
    again = Platform(platform.existing)
    results = again.run(absent)
    assert again.named == []
    assert [entry["action"] for r in results.objects for entry in r[r["kind"]]] == ["unchanged"] * 3


@pytest.mark.parametrize(
    "kind, status, called",
    [
        ("policies", 402, ["policies", "honeytokens"]),
        ("policies", 403, ["policies", "honeytokens"]),
        ("policies", 400, ["policies", "honeytokens"]),
        ("agents", 403, ["policies", "agents", "honeytokens"]),
        ("policies", 401, ["policies"]),
        ("policies", None, ["policies"]),
        ("policies", 503, ["policies"]),
        ("databases", 402, ["policies", "agents", "honeytokens"]),
        ("databases", 401, []),
    ],
)
def test_what_a_failure_stops(kind: str, status: int | None, called: list[str]) -> None:
    """Another kind is skipped only if its objects refer to what failed, or if its calls would fail too."""
    platform = Platform(failing={kind: failure(status)})
    results = platform.run(DECLARED)
    assert platform.named == called
    skipped = {r["kind"]: r["msg"] for r in results.objects if r["msg"].startswith("1 skipped: ")}
    assert set(skipped) == set(DECLARED) - set(called)
    if called == ["policies", "honeytokens"]:
        assert skipped["agents"] == "1 skipped: the policies of prj_1 could not be applied"
    assert _report.failures(results)[0].endswith(f"{status} NO")


@pytest.mark.parametrize("kind, kept", [("policies", {"policies", "agents"}), ("agents", {"policies", "agents"})])
def test_an_object_is_kept_if_a_failed_kind_may_refer_to_it(kind: str, kept: set[str]) -> None:
    """The policy of an agent that could not be revoked must stay."""
    platform = Platform(there(**OLD, honeytokens=[{"id": "ht_9", "relation_name": "old"}]))
    foresee = platform.foresee

    def foresee_then_fail(module: str, options: Values) -> Values:
        result = foresee(module, options)
        if module == "honeytokens":  # the last one
            platform.failing = {kind: failure(403)}
        return result

    platform.foresee = foresee_then_fail  # type: ignore[method-assign]
    platform.run(DECLARED, prune=True)
    for plural in DECLARED:
        assert len(platform.existing[plural]) == (2 if plural in kept else 1)


def test_a_refusal_comes_before_the_first_write_and_a_missing_right_does_not_refuse() -> None:
    refused = Platform(there(), failing={"agents": {"failed": True, "msg": "prune: too many"}})
    results = refused.run(DECLARED, prune=True)
    assert refused.calls == [] and _report.failures(results) == ["agents of prj_1: prune: too many"]
    lacking = Platform(there(**OLD), failing={"honeytokens": failure(403)})
    results = lacking.run(DECLARED, prune=True)
    assert lacking.existing["policies"] == there()["policies"]
    assert [r["kind"] for r in results.objects if r.get("failed")] == ["honeytokens"]


@pytest.mark.parametrize("audit, prune, found", [(True, False, 1), (False, False, 0), (True, True, 1)])
def test_an_audit_finds_agents_that_no_host_declares(audit: bool, prune: bool, found: int) -> None:
    platform = Platform(there(agents=OLD["agents"]))
    drift = _report.drift(platform.run(DECLARED, audit, prune=prune))
    assert drift == ["agent old-bot exists but should not"] * found
    assert _report.drift(Platform(there(agents=OLD["agents"])).run({"policies": DECLARED["policies"]}, audit)) == []


def test_an_audit_fails_if_it_cannot_look_for_undeclared_agents() -> None:
    """Otherwise an undeclared agent would be missing from its report, as if PgBeam matched the inventory."""
    platform = Platform(there(agents=OLD["agents"]))
    platform.foresee = lambda module, options: failure(500)  # type: ignore[method-assign]
    results = platform.run(DECLARED, audit=True)
    assert [(r["kind"], r["msg"]) for r in results.objects if r.get("failed")] == [("agents", "500 NO")]


def test_two_results_for_one_project_are_merged() -> None:
    first = {"action": "created", "changed": True, "changes": ["name"], "diff": {"before": {}}, "database": {"id": "d"}}
    second = {"action": "updated", "changed": True, "changes": ["default_policy_profile_id"], "diff": [{"after": {}}]}
    merged = _objects.merged(first, second)
    assert (merged["action"], merged["changes"]) == ("created", ["name", "default_policy_profile_id"])
    assert (merged["diff"], merged["database"]) == ([{"before": {}}, {"after": {}}], {"id": "d"})
    same = _objects.merged({"action": "unchanged", "changed": False, "changes": []}, second)
    assert (same["action"], same["changed"]) == ("updated", True)
