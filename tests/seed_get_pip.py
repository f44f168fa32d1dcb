# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give ansible-test the pip bootstrap script it wants, also on a network where it cannot be downloaded.

ansible-test makes virtual environments of its own, and installs pip in them with a script that it fetches from
Ansible's own server. Two runs at once would spoil each other's download, so it is made here and put where ansible-test
keeps it. Where that server cannot be reached, it is a script that installs the same version of pip from the package
index.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

# Unpacked where packages are, a wheel is installed. pip would take seconds for that, in each of ten environments.
SCRIPT = """\
import base64, io, subprocess, sys, sysconfig, zipfile
zipfile.ZipFile(io.BytesIO(base64.b85decode({wheel!r}))).extractall(sysconfig.get_path("purelib"))
others = [word for word in sys.argv[1:] if not word.startswith(("pip==", "--no-"))]
if any("==" in word for word in others):
    sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *others]))
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
    if place.exists():
        return
    script = _download(f"{address.group(0)}{version}.py")
    if script is None:
        script = _script(version)
        print(f"{place.name} made from the package index, since {address.group(0)}… cannot be reached", file=sys.stderr)
    place.parent.mkdir(parents=True, exist_ok=True)
    own = place.with_suffix(f".{os.getpid()}")
    own.write_bytes(script)
    own.replace(place)


def _download(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            content: bytes = answer.read()
            return content
    except OSError:
        return None


def _script(version: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        # The environment of this very program may be without pip.
        venv.create(f"{folder}/venv", with_pip=True)
        pip = [f"{folder}/venv/bin/python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*pip, f"pip=={version}"], check=True)
        wheel = next(Path(folder).glob("pip-*.whl")).read_bytes()
    return SCRIPT.format(wheel=base64.b85encode(wheel)).encode()


if __name__ == "__main__":
    main()
