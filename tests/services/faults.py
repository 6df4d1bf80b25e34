#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of an HTTP service that makes requests fail.

    faults.py [--seed N] [--keys FILE] PORT CONTROL-PORT HOST:PORT

Both ports are on the loopback. Requests pass byte by byte as they came, so signatures hold. What
goes wrong is said at run time: PUT /faults on the control port takes a JSON list of rules, GET
/faults tells {"requests": N, "faults": {KIND: N}} since the start. A rule:

    kinds   what may happen, one of them each time by lot:
              busy           503 "slow down" as the service words it; nothing is forwarded
              skewed         403 RequestTimeTooSkewed with a Date ten minutes ahead, unless the
                             request is signed for about that time; nothing is forwarded
              reset          the connection is reset; nothing is forwarded
              reset-request  ... after half of the request's body was forwarded
              reset-answer   ... after half of the answer's body was sent
              cut            half of the answer's body is sent, with a Content-Length that fits
              lost-answer    the request is forwarded, the answer is not: the connection closes
              error-in-200   a completed upload or a copy is answered 200 with an error in the
                             body, as S3 does; nothing is forwarded
              delay          nothing is done for delay_ms (1000) milliseconds
              throttle       both bodies flow at bytes_per_s (100000)
    rate    share of the requests that suffer it (1)
    match   regular expression that is looked for in "METHOD /path?query" (all)
    count   how often at most (no end)

With --keys it guards SNS and SQS, which then refuse what is not signed well: FILE is JSON as
sigv4.fault() takes it, read anew for each request, and a rule's expression is looked for in
"POST / ACTION", such as "POST / Publish" and "POST / AmazonSQS.ReceiveMessage".

The first rule that strikes counts. A kind that the request gives no occasion for does not strike.
"""

import argparse
import asyncio
import calendar
import collections
import email.utils
import json
import os
import random
import re
import socket
import struct
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from lib import sigv4  # noqa: E402

HEAD_MAX = 1 << 17
AHEAD_S = 600  # less than what Swift takes for a wrong clock
PIECE = 1 << 16
KINDS = (
    "busy", "skewed", "reset", "reset-request", "reset-answer", "cut", "lost-answer",
    "error-in-200", "delay", "throttle",
)  # fmt: skip


class Reset(Exception):
    """The client's connection is to be reset."""


class Head:
    """A request's or an answer's first line and headers, with the bytes they came in."""

    def __init__(self, raw):
        self.raw = raw
        self.first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.fields[name.strip().lower()] = value.strip()
        self.chunked = "chunked" in self.fields.get("transfer-encoding", "").lower()
        self.length = int(self.fields.get("content-length", 0))

    def keeps_open(self):
        return self.fields.get("connection", "").lower() != "close"


class Request(Head):
    def __init__(self, raw):
        super().__init__(raw)
        self.method, self.target, _ = self.first.split(" ")
        self.name = f"{self.method} {self.target}"
        self.body = None  # once it was read in whole

    def is_azure(self):
        return "x-ms-version" in self.fields

    def is_ahead(self):
        """Whether it was signed by the clock of a service that is ahead."""
        stamp = self.fields.get("x-amz-date")
        if not stamp:
            return False
        signed = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        return abs(signed - time.time() - AHEAD_S) < AHEAD_S / 2

    def may_err_in_200(self):
        completes = self.method == "POST" and "uploadId=" in self.target
        return completes or (self.method == "PUT" and "x-amz-copy-source" in self.fields)


class Answer(Head):
    def __init__(self, raw):
        super().__init__(raw)
        self.status = int(self.first.split(" ")[1])

    def has_body(self, method):
        return method != "HEAD" and self.status not in (204, 304)

    def with_length(self, length):
        """The head of a body of ${length} bytes instead."""
        framing = ("content-length", "transfer-encoding")
        lines = self.raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        kept = [x for x in lines if x.partition(":")[0].strip().lower() not in framing]
        return "\r\n".join([*kept, f"Content-Length: {length}", "", ""]).encode("latin-1")


