# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give ansible-test the pip bootstrap script it wants, on a network where it cannot be downloaded.

ansible-test makes virtual environments of its own, and installs pip in them with a script that it fetches from
Ansible's own server. Where that server cannot be reached, a script that installs the same version of pip from the
package index is put where ansible-test keeps its download.
"""

from __future__ import annotations

import base64
import importlib.util
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

SCRIPT = """\
import base64, os, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    wheel = os.path.join(folder, "pip.whl")
    with open(wheel, "wb") as file:
        file.write(base64.b85decode({wheel!r}))
    sys.path.insert(0, wheel)
    for name in [name for name in sys.modules if name.split(".")[0] == "pip"]:
        del sys.modules[name]
    from pip._internal.cli.main import main
    arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
    sys.exit(main(["install", "--upgrade", "--force-reinstall", *arguments]))
"""


def main() -> None:
    spec = importlib.util.find_spec("ansible_test")
    assert spec and spec.origin
    package = Path(spec.origin).parent
    found = re.search(r"pip='([0-9.]+)'", (package / "_internal" / "python_requirements.py").read_text())
    setup = (package / "_util" / "target" / "setup" / "requirements.py").read_text()
    address = re.search(r"https://[^'\"]+/get-pip-", setup)
    assert found and address, "this ansible-core fetches pip in another way"
    version = found.group(1)
    place = Path.home() / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    if place.exists() or _reachable(f"{address.group(0)}{version}.py"):
        return
    with tempfile.TemporaryDirectory() as folder:
        # The environment of this very program may be without pip.
        venv.create(f"{folder}/venv", with_pip=True)
        pip = [f"{folder}/venv/bin/python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*pip, f"pip=={version}"], check=True)
        wheel = next(Path(folder).glob("pip-*.whl")).read_bytes()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(SCRIPT.format(wheel=base64.b85encode(wheel)))
    print(f"{place.name} made from the package index, since {address.group(0)}… cannot be reached", file=sys.stderr)


def _reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
