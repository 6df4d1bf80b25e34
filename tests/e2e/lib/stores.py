# SPDX-License-Identifier: Apache-2.0
"""Where a stack keeps its uploads and where it delivers to: a folder, an S3 bucket, an Azure
container. The tests look behind the programs through these."""

import contextlib
import json
import os

from . import services
from .azure import Container
from .s3 import REGION, Failed


def files_below(base):
    """{path below the base: content}; unfinished temporary names are not skipped."""
    found = {}
    for at, _, names in os.walk(base):
        for name in names:
            full = os.path.join(at, name)
            # A temporary name may become the final one between the look and the reading.
            with contextlib.suppress(FileNotFoundError), open(full, "rb") as f:
                found[os.path.relpath(full, base)] = f.read()
    return found


class FileStorage:
    kind = "file"
    settings = {}
    secrets = ()

    def __init__(self, data):
        self.base = f"{data}/tus-prefix"

    def stored(self, upload):
        for at, _, names in os.walk(self.base):
            for name in names:
                if name == upload:
                    with open(os.path.join(at, name), "rb") as f:
                        return f.read()
        return b""

    def left(self, upload):
        """Whatever is there of an upload."""
        return [n for _, _, names in os.walk(self.base) for n in names if upload in n]


class ObjectStorage:
    """An upload that is not finished cannot be read in an object store, only its beginning known."""

    def __init__(self, store, settings):
        self.store = store
        self.settings = settings
        self.kind = "azure" if isinstance(store, Container) else "s3"
        self.secrets = (store.key if self.kind == "azure" else store.secret,)

    def stored(self, upload):
        try:
            return self.store.get(f"tus-prefix/{upload[:2]}/{upload}")
        except Failed as e:
            if e.status != 404:
                raise
            return b""

    def left(self, upload):
        return [k for k in [*self.store.list(), *self.store.unfinished()] if upload in k]


def s3_storage(addr=None, bucket=None):
    """A new bucket; ${addr}: where the programs reach the service, if elsewhere."""
    bucket = bucket or services.s3().bucket()
    return ObjectStorage(bucket, services.s3_settings(services.s3(), bucket, addr))


def azure_storage(addr=None, container=None):
    container = container or services.azure().container()
    return ObjectStorage(container, services.azure_settings(services.azure(), container, addr))


def storage(kind, data):
    if kind == "file":
        return FileStorage(data)
    return {"s3": s3_storage, "azure": azure_storage}[kind]()


class FileTarget:
    env = {}
    secrets = ()

    def __init__(self, path):
        self.path = path

    def options(self):
        return {"type": "file", "path": self.path}

    def delivered(self):
        return files_below(self.path)


class S3Target:
    def __init__(self, addr=None, bucket=None):
        self.store = bucket or services.s3().bucket()
        self.addr = addr or services.s3().addr
        self.env = {"TARGET_S3_SECRET": self.store.secret}
        self.secrets = (self.store.secret,)

    def options(self):
        return {
            "type": "s3",
            "endpoint": f"http://{self.addr[0]}:{self.addr[1]}",
            "bucket_name": self.store.name,
            "access_key_id": self.store.access,
            "secret_access_key": "$TARGET_S3_SECRET",
            "region": REGION,
        }

    def delivered(self):
        return {key: self.store.get(key) for key in self.store.list()}


class AzureTarget:
    def __init__(self, addr=None, container=None):
        self.store = container or services.azure().container()
        self.addr = addr or services.azure().addr
        self.env = {"TARGET_AZURE_KEY": self.store.key}
        self.secrets = (self.store.key,)

    def options(self):
        return {
            "type": "az-blob",
            "endpoint": f"http://{self.addr[0]}:{self.addr[1]}/{self.store.account}",
            "container_name": self.store.name,
            "storage_account": self.store.account,
            "storage_key": "$TARGET_AZURE_KEY",
        }

    def delivered(self):
        return {key: self.store.get(key) for key in self.store.list()}


def target(kind, path):
    """A target of its own; ${path} where it is a folder."""
    if kind == "file":
        return FileTarget(path)
    return {"s3": S3Target, "az-blob": AzureTarget}[kind]()


def yaml_line(name, to):
    """The target's line in a delivery file. JSON strings are YAML strings, too."""
    options = ", ".join(f"{k}: {json.dumps(v)}" for k, v in {"name": name, **to.options()}.items())
    return f"  {name}: {{{options}}}"
