# SPDX-License-Identifier: Apache-2.0
"""A machine with systemd as its first process: systemd-nspawn on a copy-on-write view of a root directory, the running
system's or another, with the host's network or none. What it writes is gone when it ends."""

import os
import shutil
import subprocess
import tempfile

from . import installed, proc
from .runner import Skip
from .servers import ROOT
from .stack import bin_dir

PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

# Mounts are seen by this process and its children alone, and end with them.
START = """set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
exec systemd-nspawn --quiet --directory="$2/root" --register=no --keep-unit --link-journal=no --console=pipe \
  --resolv-conf=copy-host --timezone=off \
  --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
  --bind-ro="$3:/mnt" $4 --boot systemd.unit=basic.target
"""


def plain_bin_dir():
    """Programs without sanitizers, which do not live under the limits of a unit."""
    beside = f"{os.path.dirname(bin_dir())}/debug"
    return beside if os.access(f"{beside}/dex-upload", os.X_OK) else bin_dir()


def install(dest, **env):
    """What `make install` does after it has built."""
    subprocess.run(
        [f"{ROOT}/deploy/install.sh", "install", plain_bin_dir(), installed.ui()],
        check=True, env={**os.environ, "DESTDIR": dest, "PREFIX": "/usr", **env},
    )  # fmt: skip


class Machine:
    """root: the directory below it all. given: a directory that it sees as /mnt. alone: with no network but its own
    loopback, where every port is free."""

    def __init__(self, given, root="/", alone=False):
        if os.geteuid() != 0:
            raise Skip("only root can start a machine with systemd")
        for need in ("systemd-nspawn", "nsenter"):
            if not shutil.which(need):
                raise Skip(f"there is no {need}")
        self.dir = tempfile.mkdtemp(prefix="dex-e2e-machine-")
        self.log = f"{self.dir}.log"
        self.daemon = proc.Daemon(
            ["unshare", "--mount", "sh", "-c", START, "start", root, self.dir, given,
             "--private-network" if alone else ""], self.log
        )
        try:
            proc.until(self._is_up, "systemd is up", 60, 0.1)
        except AssertionError as e:
            with open(self.log, errors="replace") as f:
                why = f.read().strip().splitlines()[-1:] or [str(e)]
            self.stop()
            raise Skip(f"systemd does not start in a machine here: {why[0]}") from None

    def _is_up(self):
        assert self.daemon.running(), "it ended"
        if not proc.children(self.daemon.pid):
            return False
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
            "running",
            "degraded",
        )

    def run(self, *argv, check=True, **kw):
        """Run a command inside; its result with stdout and stderr as text."""
        (leader,) = proc.children(self.daemon.pid)
        r = subprocess.run(
            ["nsenter", "--target", str(leader), "--all", *argv],
            capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, env=PLAIN, **kw,
        )  # fmt: skip
        assert not check or r.returncode == 0, (argv, r.returncode, r.stdout, r.stderr)
        return r

    def sh(self, script, **kw):
        return self.run("sh", "-ec", script, **kw)

    def main_pid(self, unit):
        """0: it does not run."""
        return int(self.run("systemctl", "show", "--value", "-p", "MainPID", unit).stdout)

    def journal(self):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", "dex-*").stdout

    def start_nginx(self, port):
        """The shipped parameters in front of the socket, on a port of the host's."""
        self.sh(f"""cat > /etc/dex-test-nginx.conf <<'END'
user www-data;
daemon off;
pid /run/dex-test-nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    fastcgi_request_buffering off;
    include /usr/share/dex-upload/nginx/fastcgi.conf;
    location / {{ fastcgi_pass unix:/run/dex-upload/upload.sock; }}
  }}
}}
END
systemd-run --quiet --unit dex-test-nginx nginx -c /etc/dex-test-nginx.conf""")

    def stop(self):
        self.daemon.stop(20)
        os.rmdir(self.dir)
        os.unlink(self.log)
