# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded random scenarios of faults: ``python -m tests.soak --scenarios 2000 --seed 1``.

Each scenario is a project with some registrations, a database with some replicas, or an organization with or without a
project; a task that wants them otherwise; and faults, among them another client that writes between the task's reads
and its writes. After the task the server's true state is compared with what was reported; then the faults end, and the
task runs twice more. What the other client wrote must still be there, save where the task names the same field.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import contract
from tests.faults import ENDLESS, as_others_left_it, changes_of_others
from tests.forked import run_module
from tests.harness import API_KEY, WRITES, Organization, Project, Sandbox, ansible_env
from tests.sandbox.models import Initial

Values = dict[str, Any]
PASSWORD = "pw-Zq7\"x'%/@"
LOOKUP = "{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}"
WORKERS = 16
BEGIN, END = "<!-- begin of what make soak writes -->", "<!-- end of what make soak writes -->"
WRONG = "untrue reports, twins, lost writes, lost updates, guessed values, or runs that do not converge"
HOSTS = ("db1.example.com", "db2.example.com")
SINGLE_KINDS = ("create", "update", "delete")
KINDS = (*SINGLE_KINDS, "list", "prune", "replicas", "replicas, prune", "project")
ERROR_PARTS = {
    "status", "code", "message", "method", "path", "request_id", "attempts", "fields", "maybe_done",
}  # fmt: skip
RETRIED = (408, 429, 502, 503, 504)
UNANSWERED = ("drop_before", "drop_after", "reset_before", "reset_after", "slow", "stall")
#: Settings that a task may want otherwise than the server has them.
DRIFT: tuple[Values, ...] = (
    {"ssl_mode": "require"},
    {"role": "replica"},
    {"query_timeout_ms": 5000},
    {"auto_read_routing": True},
    {"cache_config": {"ttl_seconds": 5}},
    {"cache_config": {"enabled": True, "swr_seconds": 9}},
    {"pool_config": {"pool_size": 20, "max_active": 30}},
    {"pool_config": {"pool_mode": "statement"}},
)
#: The same for replicas, which have no more than this, so that each is replaced.
REPLICA_DRIFT: tuple[Values, ...] = ({"ssl_mode": "require"}, {"ssl_mode": "verify-full"})
#: The same for a project; what a create does not take stands first.
PROJECT_DRIFT: tuple[Values, ...] = (
    {"status": "suspended"},
    {"agents_disabled": True},
    {"allowed_cidrs": [{"cidr": "10.0.0.0/8", "label": "office"}]},
    {"allowed_cidrs": [{"cidr": "10.0.0.0/8"}, {"cidr": "10.1.0.0/16"}]},
    {"description": "The shop"},
    {"tags": ["prod", "eu"]},
)
#: What another client may change of a database, and of a project.
OTHERS: tuple[Values, ...] = (
    {"cache_config": {"swr_seconds": 777}},
    {"cache_config": {"ttl_seconds": 888, "max_entries": 99}},
    {"pool_config": {"min_pool_size": 3}},
    {"pool_config": {"pool_size": 44}},
    {"query_timeout_ms": 1234},
    {"pool_region": "eu-central-1"},
)
PROJECT_OTHERS: tuple[Values, ...] = (
    {"tags": ["theirs"]},
    {"description": "Theirs"},
    {"allowed_cidrs": [{"cidr": "192.0.2.0/24", "label": "theirs"}]},
    {"allowed_cidrs": [{"cidr": "10.0.0.0/8", "label": "theirs"}]},
    {"residency": "eu"},
)
#: What new databases begin with: by the vendor's guide, and as the published contract documents it.
INITIAL: tuple[Values, ...] = ({}, {"cache_config": {"enabled": True}, "pool_config": {"pool_mode": "session"}})
#: A write that meets 412 is planned anew so many times.
REPLANS = 5
#: What each is for is told in tests/sandbox/models.py.
FAULTS: tuple[Values, ...] = (
    {"kind": "status", "status": 408, "code": "TIMEOUT"},
    {"kind": "status", "status": 429, "code": "RATE_LIMITED", "retry_after": "0"},
    {"kind": "status", "status": 429, "code": "RATE_LIMITED", "retry_after": "1"},
    {"kind": "status", "status": 429, "code": "RATE_LIMITED", "retry_after": "date+1"},
    {"kind": "status", "status": 429, "code": "RATE_LIMITED", "retry_after": "soon"},
    {"kind": "status", "status": 500, "code": "INTERNAL_ERROR"},
    {"kind": "late_status", "status": 500, "code": "INTERNAL_ERROR"},
    {"kind": "html"},
    {"kind": "late_html"},
    {"kind": "status", "status": 503, "code": "SERVICE_UNAVAILABLE"},
    {"kind": "status", "status": 503, "code": "SERVICE_UNAVAILABLE", "retry_after": "0"},
    {"kind": "late_status", "status": 503, "code": "SERVICE_UNAVAILABLE"},
    {"kind": "late_status", "status": 504, "code": "TIMEOUT"},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "slow", "seconds": 1.3},
    {"kind": "stall", "seconds": 1.3},
    {"kind": "truncate"},
    {"kind": "empty"},
    {"kind": "not_object"},
    {"kind": "redirect"},
    {"kind": "same_token", "method": "GET"},
    {"kind": "status", "status": 400, "code": "INVALID_INPUT"},
    {"kind": "status", "status": 401, "code": "UNAUTHORIZED", "times": ENDLESS},
    {"kind": "status", "status": 402, "code": "PAYMENT_REQUIRED"},
    {"kind": "status", "status": 403, "code": "FORBIDDEN"},
)  # fmt: skip


