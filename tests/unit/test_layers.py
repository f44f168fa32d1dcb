# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of module_utils are layers: each imports only those below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.tree import ROOT

UTILS = ROOT / "plugins" / "module_utils"
PREFIX = "ansible_collections.pgbeam.cloud.plugins.module_utils."
#: What each package may import of the others, and outside the standard library.
LAYERS: dict[str, set[str]] = {
    "_http": {"_version", "requests", "urllib3"},
    "_engine": {"idna", "ansible.module_utils.common.validation"},
    "_resources": {"_engine"},
    "_reconcile": {"_http", "_engine"},
    "_ansible": {"_http", "_engine", "_reconcile", "ansible.module_utils.basic"},
}


def imported(file: Path) -> set[str]:
    """The packages of module_utils, and the modules outside the standard library, that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    found = set()
    for name in names:
        if name.startswith(PREFIX):
            found.add(name.removeprefix(PREFIX).split(".")[0])
        elif name.startswith("ansible"):
            found.add(name)
        elif name.split(".")[0] in ("requests", "urllib3", "idna"):
            found.add(name.split(".")[0])
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_the_packages_below_it(package: str) -> None:
    files = sorted((UTILS / package).glob("*.py"))
    assert len(files) > 1
    for file in files:
        assert imported(file) <= {package, *LAYERS[package]}, file.name


def test_every_file_is_in_a_layer() -> None:
    assert {path.name for path in UTILS.iterdir() if path.name != "__pycache__"} == {*LAYERS, "_version.py"}
