# SPDX-License-Identifier: Apache-2.0
"""a: 1 GiB in one PATCH, beside nginx's own PUT of the same file."""

import base64
import contextlib
import hashlib
import os
import random
import time

import measure
from front import Front, http

PUT = "nginx dav PUT"
PLAIN = "PATCH, durability none"
PATCHES = {  # name: (durability, checksum)
    PLAIN: ("none", None),
    "PATCH, durability patch": ("patch", None),
    "PATCH, none, sha256": ("none", "sha256"),
    "PATCH, none, crc32c": ("none", "crc32c"),
}
RATIO_AIM = 0.6
CPU_AIM = 0.75


def make_file(path, size=measure.GIB):
    """Bytes that no layer can guess; the same megabytes in another order each time would do as well."""
    blocks = [os.urandom(1 << 20) for _ in range(16)]
    with open(path, "wb") as f:
        for i in range(size >> 20):
            f.write(blocks[(i * 7 + i // 16) % 16])
        f.write(blocks[0][: size & 0xFFFFF])


def checksums(path, load):
    with open(path, "rb") as f:
        sha256 = hashlib.file_digest(f, "sha256").digest()
    return {"sha256": sha256, "crc32c": load.crc32c(path)}


def send(addr, method, path, headers, source):
    """One request whose body is the file; seconds until its answer."""
    size = os.path.getsize(source)
    with http.Conn(addr, None) as c, open(source, "rb") as f:
        start = time.perf_counter()
        c.head(method, path, {**headers, "Content-Length": str(size)})
        at = 0
        while at < size:
            at += os.sendfile(c.sock.fileno(), f.fileno(), at, size - at)
        r = c.response(method)
        seconds = time.perf_counter() - start
    assert r.status in (201, 204), r
    return seconds


def timed(front, action):
    """Run the upload on warm pages; seconds of the clock, of nginx, of the responder."""
    measure.touch_pages(front.dir)
    app, web = front.responder_pids(), front.nginx_pids()
    app_cpu, web_cpu = measure.cpu(app), measure.cpu(web)
    seconds = action()
    # The last ticks are counted when the processes have gone to sleep.
    time.sleep(0.05)
    return {
        "seconds": seconds,
        "mb_per_s": measure.GIB / seconds / 1e6,
        "app_cpu_s": measure.cpu(app) - app_cpu,
        "nginx_cpu_s": measure.cpu(web) - web_cpu,
    }


def put(front, source):
    addr = ("127.0.0.1", front.dav_port)
    result = timed(front, lambda: send(addr, "PUT", "/file", {}, source))
    assert os.path.getsize(f"{front.dav}/file") == measure.GIB
    os.unlink(f"{front.dav}/file")
    return result


def patch(front, source, algorithm, sums):
    path = front.tus.new(measure.GIB)
    headers = {"Tus-Resumable": "1.0.0", **front.tus.patch_headers(0)}
    if algorithm:
        sum64 = base64.b64encode(sums[algorithm]).decode()
        headers["Upload-Checksum"] = f"{algorithm} {sum64}"
    result = timed(front, lambda: send(front.addr, "PATCH", path, headers, source))
    assert front.tus.offset(path) == measure.GIB
    stored = find(front.data, path.rpartition("/")[2])
    assert os.path.getsize(stored) == measure.GIB
    os.unlink(stored)
    return result


def find(top, name):
    for at, _, names in os.walk(top):
        if name in names:
            return f"{at}/{name}"
    raise FileNotFoundError(name)


def rounds(fronts, source, sums, count):
    """For each round what every variant took, in an order of its own."""
    result = []
    for _ in range(count):
        order = [PUT, *PATCHES]
        random.shuffle(order)
        one = {}
        for name in order:
            if name == PUT:
                one[name] = put(fronts["none"], source)
            else:
                durability, algorithm = PATCHES[name]
                one[name] = patch(fronts[durability], source, algorithm, sums)
        result.append(one)
    return result


def column(data, name, figure):
    return [one[name][figure] for one in data]


def report(out, data):
    for name in [PUT, *PATCHES]:
        speeds = column(data, name, "mb_per_s")
        ratios = [one[name]["mb_per_s"] / one[PUT]["mb_per_s"] for one in data]
        aim = RATIO_AIM if name == PLAIN else None
        out.line(
            "a",
            f"1 GiB, {name}",
            f"{measure.median(speeds):.0f} MB/s ({measure.span(speeds, '{:.0f}')})",
            ratio=None if name == PUT else measure.median(ratios),
            span=None if name == PUT else ratios,
            at_least=aim,
        )
    for name in [PUT, *PATCHES]:
        web = column(data, name, "nginx_cpu_s")
        floor = measure.median(column(data, PUT, "nginx_cpu_s"))
        out.line(
            "a",
            f"  nginx CPU, {name}",
            f"{measure.median(web):.2f} s/GiB ({measure.span(web)})",
            ratio=None if name == PUT else measure.median(web) / floor,
        )
    floor = measure.median(column(data, PUT, "nginx_cpu_s"))
    for name in PATCHES:
        app = column(data, name, "app_cpu_s")
        out.line(
            "a",
            f"  responder CPU, {name}",
            f"{measure.median(app):.2f} s/GiB ({measure.span(app)})",
            ratio=measure.median(app) / floor,
            value=measure.median(app),
            at_most=CPU_AIM if name == PLAIN else None,
            aim_unit="s/GiB",
        )


def run(out, options):
    with contextlib.ExitStack() as stack:
        fronts = {}
        for durability in ("none", "patch"):
            fronts[durability] = Front(durability)
            stack.callback(fronts[durability].stop)
        source = f"{fronts['none'].dir}/source"
        make_file(source)
        sums = checksums(source, options.load)
        put(fronts["none"], source)
        data = rounds(fronts, source, sums, options.rounds)
    out.raw["a"] = data
    report(out, data)
