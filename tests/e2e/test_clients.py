# SPDX-License-Identifier: Apache-2.0
"""Real clients: tus-js-client and tuspy, through nginx with dex-deliver --watch behind it."""

import json
import os
import shutil
import subprocess
import tempfile
from urllib.parse import urlsplit

from lib import installed, proc
from lib.manifests import manifest
from lib.runner import Skip
from lib.tus import payload, upload_id

STACK = {"watch": True}
SOURCE, BUILD = installed.SOURCE, installed.BUILD


def run_client(argv, mode, stack, data, m):
    with tempfile.NamedTemporaryFile(dir=stack.dir, suffix=".csv") as f:
        f.write(data)
        f.flush()
        r = subprocess.run(
            [*argv, mode, stack.url("/files/"), f.name, json.dumps(m)],
            capture_output=True, text=True, timeout=60, cwd=BUILD,
        )  # fmt: skip
    assert r.returncode == 0, f"{mode}: {r.stderr}\n{r.stdout}"
    return r.stdout.strip().splitlines()[-1]


def js(stack, mode, data, m):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are missing")
    os.makedirs(BUILD, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(f"{SOURCE}/{name}", BUILD)
    installed.once(
        "tus-js-client", f"{SOURCE}/package-lock.json", "npm ci --no-audit --no-fund --silent"
    )
    return json.loads(run_client(["node", "client.mjs"], mode, stack, data, m))


def python(stack, mode, data, m):
    return run_client([installed.python(), f"{SOURCE}/client.py"], mode, stack, data, m)


def arrives(stack, url, data):
    """The upload is complete and delivered with the right bytes."""
    path = urlsplit(url).path
    assert stack.stored(path) == data
    proc.until(lambda: stack.info(path)["deliveries"], "delivered", 10)
    got = [v for k, v in stack.delivered("edav").items() if upload_id(path) in k]
    assert got == [data]


def test_js_one_patch(stack):
    data = payload(3_000_000)
    arrives(stack, js(stack, "plain", data, manifest())["url"], data)


def test_js_chunks(stack):
    data = payload(750_000)
    arrives(stack, js(stack, "chunks", data, manifest(filename="ünï.csv"))["url"], data)


def test_js_data_during_creation(stack):
    data = payload(200_000)
    arrives(stack, js(stack, "during_creation", data, manifest())["url"], data)


def test_js_resume_after_abort(stack):
    data = payload(5_000_000)
    r = js(stack, "resume", data, manifest())
    assert 0 < r["resumedAt"] < len(data), r
    arrives(stack, r["url"], data)


def test_js_parallel_uploads(stack):
    data = payload(4_000_001)
    arrives(stack, js(stack, "parallel", data, manifest())["url"], data)


def test_js_deferred_length(stack):
    data = payload(450_000)
    arrives(stack, js(stack, "deferred", data, manifest())["url"], data)


def test_js_method_override(stack):
    data = payload(250_000)
    arrives(stack, js(stack, "override", data, manifest())["url"], data)


def test_js_survives_killed_responders(start):
    """The client's own retries carry an upload over the death of all responders."""
    s = start(watch=True)
    data = payload(30_000_000)
    s.deaths_expected = True
    s.stop_responders()
    s.start_responders(DEX_CRASH_AT="upload-synced", DEX_CRASH_ONCE=f"{s.dir}/once")
    s.await_service()
    arrives(s, js(s, "chunks", data, manifest())["url"], data)


def test_js_terminate(stack):
    # 409 until it has been delivered, which the client takes for a reason to try again.
    path = urlsplit(js(stack, "terminate", payload(100_000), manifest())["url"]).path
    assert stack.tus.head(path).status in (404, 410)


def test_python(stack):
    data = payload(350_000)
    arrives(stack, python(stack, "plain", data, manifest()), data)


def test_python_resume(stack):
    data = payload(350_000)
    arrives(stack, python(stack, "resume", data, manifest()), data)


def test_python_checksum(stack):
    data = payload(350_000)
    arrives(stack, python(stack, "checksum", data, manifest()), data)
