# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the secrets that the API returns only once to a file.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
import typing as t


def problems(labelled: list[tuple[str, str]], check_mode: bool) -> list[str]:
    """Return a sentence for each path that cannot be used. Each comes with the label of its object.

    In check mode, a directory may be missing, because an earlier task may be the one that creates it.
    """
    found = []
    seen: dict[str, str] = {}
    for place, path in labelled:
        reason = _problem(path) or ("" if check_mode else missing_directory(path))
        if not reason and seen.setdefault(path, place) != place:
            reason = f"the same file as {seen[path].removesuffix(': ')}; set a different one"
        if reason:
            found.append(f"{place}secrets_file: {reason}")
    return found


def _problem(path: str) -> str | None:
    """Return why secrets could not be written to this path, or None."""
    kind = 0
    try:
        kind = os.stat(path).st_mode
    except ValueError:
        return f"{path!r} contains a null character; correct the path"
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "the path is too long; set a shorter one"
    folder = _directory(path)
    if stat.S_ISDIR(kind):
        return f"{path!r} is a directory; set the path of a file"
    if kind and not stat.S_ISREG(kind):  # a device such as /dev/null, which the file would replace
        return f"{path!r} is not a regular file; set the path of one"
    try:
        is_directory = stat.S_ISDIR(os.stat(folder).st_mode)
    except FileNotFoundError:
        return None  # see missing_directory
    except OSError as error:
        return f"the directory {folder!r} is inaccessible ({error.strerror}); check its path and the permissions"
    if not is_directory:
        return f"{folder!r} is not a directory; correct the path"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the directory {folder!r} is not writable; check its owner and mode"
    return None


def missing_directory(path: str) -> str | None:
    """Return a sentence if the directory of this path does not exist, otherwise None."""
    folder = _directory(path)
    return None if os.path.isdir(folder) else f"the directory {folder!r} does not exist; create it first"


def _directory(path: str) -> str:
    return os.path.dirname(os.path.realpath(path))


def write(path: str, secrets: dict[str, t.Any]) -> None:
    """Write secrets as JSON, atomically and readable for the owner only. Raises OSError."""
    target = os.path.realpath(path)
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".pgbeam-")  # created with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(secrets, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
