# SPDX-License-Identifier: Apache-2.0
"""`make install`, `make uninstall` and `make dist`."""

import hashlib
import os
import re
import subprocess
import tempfile

from lib import installed, machine, servers


def files(top):
    return {
        os.path.relpath(os.path.join(at, n), top) for at, _, names in os.walk(top) for n in names
    }


def read(path):
    with open(path) as f:
        return f.read()


def uninstall(dest, **env):
    return subprocess.run(
        [f"{servers.ROOT}/deploy/install.sh", "uninstall"],
        env={**os.environ, "DESTDIR": dest, **env}, capture_output=True, text=True,
    )  # fmt: skip


def test_paths_are_those_of_the_installation():
    with tempfile.TemporaryDirectory() as d:
        machine.install(d, PREFIX="/opt/dex", UNITDIR="/etc/systemd/system", WEB_GROUP="http")
        units = f"{d}/etc/systemd/system"
        assert "SocketGroup=http\n" in read(f"{units}/dex-upload.socket")
        for unit in ("dex-upload", "dex-upload@", "dex-deliver", "dex-deliver-watch"):
            start = re.search(r"^ExecStart=(\S+)", read(f"{units}/{unit}.service"), re.M)[1]
            out = subprocess.run(
                [d + start, "--version"], capture_output=True, text=True, check=True
            )
            assert read(f"{servers.ROOT}/VERSION").strip() in out.stdout, out
            assert os.path.exists(f"{units}/{unit}.service.d/hardening.conf")
        assert "/opt/dex/bin/dex-deliver" in read(f"{d}/opt/dex/share/dex-upload/cron")
        assert not [p for p in files(d) if not p.startswith(("opt/dex/", "etc/systemd/"))]


def test_the_manual_pages_that_units_name_are_there():
    with tempfile.TemporaryDirectory() as d:
        machine.install(d)
        named = set()
        for unit in os.listdir(f"{d}/usr/lib/systemd/system"):
            if unit.endswith((".service", ".socket", ".timer")):
                text = read(f"{d}/usr/lib/systemd/system/{unit}")
                named |= set(re.findall(r"man:(\S+)\((\d)\)", text))
        assert ("dex-upload.conf", "5") in named, named
        for name, section in named:
            page = read(f"{d}/usr/share/man/man{section}/{name}.{section}")
            assert "\n.Sh NAME\n" in page and "@" not in page.replace("PASSWORD@", ""), name


def test_uninstall_removes_what_install_put():
    with tempfile.TemporaryDirectory() as d:
        machine.install(d)
        share = f"{d}/usr/share/dex-upload"
        listed = read(f"{share}/installed").split()
        assert sorted(listed) == sorted("/" + p for p in files(d))
        # A file of an older version goes with the next installation, what others made stays.
        for name in ("ui/chunk-OLD.js", "ui/notes.txt"):
            with open(f"{share}/{name}", "w") as f:
                f.write("x")
        with open(f"{share}/installed", "a") as f:
            f.write("/usr/share/dex-upload/ui/chunk-OLD.js\n")
        machine.install(d)
        assert files(f"{share}/ui") & {"chunk-OLD.js", "notes.txt"} == {"notes.txt"}
        assert sorted(read(f"{share}/installed").split()) == sorted(listed)
        r = uninstall(d, PREFIX="/usr")
        assert r.returncode == 0, r
        assert files(d) == {"usr/share/dex-upload/ui/notes.txt"}
        assert not os.path.exists(f"{d}/usr/share/doc"), "empty folders go, too"
        r = uninstall(d, PREFIX="/usr")
        assert r.returncode == 1 and "nothing is installed" in r.stderr, r


def dist(tree, out):
    subprocess.run(
        [f"{tree}/deploy/dist.sh", installed.ui(), out],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    (name,) = [n for n in os.listdir(out) if n.endswith(".tar.gz")]
    with open(f"{out}/{name}", "rb") as f:
        return f"{out}/{name}", hashlib.sha256(f.read()).hexdigest()


def test_a_source_archive_is_complete_and_reproducible():
    with tempfile.TemporaryDirectory() as d:
        archive, first = dist(servers.ROOT, f"{d}/first")
        _, again = dist(servers.ROOT, f"{d}/again")
        assert first == again
        os.mkdir(f"{d}/unpacked")
        subprocess.run(["tar", "-C", f"{d}/unpacked", "-xzf", archive], check=True)
        (tree,) = os.listdir(f"{d}/unpacked")
        tree = f"{d}/unpacked/{tree}"
        _, from_archive = dist(tree, f"{d}/from-archive")
        assert from_archive == first, "an archive of the archive is the archive"
        # Neither git nor npm is asked for anything.
        shims = f"{d}/shims"
        os.mkdir(shims)
        for name in ("git", "npm", "node"):
            with open(f"{shims}/{name}", "w") as f:
                f.write(f"#!/bin/sh\necho {name} >> {d}/called\nexit 1\n")
            os.chmod(f"{shims}/{name}", 0o755)
        env = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}", "DESTDIR": f"{d}/dest"}
        plan = subprocess.run(
            ["make", "--no-print-directory", "-n", "V=1", "install"],
            cwd=tree, env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "deploy/install.sh install build/release ui" in plan.stdout
        assert f'-DDEX_GIT_SHA=\'"{read(f"{tree}/GIT_SHA").strip()}"\'' in plan.stdout
        assert not os.path.exists(f"{d}/called"), read(f"{d}/called")
