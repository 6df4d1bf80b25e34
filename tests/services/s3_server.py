#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An S3 service on the loopback: OpenStack Swift with its s3api, all of it in this one process.

    s3_server.py [--tls CERT KEY] [--bind ADDRESS] [--bucket NAME]... DIR PORT

DIR is emptied and used for everything; its file system must know user extended attributes. PORT 0
takes a free one. Prints "up PORT" when requests are answered, ends on SIGTERM. Region us-east-1,
buckets as paths, or as host names below s3.test. Users (access key, secret):

    test:owner   owner-secret    may do everything
    test:reader  reader-secret   only what a container's X-Container-Read lets it do

Needs the Debian package python3-swift, so it is run by /usr/bin/python3.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
from time import time as now

from swift.common.utils import eventlet_monkey_patch

eventlet_monkey_patch()

import eventlet.debug  # noqa: E402
import eventlet.wsgi  # noqa: E402
from swift.common import constraints, storage_policy, utils  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.swob import Request  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

BACKENDS = ("account", "container", "object")
OWNER = ("test:owner", "owner-secret")

SWIFT_CONF = """
[swift-hash]
swift_hash_path_prefix = dex
swift_hash_path_suffix = dex
[swift-constraints]
# As S3: 2 KiB of metadata, however they are cut.
max_meta_value_length = 2048
max_meta_overall_size = 8192
[storage-policy:0]
name = only
default = yes
"""

BACKEND_CONF = """
[DEFAULT]
bind_port = {port}
swift_dir = {etc}
devices = {disks}
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = app
[app:app]
use = egg:swift#{name}
recon_cache_path = {recon}
# On a busy machine a listing that is not written at once would be left for a daemon that is not
# there.
conn_timeout = 20
node_timeout = 60
container_update_timeout = 60
"""

PROXY_CONF = """
[DEFAULT]
bind_port = {port}
swift_dir = {etc}
[pipeline:main]
pipeline = catch_errors cache bulk s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# A node that was slow once must not be shunned for a minute.
error_suppression_limit = 1000000
conn_timeout = 20
node_timeout = 60
recoverable_node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = dex_s3_cache:factory
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
storage_domain = s3.test
[filter:tempauth]
use = egg:swift#tempauth
user_test_owner = owner-secret .admin
user_test_reader = reader-secret
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class Cache:
    """What Swift's middleware asks of memcached, in a dictionary."""

    def __init__(self):
        self.values = {}  # key: (value, end of its life or None)

    def get(self, key, *_, **__):
        value, end = self.values.get(key, (None, None))
        if end is not None and end < now():
            del self.values[key]
            return None
        return value

    def set(self, key, value, time=0, **_):
        self.values[key] = (value, now() + time if time else None)

    def incr(self, key, delta=1, time=0, **_):
        value = max(0, int(self.get(key) or 0) + delta)
        self.set(key, value, time=time)
        return value

    def decr(self, key, delta=1, time=0, **_):
        return self.incr(key, -delta, time)

    def delete(self, key, *_, **__):
        self.values.pop(key, None)

    def set_multi(self, mapping, server_key, time=0, **_):
        for key, value in mapping.items():
            self.set((server_key, key), value, time=time)

    def get_multi(self, keys, server_key, **_):
        return [self.get((server_key, key)) for key in keys]


def factory(_global_conf, **_conf):
    """The filter "cache" of the proxy's pipeline."""
    cache = Cache()

    def filter_of(app):
        def run(env, start_response):
            env["swift.cache"] = cache
            return app(env, start_response)

        return run

    return filter_of


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def prepare(base):
    """Empty directories and Swift's own settings. The path of the configuration files."""
    shutil.rmtree(base, ignore_errors=True)
    etc = f"{base}/etc"
    for path in (etc, f"{base}/disks/d1", f"{base}/recon"):
        os.makedirs(path)
    try:
        os.setxattr(base, "user.dex", b"x")
    except OSError as e:
        sys.exit(f"{base}: no extended attributes on this file system: {e.strerror}")
    write(f"{etc}/swift.conf", SWIFT_CONF)
    # Read at import from /etc/swift, which need not exist: once more, from here.
    utils.SWIFT_CONF_FILE = f"{etc}/swift.conf"
    utils.HASH_PATH_PREFIX = utils.HASH_PATH_SUFFIX = b""
    utils.validate_hash_conf()
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    return etc


def write_ring(path, port):
    """One device, one replica."""
    builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
    builder.add_dev(
        {
            "id": 0, "region": 1, "zone": 1, "device": "d1", "weight": 1.0, "meta": "",
            "ip": "127.0.0.1", "port": port,
            "replication_ip": "127.0.0.1", "replication_port": port,
        }
    )  # fmt: skip
    builder.rebalance(seed=1)
    builder.get_ring().save(path)


def serve(name, conf, listener):
    """Answer requests on ${listener} in the background. The application."""
    nowhere = {"log_level": "CRITICAL", "log_address": "/nonexistent", "log_name": name}
    app = loadapp(conf, global_conf=nowhere)
    quiet = logging.getLogger(f"dex.{name}")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    eventlet.spawn(
        eventlet.wsgi.server, listener, app, quiet,
        protocol=SwiftHttpProtocol, custom_pool=eventlet.GreenPool(1000), log_output=False,
    )  # fmt: skip
    return app


def make_bucket(proxy, name):
    """Without a signature: the request says itself that it is allowed."""
    env = {"swift.authorize_override": True, "swift.authorize": lambda _request: None}
    answer = Request.blank(f"/v1/AUTH_test/{name}", env, method="PUT").get_response(proxy)
    if answer.status_int // 100 != 2:
        sys.exit(f"bucket {name}: {answer.status}")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    p.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS")
    p.add_argument("--bucket", action="append", default=[], metavar="NAME")
    p.add_argument("dir", metavar="DIR")
    p.add_argument("port", metavar="PORT", type=int)
    a = p.parse_args()
    # The hub of eventlet would swallow what a handler raises.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    base = os.path.abspath(a.dir)
    etc = prepare(base)
    eventlet.debug.hub_exceptions(False)
    sys.modules["dex_s3_cache"] = sys.modules["__main__"]

    listeners = {name: eventlet.listen(("127.0.0.1", 0)) for name in BACKENDS}
    for name, listener in listeners.items():
        port = listener.getsockname()[1]
        write_ring(f"{etc}/{name}.ring.gz", port)
        where = {"etc": etc, "disks": f"{base}/disks", "recon": f"{base}/recon"}
        write(f"{etc}/{name}.conf", BACKEND_CONF.format(port=port, name=name, **where))
    for name, listener in listeners.items():
        serve(name, f"{etc}/{name}.conf", listener)

    front = eventlet.listen((a.bind, a.port))
    port = front.getsockname()[1]
    if a.tls:
        front = eventlet.wrap_ssl(front, certfile=a.tls[0], keyfile=a.tls[1], server_side=True)
    write(f"{etc}/proxy.conf", PROXY_CONF.format(port=port, etc=etc))
    proxy = serve("proxy", f"{etc}/proxy.conf", front)
    for name in a.bucket:
        make_bucket(proxy, name)
    print(f"up {port}", flush=True)
    while True:
        eventlet.sleep(3600)


if __name__ == "__main__":
    main()
