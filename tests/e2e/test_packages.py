# SPDX-License-Identifier: Apache-2.0
"""The Debian package: built without git and npm, looked at by lintian, installed, upgraded while an upload flows and
with an older state, removed and purged, under systemd; then what deploy/web-servers.md tells to do with it. On a view of this system; with DEX_TEST_PACKAGES=1 as well in a
clean root that debootstrap makes (network, two minutes), where apt-get finds what the package depends on."""

import glob
import os
import shutil
import subprocess
import tempfile

from lib import installed, http, machine, proc, servers, web_guide
from lib.check import expect
from lib.runner import Skip
from lib.tus import Tus, payload, upload_id

CLEAN = "systemd-sysv,dbus,nginx-light,sqlite3,ca-certificates,procps"
STATE = "/var/lib/dex-upload/uploads/state.db"


def build(out):
    """The package; git, npm and node are asked for nothing once the source is packed."""
    shims = f"{out}/shims"
    os.makedirs(shims)
    for name in ("npm", "node"):
        with open(f"{shims}/{name}", "w") as f:
            f.write("#!/bin/sh\nexit 1\n")
        os.chmod(f"{shims}/{name}", 0o755)
    r = subprocess.run(
        [f"{servers.ROOT}/deploy/deb.sh", installed.ui(), out],
        env={**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout.strip()


def with_version(deb, version, out):
    """The same package as if of another version."""
    tree = f"{out}/{version}"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    with open(f"{tree}/DEBIAN/control") as f:
        lines = [f"Version: {version}" if x.startswith("Version:") else x for x in f.read().splitlines()]
    with open(f"{tree}/DEBIAN/control", "w") as f:
        f.write("\n".join(lines) + "\n")
    newer = f"{out}/dex-upload_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, newer], check=True, capture_output=True)
    return newer


def make_packages(out):
    deb = build(out)
    shutil.copy(deb, f"{out}/first.deb")
    os.rename(with_version(deb, "99.1", out), f"{out}/second.deb")
    os.rename(with_version(deb, "99.2", out), f"{out}/third.deb")
    # What root alone may read cannot be seen through the machine's user mapping.
    os.chmod(out, 0o755)
    return deb


class Scenario:
    def __init__(self, given, root="/"):
        self.m = machine.Machine(given, root)
        self.m.sh("rm -f /usr/sbin/policy-rc.d")  # it would keep services from being started
        self.port = proc.free_port()
        self.tus = Tus(("127.0.0.1", self.port))

    def apt(self, *argv):
        return self.m.run(
            "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "--no-install-recommends", *argv
        )

    def delivered(self, path, size):
        find = f"find /var/lib/dex-upload/delivered -name '*{upload_id(path)}*' -size {size}c"
        proc.until(lambda: self.m.sh(find, check=False).stdout, f"{path} is delivered", 10, 0.1)

    def left(self):
        """What the package, its programs and its scripts made and that is still there."""
        r = self.m.sh(
            "find /etc /usr /var /run /lib -xdev \\( -name '*dex-upload*' -o -name '*dex-deliver*' \\)"
            " -not -path '/var/log/journal/*' -not -path '/var/cache/*' -not -path '/var/lib/containers/*'", check=False,
        )  # fmt: skip
        return r.stdout.split()

    def active(self, unit):
        return self.m.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def run(self, install):
        before = self.left()
        install()
        for unit in ("dex-upload.socket", "dex-upload.service", "dex-deliver-watch.service"):
            assert self.active(unit) == "active", (unit, self.m.journal())
        assert self.active("dex-deliver.timer") == "inactive"
        r = self.m.run("stat", "-c", "%a %U:%G", "/etc/dex-upload/dex-upload.conf")
        assert r.stdout == "640 root:dex-upload\n", r
        self.first_upload()
        self.upgrade_while_an_upload_flows()
        self.upgrade_with_an_older_state()
        self.remove_and_come_back()
        self.purge(before)

    def first_upload(self):
        self.m.start_nginx(self.port)
        proc.until(lambda: proc.listening(self.port), "nginx listens")
        r = expect(http.request(self.tus.addr, "GET", "/health"), 200)
        assert '"status":"UP"' in r.text, r
        self.delivered(self.tus.upload(payload(5000)), 5000)

    def upgrade_while_an_upload_flows(self):
        data = payload(300_000)
        path = self.tus.new(len(data))
        self.m.sh("""echo '# mine' >> /etc/dex-upload/delivery.yml
systemctl enable --now dex-upload@2.service""")
        old = [self.m.main_pid(u) for u in ("dex-upload.service", "dex-upload@2.service")]
        with self.tus.start_patch(path, 0, len(data)) as c:
            c.send(data[:200_000])
            find = f"find /var/lib/dex-upload/uploads -name {upload_id(path)} -size +150k"
            proc.until(lambda: self.m.sh(find).stdout, "bytes are stored")
            self.m.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", "/mnt/second.deb")
            offset = self.tus.offset(path)
        assert 150_000 < offset <= 200_000, offset
        new = [self.m.main_pid(u) for u in ("dex-upload.service", "dex-upload@2.service")]
        assert all(new) and not set(old) & set(new), "all responders are those of the new version"
        assert "# mine" in self.m.sh("tail -n 1 /etc/dex-upload/delivery.yml").stdout
        expect(self.tus.patch(path, offset, data[offset:]), 204, Upload_Offset=len(data))
        self.delivered(path, len(data))

    def upgrade_with_an_older_state(self):
        """The state as the version before the limits of open uploads had it (2)."""
        data = payload(1000)
        path = self.tus.new(len(data))
        expect(self.tus.patch(path, 0, data[:400]), 204)
        self.m.sh(f"""systemctl stop dex-upload.socket dex-upload.service dex-deliver-watch.service
sqlite3 {STATE} 'DROP TRIGGER uploads_opened; DROP TRIGGER uploads_closed; DROP TABLE open_uploads;
  DROP INDEX uploads_times; ALTER TABLE deliveries DROP COLUMN sha256; DROP INDEX outbox_parked;
  ALTER TABLE outbox DROP COLUMN parked_at; ALTER TABLE outbox DROP COLUMN reason; PRAGMA user_version=2'
dpkg -i /mnt/third.deb""")
        assert self.tus.offset(path) == 400
        version = self.m.run("sqlite3", STATE, "PRAGMA user_version").stdout.strip()
        assert int(version) > 2, version
        expect(self.tus.patch(path, 400, data[400:]), 204)
        self.delivered(path, len(data))

    def remove_and_come_back(self):
        path = self.tus.new(10)
        self.m.run("systemctl", "enable", "--now", "dex-deliver.timer")
        self.m.run("dpkg", "-r", "dex-upload")
        for unit in ("dex-upload.socket", "dex-upload.service", "dex-upload@2.service", "dex-deliver.timer",
            "dex-deliver-watch.service"):  # fmt: skip
            assert self.active(unit) in ("inactive", "unknown"), unit
        assert not self.m.run("pgrep", "-x", "dex-upload|dex-deliver", check=False).stdout
        self.m.run("dpkg", "-i", "/mnt/third.deb")
        assert self.tus.offset(path) == 0, "uploads outlive a removal"

    def purge(self, before):
        """Data of others are removed only for those who say so."""
        self.m.sh("systemctl disable dex-upload@2.service dex-deliver.timer; dpkg -P dex-upload")
        kept = set(self.left()) - set(before)
        assert kept == {"/var/lib/dex-upload", "/var/log/dex-upload"}, kept
        assert self.m.run("test", "-e", STATE, check=False).returncode == 0
        self.m.sh("""dpkg -i /mnt/third.deb
echo dex-upload dex-upload/remove-data boolean true | debconf-set-selections
dpkg -P dex-upload""")
        assert set(self.left()) == set(before), set(self.left()) ^ set(before)


def test_a_package_lives_and_goes():
    if not shutil.which("dpkg-buildpackage") or not shutil.which("dh"):
        raise Skip("packages are built on Debian, with debhelper")
    with tempfile.TemporaryDirectory(prefix="dex-e2e-deb-") as d:
        deb = make_packages(d)
        r = subprocess.run(
            ["lintian", "--fail-on", "error,warning", deb], capture_output=True, text=True
        )
        assert r.returncode == 0, r.stdout + r.stderr
        s = Scenario(d)
        try:
            s.run(lambda: s.m.run("dpkg", "-i", "/mnt/first.deb"))
        finally:
            s.m.stop()
        web_guide.follow(d)
        if os.environ.get("DEX_TEST_PACKAGES") == "1":
            in_a_clean_root(d)


def in_a_clean_root(given):
    root = f"{servers.ROOT}/build/test-root"
    if not shutil.which("debootstrap"):
        raise Skip("there is no debootstrap")
    if not os.path.exists(f"{root}/etc/made"):
        subprocess.run(["rm", "-rf", root], check=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={CLEAN}", "bookworm", root],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for source in glob.glob("/etc/apt/sources.list.d/debian.sources"):
            shutil.copy(source, f"{root}/etc/apt/sources.list.d/")
            os.unlink(f"{root}/etc/apt/sources.list")
        with open(f"{root}/etc/made", "w"):
            pass
    s = Scenario(given, root)
    try:
        s.apt("update")
        s.run(lambda: s.apt("install", "/mnt/first.deb"))
    finally:
        s.m.stop()
