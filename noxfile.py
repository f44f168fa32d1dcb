# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments that the project is tested in. ``make test`` runs all sessions but demo and bench."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "docs", "sanity", "tests", "tests_oldest", "targets"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

# uv would trust its own certificates only; the machine's include a company's own.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")

NEWEST_CORE = "ansible-core>=2.19,<2.22"
OLDEST_CORE = "ansible-core>=2.16,<2.17"
OLDEST_REQUESTS = ("requests==2.28.*", "urllib3<2")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ROOT = Path(__file__).parent
COPY = ROOT / ".work" / "copy"


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, and the rules of Ansible content."""
    session.install(NEWEST_CORE, "-r", "tests/requirements.txt")
    session.install("ruff==0.17.6", "mypy==2.4.1", "ansible-lint>=25,<27", "types-requests", "types-PyYAML", "nox")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "-m", "tests.tree")
    session.run("mypy", "plugins", "tests", "noxfile.py")
    env = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work" / "tree")}
    session.run("ansible-lint", "--offline", "--profile", "production", "--strict", env=env)


@nox.session
def docs(session: nox.Session) -> None:
    """The modules' documentation and the changelog fragments."""
    session.install(NEWEST_CORE, "-r", "requirements.txt", "antsibull-docs>=2.16,<3", "antsibull-changelog>=0.31,<1")
    session.run("antsibull-changelog", "lint")
    session.run(
        "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", _copy(session)
    )


@nox.session
def sanity(session: nox.Session) -> None:
    """Ansible's own sanity tests."""
    session.install(NEWEST_CORE)
    session.run("python", "-m", "tests.seed_get_pip")
    session.chdir(_copy(session))
    # Not shellcheck and pslint, which need tools that are not everywhere: there is no shell and no PowerShell here.
    skipped = ["--skip-test", "shellcheck", "--skip-test", "pslint"]
    session.run("ansible-test", "sanity", "--python", PYTHON, "--color", "no", *skipped, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The unit and integration tests with the newest ansible-core that this Python has."""
    _pytest(session, NEWEST_CORE)


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """The same tests with the oldest ansible-core and requests that the collection supports."""
    if sys.version_info >= (3, 13):
        session.skip("ansible-core 2.16 runs on Python 3.10 to 3.12")
    _pytest(session, OLDEST_CORE, *OLDEST_REQUESTS)


@nox.session
def targets(session: nox.Session) -> None:
    """The integration targets of ansible-test, against the sandbox."""
    session.install(NEWEST_CORE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "tests.targets", _copy(session), PYTHON, *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """A real PostgreSQL, the sandbox, and the playbook that registers the example inventory."""
    session.install("--quiet", NEWEST_CORE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "tests.demo")


@nox.session
def bench(session: nox.Session) -> None:
    """Seconds and requests of whole commands, as the README has them."""
    session.install("--quiet", NEWEST_CORE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "tests.bench")


def _pytest(session: nox.Session, *chosen: str) -> None:
    session.install(*chosen, "-r", "tests/requirements.txt")
    session.run("pytest", "-n", "2", "-q", *session.posargs)


def _copy(session: nox.Session) -> str:
    """A copy of the work tree at the path that ansible-test wants; it refuses a link."""
    target = COPY / session.name / "ansible_collections" / "pgbeam" / "cloud"
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    # ansible-test asks git for the files; without this it would ask the checkout around, which ignores the copy.
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
    return str(target)
