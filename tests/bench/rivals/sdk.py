# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registers databases with the official SDK: ``sdk.py PROJECT_ID FILE`` creates those of the file that are missing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pgbeam import PgBeamClient


def main() -> None:
    project_id, file = sys.argv[1:]
    password = os.environ["DB_PASSWORD"]
    wanted: list[dict[str, Any]] = json.loads(Path(file).read_text())["databases"]
    with PgBeamClient() as client:
        registered = set()
        page = client.databases.list_databases(project_id, page_size=100)
        while True:
            registered |= {(item["host"], item["port"], item["name"]) for item in page["databases"]}
            token = page.get("next_page_token")
            if not token:
                break
            page = client.databases.list_databases(project_id, page_size=100, page_token=token)
        for database in wanted:
            if (database["host"], database["port"], database["name"]) not in registered:
                body: Any = {**database, "password": password}
                client.databases.create_database(project_id, body=body)


if __name__ == "__main__":
    main()
