# SPDX-License-Identifier: Apache-2.0
"""e: uploads into S3 and deliveries from and to S3, beside rclone with the same work."""

import contextlib
import filecmp
import os
import random
import tempfile
import time

import big
import measure
from front import Front, servers, services, stores

DEX = "dex"
RCLONE = "rclone"
UPLOAD = "upload into S3"
COPY = "S3 to S3, copied there"
STREAM = "S3 to S3, streamed"
FETCH = "S3 to a file"
STORE = "file to S3"
STEPS = (UPLOAD, COPY, STREAM, FETCH, STORE)
TARGETS = {COPY: "near", STREAM: "far", FETCH: "folder", STORE: "near"}

# Before what is measured, so that nothing is done for the first time there.
WARM_SIZE = 20 << 20
# One round is enough when it takes longer.
ROUND_S = 60

RCLONE_OPTIONS = [
    "--config", "", "--transfers", "1", "--s3-chunk-size", "8M", "--s3-upload-concurrency", "3",
    "--s3-no-check-bucket", "--retries", "1",
]  # fmt: skip


def routing(targets):
    """A delivery file: an upload goes to each of the targets."""
    lines = ["version: 1.0", "targets:"]
    lines += [stores.yaml_line(name, to) for name, to in targets.items()]
    lines += ["routing_groups:", "  - data_stream_id: dextesting"]
    lines += ["    data_stream_route: testevent1", "    delivery_targets:"]
    lines += [f"      - name: {name}" for name in targets]
    return "\n".join(lines) + "\n"


def empty(bucket):
    """Remove everything; {key: size} of what was there."""
    found = bucket.list()
    for key in found:
        bucket.delete(key)
    return found


class World:
    """The service with two buckets, and two installations: one stores in S3, one in files."""

    def __init__(self, load, stack):
        self.load = load
        self.dir = measure.quick_directory(tempfile.gettempdir())
        self.folder = f"{self.dir}/folder"
        os.mkdir(self.folder)
        self.service = services.S3(self.dir, "s3")
        stack.callback(self.service.stop)
        self.service.start()
        self.uploads = self.service.bucket()
        self.archive = self.service.bucket()
        # Under another name it is another service, to both programs.
        self.near = self.service.addr
        self.far = ("localhost", self.service.port)
        targets = {
            "near": stores.S3Target(self.near, self.archive),
            "far": stores.S3Target(self.far, self.archive),
            "folder": stores.FileTarget(self.folder),
        }
        secret = targets["near"].env
        settings = services.s3_settings(self.service, self.uploads)
        storage = stores.ObjectStorage(self.uploads, settings)
        self.objects = Front("none", storage, routing(targets), **secret)
        stack.callback(self.objects.stop)
        self.files = Front("none", config=routing({"near": targets["near"]}), **secret)
        stack.callback(self.files.stop)
        self.rclone_env = self._rclone_env()

    def _rclone_env(self):
        env = {k: os.environ[k] for k in ("PATH", "LANG") if k in os.environ}
        env["HOME"] = self.dir
        for name, addr in (("NEAR", self.near), ("FAR", self.far)):
            remote = {
                "TYPE": "s3",
                "PROVIDER": "Other",
                "ENDPOINT": f"http://{addr[0]}:{addr[1]}",
                "REGION": "us-east-1",
                "ACCESS_KEY_ID": self.uploads.access,
                "SECRET_ACCESS_KEY": self.uploads.secret,
            }
            env |= {f"RCLONE_CONFIG_{name}_{k}": v for k, v in remote.items()}
        return env

    def rclone(self, source, target, *more):
        argv = [servers.program("rclone"), "copyto", *RCLONE_OPTIONS, *more, source, target]
        return self.load.run(argv, self.rclone_env, self.dir)

    def deliver(self, front, target):
        argv = [front.binary("dex-deliver"), "--quiet", "--target", target]
        return self.load.run(argv, front.env(), front.dir)

    def upload(self, front, source):
        """One PATCH; its figures and the name of what is stored."""
        path = front.tus.new(os.path.getsize(source))
        headers = {"Tus-Resumable": "1.0.0", **front.tus.patch_headers(0)}
        responder = front.responder()
        pids = [responder, *front.nginx_pids()]
        measure.forget_peak(responder)
        cpu = measure.cpu(pids)
        seconds = big.send(front.addr, "PATCH", path, headers, source)
        # The last ticks are counted when the processes have gone to sleep.
        time.sleep(0.05)
        result = {
            "seconds": seconds,
            "cpu_s": measure.cpu(pids) - cpu,
            "peak_kib": measure.peak(responder),
        }
        assert front.tus.offset(path) == os.path.getsize(source)
        return result, path.rpartition("/")[2]


