# SPDX-License-Identifier: Apache-2.0
"""Nothing secret is told, and nothing that a sender writes passes for a line of ours."""

import json
import os
import re

from lib import fcgi, proc, servers
from lib.check import UNKNOWN_ID, expect
from lib.manifests import encode, manifest
from lib.oidc import auth
from lib.runner import Skip
from lib.tus import OCT, payload, upload_id
from test_auth import issuer, sign_in


def secret_settings():
    """Names of the rows of the settings table that are secret."""
    with open(f"{servers.ROOT}/core/config_table.c") as f:
        rows = re.split(r'\.name = (?=")', f.read())[1:]
    found = [r.split('"')[1] for r in rows if "CONFIG_SECRET" in r]
    assert "OAUTH_INTROSPECTION_CLIENT_SECRET" in found and len(found) >= 10, found
    return found


def told(s, secrets):
    """Places where one of them stands."""
    for base in (f"{s.dir}/log", f"{s.web}/log", s.data, s.targets):
        for at, _, names in os.walk(base):
            for name in names:
                with open(os.path.join(at, name), "rb") as f:
                    text = f.read()
                for secret in secrets:
                    if secret.encode() in text:
                        yield f"{secret} in {os.path.join(at, name)}"


class Away:
    """A target that nobody serves."""

    env = {}
    secrets = ()

    def __init__(self, **options):
        self._options = options

    def options(self):
        return self._options

    def delivered(self):
        return {}


def away(values):
    """One with a key of its own in its options, one by the variables, one in Azure."""
    nowhere = "http://127.0.0.1:9"
    s3 = {"type": "s3", "endpoint": nowhere, "bucket_name": "b", "region": "r"}
    kinds = {
        "ehdi": Away(**s3),
        "eicr": Away(
            type="az-blob", endpoint=f"{nowhere}/acc", storage_account="acc",
            storage_key=values["azure"], container_name="c",
        ),
    }  # fmt: skip
    own = Away(**s3, access_key_id="id", secret_access_key=values["own"])
    return lambda name: kinds.get(name, own)


