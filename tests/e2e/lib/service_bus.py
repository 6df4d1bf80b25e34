# SPDX-License-Identifier: Apache-2.0
"""Looks at what came over a bus (the fake one of tests/services/service_bus.py)."""

import collections
import json
import sys

from . import servers
from .reports import validate

sys.path.append(f"{servers.ROOT}/tests/services")

from service_bus import ServiceBus  # noqa: E402, F401

ORDER = ("upload-started", "upload-completed", "blob-file-copy")


def settings(bus, subscribe=False):
    """Reports to the queue "reports", events to the topic "events" with the subscription "sub"."""
    made = {
        "REPORTER_CONNECTION_STRING": bus.connection(),
        "REPORTER_QUEUE": "reports",
        "PUBLISHER_CONNECTION_STRING": bus.connection(entity="events"),
        "PUBLISHER_TOPIC": "events",
    }
    if subscribe:
        made["SUBSCRIBER_CONNECTION_STRING"] = bus.connection()
        made["SUBSCRIBER_TOPIC"] = "events"
        made["SUBSCRIBER_SUBSCRIPTION"] = "sub"
    return made


def by_upload(messages):
    found = collections.defaultdict(list)
    for m in messages:
        found[m.session].append(m)
    return found


def firsts(messages):
    """Without what came again, which must be the same to the byte."""
    seen = {}
    for m in messages:
        assert seen.setdefault(m.id, m).body == m.body, m
    return list(seen.values())


def check_reports(messages, expected):
    """The reports of one upload: each as the schema has it, in the order they were made, and just
    those ${expected}, {action: objects of the local folder}, where every one counts."""
    messages = firsts(messages)
    labels = [m.label for m in messages]
    places = [labels.index(action) for action in ORDER if action in labels]
    assert places == sorted(places), labels
    offsets = []
    got = collections.defaultdict(list)
    for m in messages:
        report = json.loads(m.body)
        validate(report, m.label)
        assert report["upload_id"] == m.session and m.id, m
        replace = m.label == "upload-status"
        assert m.properties["disposition"] == ("replace" if replace else "add"), m
        if replace:
            offsets.append(report["content"]["offset"])
        else:
            got[m.label].append(report)
    assert offsets == sorted(offsets), offsets
    for action, reports in expected.items():
        if action == "upload-status":
            last = json.loads([m for m in messages if m.label == action][-1].body)
            assert last == reports[0], (last, reports)
        else:
            assert got[action] == reports, (action, got[action], reports)
