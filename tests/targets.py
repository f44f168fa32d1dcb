# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the integration targets of ansible-test against a sandbox: ``python -m tests.targets COPY PYTHON [TARGET …]``.

COPY is a copy of the collection below ``ansible_collections/pgbeam/cloud``; PYTHON is a version such as 3.12.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness import API_KEY, Sandbox


def main(copy: str, python: str, *targets: str) -> int:
    """Returns ansible-test's exit status."""
    integration = Path(copy) / "tests" / "integration"
    names = targets or tuple(sorted(path.name for path in (integration / "targets").iterdir()))
    assert names, "there are no targets"
    with Sandbox.start() as sandbox:
        # ansible-test filters the environment; this file is its way to hand values on.
        config = f"pgbeam_api_url: {sandbox.url}\npgbeam_api_key: {API_KEY}\n"
        (integration / "integration_config.yml").write_text(config)
        command = ["ansible-test", "integration", "--local", "--python", python, "--color", "no", *names]
        with sandbox.recorded():
            return subprocess.run(command, cwd=copy, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
