# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with how a scenario went: what was reported, what the server has, and which requests were sent."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from generate.declared import Resource
from tests.harness import is_write
from tests.sandbox.models import Initial
from tests.soak.scenarios import REPLANS, Scenario, Values, same

ERROR_PARTS = {
    "status", "code", "message", "method", "path", "request_id", "attempts", "fields", "outcome_unknown",
}  # fmt: skip
#: The shortest wait before the second attempt, in seconds; each later one is twice as long.
FIRST_WAIT = 0.25
RETRIED = (408, 429, 502, 503, 504)
UNANSWERED = ("drop_before", "drop_after", "reset_before", "reset_after", "slow", "stall")


def of_the_collection(record: list[Values]) -> list[Values]:
    return [entry for entry in record if "pgbeam-ansible" in entry["headers"]["user-agent"]]


def reported(result: Values) -> Values:
    """What check mode reports as a run that writes does."""
    return {name: result.get(name) for name in ("failed", "changed", "action", "changes", "summary")}


def _wanted_of(scenario: Scenario, row: Values) -> Values:
    """What the task declares of an object, or of the one nested in a project; nothing where it is not about it."""
    resource = scenario.resource
    if resource.nested:
        wanted, nested = scenario.wanted[0], resource.nested.noun
        own = {name: value for name, value in wanted.items() if name != nested}
        return wanted[nested] if "port" in row else own
    return next((item for item in scenario.wanted if same(resource, row, item)), {})


def lost(scenario: Scenario, theirs: dict[str, list[Values]], rows: Values, counts: Counter[str]) -> list[str]:
    """What another client wrote, and the task overwrote without naming it."""
    wrong = []
    for identifier, changes in theirs.items():
        for change in changes:
            if identifier not in rows:
                counts["changes by another writer to objects that the task deleted"] += 1
                continue
            unnamed = _without(change, _wanted_of(scenario, rows[identifier]))
            kept = all(_holds(rows[identifier][name], value) for name, value in unnamed.items())
            if not kept:
                wrong.append(f"lost update: {identifier} has {rows[identifier]}, another client had written {change}")
            what = "that were kept" if unnamed else "to fields that the task sets"
            counts[f"changes by another writer {what}"] += kept
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
        return all(_holds(have[member], inner) for member, inner in value.items())
    if isinstance(value, list):
        return all(entry in have for entry in value)
    return bool(have == value)


def guessed(scenario: Scenario, theirs: dict[str, list[Values]], before: Values, after: Values) -> list[str]:
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


