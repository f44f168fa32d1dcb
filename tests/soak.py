# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded random scenarios of faults: ``python -m tests.soak --scenarios 2000 --seed 1``.

Each scenario is a project with some registrations, a database with some replicas, or an organization with or without a
project; options that declare them differently; and faults, among them another client that writes between the module's
reads and its writes. Scenarios run in batches: ansible-playbook runs one looped task for each module, whose items are
the scenarios, each with its own API key, URL and password. After that run the server's state is compared with what each
item reported; then the faults end, and the loops run twice more. What the other client wrote must still exist unless
the item declares the same field, and each scenario's requests must carry its own key.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import contract
from tests.faults import ENDLESS, as_others_left_it, changes_of_others
from tests.harness import API_KEY, DATABASE, WRITES, Organization, Project, Sandbox, ansible_env
from tests.sandbox.middleware import key_digest
from tests.sandbox.models import Initial
from tests.tree import ROOT

Values = dict[str, Any]
#: The first part of each scenario's own password and own API key; the rest is its seed.
PASSWORD = "pw-Zq7\"x'%/@"
KEY = "pbu_soak-only-Kk7-"
LOOKUP = "{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}"
OWN_PASSWORD = "(lookup('ansible.builtin.env', 'DB_PASSWORD') ~ own.seed)"
OWN_KEY = "(lookup('ansible.builtin.env', 'SOAK_KEY') ~ item)"
#: The options of each module that hold passwords.
PASSWORD_OPTIONS = {
    "database": f"'password': {OWN_PASSWORD}",
    "databases": f"'databases': own.options.databases | map('combine', {{'password': {OWN_PASSWORD}}}) | list",
    "project": f"'database': own.options.database | combine({{'password': {OWN_PASSWORD}}})",
    "replicas": "",
}
#: Where an item gets its API key and URL: its options, the task's environment, or the environment of ansible-playbook.
SOURCES = ("options", "environment", "inherited")
#: Two names of the sandbox, so that consecutive items differ in their URL.
NAMES = ("127.0.0.1", "localhost")
#: Without faults there is nothing to be impatient about, and the machine may be busy.
PATIENT = {"timeout": 30, "retry_budget": 120}
#: How many scenarios the loops of one ansible-playbook run have, and how many of these run at once: they mostly wait.
BATCH = 80
WORKERS = 6
BEGIN, END = "<!-- begin of what make soak writes -->", "<!-- end of what make soak writes -->"
WRONG = (
    "false reports, duplicates, lost writes, lost updates, guessed values, requests with the key or URL of another "
    "item, dry runs that write, or runs that do not converge"
)
HOSTS = ("db1.example.com", "db2.example.com")
SINGLE_KINDS = ("create", "update", "delete")
KINDS = (*SINGLE_KINDS, "list", "prune", "replicas", "replicas, prune", "project")
ERROR_PARTS = {
    "status", "code", "message", "method", "path", "request_id", "attempts", "fields", "outcome_unknown",
}  # fmt: skip
#: The shortest wait before the second attempt, in seconds; each later one is twice as long.
FIRST_WAIT = 0.25
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
    #: One of SOURCES, and one of NAMES.
    source: str
    name: str
    #: Whether the same options run in check mode first, as an item with a key of its own.
    foreseen: bool

    @property
    def module(self) -> str:
        if self.kind in SINGLE_KINDS:
            return "database"
        return self.kind if self.kind == "project" else f"{self.noun}s"

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
    options, faults = _options(rng, kind), _faults(rng)
    source, name, foreseen = rng.choice(SOURCES), rng.choice(NAMES), rng.random() < 0.15
    return Scenario(seed, kind, settings, existing, wanted, options, faults, others, source, name, foreseen)


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
        return {"database_id": database_id}, lambda: scope.stored("replicas"), scope.record
    for item in scenario.existing:
        scope.register(**_body(item))
    return {"project_id": scope.id}, scope.truth, scope.record


