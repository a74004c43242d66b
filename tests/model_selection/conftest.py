"""A PostgreSQL server of one's own, for the time of the tests."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


def _find(program):
    found = shutil.which(program)
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return found or (str(debian[-1]) if debian else None)


@pytest.fixture(scope="session")
def postgresql():
    """URL of an empty database on a real server, which is stopped at the end."""
    if _find("initdb") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg comes with skcell[tests]")
    folder = Path(tempfile.mkdtemp(prefix="skcell-pg-"))
    become = {}
    if os.geteuid() == 0:  # which the server refuses to run as
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        become = {"user": user.pw_uid, "group": user.pw_gid, "cwd": folder}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")

    def run(program, *arguments):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([_find(program), *arguments], check=True, timeout=120, **quiet, **become)

    run("initdb", "-D", data, "-U", "cells", "--auth=trust", "-E", "UTF8")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://cells@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
