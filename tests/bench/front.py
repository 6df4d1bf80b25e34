# SPDX-License-Identifier: Apache-2.0
"""An installation as the end-to-end tests use it, whose nginx serves the peers too."""

import os
import sys
import tempfile

import measure

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from lib import http, manifests, proc, servers, services, stores  # noqa: E402
from lib.stack import Stack  # noqa: E402

__all__ = ["Front", "METADATA", "http", "proc", "servers", "services", "stores"]

METADATA = manifests.encode(manifests.manifest())

# The directives of the shipped configuration, buffer sizes above all, hold for the peers as well.
PEERS = """
	upstream peer {{
		server unix:peer.sock;
		keepalive 32;
	}}
	server {{
		listen 127.0.0.1:{dav_port} backlog=4096;
		location / {{
			root dav;
			dav_methods PUT;
		}}
	}}
	server {{
		listen 127.0.0.1:{peer_port} backlog=4096;
		location / {{
			proxy_pass http://peer;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_request_buffering off;
			proxy_buffering off;
		}}
	}}
}}
"""


class Front(Stack):
    def __init__(
        self, durability, storage="file", config=None, state="sqlite", groups=1, beside=None,
        **settings,
    ):  # fmt: skip
        """${beside}: another one, in whose part of the disk files are made as quickly."""
        base = tempfile.gettempdir()
        tempfile.tempdir = (
            os.path.dirname(beside.dir) if beside else measure.quick_directory(base)
        )
        try:
            super().__init__(
                settings={"LOGGER_DEBUG_ON": "false", "DEX_DURABILITY": durability, **settings},
                storage=storage,
                config=config,
                state=state,
                groups=groups,
            )
        finally:
            tempfile.tempdir = base

    def _start(self, watch):
        argv = servers.nginx(self)
        self.dav = f"{self.web}/dav"
        os.mkdir(self.dav)
        user = servers.worker_user()
        if user:
            os.chown(self.dav, user.pw_uid, user.pw_gid)
        self.dav_port = proc.free_port()
        self.peer_port = proc.free_port()
        path = f"{self.web}/nginx.conf"
        with open(path) as f:
            shipped = f.read().rstrip()
        assert shipped.endswith("}"), "nginx.conf.in does not end with its http block"
        extra = PEERS.format(dav_port=self.dav_port, peer_port=self.peer_port)
        servers.write(path, shipped[:-1] + extra)
        self.front = self._daemon(argv, "front.log", self.web)
        self.start_responders()
        self.await_service()

    def start_peer(self):
        """@tus/server behind this nginx."""
        data = f"{self.dir}/peer"
        os.mkdir(data)
        script = f"{servers.ROOT}/build/bench/peer/peer.mjs"
        # Relative, because the path of a socket may not be long.
        node = [servers.program("node"), script, "web/peer.sock", data]
        self.peer = self._daemon(node, "peer.log", self.dir)
        proc.until(lambda: os.path.exists(f"{self.web}/peer.sock"), "the peer is up", 20)

        def up():
            assert self.peer.running(), f"the peer ended:\n{self.logs()}"
            r = http.request(("127.0.0.1", self.peer_port), "OPTIONS", "/files")
            return r.status in (200, 204)

        proc.until(up, "the peer answers", 20)

    def nginx_pids(self):
        return proc.children(self.front.pid)

    def responder(self):
        """The one responder's process id."""
        (pid,) = self.responder_pids()
        return pid
