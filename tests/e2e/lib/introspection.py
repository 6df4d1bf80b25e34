# SPDX-License-Identifier: Apache-2.0
"""An introspection end point (RFC 7662) that calls every token alice's, with all scopes."""

import json

from .answering import Answering
from .oidc import ALL


class Introspection(Answering):
    """with Introspection() as i: …; ${tls}: an SSL context."""

    def __init__(self, tls=None):
        self.seen = []  # headers of the requests
        super().__init__(self._answer, tls)
        self.settings = {
            "OAUTH_AUTH_ENABLED": "true",
            "OAUTH_INTROSPECTION_URL": f"{self.url}/ask",
        }

    def _answer(self, headers, path, body):
        self.seen.append(headers)
        return 200, json.dumps({"active": True, "sub": "alice", "scope": ALL})
