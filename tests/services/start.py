#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The services of the contract tests: start.py FILE.

Starts an S3 service and Azurite, makes a bucket and a container, writes two lines to FILE and stays
until SIGTERM, which ends both services. Fails when one of them cannot be started. The lines:

    DEX_TEST_S3=ENDPOINT BUCKET ACCESS-KEY SECRET
    DEX_TEST_AZURE=ENDPOINT ACCOUNT KEY CONTAINER
"""

import os
import signal
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from lib import services  # noqa: E402


def main():
    path = sys.argv[1]
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        s3, azure = services.s3(), services.azure()
        bucket, container = s3.bucket(), azure.container()
        values = {
            "DEX_TEST_S3": (
                f"http://{s3.addr[0]}:{s3.port}", bucket.name, bucket.access, bucket.secret,
            ),
            "DEX_TEST_AZURE": (
                f"http://{azure.addr[0]}:{azure.port}/{container.account}", container.account,
                container.key, container.name,
            ),
        }  # fmt: skip
        with open(f"{path}.new", "w") as f:
            f.writelines(f"{name}={' '.join(parts)}\n" for name, parts in values.items())
        os.rename(f"{path}.new", path)
        while True:
            signal.pause()
    finally:
        services.stop()


if __name__ == "__main__":
    main()
