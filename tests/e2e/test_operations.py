# SPDX-License-Identifier: Apache-2.0
"""deploy/operations.md: its commands, run as they are written but for the folders."""

import os
import re
import shlex
import shutil
import subprocess

from lib import servers
from lib.guide import files
from lib.servers import ROOT
from lib.tus import payload, upload_id

PAGE = f"{ROOT}/deploy/operations.md"
FOLDERS = ("/etc/dex-upload", "/var/lib/dex-upload", "/var/backups/dex-upload")


def page():
    with open(PAGE) as f:
        return f.read()


def section(title):
    return page().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(title):
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section(title), re.M | re.S)
    return block


class Machine:
    """The folders of the page below a folder of the test."""

    def __init__(self, stack):
        self.stack = stack
        self.root = f"{stack.dir}/machine"
        for folder in FOLDERS:
            os.makedirs(self.root + folder)
        os.symlink(stack.data, f"{self.root}/var/lib/dex-upload/uploads")
        settings = "".join(f"{k}={v}\n" for k, v in stack.settings.items())
        servers.write(f"{self.root}/etc/dex-upload/dex-upload.conf", settings)

    def run(self, script):
        for folder in FOLDERS:
            script = script.replace(folder, self.root + folder)
        path = f"{os.path.dirname(self.stack.binary('dex-deliver'))}:{os.environ['PATH']}"
        conf = f"{self.root}/etc/dex-upload/dex-upload.conf"
        env = {"PATH": path, "DEX_APPCONF": conf, **self.stack.sanitizer_env()}
        return subprocess.run(
            ["sh", "-eu", "-c", script], capture_output=True, text=True, timeout=120, env=env,
            cwd=self.stack.dir,
        )  # fmt: skip


def test_backup_and_restore(start):
    s = start()
    m = Machine(s)
    data = payload(300_000)
    sent = s.tus.upload(data)
    s.deliver_all()
    begun = s.tus.new(len(data))
    s.tus.patch(begun, 0, data[:100_000])
    r = m.run(commands("Backup"))
    assert r.returncode == 0, r
    s.tus.patch(begun, 100_000, data[100_000:])
    later = s.tus.upload(b"after the backup")
    s.stop_responders()
    shutil.rmtree(s.data)
    os.mkdir(s.data)
    r = m.run(commands("Restore"))
    assert r.returncode == 0 and ", 0 differ, 0 missing, 0 unreadable" in r.stdout, r
    s.start_responders()
    s.await_service()
    assert s.info(sent)["deliveries"][0]["status"] == "SUCCESS"
    assert s.tus.head(begun).get("Upload-Offset") == "100000"
    assert s.tus.head(later).status == 404
    assert s.tus.patch(begun, 100_000, data[100_000:]).status == 204
    s.deliver_all()
    assert list(s.delivered("edav").values()).count(data) == 2


def test_the_lines_for_cron(start):
    s = start()
    m = Machine(s)
    s.tus.upload(b"abc")
    s.deliver_all()
    text = files("operations.md")["/etc/cron.d/dex-upload-operations"]
    lines = [x for x in text.splitlines() if x[0].isdigit()]
    report, verify = (m.run(x.split(None, 6)[6]) for x in lines)
    assert report.returncode == 0 and "delivered" in report.stdout, report
    assert (verify.returncode, verify.stdout, verify.stderr) == (0, "", ""), verify


def test_moving_to_redis(start):
    s = start()
    r = start(state="redis")
    m = Machine(s)
    path = s.tus.upload(b"abc")
    s.stop_responders()
    more = "".join(f"{k}={v}\n" for k, v in r.redis.settings.items())
    with open(f"{m.root}/etc/dex-upload/dex-upload.conf", "a") as f:
        f.write(more)
    count, move = commands("Moving to Redis, to S3").splitlines()
    told = m.run(count)
    assert told.returncode == 0 and "1 upload" in told.stdout, told
    assert m.run(move).returncode == 0
    assert upload_id(path) in r.deliver("--list").stdout and r.info(path)


def test_every_alert_has_a_line():
    alerts = set(
        re.findall(r"alert: (\w+)", open(f"{ROOT}/deploy/prometheus/dex-upload.rules.yml").read())
    )
    told = set(re.findall(r"`(Dex\w+)`", section("When an alert fires")))
    assert alerts == told, alerts ^ told


def test_settings_and_options_of_the_page_exist(start):
    s = start()
    known = s.check("--help-config").stdout
    for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", page()):
        assert name in known, name
    options = s.deliver("--help").stdout + s.check("--help").stdout
    for line in re.findall(r"`?(dex-(?:deliver|upload) --[^`\n]*)", page()):
        for option in (x for x in shlex.split(line.replace("…", "")) if x.startswith("--")):
            assert option in options, (option, line)
