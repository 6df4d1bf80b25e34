# SPDX-License-Identifier: Apache-2.0
"""Finds and runs the scenarios.

A module test_*.py holds functions test_*. What a function names as parameters it is given:
  stack  an installation shared by the functions of the module (module.SETTINGS), one per
         entry of module.SERVERS; the function runs once for each
  start  start(server=..., **Stack arguments): an installation of its own, stopped at its end
  server the name of the web server
module.EXCEPTIONS maps (server, row) to the reason why that row cannot hold there; the row is the
part of the function's name between "test_" and the next "_".
"""

import fnmatch
import importlib
import inspect
import os
import sys
import time
import traceback

from .stack import Stack


class Skip(Exception):
    pass


class Results:
    def __init__(self, verbose):
        self.passed = self.failed = self.skipped = 0
        self.verbose = verbose
        self.failures = []

    def add(self, name, seconds, error=None, reason=None):
        if error:
            self.failed += 1
            self.failures.append(name)
            print(f"FAIL {name} ({seconds:.2f} s)\n{indent(error)}", flush=True)
        elif reason:
            self.skipped += 1
            print(f"SKIP {name}: {reason}", flush=True)
        else:
            self.passed += 1
            if self.verbose:
                print(f"PASS {name} ({seconds:.2f} s)", flush=True)

    def line(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def indent(text):
    return "\n".join("    " + line for line in text.rstrip().splitlines())


def row_of(name):
    return name.removeprefix("test_").split("_", 1)[0]


class Factory:
    """start(...): a stack for one function."""

    def __init__(self, server):
        self.server = server
        self.stacks = []

    def __call__(self, **kw):
        kw.setdefault("server", self.server)
        stack = Stack(**kw)
        self.stacks.append(stack)
        return stack

    def logs(self):
        return "\n".join(s.logs(tail=12) for s in self.stacks)

    def stop(self):
        faults = []
        for stack in self.stacks:
            try:
                stack.stop()
            except AssertionError as e:
                faults.append(str(e))
        assert not faults, "\n".join(faults)


def run_function(results, name, function, server, shared):
    factory = Factory(server)
    wants = inspect.signature(function).parameters
    given = {"stack": shared, "start": factory, "server": server}
    began = time.monotonic()
    error = reason = None
    try:
        function(**{k: given[k] for k in wants})
    except Skip as e:
        reason = str(e) or "skipped"
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            factory.stop()
            raise
        logs = shared.logs(tail=12) if shared and "stack" in wants else factory.logs()
        error = traceback.format_exc(limit=-4) + logs
    try:
        factory.stop()
    except AssertionError as e:
        error = (error or "") + str(e)
    results.add(name, time.monotonic() - began, error, None if error else reason)


def matches(name, patterns):
    plain = name.replace("[", "(").replace("]", ")")
    return any(fnmatch.fnmatchcase(plain, p) for p in patterns)


def run_module(results, module_name, patterns):
    module = importlib.import_module(module_name)
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    wanted_servers = os.environ.get("DEX_TEST_SERVERS", "nginx,apache,cgi").split(",")
    for server in getattr(module, "SERVERS", ("nginx",)):
        if server not in wanted_servers:
            continue
        tag = f"{module_name}[{server}]" if hasattr(module, "SERVERS") else module_name
        chosen = [(n, f) for n, f in tests if matches(f"{tag}.{n}", patterns)]
        if not chosen:
            continue
        exceptions = getattr(module, "EXCEPTIONS", {})
        shared = None
        if any("stack" in inspect.signature(f).parameters for _, f in chosen):
            try:
                shared = Stack(server=server, **getattr(module, "STACK", {}))
            except (AssertionError, OSError) as e:
                results.add(f"{tag}.start", 0, f"the stack did not start: {e}")
                continue
        for name, function in chosen:
            why = exceptions.get((server, row_of(name)))
            if why:
                results.add(f"{tag}.{name}", 0, reason=why)
            else:
                run_function(results, f"{tag}.{name}", function, server, shared)
        if shared:
            error = None
            try:
                shared.stop()
            except AssertionError as e:
                error = str(e)
            results.add(f"{tag}.ended_without_sanitizer_reports", 0, error)


def main(modules, patterns, verbose):
    results = Results(verbose)
    for name in modules:
        began = time.monotonic()
        before = results.passed + results.failed + results.skipped
        run_module(results, name, patterns)
        if results.passed + results.failed + results.skipped > before:
            print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    if results.failures:
        print("failed: " + ", ".join(results.failures), file=sys.stderr)
    print(results.line(), flush=True)
    return 1 if results.failed or not results.passed + results.skipped else 0
