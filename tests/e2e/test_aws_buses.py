# SPDX-License-Identifier: Apache-2.0
"""Reports and events through SNS and SQS, whose signatures are checked; a bus that fails, keys that
end, subscribers that die."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time

from lib import proc, servers, services
from lib.aws import arn
from lib.check import UNKNOWN_ID
from lib.manifests import manifest
from lib.reports import validate
from lib.s3 import Failed
from lib.tus import payload, upload_id

AWAY = float(os.environ.get("DEX_TEST_BUS_DOWN", "5"))
EVENTS = int(os.environ.get("DEX_TEST_EVENTS", "100"))
KILLS = 5 + EVENTS // 200
ORDER = [
    "metadata-transform", "metadata-verify", "upload-started", "upload-status", "upload-completed",
    "blob-file-copy",
]  # fmt: skip


@contextlib.contextmanager
def guarded():
    g = services.bus()
    try:
        yield g
    finally:
        g.stop()


def unique(name, fifo=False):
    return f"{name}-{random.randrange(1 << 48):x}{'.fifo' if fifo else ''}"


def types(messages):
    return [m["MessageAttributes"]["message_type"]["StringValue"] for m in messages]


def of_upload(messages, uid):
    return [m for m in messages if m["MessageAttributes"]["upload_id"]["StringValue"] == uid]


def check_order(messages):
    """A report that replaces its predecessor may come at any time after the start."""
    got = [t for t in types(messages) if t != "upload-status"]
    wanted = [t for t in ORDER if t in got]
    assert got == wanted, types(messages)
    offsets = [
        json.loads(m["Body"])["content"]["offset"]
        for m in messages
        if m["MessageAttributes"]["message_type"]["StringValue"] == "upload-status"
    ]
    assert offsets == sorted(offsets), offsets


def has_all_reports(uids):
    return lambda got: all(set(ORDER) <= set(types(of_upload(got, uid))) for uid in uids)


# -- reports and events


def test_reports_and_events_arrive_in_order(start):
    with guarded() as g:
        reports, events = unique("reports", True), unique("events", True)
        bus = g.client()
        from_reports = bus.listen(reports, unique("r", True))
        from_events = bus.listen(events, unique("e", True))
        s = start(
            settings={
                **g.settings(),
                "SNS_REPORTER_EVENT_ARN": arn("sns", reports),
                "SNS_PUBLISHER_EVENT_ARN": arn("sns", events),
            }
        )
        uids = [upload_id(s.tus.upload(payload(1000 + n))) for n in range(4)]
        refused = s.tus.create(10, manifest(sender_id=None))
        s.deliver_all()
        s.deliver_all()  # the reports of the deliveries
        got = bus.take_until(from_reports, has_all_reports(uids), "all reports arrive")
        for uid in uids:
            mine = of_upload(got, uid)
            check_order(mine)
            for m, kind in zip(mine, types(mine), strict=True):
                report = validate(json.loads(m["Body"]), kind, manifest())
                disposition = m["MessageAttributes"]["disposition"]["StringValue"]
                assert disposition == report["disposition_type"], m
        failed = of_upload(got, json.loads(refused.body)["upload_id"])
        assert json.loads(failed[-1]["Body"])["stage_info"]["status"] == "FAILURE", failed
        got = bus.take_until(from_events, lambda got: len(got) >= len(uids), "all events arrive")
        assert types(got) == ["FileReady"] * len(uids)
        ready = {e["upload_id"]: e for e in (json.loads(m["Body"]) for m in got)}
        assert set(ready) == set(uids) and all(e["src_url"] for e in ready.values()), ready
        # The folder has the reports as always, the events only where no bus takes them.
        assert s.reports(uids[0], "upload-completed") and s.events(uids[0]) == []
        health = json.loads(s.get("/health").text)
        up = {x["service"]: x["status"] for x in health["services"]}
        assert up["publisher reports-sns"] == up["publisher events-sns"] == "UP", health
        assert "publisher events" not in up, health
        assert g.key[1] not in s.logs(), "the secret key is logged"


def test_topics_are_made_when_missing(start):
    with guarded() as g:
        plain, fifo = unique("reports"), unique("events", True)
        bus = g.client()
        s = start(
            settings={
                **g.settings(),
                "SNS_REPORTER_EVENT_ARN": arn("sns", plain),
                "SNS_PUBLISHER_EVENT_ARN": arn("sns", fifo),
            }
        )
        health = json.loads(s.get("/health").text)
        assert health["status"] == "DEGRADED", health
        s.tus.upload(payload(10))
        s.deliver_all()
        assert bus.topic_exists(plain) and bus.topic_exists(fifo)
        # Those of one upload leave together where no order is promised.
        queue = bus.listen(plain, unique("r"))
        uid = upload_id(s.tus.upload(payload(10)))
        s.deliver_all()
        s.deliver_all()
        got = bus.take_until(queue, has_all_reports([uid]), "all reports arrive")
        assert len(of_upload(got, uid)) == len(got), types(got)
        assert s.logs().count("topic made") == 0, "dex-deliver has made them, not the responder"


def test_keys_that_end(start):
    with guarded() as g:
        topic = unique("reports")
        bus = g.client()
        queue = bus.listen(topic, unique("r"))
        s = start(settings={**g.settings(), "SNS_REPORTER_EVENT_ARN": arn("sns", topic)})
        other = ("AKIATEMPORARY", "temporary-secret", "session/token+")
        g.allow(other, expired=[g.key])
        uid = upload_id(s.tus.upload(payload(10)))
        r = s.deliver()
        assert r.returncode == 0 and "could not be sent, later again" in r.stderr, r
        s.messages_are_due()
        given = {"AWS_ACCESS_KEY_ID": other[0], "AWS_SECRET_ACCESS_KEY": other[1]}
        r = s.deliver(env={**given, "AWS_SESSION_TOKEN": "of-somebody-else"})
        assert "could not be sent" in r.stderr, r
        s.messages_are_due()
        s.deliver(env={**given, "AWS_SESSION_TOKEN": other[2]})
        g.allow(other, g.key)
        s.deliver()  # the report of the delivery
        bus.take_until(queue, has_all_reports([uid]), "all reports arrive")
        text = s.logs() + r.stderr
        for secret in (g.key[1], *other[1:]):
            assert secret not in text, secret


def shell_block(page):
    """The commands that a page of deploy/ shows."""
    with open(f"{servers.ROOT}/deploy/{page}") as f:
        blocks = re.findall(r"^```sh\n(.*?)^```$", f.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"{page} has {len(blocks)} blocks of commands"
    return blocks[0]


def test_the_guide_for_the_processing_status_api(start):
    """What it says is done as it stands: signed by curl, which knows nothing of our signer."""
    with guarded() as g:
        url = f"http://127.0.0.1:{g.port}"
        env = {
            "PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": g.key[0],
            "AWS_SECRET_ACCESS_KEY": g.key[1], "AWS_ENDPOINT_URL_SNS": url,
            "AWS_ENDPOINT_URL_SQS": url,
        }  # fmt: skip
        commands = shell_block("buses.md")
        r = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert r.returncode == 0, r
        topic, queue = "dex-reports.fifo", "processing-status.fifo"
        bus = g.client()
        room = bus.sqs("GetQueueUrl", QueueName=queue)["QueueUrl"]
        [leave] = json.loads(bus.attributes(room)["Policy"])["Statement"]
        assert leave["Condition"]["ArnEquals"]["aws:SourceArn"] == arn("sns", topic), leave
        s = start(settings={**g.settings(), "SNS_REPORTER_EVENT_ARN": arn("sns", topic)})
        uid = upload_id(s.tus.upload(payload(10), manifest()))
        s.deliver_all()
        s.deliver_all()
        got = of_upload(bus.take_until(room, has_all_reports([uid]), "all reports arrive"), uid)
        check_order(got)
        for m, kind in zip(got, types(got), strict=True):
            validate(json.loads(m["Body"]), kind, manifest())


# -- events from a queue


def watching(start, g, **more):
    """(stack whose watcher takes events from a queue that is fed by its own topic, topic, queue)"""
    topic, queue = unique("events"), unique("events")
    s = start(
        watch=True,
        settings={
            **g.settings(),
            "SNS_PUBLISHER_EVENT_ARN": arn("sns", topic),
            "SQS_SUBSCRIBER_TOPIC_ARN": arn("sns", topic),
            "SQS_SUBSCRIBER_EVENT_ARN": arn("sqs", queue),
            "SQS_SUBSCRIBER_MAX_RETRIES": "3",
            **more,
        },
    )
    return s, topic, queue


def rooms(bus, queue):
    """(URL of the queue, URL of the one for its dead letters)"""
    return tuple(
        bus.sqs("GetQueueUrl", QueueName=name)["QueueUrl"] for name in (queue, f"{queue}-dead")
    )


def await_queue(bus, s, queue):
    def there():
        try:
            return rooms(bus, queue)
        except Failed:
            return None

    return proc.until(there, f"the queue is made\n{s.logs(tail=5)}", 20, 0.05)


def send(s, n):
    return [upload_id(s.tus.upload(payload(100), manifest())) for _ in range(n)]


def delivered(s, uids):
    def all_are():
        names = " ".join(s.delivered("edav"))
        return all(uid in names for uid in uids)

    return all_are


def test_events_come_through_a_queue(start):
    with guarded() as g:
        bus = g.client()
        s, topic, queue = watching(start, g)
        url, dead = await_queue(bus, s, queue)
        has, dead_has = bus.attributes(url), bus.attributes(dead)
        redrive = json.loads(has["RedrivePolicy"])
        assert redrive["deadLetterTargetArn"] == dead_has["QueueArn"], has
        assert int(redrive["maxReceiveCount"]) == 3, has
        [leave] = json.loads(has["Policy"])["Statement"]
        assert leave["Principal"] == {"Service": "sns.amazonaws.com"}, leave
        assert leave["Condition"] == {"ArnEquals": {"aws:SourceArn": arn("sns", topic)}}, leave
        proc.until(lambda: subscriptions(bus, topic), "the queue is subscribed", 10)
        uids = send(s, 5)
        proc.until(delivered(s, uids), "all are delivered", 30)
        # Wrapped by SNS, as where the subscription is not raw.
        event = {"type": "FileReady", "upload_id": uids[0], "deliver_target": "edav"}
        wrapped = {"Type": "Notification", "TopicArn": arn("sns", topic)}
        for body in ({**wrapped, "Message": json.dumps(event)}, event):
            bus.sqs("SendMessage", QueueUrl=url, MessageBody=json.dumps(body))
        # What nobody can make anything of goes to the dead letters by the queue's own rules.
        poison = [
            "no event",
            json.dumps({**wrapped, "Message": "nor this"}),
            json.dumps({**event, "deliver_target": "nowhere"}),
            json.dumps({**event, "upload_id": UNKNOWN_ID}),
        ]
        for body in poison:
            bus.sqs("SendMessage", QueueUrl=url, MessageBody=body)
        got = bus.take_until(dead, lambda got: len(got) >= 4, "dead letters arrive", 40)
        assert sorted(m["Body"] for m in got) == sorted(poison), got
        proc.until(lambda: bus.left(url) == 0, "the queue is empty", 20)
        # Whoever comes next finds it all there, and goes on.
        s.watcher.stop()
        s.start_watcher()
        proc.until(delivered(s, send(s, 2)), "more are delivered", 30)
        assert subscriptions(bus, topic) == [arn("sqs", queue)]
        assert s.logs().count('msg="queue made"') == 2, s.logs(tail=20)


def subscriptions(bus, topic):
    """End points of a topic."""
    answer = bus.sns("ListSubscriptionsByTopic", TopicArn=arn("sns", topic))
    return [answer["Endpoint"]] if answer.get("Endpoint") else []


def test_a_queue_that_fails_is_asked_again(start):
    with guarded() as g:
        bus = g.client()
        g.set({"kinds": ["busy", "reset", "lost-answer"]})
        s, _, queue = watching(start, g)
        uid = send(s, 1)
        proc.until(lambda: "events cannot be received" in s.logs(), "a failure is told", 60, 0.2)
        g.set({"kinds": ["busy", "reset", "cut", "lost-answer"], "rate": 0.2})
        await_queue(bus, s, queue)
        uid += send(s, 4)
        proc.until(delivered(s, uid), "all are delivered", 60)
        assert g.seen()["faults"], "nothing has failed"
        g.clear()
        assert s.watcher.running()


def test_subscribers_that_die_lose_nothing(start):
    """Every event is heeded once or more; poison goes to the dead letters, whoever received it."""
    with guarded() as g:
        bus = g.client()
        queue = unique("events")
        dead = bus.queue(f"{queue}-dead")
        url = bus.queue(
            queue,
            VisibilityTimeout="2",
            RedrivePolicy=json.dumps(
                {"deadLetterTargetArn": arn("sqs", f"{queue}-dead"), "maxReceiveCount": 20}
            ),
        )
        s = start(
            settings={
                **g.settings(),
                "SQS_SUBSCRIBER_EVENT_ARN": arn("sqs", queue),
                "DEX_DELIVERY_LEASE": "2s",
            }
        )
        uids = {upload_id(s.tus.upload(payload(10), manifest())) for _ in range(EVENTS)}
        poison = {f"poison {n}" for n in range(EVENTS // 10)}
        events = [
            json.dumps({"type": "FileReady", "upload_id": u, "deliver_target": "edav"})
            for u in uids
        ]
        bodies = [*events, *events[: EVENTS // 5], *poison]  # some come twice
        random.Random(7).shuffle(bodies)
        for at in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": b} for n, b in enumerate(bodies[at : at + 10])]
            bus.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)
        killed = 0
        lot = random.Random(11)
        until = time.monotonic() + 60 + EVENTS / 10
        s.start_watcher()
        while bus.left(url) and time.monotonic() < until:
            # Some lives end before the first event, some in the middle of a delivery.
            time.sleep(lot.uniform(0.1, 2.0) if killed < KILLS else 3)
            if killed < KILLS:
                s.watcher.signal(signal.SIGKILL)
                s.watcher.stop()
                killed += 1
                s.start_watcher()
        assert bus.left(url) == 0, f"{bus.left(url)} of {len(bodies)} are left"
        proc.until(delivered(s, uids), "all are delivered", 30)
        letters = bus.take_until(dead, lambda got: len(got) >= len(poison), "dead letters arrive")
        assert {m["Body"] for m in letters} == poison, "what could be heeded is a dead letter"
        # A life that ended in the middle of a delivery leaves a file with a name of its own.
        names = [n for n in s.delivered("edav") if not os.path.basename(n).startswith(".")]
        assert len(names) == len(uids), f"{len(names)} files of {len(uids)} uploads"


def latencies(s, uids, stop):
    """Upload until ${stop}; seconds that each one took."""
    took = []
    while not stop():
        began = time.monotonic()
        uids.append(upload_id(s.tus.upload(payload(2000), manifest())))
        took.append(time.monotonic() - began)
    return sorted(took)


def test_a_bus_that_is_away_costs_nothing(start):
    with guarded() as g:
        bus = g.client()
        topic = unique("reports", True)
        queue = bus.listen(topic, unique("r", True))
        s = start(
            watch=True,
            settings={**g.settings(), "SNS_REPORTER_EVENT_ARN": arn("sns", topic)},
        )
        uids = []
        end = time.monotonic() + 4
        undisturbed = latencies(s, uids, lambda: time.monotonic() > end or len(uids) >= 40)
        before = len(uids)
        g.set({"kinds": ["reset"]})
        end = time.monotonic() + AWAY
        away = latencies(s, uids, lambda: time.monotonic() > end or len(uids) >= before + 400)
        proc.until(lambda: "message put off" in s.logs(), "the outage is told", 90, 0.2)
        g.clear()
        got = bus.take_until(
            queue, has_all_reports(uids), "all reports of all uploads arrive", 120 + len(uids)
        )
        for uid in uids:
            mine = of_upload(got, uid)
            check_order(mine)
        assert s.watcher.running()
        # What a slow machine does at random has room; an upload that waited for a bus has not.
        middle = len(away) // 2
        assert away[middle] < undisturbed[len(undisturbed) // 2] + 1, (undisturbed, away)
