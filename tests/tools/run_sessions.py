# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the nox sessions side by side and say at the end what passed, what failed, and what was not run.

    run_sessions.py              every check, with the newest ansible-core, and most with the oldest
    run_sessions.py --all        ... with every ansible-core
    run_sessions.py lint ...     only these sessions

With CI=true in the environment, a part that could not be run is a failure.
"""

from __future__ import annotations

import argparse
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

CHECKS = (
    "system",
    "hypervisors",
    "platforms",
    "sanity",
    "units",
    "molecule",
    "integration",
)  # the longest first, so that the lanes end together
NEWEST_ONLY = ("system", "hypervisors", "platforms", "molecule")  # which cost most; --all takes them with each
LANES = 3  # more than the two processors of a small machine, as the tests wait a lot
SESSION_TIMEOUT = 40 * 60  # seconds

# What pytest and ansible-test print about tests that they leave out.
LEFT_OUT = re.compile(r"(?:SKIPPED \[\d+\]|WARNING: (?=(?:Excluding|Skipping) .*tests )) *(?P<what>.*)")

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Outcome:
    session: str
    result: str
    seconds: float = 0
    not_run: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run nox sessions side by side.")
    parser.add_argument("--all", action="store_true", help="with every ansible-core version")
    parser.add_argument("sessions", nargs="*", help="only these sessions, for example lint or units-2.18")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    cores = list(toolchain.CORES) if arguments.all else [toolchain.NEWEST_CORE, toolchain.OLDEST_CORE]
    sessions = arguments.sessions or [
        *(
            f"{check}-{core}"
            for check in CHECKS
            for core in cores
            if arguments.all or core == toolchain.NEWEST_CORE or check not in NEWEST_ONLY
        ),
        "lint",
    ]
    download_missing_pythons(sessions)

    lanes = ThreadPoolExecutor(LANES)
    try:
        outcomes = list(lanes.map(run, sessions))
    except (KeyboardInterrupt, SystemExit):
        lanes.shutdown(wait=False, cancel_futures=True)
        for process in RUNNING:
            stop(process)
        raise
    return report(outcomes, ci=os.environ.get("CI", "").lower() in ("true", "1"))


def download_missing_pythons(sessions: list[str]) -> None:
    """Try to get the Pythons that this machine has not, as uv does: built ones from the internet."""
    for core, versions in toolchain.CORES.items():
        wanted = any(session.endswith(f"-{core}") for session in sessions)
        if wanted and not toolchain.python_for_core(core):
            print(f"No Python for ansible-core {core} here; trying to download Python {versions[0]}", flush=True)
            uv = [sys.executable, "-m", "uv", "python", "install", "--no-bin"]
            install = [*uv, "--install-dir", str(toolchain.DOWNLOADED_PYTHONS), versions[0]]
            environment = os.environ | {"UV_SYSTEM_CERTS": "1"}
            subprocess.run(install, check=False, env=environment)
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
    alarm = threading.Timer(SESSION_TIMEOUT, stop, [process])
    alarm.start()
    not_run: dict[str, None] = {}  # a set that keeps the order
    assert process.stdout
    for line in process.stdout:
        with PRINTING:
            print(f"{session:>16} | {line.rstrip()}", flush=True)
        if match := LEFT_OUT.match(line.strip()):
            not_run[f"{session}: {match['what']}"] = None
    result = PASSED if process.wait() == 0 else FAILED
    alarm.cancel()
    return Outcome(session, result, time.monotonic() - started, list(not_run))


def missing_python(session: str) -> str | None:
    core = session.rpartition("-")[2]
    if core not in toolchain.CORES or toolchain.python_for_core(core):
        return None
    return f"ansible-core {core} needs Python {' or '.join(toolchain.CORES[core])} (with its venv package)"


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)


def report(outcomes: list[Outcome], *, ci: bool) -> int:
    not_run = [line for outcome in outcomes for line in outcome.not_run]
    if ci:
        for outcome in outcomes:
            outcome.result = FAILED if outcome.not_run else outcome.result

    print(f"\n{'session':<18}{'result':<10}{'seconds':>7}")
    for outcome in outcomes:
        print(f"{outcome.session:<18}{outcome.result:<10}{outcome.seconds:>7.0f}")
    print()
    counts = {result: sum(outcome.result == result for outcome in outcomes) for result in (PASSED, FAILED, SKIPPED)}
    summary = f"{counts[PASSED]} passed, {counts[FAILED]} failed"
    if counts[SKIPPED]:
        summary += f", {counts[SKIPPED]} skipped"
    toolchain.BUILD.mkdir(exist_ok=True)
    last_lines = "\n".join([*(f"not run: {line}" for line in not_run), summary])
    print(last_lines)
    toolchain.SUMMARY.write_text(last_lines + "\n", encoding="utf-8")
    return 1 if counts[FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
