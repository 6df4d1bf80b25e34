# SPDX-License-Identifier: Apache-2.0
"""What tests use of npm and PyPI: packages in build/clients, and the bundle of the upload page."""

import fcntl
import os
import re
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


def versitygw():
    """The S3 service of the compose files, of the version that they name, built from its Go module."""
    if not shutil.which("go"):
        raise Skip("go is missing")
    with open(f"{servers.ROOT}/deploy/container/compose.s3.yml") as f:
        version = re.search(r"versity/versitygw:(v[\d.]+)", f.read())[1]
    path = f"{BUILD}/versitygw-{version}"
    if not os.path.exists(path):
        r = subprocess.run(
            ["go", "install", f"github.com/versity/versitygw/cmd/versitygw@{version}"],
            capture_output=True, text=True, env={**os.environ, "GOBIN": path, "CGO_ENABLED": "0"},
        )  # fmt: skip
        if r.returncode != 0:
            raise Skip(f"versitygw cannot be built: {r.stderr.strip()[-300:]}")
    return f"{path}/versitygw"


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
