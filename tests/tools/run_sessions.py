# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the nox sessions at the same time and say what passed, what failed, and what was not run.

    run_sessions.py            every check, newest ansible-core, without the tests marked as slow
    run_sessions.py --all      every test; those that depend on it with every ansible-core
    run_sessions.py lint ...   only these sessions, without the tests marked as slow

With CI=true in the environment, a part that could not be run is a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import toolchain

sys.path.insert(0, str(toolchain.ROOT / "tests"))
from lab.missing import in_ci  # noqa: E402
from lab.watchdog import guard_process, release_process  # noqa: E402

# The longest first, so that the lanes end together.
CHECKS = ("guests", "vms", "system", "sanity", "units", "molecule", "integration")
OF_EACH_CORE = ("system", "sanity", "units", "integration")  # what depends on ansible-core
WITH_ANSIBLE_TEST = ("sanity", "units", "integration")
LANES = 3  # more than the two processors of a small machine, as the tests wait a lot
SESSION_TIMEOUT = 60 * 60  # seconds
END_SECONDS = 60  # for the fixtures of tests to end what they started

# What pytest and ansible-test print about tests that they leave out.
LEFT_OUT = re.compile(r"(?:SKIPPED \[\d+\]|WARNING: (?=(?:Excluding|Skipping) .*tests )) *(?P<what>.*)")

# What pytest, ansible-test and nox print about what failed.
FAILURE = re.compile(r"(?:FAILED |ERROR:? |nox > (?=Command .* failed with))(?P<what>.+)")
FAILURES = 20  # lines of a session

