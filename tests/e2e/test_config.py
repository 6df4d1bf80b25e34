# SPDX-License-Identifier: Apache-2.0
"""Settings: --check-config tells all problems at once, --help-config names every variable."""

import re
import socket

from lib import servers


def test_check_config(stack):
    r = stack.check("--check-config")
    assert r.returncode == 0, r
    lines = dict(
        line.split("=", 1) for line in r.stdout.splitlines() if re.match(r"[A-Z0-9_]+=", line)
    )
    assert lines.get("LOCAL_FOLDER_UPLOADS_TUS", "").strip("\"'") == stack.data, r.stdout


def test_all_problems_at_once(stack):
    r = stack.check(
        "--check-config",
        DEX_THREADS="many",
        DEX_MAX_SIZE="-1",
        ENVIRONMENT="MARS",
        DEX_LOCK_WAIT="5 apples",
        UPLOAD_CONFIG_PATH="/nonexistent",
        DEX_DURABILITY="sometimes",
    )
    assert r.returncode == 2 or r.returncode == 1, r
    text = r.stdout + r.stderr
    for name in (
        "DEX_THREADS", "DEX_MAX_SIZE", "ENVIRONMENT", "DEX_LOCK_WAIT", "UPLOAD_CONFIG_PATH",
        "DEX_DURABILITY",
    ):  # fmt: skip
        assert re.search(rf"^.*{name}: ", text, re.M), f"{name} is not told:\n{text}"
    for value in ("many", "-1", "MARS", "5 apples", "sometimes"):
        assert value in text, f"the value {value} is not told:\n{text}"


def test_the_service_refuses_to_start_with_a_bad_value(stack):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        r = stack.check(stdin=listener, DEX_THREADS="many")
    assert r.returncode == 2 and "DEX_THREADS" in r.stderr, r


def test_secrets_are_masked(stack):
    r = stack.check("--check-config", CSRF_TOKEN="very-secret-value-4711", ENVIRONMENT="TST")
    assert "very-secret-value-4711" not in r.stdout + r.stderr
    assert "CSRF_TOKEN" in r.stdout, r.stdout


def test_production_needs_a_token_of_its_own(stack):
    r = stack.check("--check-config", ENVIRONMENT="PROD")
    assert r.returncode != 0 and "CSRF_TOKEN" in r.stdout + r.stderr, r
    r = stack.check("--check-config", ENVIRONMENT="PROD", CSRF_TOKEN="x" * 40)
    assert r.returncode == 0, r


def test_delivery_file_problems_name_the_line(stack):
    bad = f"{stack.dir}/bad.yml"
    servers.write(
        bad,
        "version: 1.0\ntargets:\n  a: {name: a, type: file, path: ./a}\nrouting_groups:\n"
        "  - data_stream_id: x\n    data_stream_route: y\n    delivery_targets:\n      - name: b\n",
    )
    r = stack.check("--check-config", DEX_DELIVERY_CONFIG_FILE=bad)
    assert r.returncode != 0 and re.search(r"bad\.yml:8", r.stdout + r.stderr), r
    servers.write(
        bad, "version: 1.0\ntargets:\n  a: {name: a, type: file, path: $NOT_SET_ANYWHERE}\n"
    )
    r = stack.check("--check-config", DEX_DELIVERY_CONFIG_FILE=bad)
    assert r.returncode != 0 and "NOT_SET_ANYWHERE" in r.stdout + r.stderr, r
    servers.write(
        bad,
        "version: 1.0\ntargets:\n  a: {name: a, type: file, path: ./a}\nrouting_groups:\n"
        "  - data_stream_id: x\n    data_stream_route: y\n    delivery_targets:\n"
        "      - name: a\n        path_template: '{{.Moon}}'\n",
    )
    r = stack.check("--check-config", DEX_DELIVERY_CONFIG_FILE=bad)
    assert r.returncode != 0 and "Moon" in r.stdout + r.stderr, r


def test_manifest_configuration_problems(start):
    s = start()
    servers.write(f"{s.dir}/a_b.json", "{broken")
    r = s.check("--check-config", UPLOAD_CONFIG_PATH=s.dir)
    assert r.returncode != 0 and "a_b.json" in r.stdout + r.stderr, r


def test_help_config_names_every_variable(stack):
    r = stack.check("--help-config")
    assert r.returncode == 0, r
    for name in list(stack.settings) + [
        "LOGGER_DEBUG_ON", "ENVIRONMENT", "SERVER_PROTOCOL", "SERVER_HOSTNAME",
        "TUSD_HANDLER_BASE_PATH", "TUSD_HANDLER_INFO_PATH", "EVENT_MAX_RETRY_COUNT",
        "METRICS_LABELS_FROM_MANIFEST", "TUS_UPLOAD_PREFIX", "CSRF_TOKEN",
        "REDIS_CONNECTION_STRING", "DEX_STATE_DB", "OAUTH_AUTH_ENABLED", "LOCAL_REPORTS_FOLDER",
        "LOCAL_EVENTS_FOLDER", "DEX_MAX_SIZE", "DEX_UPLOAD_EXPIRY", "DEX_RETENTION",
        "DEX_DURABILITY", "DEX_CORS_ORIGINS", "DEX_TRUSTED_PROXIES", "LISTENER_WORKERS",
    ]:  # fmt: skip
        assert name in r.stdout, name


def test_help_and_version(stack):
    for arg in ("--help", "--version"):
        r = stack.check(arg)
        assert r.returncode == 0 and r.stdout.strip(), r
    r = stack.check("--frobnicate")
    assert r.returncode == 2 and "--frobnicate" in r.stderr, r


def test_appconf_spellings(stack):
    conf = f"{stack.dir}/app.env"
    lines = "".join(f'export {k}="{v}"\n' for k, v in stack.settings.items())
    servers.write(conf, "# a comment\n\n" + lines + "DEX_THREADS=many\n")
    nothing = {k: None for k in stack.settings}
    for args in (
        ("--appconf", conf),
        ("-appconf", conf),
        (f"-appconf={conf}",),
        (f"--appconf={conf}",),
    ):
        r = stack.check("--check-config", *args, **nothing)
        assert r.returncode != 0 and "DEX_THREADS" in r.stdout + r.stderr, (args, r)
        # What the environment says wins.
        r = stack.check("--check-config", *args, **{**nothing, "DEX_THREADS": "8"})
        assert r.returncode == 0, (args, r)


def test_other_paths(start):
    s = start(settings={"TUSD_HANDLER_BASE_PATH": "/up/here/", "TUSD_HANDLER_INFO_PATH": "/about/"})
    s.tus.files = "/up/here"
    path = s.tus.upload(b"abc")
    assert path.startswith("/up/here/")
    r = s.get("/about/" + path.rsplit("/", 1)[1])
    assert r.status == 200, r
    assert s.get("/files").status == 404