@dataclass
class Trial:
    """One scenario in a scope of its own: its items in the loops, and what is wrong with how each round went."""

    scenario: Scenario
    scope: Organization | Project
    verdict: Verdict = field(init=False)
    parent: Values = field(init=False)
    before: Values = field(init=False)
    theirs: dict[str, list[Values]] = field(init=False)
    reached: tuple[Values, int] = field(init=False)
    _state: Callable[[], Values] = field(init=False)
    _whole_record: Callable[[], list[Values]] = field(init=False)

    def __post_init__(self) -> None:
        kind = f"scenarios of the kind {self.scenario.kind}"
        self.verdict = Verdict(self.scenario.seed, Counter({"scenarios, each an item of a loop": 1, kind: 1}))

    def set_up(self) -> None:
        scenario, scope = self.scenario, self.scope
        scope.settings(**{**scenario.settings, "plan_limit": None})
        self.parent, self._state, self._whole_record = _make_existing(scenario, scope)
        self.before = self._state()
        scope.settings(**scenario.settings)
        for fault in scenario.faults + scenario.others:
            scope.fault(**fault)

    @property
    def id(self) -> str:
        return str(self.scenario.seed)

    @property
    def check_id(self) -> str:
        return f"{self.scenario.seed}-check"

    @property
    def url(self) -> str:
        return self.scope.url.replace("127.0.0.1", self.scenario.name)

    def items(self, options: Values) -> dict[str, Values]:
        """The items of a loop by id: the one in check mode, if there is one, and the one that writes."""
        scenario = self.scenario
        shared = {
            "seed": scenario.seed,
            "module": scenario.module,
            "url": self.url,
            "options": {**_declared(scenario), **self.parent, **scenario.options, **options},
        }
        foreseen = {self.check_id: {**shared, "source": "options", "check": True}} if scenario.foreseen else {}
        return {**foreseen, self.id: {**shared, "source": scenario.source, "check": False}}

    def judge_faults(self, results: Values) -> None:
        """Judge the round with faults, and end them."""
        scenario, verdict, result = self.scenario, self.verdict, results[self.id]
        self.scope.clear_faults()
        after, record = self._state(), _of_the_collection(self._whole_record())
        hit = Counter(entry["fault"] for entry in record if entry["fault"])
        verdict.counts += Counter({"requests": len(record), "requests hit by a fault": hit.total()})
        outcome = "runs with faults that failed" if result.get("failed") else "runs with faults that ended well"
        verdict.counts[outcome] += 1
        theirs = self.theirs = changes_of_others(record)
        verdict.counts["scenarios with another writer"] += bool(theirs)
        verdict.counts["412s met"] += sum(entry["status"] == 412 for entry in record)
        verdict.wrong += _lost(scenario, theirs, after, verdict.counts)
        verdict.wrong += _guessed(scenario, theirs, self.before, after)
        left = as_others_left_it(self.before, after, theirs)
        reports = _untrue_project if scenario.kind == "project" else _untrue
        verdict.wrong += reports(scenario, result, left, after, theirs, verdict.counts)
        verdict.wrong += _ill_mannered(scenario, record)
        if _duplicates(after) > _duplicates(self.before):
            verdict.wrong.append("something is registered twice")
        self.scope.settings(**{**scenario.settings, "plan_limit": None})

    def judge_convergence(self, results: Values) -> None:
        """Judge the first round without faults."""
        result = results[self.id]
        self.reached = self._state(), _writes(self._whole_record())
        if result.get("failed") or not _as_wanted(self.scenario, result, self.reached[0]):
            self.verdict.wrong.append(f"the run without faults does not converge: {result.get('msg')}")
        if self.scenario.foreseen:
            foreseen, made = (_reported(results[name]) for name in (self.check_id, self.id))
            if foreseen != made:
                self.verdict.wrong.append(f"check mode foresees {foreseen}, and what happens is {made}")

    def judge_repetition(self, results: Values) -> None:
        """Judge the last round, which has nothing to change, and the record of all rounds."""
        result, state, record = results[self.id], self._state(), self._whole_record()
        if result.get("failed") or result["changed"] or (state, _writes(record)) != self.reached:
            self.verdict.wrong.append(f"the run after it changes something: {result.get('msg')}")
        self.verdict.wrong += _lost(self.scenario, self.theirs, state, Counter())
        self.verdict.wrong += sorted(set(self._mixed_up(_of_the_collection(record))))
        contract.judge(record)

    def _mixed_up(self, record: list[Values]) -> Iterator[str]:
        """What arrived that belongs to another item of the loop."""
        inherited = self.scenario.source == "inherited"
        own = key_digest(API_KEY if inherited else KEY + self.id), self.scope.url if inherited else self.url
        foreseen = key_digest(KEY + self.check_id), self.url
        for entry in record:
            sender = entry["key_digest"], f"http://{entry['headers']['host']}"
            if sender == foreseen and self.scenario.foreseen:
                if entry["method"] in WRITES:
                    yield f"check mode sends {entry['method']} {entry['path']}"
            elif sender != own:
                yield f"{entry['method']} {entry['path']} has the key or the URL of another item"
        projects = [self.scope] if isinstance(self.scope, Project) else map(self._project, self.scope.truth())
        arrived = {digest for project in projects for digest in project.passwords(salt=self.id)}
        passwords = (DATABASE["password"], f"{PASSWORD}{self.scenario.seed}")
        if not arrived <= {hashlib.sha256((self.id + password).encode()).hexdigest() for password in passwords}:
            yield "a password of another item arrived"

    def _project(self, project_id: str) -> Project:
        return Project(self.scope.url, project_id)