def test_secrets_are_told_nowhere(start):
    i = issuer()
    values = {"own": "own-secret-4711", "azure": "YXp1cmUtc2VjcmV0LTQ3MTEtYXp1cmUtc2VjcmV0"}
    settings = {name: f"secret-4711-{name.lower():-<24}" for name in secret_settings()}
    settings["AZURE_STORAGE_KEY"] = "c2VjcmV0LTQ3MTEtYXp1cmUta2V5LXNlY3JldC00NzEx"
    settings["OAUTH_INTROSPECTION_CLIENT_SECRET"] = "dex-secret"  # the issuer knows it
    settings["OAUTH_CLIENT_ID"] = "page"
    for name in ("REPORTER", "PUBLISHER", "SUBSCRIBER"):
        settings[f"{name}_CONNECTION_STRING"] = (
            "Endpoint=sb://127.0.0.1:9;UseDevelopmentEmulator=true;SharedAccessKeyName=k;"
            f"SharedAccessKey=secret-4711-{name.lower()};EntityPath=bus"
        )
    settings["SUBSCRIBER_TOPIC"], settings["SUBSCRIBER_SUBSCRIPTION"] = "bus", "one"
    settings["AWS_ACCESS_KEY_ID"] = "AKIAPUBLIC"
    settings.pop("DEX_HTTP_PROXY")
    settings.pop("REDIS_CONNECTION_STRING")  # would be where the state lives; see test_redis
    s = start(
        settings=i.settings(**settings, DEX_RETRY_DELAY="1ms", DEX_STORE_TIMEOUT="1s",
            EVENT_MAX_RETRY_COUNT="1"),
        deliver_to=away(values),
    )  # fmt: skip
    opaque, jwt = i.token("alice"), i.token("alice", "RS256")
    bad = i.sign(i.claims(), header={"kid": "unknown"})
    secrets = {*settings.values(), *values.values(), opaque, jwt, bad, jwt.split(".")[2]}
    secrets -= {"AKIAPUBLIC", "bus", "one", "page"}

    answers = []
    for token in (opaque, jwt):
        alice = sign_in(s, token)
        path = alice.upload(payload(100), manifest())
        alice.upload(payload(100), manifest("ehdi", "csv"))
        alice.upload(payload(100), manifest("eicr", "fhir"))
        answers.append(s.get(f"/info/{upload_id(path)}", auth(token)).text)
    expect(s.tus.head(path, auth(bad)), 401)
    expect(s.tus.head(path, auth("nobody-knows-4711")), 401)
    for _ in range(3):
        r = s.deliver()
        answers += [r.stdout, r.stderr]
    answers += [s.get(p, auth(jwt)).text for p in ("/health", "/metrics", "/version", "/")]
    answers += [s.get("/health").text, s.get("/files/?access_token=" + opaque).text]
    for args in (("--check-config",), ("--help-config",), ("--version",)):
        r = s.check(*args)
        answers += [r.stdout, r.stderr]
    for pid in s.responder_pids():
        for name in ("cmdline", "comm"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                answers.append(f.read().decode("utf-8", "replace"))
    everything = "\n".join(answers)
    assert "secret-4711" not in everything
    for secret in secrets:
        assert secret not in everything, secret
    os.unlink(s.delivery_file)
    assert not list(told(s, secrets)), list(told(s, secrets))
    assert "level=debug" in s.logs() and "edav" in s.logs()


def test_each_secret_is_masked_by_check_config(start):
    s = start()
    for name in secret_settings():
        for value in ("secret-4711", "secret-4711\x01\u2028 x", "http://u:secret-4711@h:99999/%zz"):
            r = s.check("--check-config", **{name: value})
            assert "secret-4711" not in r.stdout + r.stderr, (name, value, r)
        servers.write(f"{s.dir}/app.env", f"{name}=secret-4711 \"x\n{name}='secret-4711\n")
        r = s.check("--check-config", "--appconf", f"{s.dir}/app.env")
        assert "secret-4711" not in r.stdout + r.stderr, (name, r)


def in_memory(pid, text):
    """Whether what the process may write to holds it: heap, free blocks, stacks, variables."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split("-"))
            # Larger is only what a sanitizer sets aside for itself.
            if not rights.startswith("rw") or end - begin > 1 << 30:
                continue
            mem.seek(begin)
            try:
                if text in mem.read(end - begin):
                    return True
            except OSError:
                continue
    return False


def test_the_token_of_a_request_is_wiped(start):
    """It stands in the responder's memory while the request runs, and not afterwards."""
    if os.geteuid() != 0:
        raise Skip("another process' memory is read by root alone")
    i = issuer()
    # Looking a library's function up saves registers on the stack: done before the first request.
    s = start(settings=i.settings(LD_BIND_NOW="1"))
    for token in (i.token("alice", "ES256"), i.token("alice")):
        # The end: a JWT's signature. Libraries may keep what is public, such as its claims.
        last = token[-24:].encode()

        def there(last=last):
            return any(in_memory(pid, last) for pid in s.responder_pids())

        assert not there()
        path = s.tus.path(expect(s.tus.create(10, headers=auth(token)), 201))
        with s.tus.start_patch(path, 0, 10, auth(token)) as c:
            c.send(b"12345")
            proc.until(lambda path=path: s.size(path) == 5, "bytes arrive", 10)
            assert there(), "the search would find it"
            c.send(b"67890")
            expect(c.response("PATCH"), 204)
        expect(s.tus.head(path, auth(token)), 200, Upload_Offset=10)
        proc.until(lambda: not there(), "the token is gone", 10)


def test_a_proxy_s_password_is_not_told(start):
    i = issuer()
    s = start(settings=i.settings(DEX_HTTP_PROXY="http://user:secret-4711@127.0.0.1:9"))
    for token in (i.token("alice"), i.token("alice", "RS256")):
        r = s.tus.head(f"/files/{UNKNOWN_ID}", auth(token))
        assert r.status in (404, 503), r  # loopback may be asked directly
    assert "secret-4711" not in s.get("/health", auth(i.token("alice", "RS256"))).text
    assert not list(told(s, ["secret-4711"])), list(told(s, ["secret-4711"]))


# -- lines


EVIL = [
    b"x\nlevel=error msg=forged",
    b"x\r\nX-Forged: 1\r\n\r\nlevel=error msg=forged",
    b"x\rlevel=error msg=forged",
    b'x" level=error msg="forged',
    b'x\\" level=error msg=forged x="',
    b"level=error msg=forged",
    b'{"level":"error","msg":"forged"}',
    b'x","msg":"forged","y":"',
    b"\x1b[31mforged\x1b[0m\x07\x08\x08",
    b"\xe2\x80\xa8level=error msg=forged",
    b"\xc2\x85level=error msg=forged",
    b"\xff\xfe\xc0\x8alevel=error msg=forged",
    b"\x0b\x0c\x7f\x9b1m",
    b"%0alevel=error%20msg=forged",
    b"%s%n%x" * 20,
    b"=" * 50,
    b"a" * 7000,
]
HEADERS = [
    "X_REQUEST_ID", "X_HTTP_METHOD_OVERRIDE", "HOST", "ORIGIN", "FORWARDED", "X_FORWARDED_FOR",
    "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_FORWARDED_PORT", "AUTHORIZATION", "UPLOAD_LENGTH",
    "UPLOAD_OFFSET", "UPLOAD_METADATA", "UPLOAD_CONCAT", "UPLOAD_CHECKSUM", "UPLOAD_DEFER_LENGTH",
    "TUS_RESUMABLE", "ACCESS_CONTROL_REQUEST_METHOD", "ACCESS_CONTROL_REQUEST_HEADERS", "COOKIE",
    "USER_AGENT", "REFERER", "PROXY", "TRACEPARENT", "TRANSFER_ENCODING",
]  # fmt: skip
VARIABLES = [
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "REQUEST_URI", "QUERY_STRING", "CONTENT_TYPE",
    "CONTENT_LENGTH", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT",
    "REQUEST_SCHEME", "HTTPS", "SERVER_SOFTWARE", "REMOTE_USER",
]  # fmt: skip
LOGFMT = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=\\]*)(?: |$)')


