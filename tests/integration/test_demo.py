# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, as ``make demo`` runs it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.tree import ROOT

pytestmark = [pytest.mark.once, pytest.mark.long]

#: The rows of its last table: databases created, updated and unchanged, seconds, reads, writes, connection tests.
SUMMARY = [
    r"^  1 dry run: would do +2 +0 +0 +[\d.]+ +1 +0 +0$",
    r"^  2 registration +2 +0 +0 +[\d.]+ +2 +3 +2$",
    r"^  3 the same again +0 +0 +2 +[\d.]+ +1 +0 +2$",
    r"^  4 one field edited +0 +1 +1 +[\d.]+ +2 +1 +2$",
]


def test_the_demo_shows_what_it_announces_and_leaves_nothing_running() -> None:
    with tempfile.TemporaryDirectory(prefix="pgbeam-test-demo-") as folder:
        Path(folder).chmod(0o755)  # the PostgreSQL of a demo that root runs is nobody's
        command = [sys.executable, "-m", "tests.demo"]
        environment = {**os.environ, "TMPDIR": folder}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        announced = (
            "2 created",
            "2 unchanged",
            "1 updated, 1 unchanged",
            '-        "ttl_seconds": 300',
            "connected in",
            "mask (ok): SELECT id, email FROM customers",
            "block (table_not_allowed): SELECT number FROM cards",
            "id, connection_string, mcp_token, mcp_url",
        )
        for seen in announced:
            assert seen in done.stdout
        for row in SUMMARY:
            assert re.search(row, done.stdout, re.MULTILINE), f"{row} is not in {done.stdout}"
        assert "orders_app:YOUR_PASSWORD@prj_demo.proxy.pgbeam.app:5432/orders" in done.stdout
        assert list(Path(folder).iterdir()) == []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # a process may end while it is looked at
            words = path.read_bytes()
            assert b"--project\0prj_demo" not in words
            assert folder.encode() not in words
