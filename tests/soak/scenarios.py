# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a seed makes: a scenario, in the words of its resource's declaration and samples."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from generate.declared import Resource
from generate.modules import modules
from tests import samples
from tests.faults import ENDLESS
from tests.sandbox.kinds import KINDS

Values = dict[str, Any]
#: Every resource that a task can change, by its noun: a new one joins by its declaration.
RESOURCES: dict[str, Resource] = {
    module.resource.noun: module.resource for module in modules().values() if module.form == "item"
}
#: Of those that have most to go wrong, more scenarios are made.
WEIGHTS = {"database": 4, "project": 2, "replica": 2, "agent": 2}
NOUNS = [noun for noun in RESOURCES for dummy in range(WEIGHTS.get(noun, 1))]
IN_SANDBOX = {kind.noun: kind for kind in KINDS.values()}
#: The forms of a task for one object, and of one for a list.
ITEM_SHAPES = ("create", "update", "delete")
LIST_SHAPES = ("list", "prune")
#: How many objects a scenario is about at most: so many identities can be made of a sample.
MOST = 9
#: Where an item gets its API key and URL: its options, the task's environment, or the environment of ansible-playbook.
SOURCES = ("options", "environment", "inherited")
#: Two names of the sandbox, so that consecutive items differ in their URL.
NAMES = ("127.0.0.1", "localhost")
#: Settings that a task may want otherwise than the server has them.
DATABASE_DRIFT: tuple[Values, ...] = (
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
DATABASE_OTHERS: tuple[Values, ...] = (
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
#: Both by noun. Of all other resources, a task and another client may change each field that an update takes.
DRIFT = {"database": DATABASE_DRIFT, "replica": REPLICA_DRIFT, "project": PROJECT_DRIFT}
OTHERS = {"database": DATABASE_OTHERS, "project": (*PROJECT_OTHERS, *DATABASE_OTHERS[:2])}
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
    resource: Resource
    shape: str
    settings: Values
    existing: list[Values]
    #: What the task declares. An id in it, of what an object refers to, stands for the one that the scope has.
    wanted: list[Values]
    options: Values
    faults: list[Values]
    #: The faults that are another client's writes.
    others: list[Values]
    #: One of SOURCES, and one of NAMES.
    source: str
    name: str
    #: Whether the task refers to other objects by their names.
    by_name: bool
    #: Whether the same options run in check mode first, as an item with a key of its own.
    foreseen: bool

    @property
    def module(self) -> str:
        return self.resource.plural if self.listed else self.resource.noun

    @property
    def listed(self) -> bool:
        """Whether its task is one of the list form."""
        return self.shape in LIST_SHAPES

    @property
    def prune(self) -> bool:
        return self.shape == "prune"


def make(seed: int) -> Scenario:
    rng = random.Random(seed)
    resource = RESOURCES[rng.choice(NOUNS)]
    moves = changes(resource)
    if resource.noun == "project":
        existing = [{"name": "shop", **rng.choice(({}, *PROJECT_DRIFT[2:]))}] * rng.randint(0, 1)
        first = RESOURCES["database"]
        database = {**samples.needed(first), **rng.choice(({}, *changes(first)))}
        drift = rng.sample(moves, rng.randint(0, 3))
        wanted = [{"name": "shop", "database": database, **{k: v for item in drift for k, v in item.items()}}]
        return _scenario(rng, seed, resource, "create", existing, wanted)
    if resource.is_singleton:
        existing = [rng.choice(moves)] * rng.randint(0, 1)
        return _scenario(rng, seed, resource, "update", existing, [rng.choice(moves)])
    return _scenario(rng, seed, resource, *_declared(rng, resource, moves))


def _declared(rng: random.Random, resource: Resource, moves: list[Values]) -> tuple[str, list[Values], list[Values]]:
    """The shape of a task, the objects that exist, and what the task declares."""
    shapes = [*ITEM_SHAPES, *(LIST_SHAPES * 2 if resource.plural in modules() else ())]
    offered = {"create": "created", "delete": "deleted", "prune": "deleted"}
    shape = rng.choice([each for each in shapes if offered.get(each, "unchanged") in resource.actions])
    keys = _keys(resource)
    rng.shuffle(keys)

    def entry(key: Values) -> Values:
        one = {**key, **rng.choice(({}, *moves))}
        return key if resource.check and resource.check(one) else one

    existing = [entry(key) for key in keys[: rng.randint(0 if shape == "create" else 1, max(1, len(keys) // 2))]]
    if shape == "create":
        return shape, existing, [entry(keys[-1])]
    if shape == "update":
        chosen = rng.choice(existing)
        return shape, existing, [{**chosen, **entry(_key_of(resource, chosen))}]
    if shape == "delete":
        return shape, existing, [{**rng.choice(existing), "state": "absent"}]
    kept = [{**item, **entry(_key_of(resource, item))} for item in existing if rng.random() < 0.7]
    gone = [{**item, "state": "absent"} for item in kept if rng.random() < 0.2 and resource.deletable]
    kept = [item for item in kept if not any(same(resource, item, other) for other in gone)]
    new = [entry(key) for key in keys[len(existing) :] if rng.random() < 0.6 and resource.creatable]
    wanted = kept + gone + new or [entry(keys[-1]) if resource.creatable else existing[0]]
    rng.shuffle(wanted)
    return shape, existing, wanted


def _keys(resource: Resource) -> list[Values]:
    """What creates some objects, each with an identity of its own."""
    found: list[Values] = []
    for number in range(MOST):
        key = samples.needed(resource, number)
        if not any(same(resource, key, other) for other in found):
            found.append(key)
    return found


def _key_of(resource: Resource, item: Values) -> Values:
    """The part of an entry that finds or creates its object, without what else it declares."""
    return {name: value for name, value in item.items() if name in samples.needed(resource)}


def changes(resource: Resource) -> list[Values]:
    """What a task may declare of an object beside what creates it, one field at a time."""
    if resource.noun in DRIFT:
        return list(DRIFT[resource.noun])
    accepted = IN_SANDBOX[resource.noun].change if resource.noun in IN_SANDBOX else {}
    found: list[Values] = []
    for f in resource.writable:
        if f.immutable or f.secret or f.refers_to or f.name in (*resource.identity, resource.parent):
            continue
        value = samples.sample(resource, f)
        values = [accepted[f.name]] if f.name in accepted else [samples.varied(f, value, n) for n in range(2)]
        found += [{f.name: each} for each in (*values, *([None] if resource.is_singleton and f.nullable else ()))]
    return found


def same(resource: Resource, left: Values, right: Values) -> bool:
    """Whether two stand for one object: entries, or what the server has."""
    identity = (resource.field(name) for name in resource.identity if name != resource.parent)
    return all(
        f.normalized(resource.identity_value(left, f.name)) == f.normalized(resource.identity_value(right, f.name))
        for f in identity
    )


def _scenario(
    rng: random.Random, seed: int, resource: Resource, shape: str, existing: list[Values], wanted: list[Values]
) -> Scenario:
    others = _others(rng, resource)
    settings = _settings(rng, existing)
    if not others:
        settings["etag"] = rng.choice(('"{tag}"', "", 'W/"{tag}"', "{tag}"))
    writes = [verb for verb in (resource.create_verb, resource.update_verb, "DELETE") if verb]
    options, faults = _options(rng, shape), [_fault(rng, writes) for dummy in range(rng.randint(1, 3))]
    source, name, by_name, foreseen = rng.choice(SOURCES), rng.choice(NAMES), rng.random() < 0.5, rng.random() < 0.15
    return Scenario(
        seed, resource, shape, settings, existing, wanted, options, faults, others, source, name, by_name, foreseen
    )


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


def _options(rng: random.Random, shape: str) -> Values:
    return {
        "retries": rng.randint(0, 3),
        "timeout": 1,
        "retry_budget": rng.randint(2, 6),
        **({"parallel": rng.randint(1, 8)} if shape in LIST_SHAPES else {}),
    }


def _others(rng: random.Random, resource: Resource) -> list[Values]:
    """Another client's writes: before one of the task's, before some in a row, or before each."""
    unguarded = resource.sends_whole and not resource.get_by_id  # the API offers no If-Match for it
    if not resource.update_verb or resource.put_by_identity or resource.is_singleton or unguarded:
        return []  # no request is to one object, or none of them can be made in vain
    one_a_field = {tuple(each): each for each in changes(resource)}  # else one change of theirs would undo another
    known = OTHERS.get(resource.noun, [*one_a_field.values()])
    possible = [each for each in known if not (resource.check and any(map(resource.check, _with(resource, each))))]
    return [
        {
            "kind": "other_writer",
            "change": change,
            "method": rng.choice((resource.update_verb, resource.update_verb, None)),
            "skip": rng.choice((0, 0, 0, 1, 3)),
            "times": rng.choice((1, 2, REPLANS, ENDLESS)),
        }
        for change in rng.sample(possible, min(len(possible), rng.choice((0, 1, 1, 2))))
    ]


def _with(resource: Resource, change: Values) -> list[Values]:
    return [{**key, **change} for key in _keys(resource)]


def _fault(rng: random.Random, writes: list[str]) -> Values:
    """A fault on the nth matching request, or on each with a probability."""
    fault: Values = {"method": rng.choice((None, "GET", *writes)), **rng.choice(FAULTS)}
    if fault["method"] in (None, "GET") and rng.random() < 0.7:
        fault["method"] = rng.choice(writes)  # a run whose listing fails ends there
    if rng.random() < 0.5:
        return {"times": rng.randint(1, 4), **fault, "skip": rng.randint(0, 6)}
    return {**fault, "times": ENDLESS, "probability": rng.choice((0.1, 0.3, 0.6)), "seed": rng.randrange(ENDLESS)}
