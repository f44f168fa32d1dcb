# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An evaluation: the decision of a policy, saved or not, on a statement."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    NAME_OR_ID_PATTERN,
    NAME_OR_ID_RULE,
    Field,
    Resource,
    Values,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import POLICY

VERDICTS = ("allow", "block", "mask", "row-filter")
#: The policy that decides, saved or not.
CANDIDATE = (
    Field("policy", pattern=NAME_OR_ID_PATTERN, must_be=NAME_OR_ID_RULE, refers_to=POLICY, api_name="policy_id"),
    Field("definition", "dict", fields=POLICY.writable, api_name="policy"),
)
DECISION = (
    Field("verdict", required=True),
    Field("rule", required=True),
    Field("reason", required=True),
    Field("hint"),
    Field("masked_columns", "list", elements=Field(
        "masked_column", "dict", fields=(Field("column"), Field("kind")),
    )),
    Field("row_filter_predicate"),
    Field("rewritten_sql"),
    Field("notes", "list", elements=Field("note")),
    Field("template"),
)  # fmt: skip


def check_candidate(values: Values) -> str | None:
    """Return a sentence unless exactly one policy is set."""
    given = [f.name for f in CANDIDATE if values.get(f.name) is not None]
    if len(given) > 1:
        return "policy: definition is also set; keep one of them"
    return None if given else "policy: missing; set policy for a saved policy, or definition for any other"


def check(values: Values) -> str | None:
    """Return a sentence if no policy or no statement is set."""
    if values.get("statements") == []:
        return "statements: empty; set at least one statement"
    return check_candidate(values)


POLICY_EVALUATION = Resource(
    noun="policy_evaluation",
    plural="policy_evaluations",
    path="/v1/projects/{project_id}/policy-evaluations",
    parent="project_id",
    label_format="",
    computed=True,
    check=check,
    fields=(
        *CANDIDATE,
        Field("statements", "list", required=True, elements=Field("statement", "dict", fields=(
            Field("sql", pattern=r"(?s).{1,100000}", must_be="text of 1 to 100000 characters", required=True),
            Field("expect", choices=VERDICTS, required=True),
            Field("rule", pattern=r"[a-z0-9_]+", must_be="the name of a rule"),
        ))),
        Field("evaluations", "list", read_only=True, elements=Field("evaluation", "dict", fields=(
            Field("sql"), Field("expected"), Field("passed", "bool"), *DECISION,
        ))),
    ),
)  # fmt: skip
