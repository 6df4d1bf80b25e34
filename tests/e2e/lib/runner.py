# SPDX-License-Identifier: Apache-2.0
"""Finds and runs the scenarios.

A module test_*.py holds functions test_*. What a function names as parameters it is given:
  stack  an installation shared by the functions of the module (module.STACK), one per entry of
         module.SERVERS; the function runs once for each
  start  start(server=..., **Stack arguments): an installation of its own, stopped at its end
  server the name of the web server, storage the kind of storage ("file", "s3", "azure"), state
         that of the state ("sqlite", "redis")
An entry of module.SERVERS is the name of a web server, "nginx", or of one with the storage behind
it, "nginx+s3", or with three groups of responders that share files and a Redis, "nginx+redis". module.EXCEPTIONS maps (entry, row) to the reason why that row cannot hold there;
the row is the part of the function's name between "test_" and the next "_".
"""

import fnmatch
import importlib
import inspect
import itertools
import multiprocessing
import os
import signal
import sys
import time
import traceback

from . import services
from .stack import Stack

EVERYWHERE = "nginx,apache,cgi,fcgid,lighttpd,nginx+s3,nginx+azure,nginx+redis,cgi+redis"


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

    def count(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def line(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def indent(text):
    return "\n".join("    " + line for line in text.rstrip().splitlines())


def row_of(name):
    return name.removeprefix("test_").split("_", 1)[0]


class Factory:
    """start(...): a stack for one function."""

    def __init__(self, given):
        self.given = given
        self.stacks = []

    def __call__(self, **kw):
        stack = Stack(**{**self.given, **kw})
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


def stack_of(variant):
    """Arguments of Stack."""
    server, _, behind = variant.partition("+")
    if behind == "redis":
        groups = 3 if server == "nginx" else 1
        return {"server": server, "storage": "file", "state": "redis", "groups": groups}
    return {"server": server, "storage": behind or "file"}


def run_function(results, name, function, variant, shared):
    stack_args = stack_of(variant)
    factory = Factory(stack_args)
    wants = inspect.signature(function).parameters
    given = {
        "stack": shared, "start": factory, "server": stack_args["server"],
        "storage": stack_args["storage"], "state": stack_args.get("state", "sqlite"),
    }  # fmt: skip
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


def units_of(modules):
    """(module, entry of its SERVERS) pairs: what runs in one piece, with one shared stack."""
    wanted = os.environ.get("DEX_TEST_SERVERS", EVERYWHERE).split(",")
    for name in modules:
        for variant in getattr(importlib.import_module(name), "SERVERS", ("nginx",)):
            if variant in wanted:
                yield name, variant


def run_unit(results, module_name, variant, patterns):
    module = importlib.import_module(module_name)
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    tag = f"{module_name}[{variant}]" if hasattr(module, "SERVERS") else module_name
    chosen = [(n, f) for n, f in tests if matches(f"{tag}.{n}", patterns)]
    if not chosen:
        return
    began = time.monotonic()
    exceptions = getattr(module, "EXCEPTIONS", {})
    shared = None
    if any("stack" in inspect.signature(f).parameters for _, f in chosen):
        try:
            given = {**stack_of(variant), **getattr(module, "STACK", {})}
            shared = Stack(**given)
        except (AssertionError, OSError) as e:
            results.add(f"{tag}.start", 0, f"the stack did not start: {e}")
            return
    for name, function in chosen:
        why = exceptions.get((variant, row_of(name)))
        if why:
            results.add(f"{tag}.{name}", 0, reason=why)
        else:
            run_function(results, f"{tag}.{name}", function, variant, shared)
    if shared:
        error = None
        try:
            shared.stop()
        except AssertionError as e:
            error = str(e)
        results.add(f"{tag}.ended_without_sanitizer_reports", 0, error)
    print(f"{tag}: {time.monotonic() - began:.1f} s", flush=True)


def run_some(take, units, patterns, results):
    """Run the units whose numbers ${take} gives out, until there are no more."""
    try:
        while (n := take()) < len(units):
            run_unit(results, *units[n], patterns)
    finally:
        services.stop()


def run_side_by_side(jobs, units, patterns, results):
    """${jobs} processes take one unit after the other; each has services of its own."""
    given_out = multiprocessing.Value("i", 0)
    answers = multiprocessing.SimpleQueue()

    def take():
        with given_out.get_lock():
            given_out.value += 1
            return given_out.value - 1

    def work():
        # Ctrl-C reaches the whole group; one SIGTERM from here, and not both, ends a job. A handler,
        # since what is started would inherit that a signal is ignored.
        signal.signal(signal.SIGINT, lambda *_: None)
        mine = Results(results.verbose)
        try:
            run_some(take, units, patterns, mine)
        finally:
            answers.put(mine)

    processes = [multiprocessing.Process(target=work) for _ in range(jobs)]
    try:
        for p in processes:
            p.start()
        for p in processes:
            p.join()
            if p.exitcode:
                results.add(f"job {p.pid}", 0, f"ended with {p.exitcode}")
    except BaseException:
        for p in processes:
            p.terminate()
            p.join()
        raise
    while not answers.empty():
        results.count(answers.get())


def main(modules, patterns, verbose, jobs):
    results = Results(verbose)
    units = list(units_of(modules))
    if jobs > 1:
        run_side_by_side(jobs, units, patterns, results)
    else:
        run_some(itertools.count().__next__, units, patterns, results)
    if results.failures:
        print("failed: " + ", ".join(results.failures), file=sys.stderr)
    print(results.line(), flush=True)
    return 1 if results.failed or not results.passed + results.skipped else 0
