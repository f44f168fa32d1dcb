# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible commands whose output and files are scanned for secrets."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from generate.modules import modules
from tests.integration.conftest import Ansible, Run
from tests.secret_scan import SecretScan, make_secret

KEY = f"pbu_{make_secret(28, 0)}"
#: By the environment variable in which a play looks it up.
PASSWORDS = {
    "PLAIN": make_secret(20, 1),
    "ODD": f"{make_secret(12, 2)} '\"\\  %&<{make_secret(9, 3)}\n\t{{{{ 7 * 7 }}}}#$HOME "
    f"é😀e\u0301{make_secret(12, 4)}",
    "LONG": make_secret(10_000, 5),
    "MISSPELLED": f"{make_secret(12, 6)}'{make_secret(12, 7)}",
    "VAULTED": f"{make_secret(12, 8)}\"'{make_secret(12, 9)}",
    "VAULT_KEY": make_secret(24, 10),
}
#: Core's stdout callback plugins, which otherwise would need a run each.
CALLBACKS = "also_minimal,also_oneline,also_yaml"
#: Replacements of the system log, which a test cannot read: for syslog and for systemd's journal.
SYSLOG = """
def __getattr__(name): return 8
def openlog(*args): pass
def syslog(priority, message): open({log!r}, "a").write(message + "\\n")
"""
JOURNAL = """
def sendv(*args): pass
def send(**fields): open({log!r}, "a").write(repr(fields) + str(fields) + "\\n")
"""


def look_up(name: str) -> str:
    """Return the lookup of a secret for plays: core quotes literals of a play in errors."""
    return f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}"


@dataclass
class ScannedAnsible(Ansible):
    """Runs Ansible commands in their own empty home, and scans everything that they leave there."""

    secrets: list[str] = field(default_factory=lambda: [KEY, *PASSWORDS.values()])
    extra: dict[str, str] = field(default_factory=dict)
    #: The output of the sandbox.
    printed: Path | None = None
    #: The directory of temporary files of a run.
    temporary: Path = Path()

    @property
    def inputs(self) -> Path:
        return self.home.parent / "inputs"

    @property
    def issued(self) -> Path:
        """The directory of the secrets that the API shows once, which are also scanned for."""
        folder = self.home.parent / "issued"
        folder.mkdir(exist_ok=True)
        return folder

    def runner(self, playbook: str, *words: str) -> Run:
        """Run a playbook as a job platform does, with a file for each event. Ends the command line with the words."""
        folder = self.home / "runner"
        folder.mkdir(parents=True)
        command = [
            "ansible-runner",
            "run",
            str(folder),
            "-p",
            playbook,
            "--ident",
            "job",
            f"--cmdline={shlex.join(words)}",
        ]
        return self._run(command, "--check" in words, {})

    def log_to_file(self, journal: bool) -> str:
        """Write modules that log to a file in the home instead of the system log, and return their PYTHONPATH."""
        log = str(self.home / "system.log")
        if journal:
            self.write("log/systemd/__init__.py", "")
            self.write("log/systemd/daemon.py", "def booted(): return True\n")
            self.write("log/systemd/journal.py", JOURNAL.format(log=log))
        self.write("log/syslog.py", SYSLOG.format(log=log))
        return str(self.inputs / "log")

    def _run(self, command: list[str], check: bool, env: dict[str, str]) -> Run:
        self.home.mkdir(parents=True, exist_ok=True)
        # Not below home: core creates a socket there, whose path must be short.
        with tempfile.TemporaryDirectory(prefix="scanned-") as temporary:
            self.temporary = Path(temporary)
            return self._run_here(command, check, env)

    def _run_here(self, command: list[str], check: bool, env: dict[str, str]) -> Run:
        environment = {
            "PGBEAM_API_KEY": KEY,
            **PASSWORDS,
            "TMPDIR": str(self.temporary),
            "ANSIBLE_LOG_PATH": str(self.home / "ansible.log"),
            "ANSIBLE_CALLBACKS_ENABLED": f"results,{CALLBACKS},ansible.builtin.junit,ansible.builtin.tree",
            "JUNIT_OUTPUT_DIR": str(self.home / "junit"),
            "ANSIBLE_CALLBACK_TREE_DIR": str(self.home / "tree"),
        }
        return super()._run(command, check, {**environment, **self.extra, **env})

    def check_secrecy(self, run: Run, text: str, command: list[str]) -> None:
        found = self.leaks(run)
        assert not found, "\n".join([f"{command} shows secrets:", *found])

    def leaks(self, run: Run) -> list[str]:
        """Return the secrets that the run leaks behind."""
        names = {name for module in modules().values() for name in module.resource.issued}
        files = [json.loads(path.read_text()) for path in self.issued.iterdir()]
        search = SecretScan([*self.secrets, *(held[name] for held in files for name in names & held.keys())])
        # ansible-runner stores the environment there in plain text, including secrets.
        exempt = [self.home / "runner" / "artifacts" / "job" / "command"]
        hits = search.found_below(self.home, exempt) + search.found_below(self.temporary)
        record = json.dumps(run.exchanges, ensure_ascii=False)
        printed = self.printed.read_text() if self.printed else ""
        for name, text in (("output", run.output), ("record", record), ("sandbox", printed)):
            hits += [f"{name}: {hit}" for hit in search.found(text.encode(errors="surrogateescape"))]
        return hits
