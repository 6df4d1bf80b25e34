# SPDX-License-Identifier: Apache-2.0
"""Packages from npm and PyPI that tests use, in build/clients."""

import fcntl
import os
import shutil
import subprocess

from . import servers
from .runner import Skip

SOURCE = f"{servers.ROOT}/tests/e2e/clients"
BUILD = f"{servers.ROOT}/build/clients"


def once(name, source, command):
    """Run an installation in build/clients unless it has been done for this very list."""
    os.makedirs(BUILD, exist_ok=True)
    stamp = f"{BUILD}/{name}.stamp"
    with open(f"{BUILD}/lock", "w") as mutex, open(source) as f:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if os.path.exists(stamp) and open(stamp).read() == f.read():
            return
        r = subprocess.run(
            command, cwd=BUILD, capture_output=True, text=True, shell=True, timeout=300
        )
        if r.returncode != 0:
            raise Skip(f"{name} cannot be installed: {(r.stderr or r.stdout).strip()[-300:]}")
        shutil.copy(source, stamp)


def python():
    """A Python with the packages of clients/requirements.txt."""
    venv = f"{BUILD}/venv"
    once(
        "venv", f"{SOURCE}/requirements.txt",
        f"/usr/bin/python3 -m venv '{venv}' &&"
        f" '{venv}/bin/pip' -q install -r '{SOURCE}/requirements.txt'",
    )  # fmt: skip
    return f"{venv}/bin/python"