@dataclass
class Scenario:
    """What one seed makes."""

    seed: int
    kind: str
    settings: Values
    existing: list[Values]
    wanted: list[Values]
    options: Values
    faults: list[Values]
    #: The faults that are another client's writes.
    others: list[Values]

    @property
    def noun(self) -> str:
        return "replica" if self.kind.startswith("replicas") else "database"

    @property
    def listed(self) -> bool:
        """Whether its task is one of the list form."""
        return self.kind not in (*SINGLE_KINDS, "project")

    @property
    def prune(self) -> bool:
        return self.kind.endswith("prune")


@dataclass
class Verdict:
    """What one scenario came to: counts to add up, and what was wrong."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def make(seed: int) -> Scenario:
    rng = random.Random(seed)
    kind = rng.choice(KINDS)
    if kind == "project":
        existing = [{"name": "shop", **rng.choice(({}, *PROJECT_DRIFT[2:]))}] * rng.randint(0, 1)
        database = {"host": HOSTS[0], "name": "orders", "username": "app", **rng.choice(({}, *DRIFT))}
        drift = rng.sample(PROJECT_DRIFT, rng.randint(0, 3))
        wanted = [{"name": "shop", "database": database, **{k: v for item in drift for k, v in item.items()}}]
        return _scenario(rng, seed, kind, existing, wanted)
    numbers = range(rng.randint(2, 12))
    replicas = kind.startswith("replicas")
    moves = REPLICA_DRIFT if replicas else DRIFT
    keys: list[Values] = [
        {"host": host, "port": 5432 + n} if replicas else {"host": host, "name": f"db{n}", "username": "app"}
        for host in HOSTS
        for n in numbers
    ]
    rng.shuffle(keys)

    def entry(key: Values) -> Values:
        return {**key, **rng.choice(({}, *moves))}

    existing = [entry(key) for key in keys[: rng.randint(0 if kind == "create" else 1, len(keys) // 2)]]
    if kind == "create":
        wanted = [entry(keys[-1])]
    elif kind == "update":
        wanted = [{**rng.choice(existing), **rng.choice(DRIFT)}]
    elif kind == "delete":
        wanted = [{**rng.choice(existing), "state": "absent"}]
    else:
        kept = [{**item, **rng.choice(({}, *moves))} for item in existing if rng.random() < 0.7]
        gone = [{**item, "state": "absent"} for item in kept if rng.random() < 0.2]
        kept = [item for item in kept if not any(_same(item, other) for other in gone)]
        new = [entry(key) for key in keys[len(existing) :] if rng.random() < 0.6]
        wanted = kept + gone + new or [entry(keys[-1])]
        rng.shuffle(wanted)
    return _scenario(rng, seed, kind, existing, wanted)


def _scenario(rng: random.Random, seed: int, kind: str, existing: list[Values], wanted: list[Values]) -> Scenario:
    others = (
        []
        if kind.startswith("replicas")
        else _others(rng, (*PROJECT_OTHERS, *OTHERS[:2]) if kind == "project" else OTHERS)
    )
    settings = _settings(rng, existing)
    if not others:
        settings["etag"] = rng.choice(('"{tag}"', "", 'W/"{tag}"', "{tag}"))
    return Scenario(seed, kind, settings, existing, wanted, _options(rng, kind), _faults(rng), others)


def _settings(rng: random.Random, existing: list[Values]) -> Values:
    return {
        "initial": rng.choice(INITIAL),
        "undeclared_keys": rng.random() < 0.5,
        "page_limit": rng.choice((1, 2, 5, 100)),
        "empty_pages": rng.random() < 0.3,
        "envelope": rng.choice(("error", "problem")),
        "omit_zero": rng.random() < 0.3,
        "extra_fields": rng.random() < 0.3,
        "plan_limit": len(existing) + rng.randint(0, 2) if rng.random() < 0.1 else None,
    }


def _options(rng: random.Random, kind: str) -> Values:
    single = kind in SINGLE_KINDS or kind == "project"
    return {
        "retries": rng.randint(0, 3),
        "timeout": 1,
        "retry_budget": rng.randint(2, 6),
        **({} if single else {"parallel": rng.randint(1, 8)}),
    }


def _faults(rng: random.Random) -> list[Values]:
    return [_fault(rng) for dummy in range(rng.randint(1, 3))]


def _others(rng: random.Random, changes: tuple[Values, ...]) -> list[Values]:
    """Another client's writes: before one of the task's, before some in a row, or before each."""
    return [
        {
            "kind": "other_writer",
            "change": change,
            "method": rng.choice(("PATCH", "PATCH", None)),
            "skip": rng.choice((0, 0, 0, 1, 3)),
            "times": rng.choice((1, 2, REPLANS, ENDLESS)),
        }
        for change in rng.sample(changes, rng.choice((0, 1, 1, 2)))
    ]


def _same(left: Values, right: Values) -> bool:
    """Whether two stand for one object: an entry, or what the server has."""
    return all(left.get(name) == right[name] for name in ("host", "port", "name") if name in right)


def _fault(rng: random.Random) -> Values:
    """A fault on the nth matching request, or on each with a probability."""
    fault: Values = {"method": rng.choice((None, "GET", "POST", "PATCH", "DELETE")), **rng.choice(FAULTS)}
    if fault["method"] in (None, "GET") and rng.random() < 0.7:
        fault["method"] = rng.choice(("POST", "PATCH", "DELETE"))  # a run whose listing fails ends there
    if rng.random() < 0.5:
        return {"times": rng.randint(1, 4), **fault, "skip": rng.randint(0, 6)}
    return {**fault, "times": ENDLESS, "probability": rng.choice((0.1, 0.3, 0.6)), "seed": rng.randrange(ENDLESS)}


def _make_existing(
    scenario: Scenario, scope: Organization | Project
) -> tuple[Values, Callable[[], Values], Callable[[], list[Values]]]:
    """Returns the option that tells a task where to look, and how to read the true state and the record of that."""
    if isinstance(scope, Organization):
        for item in scenario.existing:
            networks = {name: value for name, value in item.items() if name == "allowed_cidrs"}
            made = scope.create_project(**{name: value for name, value in item.items() if name not in networks})
            assert scope.api("PATCH", f"/{made['project']['id']}", json=networks).ok
        return {"org_id": scope.id}, scope.objects, scope.whole_record
    if scenario.noun == "replica":
        database_id = scope.register()["id"]
        for item in scenario.existing:
            scope.register_replica(database_id, **item)
        return {"database_id": database_id}, scope.replica_truth, scope.record
    for item in scenario.existing:
        scope.register(**_body(item))
    return {"project_id": scope.id}, scope.truth, scope.record


def judge(scenario: Scenario, scope: Organization | Project, folder: Path) -> Verdict:
    """Run one scenario and say what is wrong with how it went."""
    verdict = Verdict(scenario.seed, Counter({"scenarios": 1, f"scenarios of the kind {scenario.kind}": 1}))
    unlimited = {**scenario.settings, "plan_limit": None}
    scope.settings(**unlimited)
    parent, state, whole_record = _make_existing(scenario, scope)
    before = state()
    scope.settings(**scenario.settings)
    for fault in scenario.faults + scenario.others:
        scope.fault(**fault)
    result = _run(scenario, scope.url, parent, folder)
    scope.clear_faults()
    after = state()
    record = [entry for entry in whole_record() if "pgbeam-ansible" in entry["headers"]["user-agent"]]
    hit = Counter(entry["fault"] for entry in record if entry["fault"])
    verdict.counts += Counter({"requests": len(record), "requests hit by a fault": hit.total()})
    verdict.counts["runs with faults that failed" if result.get("failed") else "runs with faults that ended well"] += 1
    theirs = changes_of_others(record)
    verdict.counts["scenarios with another writer"] += bool(theirs)
    verdict.counts["412s met"] += sum(entry["status"] == 412 for entry in record)
    verdict.wrong += _lost(scenario, theirs, after, verdict.counts)
    verdict.wrong += _guessed(scenario, theirs, before, after)
    untrue = _untrue_project if scenario.kind == "project" else _untrue
    verdict.wrong += untrue(scenario, result, as_others_left_it(before, after, theirs), after, theirs, verdict.counts)
    verdict.wrong += _ill_mannered(scenario, record)
    if _twins(after) > _twins(before):
        verdict.wrong.append("something is made twice")
    scope.settings(**unlimited)
    converging = _run(scenario, scope.url, parent, folder)
    reached, writes = state(), _writes(whole_record())
    if converging.get("failed") or not _as_wanted(scenario, converging, reached):
        verdict.wrong.append(f"the run without faults does not converge: {converging.get('msg')}")
    last = _run(scenario, scope.url, parent, folder)
    if last.get("failed") or last["changed"] or (state(), _writes(whole_record())) != (reached, writes):
        verdict.wrong.append(f"the run after it changes something: {last.get('msg')}")
    verdict.wrong += _lost(scenario, theirs, state(), Counter())
    contract.judge(whole_record())
    return verdict


def _wanted_of(scenario: Scenario, row: Values) -> Values:
    """What the task names of a database or a project; nothing where it is not about it."""
    if scenario.kind == "project":
        wanted = scenario.wanted[0]
        return wanted["database"] if "port" in row else {k: v for k, v in wanted.items() if k != "database"}
    return next((item for item in scenario.wanted if _same(row, item)), {})


def _lost(scenario: Scenario, theirs: dict[str, list[Values]], rows: Values, counts: Counter[str]) -> list[str]:
    """What another client wrote, and the task overwrote without naming it."""
    wrong = []
    for identifier, changes in theirs.items():
        for change in changes:
            if identifier not in rows:
                counts["changes of another writer to what the task deleted"] += 1
                continue
            unnamed = _without(change, _wanted_of(scenario, rows[identifier]))
            kept = all(_holds(rows[identifier][name], value) for name, value in unnamed.items())
            if not kept:
                wrong.append(f"lost update: {identifier} has {rows[identifier]}, another client had written {change}")
            counts[
                "changes of another writer kept" if unnamed else "changes of another writer to what the task sets"
            ] += kept
    return wrong


def _without(change: Values, wanted: Values) -> Values:
    """What is changed beside what is wanted: of an object the members, of a list of networks the labels."""
    rest: Values = {}
    for name, value in change.items():
        if name not in wanted:
            rest[name] = value
        elif isinstance(value, dict):
            rest[name] = {member: inner for member, inner in value.items() if member not in wanted[name]}
        elif name == "allowed_cidrs":
            unlabelled = [entry["cidr"] for entry in wanted[name] if "label" not in entry]
            rest[name] = [entry for entry in value if entry["cidr"] in unlabelled]
    return {name: value for name, value in rest.items() if value not in ({}, [])}


def _holds(have: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return all(have[member] == inner for member, inner in value.items())
    if isinstance(value, list):
        return all(entry in have for entry in value)
    return bool(have == value)


def _guessed(scenario: Scenario, theirs: dict[str, list[Values]], before: Values, after: Values) -> list[str]:
    """What new databases have otherwise than databases begin with, and nobody named."""
    initial = Initial(**scenario.settings["initial"]).model_dump(include={"cache_config", "pool_config"})
    wrong = []
    for identifier in after.keys() - before.keys():
        row = after[identifier]
        if "pool_config" not in row:
            continue
        named = [_wanted_of(scenario, row), *theirs.get(identifier, [])]
        for name, members in initial.items():
            free = {member for member in members if not any(member in item.get(name, {}) for item in named)}
            if any(row[name][member] != members[member] for member in free):
                wrong.append(f"guessed: {identifier} begins with {name} {row[name]}")
    return wrong


def _as_told(scenario: Scenario, result: Values, rows: Values, theirs: dict[str, list[Values]]) -> bool:
    """Whether the server has the project and the database of a result as the task wants them."""
    ids = (result["project"]["id"], result["database"]["id"])
    return all(i in rows and _fits(_wanted_of(scenario, rows[i]), rows[i], theirs.get(i, [])) for i in ids)


def _untrue_project(
    scenario: Scenario,
    result: Values,
    before: Values,
    after: Values,
    theirs: dict[str, list[Values]],
    counts: Counter[str],
) -> list[str]:
    """What the report on a project says that is not so, or leaves out."""
    wrong: list[str] = []
    error, action = result.get("error"), result.get("action", "failed")
    counts[f"entries {action}"] += 1
    unknown = bool(error and error["maybe_done"])
    if error:
        counts["entries failed whose outcome stayed unknown, and that said so"] += unknown
        if set(error) != ERROR_PARTS or not error["message"]:
            wrong.append("the error is not whole")
    moved = before != after
    if result["changed"] != moved and not (moved and unknown):
        wrong.append(f"changed is {result['changed']}, what the server has {'moved' if moved else 'did not move'}")
    identifier = (result.get("project") or {}).get("id")
    if action == "created" and (identifier in before or identifier not in after):
        wrong.append(f"{identifier} is told as created")
    if not result.get("failed") and not _as_told(scenario, result, after, theirs):
        wrong.append("it ends well, and the server has it otherwise")
    return [f"{action}: {reason}: {result.get('msg')}" for reason in wrong]


def _body(item: Values) -> Values:
    """The body that registers an item behind the collection's back; the API wants its objects whole."""
    cache = {"enabled": True, "ttl_seconds": 60, "max_entries": 10000, "swr_seconds": 30}
    pool = {"pool_size": 10, "min_pool_size": 1, "pool_mode": "session"}
    whole = {
        "cache_config": {**cache, **item.get("cache_config", {})},
        "pool_config": {**pool, **item.get("pool_config", {})},
    }
    return {**item, **{name: value for name, value in whole.items() if name in item}}