# What tests/conftest.py prints about the slowest tests of a session.
SLOW = re.compile(r" *(?P<seconds>[\d.]+) s, +(?P<processor>[\d.]+) s of processor time  (?P<test>.+)")
SLOWEST = 10  # lines

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Outcome:
    session: str
    result: str
    seconds: float = 0
    not_run: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    slow: list[tuple[float, float, str]] = field(default_factory=list)
    """The slowest tests of the session: seconds, seconds of processor time, name."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run nox sessions side by side.")
    parser.add_argument("--all", action="store_true", help="every test, and every ansible-core version")
    parser.add_argument("sessions", nargs="*", help="only these sessions, for example lint or units-2.18")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    wanted = [toolchain.NEWEST_CORE]
    if arguments.sessions:
        wanted = [session.rpartition("-")[2] for session in arguments.sessions]
    elif arguments.all:
        wanted = list(toolchain.CORES)
    download_missing_pythons(wanted)
    newest = toolchain.newest_core_here()
    others = [core for core in wanted if core != newest]
    sessions = arguments.sessions or [
        *(f"{check}-{newest}" for check in CHECKS),
        *(f"{check}-{core}" for core in others for check in OF_EACH_CORE),
        "lint",
        *(("release", "docs") if arguments.all else ()),
    ]
    if not arguments.all:
        os.environ[toolchain.QUICK] = "1"

    lanes = ThreadPoolExecutor(LANES)
    try:
        outcomes = list(lanes.map(run, sessions))
    except (KeyboardInterrupt, SystemExit):
        lanes.shutdown(wait=False, cancel_futures=True)
        for process in RUNNING:
            stop(process)
        raise
    return report(outcomes, ci=in_ci())


def download_missing_pythons(cores: list[str]) -> None:
    """Try to get the Pythons that this machine lacks, as uv does: built ones from the internet."""
    for core, versions in toolchain.CORES.items():
        if core in cores and not toolchain.python_for_core(core):
            print(f"Downloading Python {versions[0]} for ansible-core {core} (35 MB)", flush=True)
            uv = [sys.executable, "-m", "uv", "python", "install", "--no-bin"]
            install = [*uv, "--install-dir", str(toolchain.DOWNLOADED_PYTHONS), versions[0]]
            environment = os.environ | {"UV_SYSTEM_CERTS": "1"}
            try:
                done = subprocess.run(
                    install, check=False, env=environment, capture_output=True, text=True, timeout=300
                )
            except subprocess.TimeoutExpired:
                print("The download did not end within 5 minutes.", flush=True)
                return
            if done.returncode:
                print(f"It cannot be downloaded: {done.stderr.strip().splitlines()[-1].strip()}", flush=True)
                return  # the next one cannot, either
            toolchain.find_python.cache_clear()


RUNNING: list[subprocess.Popen[str]] = []
PRINTING = threading.Lock()


def run(session: str) -> Outcome:
    if missing := missing_python(session):
        return Outcome(session, SKIPPED, not_run=[f"{session}: {missing}"])

    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "nox", "--noxfile", str(toolchain.ROOT / "noxfile.py"), "--session", session],
        cwd=toolchain.ROOT,
        env=os.environ | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    RUNNING.append(process)
    guard_process(process.pid)
    alarm = threading.Timer(SESSION_TIMEOUT, stop, [process])
    alarm.start()
    not_run: dict[str, None] = {}  # a set that keeps the order
    failures: dict[str, None] = {}
    slow: list[tuple[float, float, str]] = []
    assert process.stdout
    for line in process.stdout:
        with PRINTING:
            print(f"{session:>16} | {line.rstrip()}", flush=True)
        if match := LEFT_OUT.match(line.strip()):
            not_run[f"{session}: {match['what']}"] = None
        if match := FAILURE.match(line.rstrip()):
            failures[f"{session}: {match['what'][:400]}"] = None
        if match := SLOW.fullmatch(line.rstrip()):
            slow.append((float(match["seconds"]), float(match["processor"]), f"{session}: {match['test']}"))
    result = PASSED if process.wait() == 0 else FAILED
    alarm.cancel()
    release_process(process.pid)
    return Outcome(session, result, time.monotonic() - started, list(not_run), list(failures), slow)


def missing_python(session: str) -> str | None:
    check, _dash, core = session.rpartition("-")
    if core not in toolchain.CORES:
        return None
    python = toolchain.python_for_core(core)
    if python is None:
        return f"ansible-core {core} needs Python {' or '.join(toolchain.CORES[core])}"
    if check in WITH_ANSIBLE_TEST and not toolchain.makes_environments(python):
        return f"ansible-test needs the modules venv and ensurepip of {python} (package python3-venv)"
    return None


def stop(process: subprocess.Popen[str]) -> None:
    """Ask a session and what it started to end; after END_SECONDS, make them."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        alarm = threading.Timer(END_SECONDS, kill, [process])
        alarm.daemon = True
        alarm.start()


def kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def report(outcomes: list[Outcome], *, ci: bool) -> int:
    not_run = [line for outcome in outcomes for line in outcome.not_run]
    if ci:
        for outcome in outcomes:
            outcome.result = FAILED if outcome.not_run else outcome.result

    slowest = sorted((test for outcome in outcomes for test in outcome.slow), reverse=True)[:SLOWEST]
    if slowest:
        print("\nThe slowest tests:")
    for seconds, processor, test in slowest:
        print(f"{seconds:>7.1f} s, {processor:>6.1f} s of processor time  {test}")

    print(f"\n{'session':<18}{'result':<10}{'seconds':>7}")
    for outcome in outcomes:
        print(f"{outcome.session:<18}{outcome.result:<10}{outcome.seconds:>7.0f}")
    print()
    counts = {result: sum(outcome.result == result for outcome in outcomes) for result in (PASSED, FAILED, SKIPPED)}
    summary = f"{counts[PASSED]} passed, {counts[FAILED]} failed"
    if counts[SKIPPED]:
        summary += f", {counts[SKIPPED]} skipped"
    toolchain.BUILD.mkdir(exist_ok=True)
    failures = [line for outcome in outcomes if outcome.result == FAILED for line in outcome.failures[-FAILURES:]]
    last_lines = "\n".join(
        [*(f"not run: {line}" for line in not_run), *(f"failed: {line}" for line in failures), summary]
    )
    print(last_lines)
    toolchain.SUMMARY.write_text(last_lines + "\n", encoding="utf-8")
    return 1 if counts[FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
