# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection under the name that Ansible imports it by: ``<tree>/ansible_collections/pgbeam/cloud``."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / ".work" / "tree"


def link_tree() -> Path:
    """Create the tree, whose last directory is a link to this checkout, and return it for ANSIBLE_COLLECTIONS_PATH."""
    parent = TREE / "ansible_collections" / "pgbeam"
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(ROOT, parent / "cloud", target_is_directory=True)
        importlib.invalidate_caches()  # Python caches that the directory did not exist
    return TREE


if __name__ == "__main__":
    link_tree()