def _run(scenario: Scenario, url: str, parent: Values, folder: Path) -> Values:
    options = {"api_url": url, "api_key": API_KEY, **parent, **scenario.options}
    if scenario.kind == "project":
        wanted = scenario.wanted[0]
        result = run_module(
            "project", {**options, **wanted, "database": {**wanted["database"], "password": PASSWORD}}, folder
        )
    elif scenario.noun == "replica":
        listed = {"replicas": scenario.wanted, "prune": scenario.prune, "prune_limit": "100%", "replace": True}
        result = run_module("replicas", {**options, **listed}, folder)
    elif scenario.listed:
        entries = [{**item, "password": PASSWORD} for item in scenario.wanted]
        pruning = {"prune": scenario.prune, "prune_limit": "100%"}
        result = run_module("databases", {**options, "databases": entries, **pruning}, folder)
    else:
        result = run_module("database", {**options, **scenario.wanted[0], "password": PASSWORD}, folder)
    text = repr(result)
    for secret in (API_KEY, PASSWORD, repr(PASSWORD)[1:-1]):
        assert secret not in text, "a secret stands in the result"
    return result


def _untrue(
    scenario: Scenario,
    result: Values,
    before: Values,
    after: Values,
    theirs: dict[str, list[Values]],
    counts: Counter[str],
) -> list[str]:
    """What the report says that is not so, or leaves out."""
    wrong: list[str] = []
    if scenario.listed:
        told = result.get(f"{scenario.noun}s", [])
        if told and {k: v for k, v in result["summary"].items() if v} != Counter(t["action"] for t in told):
            wrong.append("summary does not add up")
    else:
        one = {name: result.get(name) for name in ("action", "changes", "error")}
        told = [{**(result.get("database") or {}), **one}] if "action" in result else []
    if bool(result["changed"]) != any(t["action"] in ("created", "updated", "replaced", "deleted") for t in told):
        wrong.append("changed is not what the entries say")
    listed, pruned = told[: len(scenario.wanted)], told[len(scenario.wanted) :]
    if pruned and any(entry["action"] in ("failed", "skipped") for entry in listed):
        wrong.append("it prunes although an entry failed")
    explained: set[str] = set()
    wanted: list[Values | None] = [*scenario.wanted, *[None] * (len(told) - len(scenario.wanted))]
    for item, entry in zip(wanted, told):
        counts[f"entries {entry['action']}"] += 1
        ids = {i for v in (before, after) for i, row in v.items() if (_same(row, item) if item else i == entry["id"])}
        explained |= ids
        reason = _untrue_entry(item, entry, ids, before, after, theirs, counts)
        if reason:
            wrong.append(f"{entry['action']}: {reason}: {entry}")
    for identifier in {*before, *after} - explained:
        if before.get(identifier) != after.get(identifier):
            wrong.append(f"{identifier} moved and no entry says so")
    return wrong