def untrue_project(
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
        counts["entries that failed and reported an unknown outcome"] += unknown
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


def whole(item: Values) -> Values:
    """The body that registers an item behind the collection's back; the API wants its objects whole."""
    cache = {"enabled": True, "ttl_seconds": 60, "max_entries": 10000, "swr_seconds": 30}
    pool = {"pool_size": 10, "min_pool_size": 1, "pool_mode": "session"}
    whole = {
        "cache_config": {**cache, **item.get("cache_config", {})},
        "pool_config": {**pool, **item.get("pool_config", {})},
    }
    return {**item, **{name: value for name, value in whole.items() if name in item}}


def entries(scenario: Scenario, result: Values) -> list[Values]:
    """What a result reports of each object."""
    resource = scenario.resource
    if scenario.listed:
        return list(result.get(resource.plural, []))
    one = {name: result.get(name) for name in ("action", "changes", "error")}
    return [{**(result.get(resource.noun) or {}), **one}] if "action" in result else []


def untrue(
    scenario: Scenario,
    result: Values,
    before: Values,
    after: Values,
    theirs: dict[str, list[Values]],
    counts: Counter[str],
) -> list[str]:
    """What the report says that is not so, or leaves out."""
    wrong: list[str] = []
    resource, told = scenario.resource, entries(scenario, result)
    if scenario.listed and told:
        counted = {action: count for action, count in result["summary"].items() if count}
        if counted != Counter(t["action"] for t in told):
            wrong.append("summary does not add up")
    if bool(result["changed"]) != any(t["action"] in ("created", "updated", "replaced", "deleted") for t in told):
        wrong.append("changed is not what the entries say")
    listed, pruned = told[: len(scenario.wanted)], told[len(scenario.wanted) :]
    if pruned and any(entry["action"] in ("failed", "skipped") for entry in listed):
        wrong.append("it prunes although an entry failed")
    explained: set[str] = set()
    wanted: list[Values | None] = [*scenario.wanted, *[None] * (len(told) - len(scenario.wanted))]
    for item, entry in zip(wanted, told):
        counts[f"entries {entry['action']}"] += 1
        identifier = entry.get(resource.answer_key)
        known = [(i, row) for rows in (before, after) for i, row in rows.items()]
        ids = {i for i, row in known if (same(resource, row, item) if item else i == identifier)}
        explained |= ids
        reason = _untrue_entry(item, {**entry, "id": identifier}, ids, before, after, theirs, counts)
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
        counts["entries that failed and reported an unknown outcome"] += error["outcome_unknown"]
        true = not moved or error["outcome_unknown"]
    return None if true else "the server has it otherwise"


def _fits(item: Values, row: Values, theirs: list[Values] | None = None) -> bool:
    """Whether the server has every field that the item names, or what another client made of it afterwards."""
    for change in theirs or []:
        item = _without(item, change)
    for name, value in item.items():
        have: Any = row.get(name)
        if isinstance(value, dict):
            have = {member: (have or {}).get(member) for member in value}
        if name == "allowed_cidrs" and len(have) == len(value):  # a set: another client may have changed the order
            networks = {entry["cidr"]: entry for entry in have}
            have = [{member: networks.get(w["cidr"], {}).get(member) for member in w} for w in value]
        if name != "state" and not _alike(have, value):
            return False
    return True


def _alike(have: Any, value: Any) -> bool:
    """Whether two values are one: a server leaves out what is empty, and keeps a set in an order of its own."""
    if isinstance(value, dict):
        return isinstance(have, dict) and all(_alike(have.get(member), inner) for member, inner in value.items())
    if isinstance(value, list):
        found = list(have or [])
        return len(found) == len(value) and all(any(_alike(one, item) for one in found) for item in value)
    return bool(have == value or (have is None and not value))


def as_wanted(scenario: Scenario, result: Values, rows: Values) -> bool:
    """Whether the server has all as the task wants it, after a run without faults."""
    if scenario.resource.nested:
        return _as_told(scenario, result, rows, {}) and len(rows) == 2
    for item in scenario.wanted:
        found = [row for row in rows.values() if same(scenario.resource, row, item)]
        if item.get("state") == "absent":
            if found:
                return False
        elif len(found) != 1 or not _fits(item, found[0]):
            return False
    listed = [row for row in rows.values() if any(same(scenario.resource, row, item) for item in scenario.wanted)]
    return not scenario.prune or len(listed) == len(rows)


def duplicates(scenario: Scenario, rows: Values) -> int:
    """How many exist besides an equal one. Of a replaced object, the new one differs from the old one."""
    resource = scenario.resource
    kinds = [resource, resource.nested] if resource.nested else [resource]
    seen = Counter(_told_apart(kinds[-1] if "port" in row else kinds[0], row) for row in rows.values())
    return sum(count - 1 for count in seen.values())


def _told_apart(resource: Resource, row: Values) -> str:
    """What tells an object from an equal one."""
    names = {*resource.identity, resource.tie_breaker}
    fields = [f for f in resource.writable if f.name in names or (resource.replaceable and not f.secret)]
    return repr([resource.noun, *(f.normalized(resource.identity_value(row, f.name)) for f in fields)])


def writes(record: list[Values]) -> int:
    return sum(map(is_write, record))


def ill_mannered(scenario: Scenario, record: list[Values]) -> list[str]:
    """What the requests did that the API's rules do not allow."""
    wrong: list[str] = []
    tries: dict[tuple[str, str, str, str | None], list[Values]] = {}
    for entry in record:
        if is_write(entry):
            sent = repr((entry["query"], entry["body"]))  # a DELETE by identity has that in its query
            tries.setdefault((entry["method"], entry["path"], sent, entry["headers"].get("if-match")), []).append(entry)
    refused = Counter(e["path"] for e in record if e["status"] == 412 and e["fault"] not in UNANSWERED)
    if any(count > REPLANS + 1 for count in refused.values()):
        wrong.append("a write that meets 412 is planned anew more often than it may be")
    for (method, *dummy), attempts in tries.items():
        keys = {entry["headers"].get("idempotency-key") for entry in attempts}
        keyless = method == "DELETE" or (method == "POST" and not scenario.resource.idempotency_key)
        if len(keys) > 1 or (None in keys and not keyless):
            wrong.append("a write goes out under two keys, or under none")
        if len(attempts) > scenario.options["retries"] + 1:
            wrong.append("a write is tried more often than retries allows")
        for number, (entry, following) in enumerate(itertools.pairwise(attempts)):
            # A machine that is busy may answer too late, without a fault.
            in_time = following["arrived"] - entry["arrived"] < scenario.options["timeout"] + FIRST_WAIT * 2**number
            if entry["status"] not in RETRIED and entry["fault"] not in UNANSWERED and in_time:
                wrong.append(f"a write is tried again after {entry['status']}")
    return wrong
