# SPDX-License-Identifier: Apache-2.0
"""A fake of Azure Service Bus: what its REST interface promises, in memory, on a free port.

It is no emulator, and knows only what its documentation says of sending, peek-locking, renewing,
unlocking and deleting (https://learn.microsoft.com/rest/api/servicebus/service-bus-runtime-rest).
Signatures are checked, locks run out, a message that was received too often goes to the dead
letters, a queue with duplicate detection keeps a message once. Everything can be told to fail.
"""

import base64
import calendar
import collections
import email.utils
import hashlib
import hmac
import json
import random
import re
import socket
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STANDARD_MAX = 256 * 1000
TOKEN_LIFE_MAX = 3700

Arrived = collections.namedtuple("Arrived", "id session label body properties at")


class Queue:
    """A queue, or a subscription."""

    def __init__(self, lock_s=30.0, max_delivery=10, detect=False):
        self.lock_s, self.max_delivery, self.detect = lock_s, max_delivery, detect
        self.waiting = collections.deque()
        self.locked = {}  # token: (message, until)
        self.dead = []
        self.completed = []
        self.seen = set()
        self.counts = collections.Counter()

    def put(self, message):
        if self.detect and message["id"] in self.seen:
            self.counts["duplicates dropped"] += 1
            return
        self.seen.add(message["id"])
        self.waiting.append({**message, "count": 0})

    def give_back(self, message):
        if message["count"] >= self.max_delivery:
            self.dead.append(message)
        else:
            self.waiting.appendleft(message)

    def look(self, now):
        for token in [t for t, (_, until) in self.locked.items() if until <= now]:
            message, _ = self.locked.pop(token)
            self.counts["locks lost"] += 1
            self.give_back(message)


