# SPDX-License-Identifier: Apache-2.0
"""What tests use of npm and PyPI: packages in build/clients, and the bundle of the upload page."""

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


def ui():
    """The directory of the upload page's scripts and styles."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are missing")
    os.makedirs(BUILD, exist_ok=True)
    with open(f"{BUILD}/lock", "w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        r = subprocess.run(
            ["make", "--no-print-directory", "ui"], cwd=servers.ROOT, capture_output=True,
            text=True, timeout=300,
        )  # fmt: skip
    if r.returncode != 0:
        raise Skip(f"make ui: {(r.stderr or r.stdout).strip()[-300:]}")
    return f"{servers.ROOT}/build/ui"
