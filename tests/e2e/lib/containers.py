# SPDX-License-Identifier: Apache-2.0
"""Images and containers with podman. The images of other projects cannot be had without their registries: those that
Debian, npm or the Go module proxy have, are built here, on a base that debootstrap makes."""

import os
import shutil
import subprocess

from . import installed, services
from .runner import Skip
from .servers import ROOT, write

BASE = "localhost/dex-test-base"
IMAGE = "localhost/dex-test-upload"
COMPOSE = f"{ROOT}/deploy/container"

# Where the machine is itself confined: limits that it may not raise, cgroups that crun does not know.
CONFINED = """[containers]
default_ulimits=["nofile=1024:1024","nproc=4096:4096"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
"""

APT = "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
SERVICES = f"""FROM {BASE} AS redis
{APT} redis-server
FROM {BASE} AS prometheus
{APT} prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
FROM {BASE} AS s3
COPY versitygw /usr/bin/
ENTRYPOINT ["/usr/bin/versitygw"]
FROM {BASE} AS azurite
{APT} nodejs
COPY node_modules /node_modules
RUN printf '#!/bin/sh\\nexec node /node_modules/azurite/dist/src/blob/main.js "$@"\\n' >/usr/bin/azurite-blob \\
 && chmod 755 /usr/bin/azurite-blob
"""


class Podman:
    """home: a directory for what it needs while it runs."""

    def __init__(self, home):
        for need in ("podman", "podman-compose", "debootstrap"):
            if not shutil.which(need):
                raise Skip(f"there is no {need}")
        self.home = home
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("DEX_")}
        self.env["BUILDAH_FORMAT"] = "docker"
        self._base()
        if self.call("run", "--rm", BASE, "true", check=False).returncode:
            write(f"{home}/containers.conf", CONFINED)
            self.env["CONTAINERS_CONF"] = f"{home}/containers.conf"
            r = self.call("run", "--rm", BASE, "true", check=False)
            if r.returncode:
                raise Skip(f"podman cannot run a container here: {r.stderr.strip()[-200:]}")

    def call(self, *argv, check=True, **kw):
        r = subprocess.run(
            ["podman", *argv], env=self.env, capture_output=True, text=True, timeout=900, **kw
        )
        assert not check or r.returncode == 0, (argv, r.returncode, r.stdout[-3000:], r.stderr[-3000:])
        return r

    def _base(self):
        if self.call("image", "exists", BASE, check=False).returncode == 0:
            return
        root = f"{self.home}/root"
        subprocess.run(
            ["debootstrap", "--variant=minbase", "bookworm", root], check=True, capture_output=True
        )
        source = "etc/apt/sources.list.d/debian.sources"
        if os.path.exists(f"/{source}"):  # with the security updates, and the mirror of this machine
            shutil.copy(f"/{source}", f"{root}/{source}")
            os.unlink(f"{root}/etc/apt/sources.list")
        subprocess.run(["tar", "-C", root, "-cf", f"{self.home}/root.tar", "."], check=True)
        self.call("import", f"{self.home}/root.tar", BASE)
        subprocess.run(["rm", "-rf", root, f"{self.home}/root.tar"], check=True)

    def build_product(self):
        subprocess.run(
            [f"{ROOT}/deploy/image.sh", "build/ui", f"{self.home}/image"], check=True, capture_output=True,
            env={**self.env, "BASE": BASE, "IMAGE_NAME": IMAGE, "IMAGE_FLAGS": "--isolation=chroot --network=host"},
        )  # fmt: skip

    def build_service(self, name):
        image = f"localhost/dex-test-{name}"
        context = f"{self.home}/{name}"
        os.mkdir(context)
        write(f"{context}/Dockerfile", SERVICES)
        if name == "s3":
            shutil.copy(installed.versitygw(), context)
        if name == "azurite":
            shutil.copytree(services.install_packages(), f"{context}/node_modules", symlinks=True)
        self.call("build", "--isolation=chroot", "--network=host", "-q", "--target", name, "-t", image, context)
        return image


class Compose:
    """Some of the shipped compose files, up."""

    def __init__(self, podman, files, names, **variables):
        self.podman = podman
        self.project = f"dextest{os.getpid()}"
        self.argv = ["podman-compose", "-p", self.project]
        for name in files:
            self.argv += ["-f", f"{COMPOSE}/{name}"]
        self.env = {**podman.env, "IMAGE": f"{IMAGE}:latest", **variables}
        self._run("up", "-d", *names)

    def _run(self, *argv):
        r = subprocess.run(
            [*self.argv, *argv], env=self.env, capture_output=True, text=True, timeout=300, cwd=COMPOSE
        )
        assert r.returncode == 0, (argv, r.stdout[-3000:], r.stderr[-3000:])

    def name(self, service):
        return f"{self.project}_{service}_1"

    def exec(self, service, *argv, **kw):
        return self.podman.call("exec", self.name(service), *argv, **kw)

    def healthy(self, service):
        return self.podman.call("healthcheck", "run", self.name(service), check=False).returncode == 0

    def down(self):
        self._run("down", "-v", "-t", "10")
