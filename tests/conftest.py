# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.harness import Sandbox, hand_over
from tests.tree import link_tree

link_tree()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--handed-over", action="store_true", help="run no module inside Ansible's own process")


def pytest_configure(config: pytest.Config) -> None:
    # Here and not in pyproject.toml, which ansible-test does not read.
    config.addinivalue_line("markers", "once: does not depend on the release of ansible-core, so one release is enough")
    config.addinivalue_line("markers", "long: takes too long for make test, so make check runs it")
    # Tests must not use a developer's account or settings; two variables belong to ansible-test.
    own = {"ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_CONTROLLER_MIN_PYTHON_VERSION"}
    for name in [name for name in os.environ if name.startswith(("PGBEAM_", "ANSIBLE_")) and name not in own]:
        del os.environ[name]
    if config.getoption("--handed-over"):
        hand_over()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for the whole session; tests are isolated by projects."""
    with Sandbox.start(log=tmp_path_factory.mktemp("sandbox") / "printed.txt") as running:
        yield running
