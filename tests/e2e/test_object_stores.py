# SPDX-License-Identifier: Apache-2.0
"""Uploads in S3 and Azure, deliveries to both: every combination, and services that fail."""

import contextlib
import json
import os
import random
import time
import urllib.parse

from lib import proc, services, stores
from lib.check import expect, expect_error
from lib.manifests import STREAMS, manifest
from lib.tus import payload, upload_id

DELIVERIES = int(os.environ.get("DEX_TEST_DELIVERIES", "60"))
MIB = 1 << 20
SMALL_PARTS = {"DEX_PART_SIZE": "5MiB", "DEX_STORE_TIMEOUT": "20s"}
STREAM_OF = {target: stream for stream, (target, _) in reversed(STREAMS.items())}
STORES = ("s3", "azure")

# The answer that begins a multipart upload must not be lost: nobody could end an upload whose name
# is not known. Nor may an end be lost, or the test could not look for what is left.
BEGINS_OR_ENDS = r"POST [^?]*\?uploads|DELETE "
REFUSES_ONCE = {"kinds": ["busy"], "count": 1}  # whatever the lot says of the rest
HARMLESS = {"kinds": ["busy", "reset"], "match": f"^({BEGINS_OR_ENDS})"}
HARMFUL = {
    "kinds": [
        "busy", "reset", "reset-request", "reset-answer", "cut", "lost-answer", "error-in-200",
    ],
    "match": f"^(?!{BEGINS_OR_ENDS})",
}  # fmt: skip


@contextlib.contextmanager
def proxy(service, seed=1):
    p = services.faults(service, seed)
    try:
        yield p
    finally:
        p.stop()


def store_of(kind):
    """(service, storage or target made for an address of it)"""
    if kind == "s3":
        return services.s3(), stores.s3_storage, stores.S3Target
    return services.azure(), stores.azure_storage, stores.AzureTarget


def send(stack, target, data, name, **more):
    """Upload for ${target}; the path."""
    path = stack.tus.new(len(data), manifest(*STREAM_OF[target], filename=name, **more))
    at = 0
    while at < len(data):
        r = stack.tus.patch(path, at, data[at : at + 7 * MIB])
        assert r.status == 204, r
        at = int(r.get("Upload-Offset"))
    return path


def the_delivery(stack, path):
    found = stack.info(path)["deliveries"] or []
    assert len(found) <= 1, found
    return found[0] if found else None


def check_metadata(target, key, wanted):
    """Everything of the manifest that has a value travels along."""
    if isinstance(target, stores.FileTarget):
        return
    size, meta = target.store.head(key)
    # Swift gives names of objects that came in parts back with "-" for "_".
    meta = {k.replace("-", "_"): urllib.parse.unquote(v) for k, v in meta.items()}
    missing = {k: v for k, v in wanted.items() if v and meta.get(k.lower()) != v}
    assert not missing, f"{key} of {size} bytes lacks {missing}, has {meta}"


# -- deliveries


def deliver_from(start, storage):
    """To a folder, to both kinds of object stores, and to S3 under another address: that cannot be
    copied there by the service itself."""
    with proxy(services.s3()) as elsewhere:
        to = {
            "edav": lambda: stores.S3Target(),
            "ehdi": lambda: stores.AzureTarget(),
            "ncird": lambda: stores.S3Target(addr=elsewhere.addr),
        }
        s = start(
            storage=storage,
            settings=SMALL_PARTS,
            deliver_to=lambda name: to[name]() if name in to else stores.FileTarget(folder(name)),
        )
        sent = {}
        for target in s.delivers_to:
            for n, size in enumerate((0, 1, 5 * MIB, 12 * MIB + 7)):
                data = payload(size)
                path = send(s, target, data, f"{target}-{n} ü.csv", note=" two  spaces, ünï 100% ")
                assert s.stored(path) == data, (target, size)
                sent[path] = (target, data)
        s.deliver_all()
        got = {target: s.delivered(target) for target in s.delivers_to}
        for path, (target, data) in sent.items():
            delivery = the_delivery(s, path)
            assert delivery and delivery["status"] == "SUCCESS", (target, len(data), delivery)
            location = urllib.parse.unquote(delivery["location"])
            found = [k for k in got[target] if location.endswith("/" + k)]
            assert len(found) == 1, (location, found)
            assert got[target][found[0]] == data, (target, len(data))
            check_metadata(s.delivers_to[target], found[0], s.info(path)["manifest"])
        for target, to in s.delivers_to.items():
            assert len(got[target]) == 4, target
            if not isinstance(to, stores.FileTarget):
                unfinished = to.store.unfinished()
            assert unfinished == [], f"{target}: {unfinished}"