#: What follows each round.
ROUNDS = (Trial.judge_faults, Trial.judge_convergence, Trial.judge_repetition)


def _of_the_collection(record: list[Values]) -> list[Values]:
    return [entry for entry in record if "pgbeam-ansible" in entry["headers"]["user-agent"]]


def _reported(result: Values) -> Values:
    """What check mode reports as a run that writes does."""
    return {name: result.get(name) for name in ("failed", "changed", "action", "changes", "summary")}


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
    unknown = bool(error and error["outcome_unknown"])
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


def _declared(scenario: Scenario) -> Values:
    """The options that declare what a scenario wants, without passwords."""
    if not scenario.listed:
        return scenario.wanted[0]
    replace = {"replace": True} if scenario.noun == "replica" else {}
    return {scenario.module: scenario.wanted, "prune": scenario.prune, "prune_limit": "100%", **replace}


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
        counts["entries failed whose outcome stayed unknown, and that said so"] += error["outcome_unknown"]
        true = not moved or error["outcome_unknown"]
    return None if true else "the server has it otherwise"


def _fits(item: Values, row: Values, theirs: list[Values] | None = None) -> bool:
    """Whether the server has every field that the item names, or what another client made of it afterwards."""
    for change in theirs or []:
        item = _without(item, change)
    for name, value in item.items():
        have: Any = row.get(name)
        if isinstance(value, dict):
            have = {member: have[member] for member in value}
        if name == "allowed_cidrs" and len(have) == len(value):  # a set: another client may have changed the order
            networks = {entry["cidr"]: entry for entry in have}
            have = [{member: networks.get(w["cidr"], {}).get(member) for member in w} for w in value]
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


def _duplicates(rows: Values) -> int:
    """How many exist besides an equal one. A replica has another ssl_mode than the one that it replaces."""
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
    refused = Counter(e["path"] for e in record if e["status"] == 412 and e["fault"] not in UNANSWERED)
    if any(count > REPLANS + 1 for count in refused.values()):
        wrong.append("a write that meets 412 is planned anew more often than it may be")
    for (method, *dummy), attempts in tries.items():
        keys = {entry["headers"].get("idempotency-key") for entry in attempts}
        if len(keys) > 1 or (method != "DELETE" and None in keys):
            wrong.append("a write goes out under two keys, or under none")
        if len(attempts) > scenario.options["retries"] + 1:
            wrong.append("a write is tried more often than retries allows")
        for number, (entry, following) in enumerate(itertools.pairwise(attempts)):
            # A machine that is busy may answer too late, without a fault.
            in_time = following["arrived"] - entry["arrived"] < scenario.options["timeout"] + FIRST_WAIT * 2**number
            if entry["status"] not in RETRIED and entry["fault"] not in UNANSWERED and in_time:
                wrong.append(f"a write is tried again after {entry['status']}")
    return wrong


