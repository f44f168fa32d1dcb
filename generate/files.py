# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All files that are generated, whole or in part."""

from __future__ import annotations

import functools
import textwrap

from generate import fragments, layout, role, words
from generate.blocks import filled, table
from generate.declared import resources
from generate.modules import modules, source
from generate.scope import forms
from tests.tree import ROOT

ACTION = "pgbeam.cloud.database"


@functools.cache
def files() -> dict[str, str]:
    """The content of each file, by its path from the root."""
    known = modules()
    group = layout.document({"action_groups": {"all": [*known]}})
    routing = layout.document({"modules": {name: {"action_plugin": ACTION} for name in known}})
    parts = {
        "meta/runtime.yml": {"action group": group, "routing": textwrap.indent(routing, "  ")},
        "roles/pgbeam/README.md": {"variables": role.table()},
        "README.md": {"modules": table(("modules", "what they do"), map(_row, resources()))},
    }
    return {
        **{f"plugins/modules/{name}.py": source(module) for name, module in known.items()},
        **{f"plugins/doc_fragments/_{name}.py": fragments.source(name) for name in fragments.PURPOSES},
        "roles/pgbeam/meta/argument_specs.yml": role.argument_specs(),
        "roles/pgbeam/defaults/main.yml": role.defaults(),
        **{name: filled(ROOT / name, blocks) for name, blocks in parts.items()},
    }


def _row(resource: str) -> tuple[str, ...]:
    """The modules of a resource, and what the first of them does."""
    found = forms(words.read(resource))
    names = ", ".join(f"`{module.name}`" for module in found)
    return names, str(found[0].words.form(found[0].form, "short_description"))


def write() -> list[str]:
    """Write the files that differ, all or none. Returns their paths from the root."""
    contents = {ROOT / name: text for name, text in files().items()}
    changed = [path for path, text in contents.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(contents[path])
    return [str(path.relative_to(ROOT)) for path in changed]
