# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and print, as JSON, when it began and ended, its exit status and its largest process's peak memory.

``launch.py OUTPUT COMMAND...`` writes what the command says to the file OUTPUT. This is a process between the benchmark
and the command, and a small one, because on Linux a process begins with the peak of the one that started it: under the
benchmark itself, with its records and plots, no command could seem small. The peak that wait4 tells is the largest of
the command's own and those of all its descendants that were waited for, as ansible-playbook waits for its workers and
these for their modules. Memory that processes share counts in each of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    output, *command = sys.argv[1:]
    with open(output, "wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        status, usage = os.wait4(process.pid, 0)[1:]
        ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"began": began, "ended": ended, "status": process.returncode, "peak": peak}))


if __name__ == "__main__":
    main()
