# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write all generated files: ``python -m generate``."""

from __future__ import annotations

import sys

from tests.tree import link_tree


def main() -> None:
    sys.path.insert(0, str(link_tree()))
    from generate import files, words  # these import the collection, which is importable only now

    try:
        changed = files.write()
    except words.WordsError as error:
        sys.exit(str(error))
    print(f"written: {', '.join(changed)}" if changed else "All files are up to date.")


if __name__ == "__main__":
    main()
