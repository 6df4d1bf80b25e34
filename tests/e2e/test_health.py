# SPDX-License-Identifier: Apache-2.0
"""The Processing Status API on the page that tells how the services are, from inside the sandbox."""

import json
import time

from lib import proc
from lib.answering import Answering

SERVICE = "Processing Status API"


def status_of(s):
    """(status of the page, of the service, its issue)"""
    page = json.loads(s.get("/health").text)
    found = [x for x in page["services"] if x["service"] == SERVICE]
    assert len(found) <= 1, page
    return (page["status"], *([found[0]["status"], found[0]["health_issue"]] if found else []))


def test_it_is_shown_only_where_it_is_set(start):
    assert status_of(start()) == ("UP",)


def test_its_answers(start):
    asked = []
    now = {"answer": (200, '{"status":"UP"}')}

    def answer(headers, path, body):
        asked.append(path)
        return now["answer"]

    with Answering(answer) as a:
        s = start(
            settings={"PROCESSING_STATUS_HEALTH_URI": f"{a.url}/health?x=1", "DEX_SANDBOX": "on"}
        )

        def becomes(page, service):
            proc.until(lambda: status_of(s)[:2] == (page, service), f"{now} is {service}", 20, 0.1)

        becomes("UP", "UP")
        for _ in range(20):
            status_of(s)
        assert len(asked) < 5 and set(asked) == {"/health?x=1"}, "the answer is kept a while"
        now["answer"] = (200, '{"status":"DOWN"}')
        becomes("DEGRADED", "DOWN")
        now["answer"] = (200, "ok")
        becomes("UP", "UP")
        now["answer"] = (503, '{"status":"UP"}')
        becomes("DEGRADED", "DOWN")
        # Who answers there says nothing about where we should ask instead.
        now["answer"] = (302, "", {"Location": f"{a.url}/elsewhere"})
        asked.clear()
        proc.until(lambda: status_of(s) and asked, "it is asked again", 20, 0.1)
        assert status_of(s)[1] == "DOWN" and "/elsewhere" not in asked, asked
    proc.until(lambda: status_of(s)[1] == "DOWN", "it is gone", 20, 0.1)


def test_one_that_hangs_holds_nobody_up(start):
    with Answering(lambda *_: time.sleep(8) or (200, "{}")) as a:
        s = start(settings={"PROCESSING_STATUS_HEALTH_URI": a.url})
        began = time.monotonic()
        assert status_of(s)[1] == "DOWN"
        assert time.monotonic() - began < 6, "the page waits for it"
