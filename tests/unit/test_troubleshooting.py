# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The troubleshooting guide has the sentences that the tasks say."""

from __future__ import annotations

import json
import re

import pytest
import requests
from ansible_collections.pgbeam.cloud.plugins.module_utils._errors import Call, refused

from tests.examples import GUIDES, read

ROW = re.compile(
    r"^  \* - (?P<statuses>\d{3}(?:, \d{3})*)\n    - (?P<codes>``.+``)\n    - .+\n    - (?P<advice>.+)$", re.MULTILINE
)
CASES = [
    (int(status), code, row["advice"])
    for row in ROW.finditer(read(f"{GUIDES}/troubleshooting.rst"))
    for status in row["statuses"].split(", ")
    for code in re.findall(r"``(\w+)``", row["codes"])
]


@pytest.mark.parametrize(("status", "code", "advice"), CASES)
def test_the_advice(status: int, code: str, advice: str) -> None:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps({"error": {"code": code, "message": "No."}}).encode()
    told = str(refused(response, Call("POST", "/v1/projects/prj_1/databases", "databases")))
    assert f"{status} {code}: No." in told
    assert advice in told


def test_all_rows_are_read() -> None:
    assert {status for status, *_others in CASES} == {
        400,
        401,
        402,
        403,
        404,
        409,
        412,
        415,
        422,
        429,
        500,
        502,
        503,
        504,
    }