def _playbook(trials: list[Trial], options: Values) -> list[Values]:
    """One play with one looped task for each module, over ids: core copies the whole loop with each item."""
    items = {name: item for trial in trials for name, item in trial.items(options).items()}
    connection = f"{{'api_key': {OWN_KEY}, 'api_url': own.url}} if own.source == 'options' else {{}}"
    environment = f"{{'PGBEAM_API_KEY': {OWN_KEY}, 'PGBEAM_API_URL': own.url}}"
    tasks = [
        {
            "name": module,
            f"pgbeam.cloud.{module}": {},
            # One template for all options: core takes a millisecond for each.
            "args": f"{{{{ own.options | combine({{ {passwords} }}, {connection}) }}}}",
            "loop": [name for name, item in items.items() if item["module"] == module],
            "environment": f"{{{{ {environment} if own.source == 'environment' else {{}} }}}}",
            "check_mode": "{{ own.check }}",
            "ignore_errors": True,
        }
        for module, passwords in PASSWORD_OPTIONS.items()
    ]
    variables = {"items_by_id": items, "own": "{{ items_by_id[item] }}"}
    return [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]


def _results(playbook: list[Values], url: str, folder: Path) -> Values:
    """Run a playbook. Returns the result of each loop item by the item's id."""
    play, log = folder / "play.json", folder / "results.jsonl"
    play.write_text(json.dumps(playbook))
    log.unlink(missing_ok=True)
    env = ansible_env(
        url,
        folder,
        ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "tests" / "integration" / "callbacks"),
        ANSIBLE_CALLBACKS_ENABLED="results",
        RESULTS_FILE=str(log),
        DB_PASSWORD=PASSWORD,
        SOAK_KEY=KEY,
    )
    done = subprocess.run(["ansible-playbook", str(play)], env=env, capture_output=True, text=True, check=False)
    results = log.read_text() if log.exists() else ""
    text = done.stdout + done.stderr + results
    for secret in (API_KEY, KEY, PASSWORD):
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form not in text, "a secret is in the output or in a result"
    for sign in ("Traceback", "MODULE FAILURE", "this is a bug in pgbeam.cloud"):
        assert sign not in text, next(line for line in text.splitlines() if sign in line)
    assert done.returncode == 0, done.stdout + done.stderr
    events = map(json.loads, results.splitlines())
    return {item["item"]: item for event in events for item in event["result"].get("results", [])}


_sandbox = ""


def _begin(url: str) -> None:
    global _sandbox  # the initializer of a pool has no other way
    _sandbox = url
    os.nice(5)  # a sandbox that answers late would add timeouts of its own to the faults


def _batch(seeds: range) -> list[Verdict]:
    """Run the scenarios with these seeds as items of the same loops."""
    trials = []
    for seed in seeds:
        scenario, name = make(seed), f"soak_{os.getpid()}_{seed}"
        of_organization = scenario.kind == "project"
        trials.append(
            Trial(
                scenario, Organization(_sandbox, f"org_{name}") if of_organization else Project(_sandbox, f"prj_{name}")
            )
        )
    for trial in trials:
        trial.set_up()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        for judge in ROUNDS:
            playbook = _playbook(trials, {} if judge is Trial.judge_faults else PATIENT)
            results = _results(playbook, _sandbox, Path(folder))
            for trial in trials:
                trial.verdict.counts["items of loops, each scenario several times"] += len(trial.items({}))
                try:
                    judge(trial, results)
                except Exception as error:
                    trial.verdict.wrong.append(f"{type(error).__name__}: {error}")
    verdicts = [trial.verdict for trial in trials]
    verdicts[0].counts["loops"] += len({trial.scenario.module for trial in trials}) * len(ROUNDS)
    return verdicts


