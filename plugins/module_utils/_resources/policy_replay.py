# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replay: the decisions of a policy, saved or not, on recorded statements."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    NAME_OR_ID_PATTERN,
    NAME_OR_ID_RULE,
    Field,
    Resource,
    Values,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.timestamp import TIMESTAMP_RULE, canonical
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent import AGENT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import POLICY
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy_evaluation import (
    CANDIDATE,
    DECISION,
    check_candidate,
)

COUNTS = (
    "entries_scanned", "distinct_queries", "evaluated", "would_allow", "would_block", "would_mask", "would_row_filter",
    "newly_blocked", "newly_allowed", "skipped_unparseable",
)  # fmt: skip


def check(values: Values) -> str | None:
    """Return a sentence unless one policy, at most one filter of agents and a period that is not empty are set."""
    if values.get("agent") is not None and values.get("bound_policy") is not None:
        return "agent: bound_policy is also set; keep one of them"
    start, end = values.get("start"), values.get("end")
    if start is not None and end is not None and canonical(start) >= canonical(end):
        return f"end: {end!r} is not later than start ({start!r}); set a later time"
    return check_candidate(values)


POLICY_REPLAY = Resource(
    noun="policy_replay",
    plural="policy_replays",
    path="/v1/projects/{project_id}/policy-replays",
    parent="project_id",
    label_format="",
    computed=True,
    check=check,
    fields=(
        *CANDIDATE,
        Field(
            "agent", pattern=NAME_OR_ID_PATTERN, must_be=NAME_OR_ID_RULE, refers_to=AGENT,
            refers_to_deleted=True, api_name="credential_id",
        ),
        Field(
            "bound_policy", pattern=NAME_OR_ID_PATTERN, must_be=NAME_OR_ID_RULE, refers_to=POLICY,
            api_name="bound_policy_id",
        ),
        Field("start", must_be=TIMESTAMP_RULE, normalize=canonical, api_name="start_ts"),
        Field("end", must_be=TIMESTAMP_RULE, normalize=canonical, api_name="end_ts"),
        Field("limit", "int", minimum=1, maximum=500),
        Field("replay", "dict", read_only=True, fields=(
            Field("summary", "dict", required=True, fields=(
                Field("traffic_scope"),
                Field("bound_credentials", "int"),
                *(Field(name, "int", required=True) for name in COUNTS),
                Field("truncated", "bool"),
            )),
            # Jinja would take replay.items for the method of that name.
            Field("statements", "list", required=True, api_name="items", elements=Field("statement", "dict", fields=(
                Field("query_hash"),
                Field("sql"),
                Field("statement_kind"),
                Field("occurrences", "int"),
                Field("first_seen"),
                Field("last_seen"),
                Field("recorded_event"),
                Field("recorded_rule"),
                Field("change"),
                Field("result", "dict", fields=DECISION),
            ))),
        )),
    ),
)  # fmt: skip