def folder(name):
    """A folder that goes with the services."""
    path = f"{services.home()}/folders/{random.randrange(10**12)}/{name}"
    os.makedirs(path, mode=0o777)
    return path


def test_deliveries_from_files(start):
    deliver_from(start, "file")


def test_deliveries_from_s3(start):
    deliver_from(start, "s3")


def test_deliveries_from_azure(start):
    deliver_from(start, "azure")


def sizes(lot, n):
    """Around the least size of a part, and from 1 KiB to 16 MiB, small ones more often."""
    fixed = [1024, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 16 * MIB]
    return (fixed + [int(1024 * 2 ** (14 * lot.random())) for _ in range(n)])[: max(n, 1)]


def deliver_with_failures(start, storage):
    """Whatever the services do, a delivery that is called a success is one."""
    seed = random.randrange(2**32)
    lot = random.Random(seed)
    with contextlib.ExitStack() as ends:
        proxies = {kind: ends.enter_context(proxy(store_of(kind)[0], seed)) for kind in STORES}
        apart = ends.enter_context(proxy(services.s3(), seed + 1))
        to = {
            "edav": lambda: stores.S3Target(addr=proxies["s3"].addr),
            "ehdi": lambda: stores.AzureTarget(addr=proxies["azure"].addr),
            "eicr": lambda: stores.S3Target(addr=apart.addr),
            "ncird": lambda: stores.FileTarget(folder("ncird")),
        }
        s = start(
            storage=(
                store_of(storage)[1](addr=proxies[storage].addr) if storage in STORES else storage
            ),
            settings={**SMALL_PARTS, "EVENT_MAX_RETRY_COUNT": "100", "DEX_RETRY_DELAY": "10ms"},
            deliver_to=lambda name: to[name](),
        )
        sent = {}
        for n, size in enumerate(sizes(lot, DELIVERIES // 3)):
            target = list(to)[n % len(to)]
            data = payload(size)
            sent[send(s, target, data, f"{n}.csv")] = (target, data)
        for p in (*proxies.values(), apart):
            p.set(REFUSES_ONCE, {**HARMLESS, "rate": 0.3}, {**HARMFUL, "rate": 0.3})
        try:
            deliver_until_done(s, sent)
            for p in (*proxies.values(), apart):
                p.clear()
            check_delivered(s, sent)
        except AssertionError as e:
            raise AssertionError(f"seed {seed}: {e}") from e
        told = proxies["s3"].seen()  # the first upload is for edav
        assert told["faults"].get("busy", 0) > 0, told


def deliver_until_done(s, sent):
    left = set(sent)
    end = time.monotonic() + 60 + 5 * len(sent)
    while left:
        assert time.monotonic() < end, f"{len(left)} of {len(sent)} are not delivered"
        s.deliver("--jobs", "4", timeout=300)
        for path in list(left):
            delivery = the_delivery(s, path)
            if delivery and delivery["status"] == "SUCCESS":
                left.remove(path)


def check_delivered(s, sent):
    of_target = {}
    for path, (target, data) in sent.items():
        of_target.setdefault(target, []).append(
            (urllib.parse.unquote(the_delivery(s, path)["location"]), data)
        )
    for target, wanted in of_target.items():
        found = s.delivered(target)
        for location, data in wanted:
            (key,) = [k for k in found if location.endswith("/" + k)]
            assert found[key] == data, f"{location}: {len(found[key])} of {len(data)} bytes"
        assert len(found) == len(wanted), f"{target}: {sorted(found)}"
        to = s.delivers_to[target]
        if not isinstance(to, stores.FileTarget):
            assert to.store.unfinished() == [], target


def test_failing_deliveries_from_files(start):
    deliver_with_failures(start, "file")


def test_failing_deliveries_from_s3(start):
    deliver_with_failures(start, "s3")


def test_failing_deliveries_from_azure(start):
    deliver_with_failures(start, "azure")


def test_a_slow_source(start):
    """A kilobyte a second is slow, but it moves: no time limit of a call ends it."""
    for storage in STORES:
        with proxy(store_of(storage)[0]) as slow:
            settings = {"DEX_STORE_TIMEOUT": "2s"}
            s = start(storage=store_of(storage)[1](addr=slow.addr), settings=settings)
            data = payload(6000)
            path = s.tus.upload(data)
            slow.set({"kinds": ["throttle"], "rate": 1, "bytes_per_s": 1000, "match": "GET"})
            began = time.monotonic()
            s.deliver_all()
            assert time.monotonic() - began > 3, "the source was not slow"
            assert the_delivery(s, path)["status"] == "SUCCESS"
            assert list(s.delivered("edav").values()) == [data]


def refused_delivery(start, make, settings=None):
    """A target that cannot be delivered to; the issue."""
    quick = {"DEX_STORE_TIMEOUT": "3s", "EVENT_MAX_RETRY_COUNT": "0", "DEX_RETRY_DELAY": "10ms"}
    s = start(settings={**quick, **(settings or {})}, deliver_to=lambda _name: make())
    path = s.tus.upload(b"abc")
    r = s.deliver()
    assert r.returncode == 1 and "edav" in r.stdout + r.stderr, r
    delivery = the_delivery(s, path)
    assert delivery["status"] == "FAILURE" and delivery["issues"], delivery
    return s, delivery["issues"][0]["message"]


def test_a_wrong_key_of_a_target(start):
    s3, azure = services.s3(), services.azure()
    wrong = (services.S3_OWNER[0], "certainly-the-wrong-secret")
    bucket = s3.bucket()
    refused_delivery(start, lambda: stores.S3Target(bucket=s3.bucket(bucket.name, wrong)))
    assert bucket.list() == {}
    container = azure.container()
    other = azure.container(container.name, key="Y2VydGFpbmx5IHRoZSB3cm9uZyBrZXk=")
    refused_delivery(start, lambda: stores.AzureTarget(container=other))
    assert container.list() == {}


def test_a_target_that_may_only_be_read(start):
    bucket = services.s3().bucket()
    bucket.let_read(services.S3_READER[0])
    reader = services.s3().bucket(bucket.name, services.S3_READER)
    refused_delivery(start, lambda: stores.S3Target(bucket=reader))
    assert bucket.list() == {}


def test_a_missing_bucket_and_a_missing_container(start):
    missing = services.s3().bucket(make=False)
    _, issue = refused_delivery(start, lambda: stores.S3Target(bucket=missing))
    assert missing.name in issue or "NoSuchBucket" in issue, issue
    made = services.azure().container(make=False)
    s = start(deliver_to=lambda _name: stores.AzureTarget(container=made))
    s.tus.upload(b"abc")
    s.deliver_all()
    assert list(made.list().values()) == [3], "a container is made when it is missing"


# -- upload storage


def refused_storage(start, storage):
    """Nothing can be stored: the sender is told to come again."""
    s = start(storage=storage, settings={"DEX_STORE_TIMEOUT": "3s"})
    created = s.tus.create(10)
    if created.status == 201:
        path = s.tus.path(created)
        assert expect_error(s.tus.patch(path, 0, b"0123456789"), 503).get("Retry-After")
        assert s.tus.head(path).get("Upload-Offset") in ("0", None)
    else:
        assert expect_error(created, 503).get("Retry-After")


def test_a_wrong_key_of_storage(start):
    wrong = (services.S3_OWNER[0], "certainly-the-wrong-secret")
    bucket = services.s3().bucket(services.s3().bucket().name, wrong)
    refused_storage(start, stores.s3_storage(bucket=bucket))
    container = services.azure().container()
    key = "Y2VydGFpbmx5IHRoZSB3cm9uZyBrZXk="
    other = services.azure().container(container.name, key=key)
    refused_storage(start, stores.azure_storage(container=other))


def test_a_missing_bucket_of_storage(start):
    refused_storage(start, stores.s3_storage(bucket=services.s3().bucket(make=False)))


def test_a_clock_that_is_wrong(start):
    """S3 refuses what is signed by another clock and tells its own: requests are signed by that."""
    with proxy(services.s3()) as p:
        s = start(storage=stores.s3_storage(addr=p.addr))
        path = s.tus.new(100000)
        p.set({"kinds": ["skewed"]})
        data = payload(100000)
        expect(s.tus.patch(path, 0, data), 204)
        told = p.seen()["faults"]["skewed"]
        assert s.stored(path) == data
        expect(s.tus.patch(s.tus.new(5), 0, b"abcde"), 204)
        assert told and p.seen()["faults"]["skewed"] == told, "the difference is kept in mind"


def away_and_back(start, kind, go_away, come_back):
    """A PATCH fails within its time, and later the upload goes on where it was."""
    service, storage, _ = store_of(kind)
    with proxy(service) as p:
        settings = {"DEX_STORE_TIMEOUT": "3s", "DEX_PART_SIZE": "5MiB"}
        s = start(storage=storage(addr=p.addr), settings=settings)
        data = payload(14 * MIB)
        path = s.tus.new(len(data))
        expect(s.tus.patch(path, 0, data[: 6 * MIB]), 204, Upload_Offset=6 * MIB)
        go_away(p)
        with proc.within(20, "a refusal"):
            r = s.tus.patch(path, 6 * MIB, data[6 * MIB :])
        assert expect_error(r, 503).get("Retry-After"), r
        r = s.tus.head(path)
        assert r.status == 503 or int(r.get("Upload-Offset")) >= 6 * MIB, r
        come_back(p)
        offset = s.tus.offset(path)
        assert 6 * MIB <= offset <= len(data), offset
        s.tus.finish(path, data)
        assert s.stored(path) == data
        assert s.info(path)["upload_status"]["status"] == "Complete"


def test_storage_away_and_back(start):
    for kind in STORES:
        away_and_back(start, kind, lambda p: p.stop(), lambda p: p.start())


def test_storage_busy_and_back(start):
    for kind in STORES:
        away_and_back(start, kind, lambda p: p.set({"kinds": ["busy"]}), lambda p: p.clear())


def test_storage_that_does_not_answer_and_does_again(start):
    stuck = {"kinds": ["delay"], "delay_ms": 60000}
    for kind in STORES:
        away_and_back(start, kind, lambda p: p.set(stuck), lambda p: p.clear())


def test_uploads_to_failing_storage(start):
    """A client that does what it is told gets every file through, unharmed."""
    seed = random.randrange(2**32)
    lot = random.Random(seed)
    for kind in STORES:
        service, storage, _ = store_of(kind)
        with proxy(service, seed) as p:
            s = start(storage=storage(addr=p.addr), settings=SMALL_PARTS)
            p.set({**HARMLESS, "rate": 0.2}, {**HARMFUL, "rate": 0.2})
            for size in sizes(lot, 8):
                data = payload(size)
                path = s.tus.new(size)
                end = time.monotonic() + 180
                offset = 0
                while offset < size:
                    assert time.monotonic() < end, f"seed {seed}: {kind}: {offset} of {size}"
                    piece = data[offset : offset + lot.randrange(1, size + 1)]
                    r = expect(s.tus.patch(path, offset, piece), (204, 409, 423, 503))
                    assert r.status == 204 or r.status != 503 or r.get("Retry-After"), r
                    r = expect(s.tus.head(path), (200, 503))
                    now = int(r.get("Upload-Offset") or offset)
                    assert now >= offset, f"seed {seed}: {kind}: from {offset} back to {now}"
                    offset = now
                assert s.stored(path) == data, f"seed {seed}: {kind}: {size} bytes differ"
            p.clear()


def test_silence_after_several_parts(start):
    """What has come before the sender fell silent is safe, parts that went out and the rest."""
    for kind in STORES:
        s = start(storage=kind, settings=SMALL_PARTS)
        data = payload(13 * MIB + 5)
        path = s.tus.new(len(data) + 1)
        with s.tus.start_patch(path, 0, len(data) + 1) as c:
            c.send(data)
            proc.until(lambda s=s: s.holds(path, data), "what was sent is stored", 10)  # noqa: B023
            s.kill_responders()
        s.await_service()
        proc.until(lambda s=s: s.tus.head(path).status == 200, "HEAD answers", 5)  # noqa: B023
        assert s.tus.offset(path) == len(data)
        expect(s.tus.patch(path, len(data), b"!"), 204)
        assert s.stored(path) == data + b"!"


# -- manifest configurations


def put_configurations(store, prefix):
    base = f"{services.ROOT}/upload-configs"
    for key, data in stores.files_below(base).items():
        store.put(prefix + key, data)


def check_configurations(s, store, prefix):
    """They are in force, and a change of them soon is."""
    expect(s.tus.create(5), 201)
    r = expect(s.tus.create(5, manifest(sender_id=None)), 400)
    assert json.loads(r.body)["validation_errors"][-1] == "field sender_id was missing", r
    r = expect(s.tus.create(5, {**manifest(), "data_stream_id": "nothing"}), 400)
    assert "nothing_testevent1.json" in r.text, r
    field = {"field_name": "colour", "required": True, "description": "x"}
    text = {"metadata_config": {"version": "2.0", "fields": [field]}, "copy_config": {}}
    changed = json.dumps(text).encode()
    store.put(f"{prefix}v2/dextesting_testevent1.json", changed)
    proc.until(lambda: s.tus.create(5).status == 400, "the change is noticed", 15, 0.2)
    expect(s.tus.create(5, {**manifest(), "colour": "red"}), 201)


def test_configurations_from_an_s3_folder(start):
    storage = stores.s3_storage()
    put_configurations(storage.store, "some/configs/")
    settings = {
        "UPLOAD_CONFIG_PATH": None,
        "DEX_S3_MANIFEST_CONFIG_FOLDER_NAME": "some/configs",
    }
    s = start(storage=storage, settings=settings)
    check_configurations(s, storage.store, "some/configs/")


def test_configurations_from_another_bucket(start):
    bucket = services.s3().bucket()
    put_configurations(bucket, "")
    settings = {"UPLOAD_CONFIG_PATH": None, "DEX_MANIFEST_CONFIG_BUCKET_NAME": bucket.name}
    check_configurations(start(storage="s3", settings=settings), bucket, "")


def test_configurations_from_an_azure_container(start):
    container = services.azure().container()
    put_configurations(container, "")
    settings = {"UPLOAD_CONFIG_PATH": None, "DEX_MANIFEST_CONFIG_CONTAINER_NAME": container.name}
    check_configurations(start(storage="azure", settings=settings), container, "")


# -- health


def health(s):
    """{name of a service: its status}; the answer must not take long."""
    with proc.within(8, "/health, which waits 2 s for the services"):
        r = expect(s.get("/health"), 200)
    return {x["service"]: x["status"] for x in json.loads(r.body)["services"]}


def test_health_shows_each_store(start):
    with proxy(services.s3()) as storage, proxy(services.azure()) as azure:
        s = start(
            storage=stores.s3_storage(addr=storage.addr),
            deliver_to=lambda name: (
                stores.AzureTarget(addr=azure.addr) if name == "ehdi" else stores.S3Target()
            ),
        )

        def down():
            return sorted(name for name, status in health(s).items() if status != "UP")

        assert down() == [], health(s)
        azure.stop()
        proc.until(lambda: down() == ["target ehdi"], "Azure is down", 15, 0.2)
        storage.set({"kinds": ["delay"], "delay_ms": 60000})
        both = ["storage (s3)", "target ehdi"]
        proc.until(lambda: down() == both, "S3 does not answer", 15, 0.2)
        storage.clear()
        azure.start()
        proc.until(lambda: down() == [], "all are up again", 30, 0.2)


def test_an_upload_keeps_nothing_in_the_store_once_it_is_deleted(start):
    for kind in STORES:
        s = start(storage=kind, settings=SMALL_PARTS)
        data = payload(11 * MIB)
        unfinished = s.tus.new(len(data) + 1)
        expect(s.tus.patch(unfinished, 0, data), 204)
        assert s.left(unfinished) != [], "the bytes are somewhere"
        expect(s.tus.delete(unfinished), 204)
        assert s.left(unfinished) == [], upload_id(unfinished)
        finished = s.tus.upload(data)
        s.deliver_all()
        expect(s.tus.delete(finished), 204)
        assert s.left(finished) == [], upload_id(finished)