def _untrue_entry(
    item: Values | None,
    entry: Values,
    ids: set[str],
    before: Values,
    after: Values,
    theirs: dict[str, list[Values]],
    counts: Counter[str],
) -> str | None:
    action, identifier = entry["action"], entry.get("id")
    moved = {i for i in ids if before.get(i) != after.get(i)}
    fits = item is not None and identifier in after and _fits(item, after[identifier], theirs.get(str(identifier), []))
    if (
        action == "created"
    ):  # what a create does not take may fail after it: the error says so, and changes leave it out
        part = {
            name: value for name, value in (item or {}).items() if name in entry["changes"] or not entry.get("error")
        }
        fits = identifier in after and _fits(part, after[str(identifier)], theirs.get(str(identifier), []))
        true = fits and identifier not in before
    elif action == "updated":
        true = fits and identifier in before
    elif action == "replaced":  # where the old one could not be removed, the error says so
        true = fits and identifier not in before and (bool(entry.get("error")) or ids & set(after) == {identifier})
    elif action == "deleted":
        true = bool(moved) and not ids & set(after)
    elif action in ("unchanged", "skipped"):
        true = not moved
    else:
        error = entry["error"]
        if not error or set(error) != ERROR_PARTS or not error["message"]:
            return "the error is not whole"
        counts["entries failed whose outcome stayed unknown, and that said so"] += error["maybe_done"]
        true = not moved or error["maybe_done"]
    return None if true else "the server has it otherwise"


