# SPDX-License-Identifier: Apache-2.0
"""The files that a page of deploy/ shows, and what is done with them."""

import os
import re
import shlex

from .servers import ROOT

PATH = re.compile(r"`(/[^`\s]+)`")


def files(page):
    """{path: text} of the fenced blocks before which a paragraph names a path first."""
    with open(f"{ROOT}/deploy/{page}") as f:
        parts = re.split(r"^```\w*\n", f.read(), flags=re.MULTILINE)
    found = {}
    for before, block in zip(parts[::2], parts[1::2], strict=False):
        paragraph = before.strip().rpartition("\n\n")[2]
        if paths := PATH.findall(paragraph):
            assert paths[0] not in found, f"{page} shows {paths[0]} twice"
            found[paths[0]] = block
    return found


def section(page, title):
    """The text below a heading, up to the next one."""
    with open(f"{ROOT}/deploy/{page}") as f:
        parts = re.split(r"^## (.*)\n", f.read(), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return found[title]


def commands(page, title):
    """What a section tells to type."""
    blocks = re.findall(r"^```sh\n(.*?)^```", section(page, title), flags=re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no commands below {title}"
    return "".join(blocks)


class Unit:
    """A service as a unit file describes it. ${text}: with such settings as are known here, where
    no systemd is: systemd.exec(5), systemd.service(5)."""

    # What does not concern one start.
    PASSED_OVER = ("Restart", "RestartSec", "After", "Wants", "WantedBy")

    def __init__(self, text):
        self.user = self.group = None
        self.env = {}
        self.argv = []
        self.folders = []
        for line in text.replace("\\\n", " ").splitlines():
            name, equals, value = line.strip().partition("=")
            if not equals:
                assert not name or name.startswith(("[", "#")), f"what is {line!r}?"
            elif name in ("User", "Group"):
                setattr(self, name.lower(), value)
            elif name == "Environment":
                self.env.update(x.split("=", 1) for x in shlex.split(value))
            elif name == "ExecStart":
                self.argv = shlex.split(value)
            elif name in ("RuntimeDirectory", "StateDirectory"):
                base = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib"}[name]
                self.folders.append(f"{base}/{value}")
            else:
                assert name in self.PASSED_OVER, f"{name} is not known here"

    def start(self, machine, name, **env):
        owner = f"{self.user}:{self.group or self.user}"
        for path in self.folders:
            os.makedirs(machine.path(path), 0o755, exist_ok=True)
            machine.run("chown", "-R", owner, path)
        return machine.start(name, self.argv, self.user, self.group, {**self.env, **env})