def soak(url: str, seeds: range, batch: int = BATCH, workers: int = WORKERS) -> tuple[Counter[str], list[Verdict]]:
    """Run these scenarios in batches. Returns the counts of all, and the verdicts that found something wrong."""
    counts: Counter[str] = Counter()
    bad: list[Verdict] = []
    batches = [seeds[first : first + batch] for first in range(0, len(seeds), batch)]
    with multiprocessing.get_context("fork").Pool(workers, _begin, (url,)) as pool:
        for verdict in itertools.chain.from_iterable(pool.imap_unordered(_batch, batches)):
            counts += verdict.counts
            if verdict.wrong:
                bad.append(verdict)
                print(f"seed {verdict.seed}: {'; '.join(verdict.wrong)}", file=sys.stderr, flush=True)
    return counts, bad


@dataclass(frozen=True)
class Killed:
    """A task for 30 databases that is killed in mid-run; so slow that it outlives the start of the next run."""

    form: str
    latency_ms: int
    module: str
    options: Values
    keywords: Values = field(default_factory=dict)


KILLED_NAMES = sorted(f"db{n}" for n in range(30))
_ONE: Values = {"host": HOSTS[0], "username": "app", "password": LOOKUP}
_LIST = [{**_ONE, "name": name} for name in KILLED_NAMES]
_LOOP = Killed("loop", 60, "database", {**_ONE, "name": "{{ item }}"}, {"loop": KILLED_NAMES})
KILLED = (
    Killed("list, 1 at once", 100, "databases", {"databases": _LIST, "parallel": 1}),
    _LOOP,
    Killed("list, 8 at once", 500, "databases", {"databases": _LIST, "parallel": 8}),
    _LOOP,
)


def kill_runs(url: str, count: int, seed: int, workers: int = WORKERS // 2) -> tuple[Counter[str], list[str]]:
    """Kill ansible-playbook in mid-run, in lists and loops; judge the two runs that follow each.

    SIGKILL leaves the worker process alive for a while, so the next run must wait for it.
    Returns how many were put right, by form, and what was wrong with the others.
    """
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    kill = functools.partial(_kill, seed)
    with multiprocessing.get_context("fork").Pool(workers, _begin, (url,)) as pool:
        for task, problem in pool.imap_unordered(kill, range(count)):
            counts[
                f"killed runs of a {task.partition(',')[0]} that the next run put right, without a duplicate"
            ] += not problem
            wrong += [f"kill {task}: {problem}"] if problem else []
    return counts, wrong


def _kill(seed: int, number: int) -> tuple[str, str]:
    """Kill a run and start it twice more. Returns the form of its task, and what is wrong, empty if nothing is."""
    luck = random.Random(f"{seed} {number}")
    task = KILLED[number % len(KILLED)]
    while True:
        project = Project(_sandbox, f"prj_kill_{os.getpid()}_{luck.randrange(ENDLESS)}")
        project.settings(latency_ms=task.latency_ms)
        tasks = [{f"pgbeam.cloud.{task.module}": {"project_id": project.id, **task.options}, **task.keywords}]
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            play = Path(folder, "play.json")
            play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
            process = _start(play)
            moment = luck.randint(0, len(KILLED_NAMES))
            while len(project.writes()) < moment and process.poll() is None:
                time.sleep(0.05)
            time.sleep(luck.uniform(0, 0.1))
            process.kill()
            if process.wait() != -signal.SIGKILL:  # it had ended before: another moment
                continue
            status = _start(play).wait()
            there = sorted(row["name"] for row in project.truth().values())
            writes = len(project.writes())
            again = _start(play).wait()
            _end_workers(play)
        contract.judge(project.record())
        if status or again or there != KILLED_NAMES or len(project.writes()) != writes:
            return task.form, (
                f"after {moment} writes, the next run ended with {status} and the one after it with {again}, "
                f"which wrote {len(project.writes()) - writes} times; registered are {there}"
            )
        return task.form, ""


def _end_workers(play: Path) -> None:
    """End the worker of a killed run, which waits for ever for ansible-playbook to read its results."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that has ended
            if str(play) in (process / "cmdline").read_text():
                os.kill(int(process.name), signal.SIGKILL)


def _start(play: Path) -> subprocess.Popen[bytes]:
    env = ansible_env(_sandbox, play.parent, DB_PASSWORD=PASSWORD)
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
        killed, wrong = kill_runs(sandbox.url, options.kills, options.seed)
    counts += killed
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
