# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the sandbox: ``python -m tests.sandbox --port 0 --project prj_demo`` prints the URL it serves."""

from __future__ import annotations

import argparse
import os
import socket
import sys

import uvicorn

from tests.sandbox.app import build
from tests.sandbox.middleware import Middleware
from tests.sandbox.models import Fault
from tests.sandbox.state import State


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8099, help="port on 127.0.0.1; 0 uses a free one (default: 8099)")
    parser.add_argument("--project", action="append", default=[], help="id of a project to create; may be repeated")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=Fault.model_validate_json,
        metavar="JSON",
        help="a fault of those projects, see tests/sandbox/models.py; may be repeated, for example "
        '{"kind": "status", "status": 429, "retry_after": "1", "times": 1000, "probability": 0.2}',
    )
    parser.add_argument("--certificate", help="PEM file with a key and a certificate; serves https with it")
    options = parser.parse_args()
    state = State()
    for name in options.project:
        project = state.add_project(name)
        for fault in options.fault:
            project.add_fault(fault)
    try:
        listener = socket.create_server(("127.0.0.1", options.port))
    except OSError as error:
        sys.exit(
            f"Port {options.port} of 127.0.0.1 cannot be used ({os.strerror(error.errno or 0)}); choose "
            "another, or use a free one with --port 0"
        )
    # Accepted connections inherit it. Without it, the body of an answer would wait 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    scheme = "https" if options.certificate else "http"
    print(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        Middleware(build(state), state), log_level="warning", access_log=False, ssl_certfile=options.certificate
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
