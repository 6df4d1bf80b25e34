# SPDX-License-Identifier: Apache-2.0
"""Browsers that use the upload page, driven by what is in tests/e2e/browser."""

import json
import os
import shutil
import subprocess

from . import installed, servers
from .runner import Skip

SOURCE = f"{servers.ROOT}/tests/e2e/browser"


def _scripts(folder):
    """The scenarios there, beside what they use of npm."""
    packages = f"{installed.BUILD}/browser"
    installed.once(
        "browser", f"{SOURCE}/package-lock.json",
        f"mkdir -p '{packages}' && cp '{SOURCE}'/package*.json '{packages}' &&"
        f" cd '{packages}' && npm ci --ignore-scripts --no-audit --no-fund --silent",
    )  # fmt: skip
    shutil.copytree(SOURCE, folder)
    os.symlink(f"{packages}/node_modules", f"{folder}/node_modules")
    return folder


def drive(stack, *more, program="chromium", scenarios=()):
    """Run the scenarios, all or those named; lines of what they told."""
    path = shutil.which(program)
    if not path:
        raise Skip(f"{program} is missing")
    variable = "CHROMIUM" if program == "chromium" else "FIREFOX"
    at = _scripts(f"{stack.dir}/browser")
    files = f"{stack.dir}/files"
    os.mkdir(files)
    r = subprocess.run(
        ["node", "drive.mjs", stack.ui_url(), stack.url(""), files, *more], cwd=at,
        capture_output=True, text=True, timeout=420,
        env={**os.environ, variable: path, "SCENARIOS": ",".join(scenarios)},
    )  # fmt: skip
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    for line in lines:
        print("   ", line["told"] if "told" in line else f"{line['name']} ({line['ms']} ms)")
    faults = [f"{line['name']}: {line['fault']}" for line in lines if line.get("fault")]
    assert not faults, "\n\n".join(faults)
    assert r.returncode == 0, r.stderr or r.stdout
    return lines
