# SPDX-License-Identifier: Apache-2.0
"""Certificates for servers and clients of the tests."""

import os
import subprocess


class Authority:
    """Signs; its own certificate is ${home}/ca.crt."""

    def __init__(self, home):
        self.home = home
        self.cert, self.key = f"{home}/ca.crt", f"{home}/ca.key"
        os.makedirs(home, exist_ok=True)
        self._make("ca", "/CN=tests", [])

    def _make(self, name, subject, more):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", subject,
             "-keyout", f"{self.home}/{name}.key", "-out", f"{self.home}/{name}.crt", *more],
            check=True, capture_output=True,
        )  # fmt: skip

    def issue(self, name, host=None):
        """Paths of a certificate and its key, for ${host} or for a client."""
        more = ["-CA", self.cert, "-CAkey", self.key, "-addext", "basicConstraints=CA:FALSE"]
        if host:
            more += ["-addext", f"subjectAltName=DNS:{host}"]
        self._make(name, f"/CN={host or name}", more)
        return f"{self.home}/{name}.crt", f"{self.home}/{name}.key"
