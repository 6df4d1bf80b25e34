# SPDX-License-Identifier: Apache-2.0
"""Figures of processes, and what is made of them."""

import json
import os
import re
import statistics
import subprocess
import tempfile
import time

GIB = 1 << 30
# Of quick_directory: how many are tried, files made in each, seconds that one of them may take.
PLACES = 24
PROBES = 200
QUICK_S = 50e-6
_TICK = os.sysconf("SC_CLK_TCK")


def cpu(pids):
    """User and system seconds so far of the processes (all their threads) together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def pss(pid):
    """Proportional set size in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise ValueError(f"no Pss of process {pid}")


def forget_peak(pid):
    """The most memory that the process ever had is what it has now."""
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def peak(pid):
    """The most resident memory that the process had since forget_peak(), in KiB."""
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    raise ValueError(f"no VmHWM of process {pid}")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def touch_pages(directory):
    """
    Write 1 GiB and take it away again. A virtual machine may have given its free pages back to the
    host, and then the first who writes pays for getting them: not to be whom we measure.
    """
    path = f"{directory}/pages"
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={path}", "bs=1M", "count=1024", "status=none"], check=True
    )
    os.unlink(path)


def quick_directory(base):
    """
    A directory in which files are made at the usual speed. ext4 without a journal (virtual machines)
    does not use the inodes of removed files again for some minutes and searches past each of them
    whenever a file is made nearby: earlier runs and tests would cost us tenfold. The attribute T of
    ${base} spreads its directories over the disk; the first one that proves to be quick is taken.
    """
    found = []
    for _ in range(PLACES):
        path = tempfile.mkdtemp(prefix="at-", dir=base)
        os.chmod(path, 0o755)
        times = []
        for i in range(PROBES):
            start = time.perf_counter()
            os.close(os.open(f"{path}/probe{i}", os.O_CREAT | os.O_WRONLY))
            times.append(time.perf_counter() - start)
        found.append((median(times), path))
        if found[-1][0] < QUICK_S:
            break
    return min(found)[1]


def size(text):
    """Bytes of a text such as 1GiB, 200MiB or 5000; 0 where it is not one."""
    found = re.fullmatch(r"(\d+)([KMG]iB)?", text)
    if not found:
        return 0
    return int(found[1]) << {None: 0, "KiB": 10, "MiB": 20, "GiB": 30}[found[2]]


def median(values):
    return statistics.median(values)


def span(values, form="{:.2f}"):
    return f"{form.format(min(values))}..{form.format(max(values))}"


def run_program(argv, env, cwd):
    """A program from start to end: seconds of the clock and of the processor."""
    null = os.open(os.devnull, os.O_RDWR)
    here = os.getcwd()
    os.chdir(cwd)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        start = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, env, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - start
    finally:
        os.chdir(here)
        os.close(null)
    if status:
        raise RuntimeError(f"{argv} ended with status {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_utime + usage.ru_stime


class Load:
    """The load generator, tests/bench/load.c."""

    def __init__(self, directory):
        self.program = f"{directory}/bench/load"

    def uploads(
        self, port, metadata, connections, seconds, size=10240, path="/files", token=None
    ):  # fmt: skip
        argv = ["uploads", port, path, connections, int(seconds * 1000), size, metadata]
        return self._requests(port, argv, token)

    def heads(self, port, path, connections, seconds, token=None):
        return self._requests(port, ["heads", port, path, connections, int(seconds * 1000)], token)

    def _requests(self, port, argv, token):
        argv = [self.program, *argv, *([token] if token else [])]
        r = subprocess.run([str(x) for x in argv], check=True, capture_output=True, text=True)
        result = json.loads(r.stdout)
        if result["failures"] or not result["uploads"]:
            raise RuntimeError(f"port {port}: {r.stdout}{r.stderr}")
        result["rate"] = result["uploads"] / result["seconds"]
        return result

    def run(self, argv, env, cwd):
        """A program from start to end: seconds, cpu_s, peak_kib."""
        r = subprocess.run(
            [self.program, "run", *argv], env=env, cwd=cwd, check=True, capture_output=True,
            text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        result = json.loads(r.stdout)
        if result["status"]:
            raise RuntimeError(f"{argv} ended with status {result['status']}:\n{r.stderr[-4000:]}")
        return result

    def crc32c(self, path):
        r = subprocess.run([self.program, "crc32c", path], check=True, capture_output=True, text=True)
        return bytes.fromhex(r.stdout)
