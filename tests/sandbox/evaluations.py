# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations that compute and store nothing: a policy's decision on a statement, and on recorded ones."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any

from fastapi import APIRouter, Request
from pgbeam import models
from pydantic import AfterValidator, Field, TypeAdapter

from tests.sandbox import evaluator
from tests.sandbox.declaration import Item
from tests.sandbox.kinds import KINDS
from tests.sandbox.objects import body_of
from tests.sandbox.refusals import invalid, not_found
from tests.sandbox.sdk import strict
from tests.sandbox.state import Id, Project, State, now

EVALUATION_PATH = "/v1/projects/{project_id}/policy-evaluations"
REPLAY_PATH = "/v1/projects/{project_id}/policy-replays"
#: The order of the items of a replay; all others follow these.
RANK = {"newly_blocked": 0, "newly_allowed": 1}


def _moment(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text):
        raise ValueError("this is no date and time of RFC 3339")
    return text


_POLICIES = KINDS["policies"]
_POLICY_LIMITS = {f"policy.{name}": limit for name, limit in _POLICIES.limits.items()}
EVALUATION_BODY: TypeAdapter[Item] = TypeAdapter(
    strict(models.DryEvalInput, "forbid", {"sql": Field(min_length=1, max_length=100_000), **_POLICY_LIMITS})
)
REPLAY_BODY: TypeAdapter[Item] = TypeAdapter(
    strict(
        models.PolicyReplayInput,
        "forbid",
        {
            "limit": Field(ge=1, le=500),
            "start_ts": AfterValidator(_moment),
            "end_ts": AfterValidator(_moment),
            **_POLICY_LIMITS,
        },
    )
)


def router(state: State) -> APIRouter:
    router = APIRouter(prefix="/v1/projects")

    @router.post(EVALUATION_PATH.removeprefix("/v1/projects"))
    async def evaluate(request: Request, project_id: Id) -> dict[str, Any]:
        given = await body_of(request, EVALUATION_BODY)
        project = state.project(project_id)
        return project.shown(_decide(project, _policy(project, given), given["sql"]))

    @router.post(REPLAY_PATH.removeprefix("/v1/projects"))
    async def replay(request: Request, project_id: Id) -> dict[str, Any]:
        given = await body_of(request, REPLAY_BODY)
        project = state.project(project_id)
        return project.shown(_replay(project, _policy(project, given), given))

    return router


def record(project: Project, sql: str, agent_id: str, at: str | None) -> None:
    """Record a statement of an agent, with the outcome under its current policy."""
    agent = project.find(KINDS["agents"], project.id, agent_id)
    policy = project.find(_POLICIES, project.id, agent["policy_profile_id"])
    decision = _decide(project, policy, sql)
    events = {"block": "blocked", "mask": "masked"}
    project.traffic.append(
        {
            "sql": evaluator.fingerprint(sql),
            "hash": evaluator.query_hash(sql),
            "agent": agent_id,
            "at": _parsed(at or now()),
            "event": events.get(decision["verdict"], "query"),
            "rule": decision["rule"],
        }
    )


def _decide(project: Project, policy: Item, sql: str) -> Item:
    templates = project.rows["query_templates"].values()
    return evaluator.evaluate(policy, sql, {one["name"]: one["sql"] for one in templates if one["enabled"]})


def _policy(project: Project, given: Item) -> Item:
    """Return the policy of a body, saved or not."""
    if ("policy" in given) == ("policy_id" in given):
        raise invalid([{"field": "policy_id", "detail": "exactly one of policy_id and policy is required"}])
    if "policy_id" in given:
        return project.find(_POLICIES, project.id, given["policy_id"])
    _POLICIES.check(project, given["policy"])
    initial = _POLICIES.defaults(project)
    rules = {**initial["statement_rules"], **given["policy"].get("statement_rules", {})}
    return {**initial, **given["policy"], "statement_rules": rules}


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text.upper().replace("Z", "+00:00"))


def _written(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def _replay(project: Project, policy: Item, given: Item) -> Item:
    agents = {item["id"]: item for item in project.rows["agents"].values()}
    if "credential_id" in given and "bound_policy_id" in given:
        raise invalid([{"field": "bound_policy_id", "detail": "not together with credential_id"}])
    chosen = set(agents)
    summary: Item = {"traffic_scope": "project"}
    if "credential_id" in given:
        if given["credential_id"] not in agents:
            raise not_found("agent", given["credential_id"])
        chosen = {given["credential_id"]}
    if "bound_policy_id" in given:
        bound = project.find(_POLICIES, project.id, given["bound_policy_id"])["id"]
        live = KINDS["agents"].live
        chosen = {name for name, item in agents.items() if item["policy_profile_id"] == bound and live(item)}
        summary = {"traffic_scope": "bound_credentials", "bound_credentials": len(chosen)}
    end = _parsed(given.get("end_ts") or now())
    start = _parsed(given["start_ts"]) if "start_ts" in given else end - timedelta(days=7)
    if start >= end:
        raise invalid([{"field": "end_ts", "detail": "it is not later than start_ts"}])
    shapes: dict[str, list[Item]] = defaultdict(list)
    for entry in sorted(project.traffic, key=lambda entry: entry["at"], reverse=True):
        if entry["agent"] in chosen and start <= entry["at"] < end:
            shapes[entry["hash"]].append(entry)
    limit = given.get("limit", 200)
    items = [_item(project, policy, entries) for entries in list(shapes.values())[:limit]]
    items.sort(key=lambda item: (RANK.get(item["change"], len(RANK)), -item["occurrences"]))
    verdicts = [item["result"]["verdict"] for item in items]
    changes = [item["change"] for item in items]
    summary.update(
        entries_scanned=sum(item["occurrences"] for item in items),
        distinct_queries=len(items),
        evaluated=len(items),
        would_allow=verdicts.count("allow"),
        would_block=verdicts.count("block"),
        would_mask=verdicts.count("mask"),
        would_row_filter=verdicts.count("row-filter"),
        newly_blocked=changes.count("newly_blocked"),
        newly_allowed=changes.count("newly_allowed"),
        skipped_unparseable=0,
        truncated=len(shapes) > limit,
    )
    return {"summary": summary, "items": items}


def _item(project: Project, policy: Item, entries: list[Item]) -> Item:
    """Return the item for the recorded statements of one shape, newest first."""
    newest, oldest = entries[0], entries[-1]
    result = _decide(project, policy, newest["sql"])
    before, after = newest["event"] == "blocked", result["verdict"] == "block"
    change = ("newly_" if before != after else "still_") + ("blocked" if after else "allowed")
    return {
        "query_hash": newest["hash"],
        "sql": newest["sql"],
        "occurrences": len(entries),
        "first_seen": _written(oldest["at"]),
        "last_seen": _written(newest["at"]),
        "recorded_event": newest["event"],
        **({"recorded_rule": newest["rule"]} if before else {}),
        "change": change,
        "result": result,
    }
