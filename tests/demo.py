# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a real PostgreSQL, the sandbox, and the playbook that registers the example inventory, four times."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.harness import Project, Sandbox, ansible_env
from tests.postgres import postgres
from tests.tree import ROOT

PROJECT = "prj_demo"
USERS = {"orders": "orders_app", "invoices": "invoices_app"}


def main() -> int:
    """Run the demo; returns the exit status, 0 where all was seen that had to be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="pgbeam-demo-") as folder,
        Sandbox.start(PROJECT) as sandbox,
        postgres() as server,
    ):
        passwords = {name: secrets.token_urlsafe(16) for name in USERS}
        for name, user in USERS.items():
            server.create_database(name, user, passwords[name])
        inventory = Path(folder) / "inventory"
        shutil.copytree(ROOT / "examples" / "inventory", inventory)
        environment = ansible_env(
            sandbox.url,
            Path(folder),
            DEMO_POSTGRES_PORT=str(server.port),
            **{f"{name.upper()}_PASSWORD": password for name, password in passwords.items()},
        )
        return _runs(inventory, environment, Project(sandbox.url, PROJECT))


def _runs(inventory: Path, environment: dict[str, str], project: Project) -> int:
    _say("1 of 4: --check --diff shows the two databases that would be registered, and writes nothing.")
    seen = _play(inventory, environment, "--check", "--diff") == 1 and not project.writes()

    _say("2 of 4: the registration; PgBeam connects to each database, and tells latency and server version.")
    seen &= _play(inventory, environment) == 1 and len(project.databases()) == 2

    _say("3 of 4: the same again; nothing has to change (changed=0).")
    seen &= _play(inventory, environment) == 0

    variables = inventory / "group_vars" / "postgres.yml"
    variables.write_text(variables.read_text().replace("ttl_seconds: 300", "ttl_seconds: 600"))
    _say("4 of 4: after one edit of the inventory, ttl_seconds of orders from 300 to 600; that field alone changes.")
    seen &= _play(inventory, environment, "--diff") == 1

    _say("Registered. Clients connect with these, and the password in the place of YOUR_PASSWORD:")
    for database in project.databases():
        print(f"  {database['connection_string']}")
    if not seen:
        print("The demo did not go as announced.", file=sys.stderr)
    return 0 if seen else 1


def _say(text: str) -> None:
    print(f"\n##### {text}", flush=True)


def _play(inventory: Path, environment: dict[str, str], *options: str) -> int:
    """Run the playbook before the reader's eyes; returns how many tasks changed something."""
    command = ["ansible-playbook", "-i", str(inventory), "playbooks/register_databases.yml", *options]
    print(f"$ {' '.join(command).replace(str(inventory), 'inventory')}", flush=True)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            output += line
    if process.returncode:
        sys.exit(f"ansible-playbook ended with {process.returncode}")
    return sum(int(count) for count in re.findall(r"\bchanged=(\d+)", output))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