class Round:
    """Every step by both sides once, with one file. What a transfer has made is gone after it."""

    def __init__(self, world, source):
        self.w = world
        self.source = source
        self.size = os.path.getsize(source)
        self.result = {step: {} for step in STEPS}
        self.key = None  # of the uploaded object that deliveries from S3 start with
        self.stored = None  # the uploaded file that deliveries from files start with

    def run(self):
        w = self.w
        self._both(UPLOAD, self._upload, lambda: w.rclone(self.source, self._archived("near")))
        for step, remote in ((COPY, "near"), (STREAM, "far")):
            # The second remote would do; this is to be seen.
            more = ["--disable", "copy"] if step == STREAM else []
            self._both(
                step,
                lambda step=step: w.deliver(w.objects, TARGETS[step]),
                lambda remote=remote, more=more: w.rclone(
                    self._uploaded(), self._archived(remote), *more
                ),
            )
        self._both(
            FETCH,
            lambda: w.deliver(w.objects, TARGETS[FETCH]),
            lambda: w.rclone(self._uploaded(), f"{w.folder}/file"),
        )
        empty(w.uploads)
        _, name = w.upload(w.files, self.source)
        self.stored = big.find(w.files.data, name)
        self._both(
            STORE,
            lambda: w.deliver(w.files, TARGETS[STORE]),
            lambda: w.rclone(self.stored, self._archived("near")),
        )
        os.unlink(self.stored)
        return self.result

    def _upload(self):
        figures, name = self.w.upload(self.w.objects, self.source)
        ((self.key, size),) = self.w.uploads.list().items()
        assert self.key.endswith(name) and size == self.size, (self.key, size)
        return figures

    def _uploaded(self):
        return f"near:{self.w.uploads.name}/{self.key}"

    def _archived(self, remote):
        return f"{remote}:{self.w.archive.name}/file"

    def _both(self, step, dex, rclone):
        sides = [(DEX, dex), (RCLONE, rclone)]
        random.shuffle(sides)
        for name, action in sides:
            measure.touch_pages(self.w.dir)
            server = [self.w.service.daemon.pid]
            cpu = measure.cpu(server)
            figures = action()
            figures["server_cpu_s"] = measure.cpu(server) - cpu
            figures["mb_per_s"] = self.size / figures["seconds"] / 1e6
            self.result[step][name] = figures
            if step == FETCH:
                figures["sync_s"] = self._remove_file()
            elif (step, name) != (UPLOAD, DEX):
                found = empty(self.w.archive)
                assert list(found.values()) == [self.size], f"{step}, {name}: {found}"

    def _remove_file(self):
        """Of the one file that came to the folder; the seconds that a sync of it takes."""
        found = [f"{at}/{n}" for at, _, names in os.walk(self.w.folder) for n in names]
        assert len(found) == 1 and filecmp.cmp(found[0], self.source, shallow=False), found
        start = time.perf_counter()
        with open(found[0], "rb") as f:
            os.fsync(f.fileno())
        seconds = time.perf_counter() - start
        os.unlink(found[0])
        return seconds


def rounds(world, source, options):
    data = []
    while len(data) < options.rounds:
        start = time.monotonic()
        data.append(Round(world, source).run())
        if time.monotonic() - start > ROUND_S and not options.rounds_wanted:
            break
    return data


def report(out, data, size):
    def column(step, name, figure):
        return [one[step][name][figure] for one in data]

    out.line("e", f"below: a file of {size >> 20:,} MiB", f"rounds: {len(data)}")
    for step in STEPS:
        for name in (RCLONE, DEX):
            speeds = column(step, name, "mb_per_s")
            memory = measure.median(column(step, name, "peak_kib")) / 1024
            cpu = measure.median(column(step, name, "cpu_s"))
            ratios = [one[step][name]["mb_per_s"] / one[step][RCLONE]["mb_per_s"] for one in data]
            out.line(
                "e",
                f"{step}, {name}",
                f"{measure.median(speeds):.0f} MB/s, peak {memory:.0f} MiB, CPU {cpu:.2f} s",
                ratio=None if name == RCLONE else measure.median(ratios),
                span=ratios if name == DEX and len(data) > 1 else None,
                value=measure.median(speeds),
            )
        server = [measure.median(column(step, name, "server_cpu_s")) for name in (RCLONE, DEX)]
        out.line("e", "  CPU of the service", f"{server[0]:.2f} s, {server[1]:.2f} s")
    ratios = [
        (one[FETCH][RCLONE]["seconds"] + one[FETCH][RCLONE]["sync_s"]) / one[FETCH][DEX]["seconds"]
        for one in data
    ]
    synced = measure.median(column(FETCH, RCLONE, "sync_s"))
    out.line(
        "e", f"{FETCH}, {RCLONE} and a sync", f"the sync {synced:.2f} s",
        ratio=measure.median(ratios), span=ratios if len(data) > 1 else None,
    )  # fmt: skip


def run(out, options):
    with contextlib.ExitStack() as stack:
        world = World(options.load, stack)
        source = f"{world.dir}/source"
        big.make_file(source, WARM_SIZE)
        Round(world, source).run()
        big.make_file(source, options.store_size)
        data = rounds(world, source, options)
    out.raw["e"] = data
    report(out, data, options.store_size)
