# SPDX-License-Identifier: Apache-2.0
"""The units as they are shipped, under a real systemd: socket, several responders, limits, deliveries."""

import glob
import os
import re
import subprocess
import tempfile

from lib import http, machine, proc
from lib.check import expect
from lib.tus import Tus, payload, upload_id

UNITS = ("dex-upload.socket", "dex-deliver-watch.service", "dex-upload@2.service")

SET_UP = """cp -a /mnt/usr/. /usr/
systemd-sysusers dex-upload.conf
mkdir -p /etc/dex-upload
cp -r /usr/share/dex-upload/upload-configs /usr/share/dex-upload/delivery.yml /etc/dex-upload/
install -m 640 -g dex-upload /usr/share/dex-upload/dex-upload.conf /etc/dex-upload/
echo DEX_SANDBOX=on >> /etc/dex-upload/dex-upload.conf
systemctl daemon-reload
"""


class Installed:
    """A machine on which the programs were installed as the guide says."""

    def __enter__(self):
        self.stage = tempfile.mkdtemp(prefix="dex-e2e-stage-")
        os.chmod(self.stage, 0o755)
        machine.install(self.stage)
        self.m = None
        try:
            self.m = machine.Machine(self.stage)
            self.m.sh(SET_UP)
            self.m.run("systemctl", "enable", "--now", *UNITS)
            self.port = proc.free_port()
            self.m.start_nginx(self.port)
            self.tus = Tus(("127.0.0.1", self.port))
            proc.until(lambda: proc.listening(self.port), "nginx listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.m:
            self.m.stop()
        subprocess.run(["rm", "-rf", self.stage], check=True)

    def delivered(self, path):
        """Bytes of the file at its target, b"" while it is not there."""
        r = self.m.sh(
            f"find /var/lib/dex-upload/delivered -name '*{upload_id(path)}*' -exec cat {{}} +",
            check=False,
        )
        return r.stdout

    def responders(self):
        return {u: self.m.main_pid(u) for u in ("dex-upload.service", "dex-upload@2.service")}


def test_units_in_a_machine():
    with Installed() as i:
        units_are_correct(i)
        an_upload_is_delivered(i)
        limits_are_in_force(i)
        a_restart_loses_nothing(i)
        killed_services_come_back(i)
        the_timer_sweeps(i)
        logs_are_rotated(i)


def units_are_correct(i):
    names = [os.path.basename(p).replace("@.", "@2.") for p in glob.glob(f"{i.stage}/usr/lib/systemd/system/dex-*.*")]
    names = [n for n in names if not n.endswith(".d")]
    assert len(names) == 6, names
    r = i.m.run("systemd-analyze", "verify", "--man=no", *names)
    assert not re.search("dex-", r.stdout + r.stderr), r
    for unit in (n for n in names if n.endswith(".service")):
        # Tenths: what systemd itself calls "OK" ends at 4.9.
        i.m.run("systemd-analyze", "security", "--no-pager", "--threshold=15", unit)


def an_upload_is_delivered(i):
    """The socket starts the responder by itself."""
    expect(http.request(i.tus.addr, "GET", "/health"), 200)
    path = i.tus.upload(b"by way of systemd")
    proc.until(lambda: i.delivered(path) == "by way of systemd", "it is delivered", 10, 0.1)


def limits_are_in_force(i):
    i.m.run("systemctl", "start", "dex-upload.service")
    proc.until(lambda: i.m.journal().count('msg="ready"') >= 2, "both responders are ready")
    for unit, pid in i.responders().items():
        status = dict(re.findall(r"(\w+):\s+(\S+)", i.m.run("cat", f"/proc/{pid}/status").stdout))
        assert status["NoNewPrivs"] == "1" and status["CapBnd"].strip("0") == "", (unit, status)
        assert int(status["Seccomp_filters"]) >= 2, "the unit's and the responder's own"
        assert status["Name"] == "dex-upload", status
    # DEX_SANDBOX=on: they would not have started without Landlock and seccomp.
    assert "no connection could be accepted" not in i.m.journal()
    assert "level=error" not in i.m.journal(), i.m.journal()
    for user, works in (("www-data", True), ("nobody", False)):
        r = i.m.run(
            "setpriv", f"--reuid={user}", "--regid", "www-data" if works else "nogroup", "--clear-groups",
            "test", "-w", "/run/dex-upload/upload.sock", check=False,
        )  # fmt: skip
        assert (r.returncode == 0) == works, (user, r)
    r = i.m.run("setpriv", "--reuid=nobody", "--clear-groups", "cat", "/etc/dex-upload/dex-upload.conf", check=False)
    assert r.returncode != 0, "settings with secrets are for the service"


def a_restart_loses_nothing(i):
    data = payload(200_000)
    path = i.tus.new(len(data))
    before = i.responders()
    with i.tus.start_patch(path, 0, len(data)) as c:
        c.send(data[:120_000])
        proc.until(lambda: i.m.sh(f"find /var/lib/dex-upload/uploads -name {upload_id(path)} -size +100k").stdout,
            "bytes are stored")  # fmt: skip
        i.m.run("systemctl", "restart", "dex-upload.service")
        # The socket stayed: a request that comes at once is answered.
        r = expect(i.tus.head(path), 200)
    after = i.responders()
    assert all(after[u] and after[u] != before[u] for u in after), "both are new"
    offset = int(r.get("Upload-Offset"))
    assert 100_000 < offset <= 120_000, r
    expect(i.tus.patch(path, offset, data[offset:]), 204, Upload_Offset=len(data))
    proc.until(lambda: i.m.sh(f"find /var/lib/dex-upload/delivered -name '*{upload_id(path)}*' -size 200000c").stdout,
        "it is delivered")  # fmt: skip


def killed_services_come_back(i):
    for unit in ("dex-upload.service", "dex-upload@2.service", "dex-deliver-watch.service"):
        old = i.m.main_pid(unit)
        i.m.run("systemctl", "kill", "-s", "KILL", unit)
        proc.until(lambda u=unit, o=old: i.m.main_pid(u) not in (0, o), f"another {unit}", 10, 0.1)
    path = i.tus.upload(b"after that")
    proc.until(lambda: i.delivered(path) == "after that", "it is delivered", 10, 0.1)


def the_timer_sweeps(i):
    i.m.run("systemctl", "disable", "--now", "dex-deliver-watch.service")
    path = i.tus.upload(b"by the timer")
    assert i.delivered(path) == ""
    i.m.run("systemctl", "start", "dex-deliver.timer")
    r = i.m.run("systemctl", "list-timers", "--no-pager", "dex-deliver.timer")
    assert "dex-deliver.service" in r.stdout, r
    i.m.run("systemctl", "start", "dex-deliver.service")  # what it does when the minute comes
    assert i.delivered(path) == "by the timer"
    # The line for cron does the same.
    path = i.tus.upload(b"by cron")
    cron = i.m.sh("grep -v '^#' /usr/share/dex-upload/cron").stdout
    minute, user, command = re.fullmatch(r"(\S+ \S+ \S+ \S+ \S+) (\S+) (.+)\n", cron).groups()
    assert minute == "* * * * *" and user == "dex-upload", cron
    i.m.run("setpriv", "--reuid=dex-upload", "--regid=dex-upload", "--clear-groups", "sh", "-c", command)
    assert i.delivered(path) == "by cron"


def logs_are_rotated(i):
    i.m.sh("""echo DEX_LOG=/var/log/dex-upload/upload.log >> /etc/dex-upload/dex-upload.conf
systemctl restart dex-upload.service""")
    expect(http.request(i.tus.addr, "GET", "/health"), 200)
    i.m.sh("cp /usr/share/dex-upload/logrotate /etc/dex-rotate; logrotate --force /etc/dex-rotate")

    def opened():
        expect(http.request(i.tus.addr, "GET", "/nothing"), 404)
        return "path=/nothing" in i.m.sh("cat /var/log/dex-upload/upload.log", check=False).stdout

    proc.until(opened, "the new file is written to", 10, 0.1)
    assert "ready" in i.m.sh("cat /var/log/dex-upload/upload.log.1").stdout
