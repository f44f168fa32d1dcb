# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published OpenAPI document as a judge of recorded exchanges, where the document is at hand."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from tests.tree import ROOT

DOCUMENT = ROOT.parent / "shared" / "reference" / "pgbeam-openapi.json"
#: Only the operations in use: reading the other ones takes seconds.
IN_USE = re.compile(
    r"/v1/(projects(/{project_id}(/databases(/{database_id}(/test-connection)?)?)?)?"
    r"|databases/{database_id}/replicas(/{replica_id})?|regions|organizations)"
)
#: The answers that the document describes; others (409, 5xx, faults) it does not know.
DESCRIBED = (200, 201, 204, 400, 401, 403, 404, 429)


@functools.cache
def _api(path: Path) -> OpenAPI:
    document = json.loads(path.read_text())
    document["paths"] = {name: item for name, item in document["paths"].items() if IN_USE.fullmatch(name)}
    return OpenAPI.from_dict(document)


def judge(exchanges: list[dict[str, Any]]) -> None:
    """Raise where a request or an answer is not as the document says; nothing where there is no document."""
    if not DOCUMENT.exists():
        return
    for entry in exchanges:
        request = MockRequest(
            "https://api.pgbeam.com",
            entry["method"].lower(),
            entry["path"],
            args=entry["query"],
            headers={"Authorization": "Bearer of-the-sandbox"},
            data=json.dumps(entry["body"]).encode() if entry["body"] is not None else None,
            content_type=entry["headers"].get("content-type", ""),
        )
        if entry["status"] not in (400, 401, 422):
            _api(DOCUMENT).validate_request(request)
        if entry["fault"] is None and entry["status"] in DESCRIBED and "problem" not in entry["content_type"]:
            response = MockResponse(
                entry["response"].encode(), status_code=entry["status"], content_type=entry["content_type"]
            )
            _api(DOCUMENT).validate_response(request, response)