async def trickle(writer, data, speed):
    """Pass bytes on, at ${speed} bytes a second where it is not None, in ten pieces a second."""
    step = max(1, speed // 10) if speed else max(1, len(data))
    for at in range(0, len(data), step):
        writer.write(data[at : at + step])
        await writer.drain()
        if speed:
            await asyncio.sleep(step / speed)


class Rule:
    def __init__(self, kinds, rate=1.0, match="", count=None, delay_ms=1000, bytes_per_s=100000):
        unknown = set(kinds) - set(KINDS)
        if unknown or not kinds:
            raise ValueError(f"unknown kinds: {sorted(unknown)}")
        self.kinds, self.rate, self.match, self.count = kinds, rate, re.compile(match), count
        self.delay_ms, self.bytes_per_s = delay_ms, bytes_per_s

    def strikes(self, lot, request):
        """A kind of fault for ${request}, or None."""
        if self.count == 0 or not self.match.search(request.name) or lot.random() >= self.rate:
            return None
        kind = lot.choice(self.kinds)
        has_body = request.chunked or request.length > 0
        if kind == "error-in-200" and not request.may_err_in_200():
            return None
        if kind == "reset-request" and not has_body:
            return None
        if kind == "skewed" and request.is_ahead():
            return None
        if self.count is not None:
            self.count -= 1
        return kind


class Plan:
    """The rules in force and what they have done."""

    def __init__(self, seed, keys):
        self.lot = random.Random(seed)
        self.keys = keys
        self.rules = []
        self.requests = 0
        self.faults = collections.Counter()

    def next(self, request):
        """(kind or None, the rule)"""
        self.requests += 1
        for rule in self.rules:
            kind = rule.strikes(self.lot, request)
            if kind:
                self.faults[kind] += 1
                return kind, rule
        return None, None


async def read_head(reader, kind):
    """None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as e:
        if e.partial:
            raise
        return None
    return kind(raw)


async def pieces(reader, head, until_end=False):
    """The body behind ${head} as (raw bytes, bytes of the content)."""
    if getattr(head, "body", None) is not None:
        yield head.body, head.body
    elif head.chunked:
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            if size == 0:
                end = b""
                while end[-4:] != b"\r\n\r\n" and end != b"\r\n":
                    end += await reader.readuntil(b"\r\n")
                yield line + end, b""
                return
            data = await reader.readexactly(size + 2)
            yield line + data, data[:-2]
    elif until_end and "content-length" not in head.fields:
        while data := await reader.read(PIECE):
            yield data, data
    else:
        left = head.length
        while left:
            data = await reader.read(min(left, PIECE))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(data)
            yield data, data


def refusal(status, code, request, ahead=0):
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>By order of the test.</Message></Error>"
    )
    lines = [
        f"HTTP/1.1 {status}",
        f"Date: {email.utils.formatdate(time.time() + ahead, usegmt=True)}",
        "Content-Type: application/xml",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"x-ms-error-code: {code}"] if request.is_azure() else []),
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return head if request.method == "HEAD" else head + body.encode()


def unsigned(request, keys):
    """The answer to a request that is not signed with one of the keys in the file; None: it is."""
    with open(keys) as f:
        fault = sigv4.fault(
            request.method, request.target, request.fields, request.body, json.load(f)
        )
    if not fault:
        return None
    code, words = fault
    if "x-amz-target" in request.fields:
        status = "400 Bad Request"
        body = json.dumps({"__type": f"com.amazon.coral.service#{code}", "message": words})
    else:
        status = "403 Forbidden"
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{words}</Message></Error></ErrorResponse>"
        )
    return (
        f"HTTP/1.1 {status}\r\nDate: {email.utils.formatdate(usegmt=True)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection:
    """One client, and the connection to the service that is used for it alone."""

    def __init__(self, plan, service, reader, writer):
        self.plan, self.service = plan, service
        self.reader, self.writer = reader, writer
        self.up_reader = self.up_writer = None

    async def run(self):
        try:
            while request := await read_head(self.reader, Request):
                if not await self.serve(request):
                    break
        except Reset:
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
            self.writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # either side went away: so does the other
        finally:
            for writer in (self.writer, self.up_writer):
                if writer:
                    writer.close()

    async def serve(self, request):
        """Answer one request. Whether the connection stays open."""
        if self.plan.keys:
            refusal = await self.look_at(request)
            if refusal:
                self.writer.write(refusal)
                await self.writer.drain()
                return True
        kind, rule = self.plan.next(request)
        if kind == "reset":
            raise Reset
        if kind == "delay":
            await asyncio.sleep(rule.delay_ms / 1000)
        if kind in ("busy", "skewed", "error-in-200"):
            await self.refuse(request, kind)
            return False
        if not self.up_writer:
            self.up_reader, self.up_writer = await asyncio.open_connection(
                *self.service, limit=HEAD_MAX
            )
        speed = rule.bytes_per_s if kind == "throttle" else None
        sending = asyncio.create_task(self.forward(request, kind, speed))
        answering = asyncio.create_task(self.answer(request, kind, speed))
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_EXCEPTION)
            for task in (sending, answering):
                if task.done():
                    task.result()
            return sending.done() and answering.done() and answering.result()
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def look_at(self, request):
        """Take the whole request to SNS or SQS; None, or why it is not well signed."""
        request.body = b"".join([data async for _, data in pieces(self.reader, request)])
        action = request.fields.get("x-amz-target")
        if not action:
            form = urllib.parse.parse_qs(request.body.decode("latin-1"))
            action = form.get("Action", ["?"])[0]
        request.name += f" {action}"
        return unsigned(request, self.plan.keys)

    async def refuse(self, request, kind):
        """Take the body, as services do that answer at the end, and say no."""
        if request.fields.get("expect"):
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for _ in pieces(self.reader, request):
            pass
        if kind == "skewed":
            status, code = "403 Forbidden", "RequestTimeTooSkewed"
        elif kind == "error-in-200":
            status, code = "200 OK", "InternalError"
        else:
            status = "503 Slow Down"
            code = "ServerBusy" if request.is_azure() else "SlowDown"
        ahead = AHEAD_S if kind == "skewed" else 0
        self.writer.write(refusal(status, code, request, ahead))
        await self.writer.drain()

    async def forward(self, request, kind, speed):
        self.up_writer.write(request.raw)
        sent, half = 0, request.length // 2
        async for raw, data in pieces(self.reader, request):
            sent += len(data)
            if kind == "reset-request" and sent > half:
                self.up_writer.write(raw[: len(raw) // 2])
                raise Reset
            await trickle(self.up_writer, raw, speed)
        if kind == "reset-request":
            raise Reset

    async def answer(self, request, kind, speed):
        """Whether both connections can serve another request."""
        while True:
            head = await read_head(self.up_reader, Answer)
            if head is None:
                raise ConnectionError
            if head.status // 100 != 1:
                break
            self.writer.write(head.raw)
        body = head.has_body(request.method)
        if kind in ("cut", "reset-answer", "lost-answer"):
            whole = b""
            if body:
                async for _, data in pieces(self.up_reader, head, until_end=True):
                    whole += data
            if kind == "lost-answer":
                return False
            half = whole[: len(whole) // 2]
            length = len(half) if kind == "cut" else len(whole)
            self.writer.write(head.with_length(length) if body else head.raw)
            self.writer.write(half)
            await self.writer.drain()
            if kind == "reset-answer":
                raise Reset
            return head.keeps_open()
        self.writer.write(head.raw)
        if body:
            async for raw, _ in pieces(self.up_reader, head, until_end=True):
                await trickle(self.writer, raw, speed)
        await self.writer.drain()
        framed = not body or head.chunked or "content-length" in head.fields
        return framed and head.keeps_open() and request.keeps_open()


async def control(plan, reader, writer):
    """One request on the control port."""
    try:
        request = await read_head(reader, Request)
        if request is None:
            return
        body = b""
        async for _, data in pieces(reader, request):
            body += data
        status, answer = "200 OK", {"requests": plan.requests, "faults": dict(plan.faults)}
        if request.name == "PUT /faults":
            try:
                plan.rules = [Rule(**rule) for rule in json.loads(body)]
            except (ValueError, TypeError, re.error) as e:
                status, answer = "400 Bad Request", {"error": str(e)}
        elif request.name != "GET /faults":
            status, answer = "404 Not Found", {"error": request.name}
        text = json.dumps(answer)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
        )
        await writer.drain()
    finally:
        writer.close()


async def run(a):
    plan = Plan(a.seed, a.keys)
    host, _, port = a.service.rpartition(":")

    async def client(reader, writer):
        await Connection(plan, (host, int(port)), reader, writer).run()

    async def controller(reader, writer):
        await control(plan, reader, writer)

    await asyncio.start_server(client, "127.0.0.1", a.port, limit=HEAD_MAX, backlog=1024)
    server = await asyncio.start_server(controller, "127.0.0.1", a.control, limit=HEAD_MAX)
    await server.serve_forever()


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--keys", metavar="FILE")
    p.add_argument("port", metavar="PORT", type=int)
    p.add_argument("control", metavar="CONTROL-PORT", type=int)
    p.add_argument("service", metavar="HOST:PORT")
    asyncio.run(run(p.parse_args()))


if __name__ == "__main__":
    main()