def _fits(item: Values, row: Values, theirs: list[Values] | None = None) -> bool:
    """Whether the server has every field that the item names, or what another client made of it afterwards."""
    for change in theirs or []:
        item = _without(item, change)
    for name, value in item.items():
        have: Any = row.get(name)
        if isinstance(value, dict):
            have = {member: have[member] for member in value}
        if name == "allowed_cidrs" and len(have) == len(value):
            have = [{member: entry.get(member) for member in wanted} for wanted, entry in zip(value, have)]
        if name != "state" and have != value:
            return False
    return True


def _as_wanted(scenario: Scenario, result: Values, rows: Values) -> bool:
    """Whether the server has all as the task wants it, after a run without faults."""
    if scenario.kind == "project":
        return _as_told(scenario, result, rows, {}) and len(rows) == 2
    for item in scenario.wanted:
        found = [row for row in rows.values() if _same(row, item)]
        if item.get("state") == "absent":
            if found:
                return False
        elif len(found) != 1 or not _fits(item, found[0]):
            return False
    listed = [row for row in rows.values() if any(_same(row, item) for item in scenario.wanted)]
    return not scenario.prune or len(listed) == len(rows)


def _twins(rows: Values) -> int:
    """How many are there besides an equal one. A replica has another ssl_mode than the one in whose place it is."""
    named, replica = ("host", "port", "name", "username"), ("host", "port", "ssl_mode")
    seen = Counter(tuple(map(row.get, named if "name" in row else replica)) for row in rows.values())
    return sum(count - 1 for count in seen.values())


