# SPDX-License-Identifier: Apache-2.0
"""The container image and the compose files, built and run with podman (DEX_TEST_CONTAINERS=1: the network, minutes).
Grafana is in neither Debian nor npm: its service is not started here."""

import json
import os
import tempfile

from lib import containers, http, proc
from lib.check import expect
from lib.runner import Skip
from lib.tus import Tus, payload, upload_id


def answers(addr):
    try:
        return http.request(addr, "GET", "/health", timeout=2).status == 200
    except OSError:
        return False


def is_delivered(run, path, data):
    """run(argv...): execute within a container that has the data."""
    find = f"find /var/lib/dex-upload/delivered -name '*{upload_id(path)}*' -size {len(data)}c"
    proc.until(lambda: run("sh", "-c", find, check=False).stdout, f"{path} is delivered", 20, 0.2)


def upload_in_pieces(tus):
    data = payload(300_000)
    return tus.upload(data, chunk=100_000), data


def one_container_does_everything(podman):
    ports = [proc.free_port(), proc.free_port()]
    name = f"dextest-all-{os.getpid()}"
    podman.call(
        "run", "-d", "--name", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges",
        "-p", f"127.0.0.1:{ports[0]}:8080", "-p", f"127.0.0.1:{ports[1]}:8081", f"{containers.IMAGE}:latest",
    )  # fmt: skip
    try:
        addr = ("127.0.0.1", ports[0])
        proc.until(lambda: answers(addr), "it answers", 20, 0.2)

        def run(*argv, **kw):
            return podman.call("exec", name, *argv, **kw)

        assert run("id", "-u").stdout.strip() == "990"
        assert run("touch", "/etc/x", check=False).returncode != 0, "the root file system is read-only"
        assert podman.call("healthcheck", "run", name, check=False).returncode == 0
        is_delivered(run, *upload_in_pieces(Tus(addr)))
        page = expect(http.request(("127.0.0.1", ports[1]), "GET", "/"), 200)
        assert "dextesting" in page.text
        expect(http.request(("127.0.0.1", ports[1]), "GET", "/assets/ui.js"), 200)
        expect(http.request(addr, "GET", "/metrics"), 403)
        podman.call("stop", "-t", "15", name)
        state = json.loads(podman.call("inspect", name).stdout)[0]["State"]
        assert state["ExitCode"] == 0 and state["Status"] == "exited", state
    finally:
        podman.call("rm", "-f", "-v", name)


def with_redis_and_prometheus(podman):
    ports = {k: proc.free_port() for k in ("API_PORT", "UI_PORT", "PROMETHEUS_PORT")}
    c = containers.Compose(
        podman, ("compose.yml", "compose.redis.yml", "compose.monitoring.yml"),
        ("upload", "deliver", "web", "redis", "prometheus"),
        REDIS_IMAGE=podman.build_service("redis"), PROMETHEUS_IMAGE=podman.build_service("prometheus"),
        REDIS_PASSWORD="sesame", **{k: str(v) for k, v in ports.items()},
    )  # fmt: skip
    try:
        addr = ("127.0.0.1", ports["API_PORT"])
        proc.until(lambda: answers(addr), "it answers", 30, 0.2)
        for service in ("upload", "deliver", "web"):
            proc.until(lambda s=service: c.healthy(s), f"{service} is healthy", 20, 0.2)
        path, data = upload_in_pieces(Tus(addr))
        is_delivered(lambda *argv, **kw: c.exec("deliver", *argv, **kw), path, data)
        keys = c.exec("redis", "redis-cli", "-a", "sesame", "dbsize").stdout
        assert int(keys) > 0, keys
        # Responders may go: the state is not theirs.
        podman.call("restart", "-t", "10", c.name("upload"))
        proc.until(lambda: answers(addr), "it answers again", 20, 0.2)
        expect(Tus(addr).head(path), 200, Upload_Offset=len(data))

        def scraped():
            r = http.request(
                ("127.0.0.1", ports["PROMETHEUS_PORT"]), "GET",
                "/api/v1/query?query=up%7Bjob%3D%22dex-upload%22%7D",
            )  # fmt: skip
            found = json.loads(r.body)["data"]["result"]
            return [x for x in found if x["value"][1] == "1"]

        proc.until(scraped, "Prometheus has scraped it", 60, 0.5)
        rules = http.request(("127.0.0.1", ports["PROMETHEUS_PORT"]), "GET", "/api/v1/rules")
        assert "DexUploadDown" in rules.text
        c.exec("web", "sh", "-c", "! curl -fsS http://127.0.0.1:8082/files/")
    finally:
        c.down()


def in_the_store(c, addr, kind):
    def up():
        well = f'"service":"storage ({kind})","status":"UP"'
        return answers(addr) and well in http.request(addr, "GET", "/health").text

    proc.until(up, "it answers, and the store is there", 60, 0.2)
    path, data = upload_in_pieces(Tus(addr))
    is_delivered(lambda *argv, **kw: c.exec("deliver", *argv, **kw), path, data)
    local = c.exec("deliver", "find", "/var/lib/dex-upload/uploads/tus-prefix", "-type", "f", check=False)
    assert local.stdout == "", f"the upload lies in {kind} alone"


def with_azurite(podman):
    ports = {k: proc.free_port() for k in ("API_PORT", "UI_PORT")}
    c = containers.Compose(
        podman, ("compose.yml", "compose.azurite.yml"), (),
        AZURITE_IMAGE=podman.build_service("azurite"), **{k: str(v) for k, v in ports.items()},
    )  # fmt: skip
    try:
        in_the_store(c, ("127.0.0.1", ports["API_PORT"]), "az-blob")
    finally:
        c.down()


def with_an_s3_service(podman):
    ports = {k: proc.free_port() for k in ("API_PORT", "UI_PORT")}
    c = containers.Compose(
        podman, ("compose.yml", "compose.s3.yml"), (), S3_IMAGE=podman.build_service("s3"),
        S3_PASSWORD="open-sesame", **{k: str(v) for k, v in ports.items()},
    )  # fmt: skip
    try:
        in_the_store(c, ("127.0.0.1", ports["API_PORT"]), "s3")
    finally:
        c.down()


def images():
    if os.environ.get("DEX_TEST_CONTAINERS") != "1":
        raise Skip("DEX_TEST_CONTAINERS=1 builds and runs the images")
    return tempfile.TemporaryDirectory(prefix="dex-e2e-containers-")


def test_images_and_compose_files():
    with images() as d:
        podman = containers.Podman(d)
        podman.build_product()
        one_container_does_everything(podman)
        with_redis_and_prometheus(podman)
        with_azurite(podman)


def test_compose_with_an_s3_service():
    with images() as d:
        podman = containers.Podman(d)
        podman.build_product()
        with_an_s3_service(podman)