class ServiceBus:
    """with ServiceBus() as bus: bus.queue("q"); … bus.connection(…) for the settings."""

    def __init__(self, key_name="RootManageSharedAccessKey", key=None):
        self.key_name = key_name
        self.key = key or base64.b64encode(random.randbytes(32)).decode()
        self.queues = {}  # path in lower case
        self.topics = {}  # path: [paths of its subscriptions]
        self.arrived = collections.defaultdict(list)  # what was sent to a queue or topic
        self.requests = collections.Counter()
        self.tokens = set()
        self.rules = []
        self.lock = threading.Condition()
        self.server = self.thread = self.port = None
        self.connections = set()

    # -- set-up

    @property
    def secrets(self):
        return (self.key, urllib.parse.quote(self.key, safe=""))

    def queue(self, path, **options):
        self.queues[path.lower()] = Queue(**options)
        return self.queues[path.lower()]

    def subscription(self, topic, name, **options):
        path = f"{topic}/subscriptions/{name}"
        self.topics.setdefault(topic.lower(), []).append(path.lower())
        return self.queue(path, **options)

    def connection(self, entity=None, key=None):
        text = (
            f"Endpoint=sb://127.0.0.1:{self.port}/;SharedAccessKeyName={self.key_name};"
            f"SharedAccessKey={key or self.key};UseDevelopmentEmulator=true"
        )
        return text + (f";EntityPath={entity}" if entity else "")

    def fail(self, kind, match="", rate=1.0, count=None, **more):
        """${kind}: a status, "cut" (the connection ends unheeded), "lost-answer" (heeded, but
        nobody is told) or "slow" (delay seconds first); of requests that ${match} fits."""
        with self.lock:
            self.rules.append(
                {"kind": kind, "match": match, "rate": rate, "count": count, "hits": 0, **more}
            )
            return self.rules[-1]

    def mend(self):
        with self.lock:
            self.rules = []

    # -- running

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        bus = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self):
                bus.connections.add(self.connection)
                try:
                    super().handle_one_request()
                except (ConnectionError, ValueError, OSError):
                    self.close_connection = True

            def answer(self):
                bus.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", self.port or 0), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self):
        """The port is nobody's afterwards; what queues hold stays."""
        if not self.server:
            return
        server, self.server = self.server, None
        server.shutdown()
        self.thread.join()
        server.server_close()
        for c in list(self.connections):
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections.clear()

    # -- one request

    def answer(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(h.path)
        path = urllib.parse.unquote(url.path).strip("/")
        query = dict(urllib.parse.parse_qsl(url.query))
        rule = self.struck(f"{h.command} {h.path}")
        if rule and rule["kind"] == "cut":
            h.close_connection = True
            return
        if rule and rule["kind"] == "slow":
            time.sleep(rule["delay"])
        if rule and isinstance(rule["kind"], int):
            self.reply(h, rule["kind"], rule.get("headers"), b"")
            return
        status, headers, text = self.handle(h, path, query, body)
        if rule and rule["kind"] == "lost-answer":
            h.close_connection = True
            return
        self.reply(h, status, headers, text)

    def struck(self, line):
        with self.lock:
            self.requests[line.split("?")[0].split("/messages/")[0]] += 1
            for rule in self.rules:
                if rule["count"] is not None and rule["hits"] >= rule["count"]:
                    continue
                if re.search(rule["match"], line) and random.random() < rule["rate"]:
                    rule["hits"] += 1
                    return rule
        return None

    def reply(self, h, status, headers, text):
        if status >= 400 and not text:
            text = (
                f"<Error><Code>{status}</Code><Detail>told to fail. TrackingId:x</Detail></Error>"
            )
            text = text.encode()
        h.send_response(status)
        for name, value in (headers or {}).items():
            h.send_header(name, value)
        if status != 204:
            h.send_header("Content-Length", str(len(text)))
        h.end_headers()
        if status != 204:
            h.wfile.write(text)

    @staticmethod
    def error(status, detail):
        text = (
            f"<Error><Code>{status}</Code><Detail>{detail}. TrackingId:{uuid.uuid4()}_G7, "
            f"SystemTracker:ns, Timestamp:{time.time()}</Detail></Error>"
        )
        return status, {"Content-Type": "application/xml"}, text.encode()

    def refused(self, h, path):
        """Why the signature is not good for ${path}, or None."""
        text = h.headers.get("Authorization") or ""
        if not text.startswith("SharedAccessSignature "):
            return "Missing authorization token"
        parts = dict(p.split("=", 1) for p in text.split(" ", 1)[1].split("&"))
        if set(parts) != {"sr", "sig", "se", "skn"}:
            return "Malformed authorization token"
        want = hmac.new(
            self.key.encode(), f"{parts['sr']}\n{parts['se']}".encode(), hashlib.sha256
        ).digest()
        given = urllib.parse.unquote(parts["sig"])
        if urllib.parse.unquote(parts["skn"]) != self.key_name or not hmac.compare_digest(
            base64.b64encode(want).decode(), given
        ):
            return "Invalid authorization token signature"
        left = int(parts["se"]) - time.time()
        if not 0 < left < TOKEN_LIFE_MAX:
            return "Expired token"
        resource = urllib.parse.urlsplit(urllib.parse.unquote(parts["sr"]))
        prefix = urllib.parse.unquote(resource.path).strip("/").lower()
        if resource.netloc != h.headers["Host"] or not (path.lower() + "/").startswith(
            prefix + "/" if prefix else ""
        ):
            return "Token is for another resource"
        self.tokens.add(text)
        return None

    def handle(self, h, path, query, body):
        why = self.refused(h, path)
        if why:
            return self.error(401, f"40103: {why}")
        m = re.fullmatch(r"(.+?)/messages(?:/(head|[^/]+/[^/]+))?", path)
        if not m:
            known = path.lower() in self.queues or path.lower() in self.topics
            if not known or h.command != "GET":
                return self.error(404, "40400: The messaging entity could not be found")
            return self.error(401, "40100: Authorization failed for specified action: EntityRead")
        entity, what = m[1].lower(), m[2]
        with self.lock:
            if what is None and h.command == "POST":
                return self.send(h, entity, body)
            queue = self.queues.get(entity)
            if queue is None:
                return self.error(410, "41001: The queue or subscription does not exist")
            if what == "head":
                return self.receive(h, m[1], queue, float(query.get("timeout", 60)))
            return self.settle(h, queue, what.split("/")[1])

    def send(self, h, entity, body):
        if entity not in self.queues and entity not in self.topics:
            return self.error(410, "41001: The queue or topic does not exist")
        if len(body) > STANDARD_MAX:
            return self.error(403, "40307: The message is too large")
        try:
            messages = self.parse(h, body)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            return self.error(400, f"40000: Bad request {type(e).__name__}")
        for message in messages:
            self.arrived[entity].append(
                Arrived(
                    message["id"], message["session"], message["label"], message["body"],
                    message["properties"], time.monotonic(),
                )
            )  # fmt: skip
            for to in self.topics.get(entity, [entity]):
                self.queues[to].put(message)
        self.lock.notify_all()
        return 201, {}, b""

    def parse(self, h, body):
        if h.headers.get("Content-Type") == "application/vnd.microsoft.servicebus.json":
            rows = json.loads(body)
            if not rows:
                raise ValueError("empty batch")
            return [
                self.message(r["BrokerProperties"], r["Body"].encode(), r.get("UserProperties"))
                for r in rows
            ]
        known = ("host", "authorization", "content-length", "content-type", "brokerproperties")
        properties = {
            k.lower(): json.loads(v)
            for k, v in h.headers.items()
            if k.lower() not in (*known, "traceparent", "tracestate", "accept", "user-agent")
        }
        return [self.message(json.loads(h.headers["BrokerProperties"]), body, properties)]

    def message(self, broker, body, properties):
        session, key = broker["SessionId"], broker.get("PartitionKey")
        if key not in (None, session):
            raise ValueError("PartitionKey is not SessionId")
        if len(broker["MessageId"]) > 128 or len(session) > 128:
            raise ValueError("an id is too long")
        return {
            "id": broker["MessageId"], "session": session, "label": broker.get("Label"),
            "body": body, "properties": properties,
        }  # fmt: skip

    def put(self, path, body, session="none"):
        """A message of somebody else."""
        with self.lock:
            self.queues[path.lower()].put(
                {"id": str(uuid.uuid4()), "session": session, "label": None, "body": body,
                 "properties": {}}
            )  # fmt: skip
            self.lock.notify_all()

    def receive(self, h, path, queue, timeout):
        end = time.monotonic() + min(timeout, 60)
        while True:
            now = time.monotonic()
            queue.look(now)
            if queue.waiting:
                break
            if now >= end or not self.server:
                return 204, {}, b""
            self.lock.wait(min(end - now, 0.1))
        message = queue.waiting.popleft()
        message["count"] += 1
        queue.counts["received"] += 1
        token = str(uuid.uuid4())
        queue.locked[token] = (message, now + queue.lock_s)
        until = email.utils.formatdate(calendar.timegm(time.gmtime()) + queue.lock_s, usegmt=True)
        broker = {
            "DeliveryCount": message["count"], "LockToken": token, "LockedUntilUtc": until,
            "MessageId": message["id"], "SessionId": message["session"], "State": "Active",
        }  # fmt: skip
        location = f"http://{h.headers['Host']}/{path}/messages/{message['id']}/{token}"
        headers = {"BrokerProperties": json.dumps(broker), "Location": location}
        return 201, headers, message["body"]

    def settle(self, h, queue, token):
        now = time.monotonic()
        queue.look(now)
        if token not in queue.locked:
            return self.error(404, "40403: The lock supplied is invalid")
        message, _ = queue.locked[token]
        if h.command == "POST":
            queue.counts["renewed"] += 1
            queue.locked[token] = (message, now + queue.lock_s)
            return 200, {}, b""
        del queue.locked[token]
        if h.command == "PUT":
            queue.counts["unlocked"] += 1
            queue.give_back(message)
        else:
            queue.completed.append(message)
        self.lock.notify_all()
        return 200, {}, b""

    # -- looking inside

    def sent(self, entity):
        with self.lock:
            return list(self.arrived[entity.lower()])

    def left(self, path):
        """Messages that wait or are locked."""
        queue = self.queues[path.lower()]
        with self.lock:
            queue.look(time.monotonic())
            return len(queue.waiting) + len(queue.locked)