def _writes(record: list[Values]) -> int:
    return sum(entry["method"] in WRITES for entry in record)


def _ill_mannered(scenario: Scenario, record: list[Values]) -> list[str]:
    """What the requests did that the API's rules do not allow."""
    wrong: list[str] = []
    tries: dict[tuple[str, str, str, str | None], list[Values]] = {}
    for entry in record:
        if entry["method"] in ("POST", "PATCH", "DELETE"):
            if_match = entry["headers"].get("if-match")
            tries.setdefault((entry["method"], entry["path"], repr(entry["body"]), if_match), []).append(entry)
    refused = Counter(entry["path"] for entry in record if entry["status"] == 412)
    if any(count > REPLANS + 1 for count in refused.values()):
        wrong.append("a write that meets 412 is planned anew more often than it may be")
    for (method, *dummy), attempts in tries.items():
        keys = {entry["headers"].get("idempotency-key") for entry in attempts}
        if len(keys) > 1 or (method != "DELETE" and None in keys):
            wrong.append("a write goes out under two keys, or under none")
        if len(attempts) > scenario.options["retries"] + 1:
            wrong.append("a write is tried more often than retries allows")
        for entry in attempts[:-1]:
            if entry["status"] not in RETRIED and entry["fault"] not in UNANSWERED:
                wrong.append(f"a write is tried again after {entry['status']}")
    return wrong


