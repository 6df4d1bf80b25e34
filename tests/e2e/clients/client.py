# SPDX-License-Identifier: Apache-2.0
"""client.py MODE ENDPOINT FILE METADATA_JSON: upload FILE with tuspy; prints the URL."""

import json
import sys

from tusclient import client


def main():
    mode, endpoint, path, metadata = sys.argv[1:]
    c = client.TusClient(endpoint)
    checksum = mode == "checksum"
    up = c.uploader(
        path, chunk_size=100_000, metadata=json.loads(metadata), upload_checksum=checksum
    )
    if mode == "resume":
        up.upload_chunk()
        up.upload_chunk()
        # Another uploader, as after a restart, goes on from the URL.
        up = c.uploader(path, url=up.url, chunk_size=100_000)
        assert up.offset == 200_000, up.offset
    up.upload()
    print(up.url)


if __name__ == "__main__":
    main()