def base(**more):
    params = {
        "REQUEST_METHOD": b"POST", "SCRIPT_NAME": b"/files", "CONTENT_LENGTH": b"0",
        "HTTP_TUS_RESUMABLE": b"1.0.0", "HTTP_UPLOAD_LENGTH": b"5", "REMOTE_ADDR": b"127.0.0.1",
        "HTTP_UPLOAD_METADATA": encode(manifest()).encode(), "HTTP_HOST": b"h",
        **more,
    }  # fmt: skip
    return {k.encode(): v for k, v in params.items()}


def requests():
    for evil in EVIL:
        for name in HEADERS:
            yield base(**{f"HTTP_{name}": evil}), b""
        for name in VARIABLES:
            yield base(**{name: evil}), b""
        for path in (b"/files/", b"/info/", b"/route/", b"/"):
            yield base(REQUEST_METHOD=b"GET", SCRIPT_NAME=path + evil), b""
        for key in manifest():
            meta = encode({**manifest(), key: evil}).encode()
            yield base(HTTP_UPLOAD_METADATA=meta), b""
        yield base(HTTP_UPLOAD_METADATA=encode(manifest()).encode() + b"," + evil), b""
        yield base(HTTP_UPLOAD_CONCAT=b"final;/files/" + evil), b""
        body = b'{"target":' + json.dumps(evil.decode("latin-1")).encode() + b"}"
        yield base(
            SCRIPT_NAME=b"/route/" + UNKNOWN_ID.encode(), CONTENT_LENGTH=b"%d" % len(body)
        ), body  # fmt: skip
    yield base(CONTENT_TYPE=OCT.encode(), CONTENT_LENGTH=b"5"), b"12345"


def parse_logfmt(line):
    fields, at = [], 0
    while at < len(line):
        m = LOGFMT.match(line, at)
        assert m, f"not logfmt at {at}: {line[at:at + 80]!r} in {line!r}"
        fields.append((m[1], m[2].strip('"')))
        at = m.end()
    return fields


def own_lines(s, form):
    with open(f"{s.dir}/log/dex-upload.log", "rb") as f:
        text = f.read()
    for line in text.decode("utf-8").split("\n"):
        # What spawn-fcgi and multiwatch say of themselves
        if not line or line.startswith(("spawn-fcgi:", "multiwatch:")) or "[multiwatch" in line:
            continue
        assert line.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line), line
        if form == "json":
            yield json.loads(line, object_pairs_hook=lambda pairs: pairs)
        else:
            yield parse_logfmt(line)


def forge(start, form):
    s = start(settings={"DEX_LOG_FORMAT": form, "DEX_TRUSTED_PROXIES": "127.0.0.1"})
    n = 0
    for params, body in requests():
        n += 1
        try:
            _, answer = fcgi.request(f"{s.web}/dex.sock", params, body)
        except ConnectionError as e:
            raise AssertionError(params) from e
        head = answer.partition(b"\r\n\r\n")[0]
        assert b"\nX-Forged" not in head and b"\nlevel=" not in head, (params, answer)
        assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n", head), head
    expect(s.get("/version", {"X-Request-ID": "the-last-one"}), 200)
    proc.until(lambda: "the-last-one" in s.logs(), "the last request is logged")
    said = 0
    for fields in own_lines(s, form):
        names = [k for k, _ in fields]
        assert len(set(names)) == len(names), f"a field stands twice: {fields}"
        line = dict(fields)
        assert line.get("msg") != "forged" and line["level"] in ("debug", "info", "warn", "error")
        assert {"time", "level", "msg"} <= set(names), fields
        said += line["msg"] == "request"
    assert said >= n, (said, n)


def test_nothing_is_forged_in_logfmt(start):
    forge(start, "logfmt")


def test_nothing_is_forged_in_json(start):
    forge(start, "json")