_sandbox = ""


def _begin(url: str) -> None:
    global _sandbox  # the initializer of a pool has no other way
    _sandbox = url


def _one(seed: int) -> Verdict:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    scenario = make(seed)
    try:
        name = f"soak_{os.getpid()}_{seed}"
        of_organization = scenario.kind == "project"
        scope = Organization(_sandbox, f"org_{name}") if of_organization else Project(_sandbox, f"prj_{name}")
        return judge(scenario, scope, folder)
    except Exception as error:
        return Verdict(seed, Counter(), [f"{type(error).__name__}: {error}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def soak(url: str, seeds: range, workers: int = WORKERS) -> tuple[Counter[str], list[Verdict]]:
    """Run these scenarios in parallel. Returns the counts of all, and the verdicts that found something wrong."""
    counts: Counter[str] = Counter()
    bad: list[Verdict] = []
    with multiprocessing.get_context("fork").Pool(workers, _begin, (url,)) as pool:
        for verdict in pool.imap_unordered(_one, seeds):
            counts += verdict.counts
            if verdict.wrong:
                bad.append(verdict)
                print(f"seed {verdict.seed}: {'; '.join(verdict.wrong)}", file=sys.stderr, flush=True)
    return counts, bad


def kill_runs(sandbox: Sandbox, count: int, seed: int) -> list[str]:
    """Kill ansible-playbook in the middle of runs of 30 entries; say what is wrong after the two runs that follow each.

    SIGKILL leaves its module alive for a while, so the next run has to wait for that.
    """
    luck = random.Random(seed)
    wrong: list[str] = []
    names = sorted(f"db{n}" for n in range(30))
    number = 0
    while number < count:
        parallel = (1, 8)[number % 2]
        # So slow that the module outlives the start of the next run.
        project = sandbox.project(latency_ms=100 if parallel == 1 else 500)
        entries = [{"host": HOSTS[0], "name": name, "username": "app", "password": LOOKUP} for name in names]
        options = {"project_id": project.id, "databases": entries, "parallel": parallel}
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            tasks = [{"pgbeam.cloud.databases": options}]
            play = Path(folder, "play.json")
            play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
            process = _playbook(sandbox, play)
            moment = luck.randint(0, len(names))
            while len(project.writes()) < moment and process.poll() is None:
                time.sleep(0.005)
            time.sleep(luck.uniform(0, 0.1))
            process.kill()
            if process.wait() != -signal.SIGKILL:  # it had ended before: another moment
                continue
            number += 1
            status = _playbook(sandbox, play).wait()
            there = sorted(row["name"] for row in project.truth().values())
            writes = len(project.writes())
            again = _playbook(sandbox, play).wait()
        if status or again or there != names or len(project.writes()) != writes:
            wrong.append(
                f"kill {number} after {moment} writes, {parallel} at once: the next ended with {status} and {again}, "
                f"the second wrote {len(project.writes()) - writes}, there are {there}"
            )
        contract.judge(project.record())
    return wrong


def _playbook(sandbox: Sandbox, play: Path) -> subprocess.Popen[bytes]:
    env = ansible_env(sandbox.url, play.parent, DB_PASSWORD=PASSWORD)
    quiet = subprocess.DEVNULL
    return subprocess.Popen(["ansible-playbook", str(play)], env=env, stdout=quiet, stderr=quiet)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--scenarios", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="of the first scenario; each one after has the next")
    parser.add_argument("--kills", type=int, default=50, help="how many runs to kill")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the outcome into this page")
    options = parser.parse_args()
    with Sandbox.start() as sandbox:
        counts, bad = soak(sandbox.url, range(options.seed, options.seed + options.scenarios))
        wrong = kill_runs(sandbox, options.kills, options.seed)
    counts += Counter({"killed runs that the next run put right, without a twin": options.kills - len(wrong)})
    outcome = [f"| {count} | {name} |" for name, count in sorted(counts.items())]
    outcome.append(f"| {len(bad) + len(wrong)} | {WRONG} |")
    text = "\n".join(["| count | of what |", "| ---: | --- |", *outcome])
    print(text, *wrong, sep="\n")
    if options.write:
        head, dummy, rest = options.write.read_text().partition(BEGIN)
        seeds = f"Scenarios with the seeds {options.seed} to {options.seed + options.scenarios - 1}:"
        options.write.write_text(f"{head}{BEGIN}\n\n{seeds}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    return bool(bad or wrong)


if __name__ == "__main__":
    sys.exit(main())
