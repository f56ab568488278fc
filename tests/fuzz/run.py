# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the targets under atheris, one after the other, each in a process of its own.

    run.py --seconds 20           each target for so long
    run.py --runs 100000          so many inputs for each target
    run.py --seconds 60 qmp ...   only these targets

What was found is in the folder --found, one folder for each target, and serves the next run.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
from pathlib import Path

from .target import TARGETS

_INSTRUMENTED = ("ansible_collections.outofband.chr.plugins", "tarfile", "zipfile", "xmlrpc")
_LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=8192")  # of an input: seconds, MiB, bytes
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--runs", type=int, help="inputs for each target, instead of seconds")
    parser.add_argument("--found", type=Path, required=True, help="the folder for inputs that reach new code")
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args()
    from . import targets  # noqa: F401

    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the targets are {', '.join(TARGETS)}")
    limit = f"-runs={arguments.runs}" if arguments.runs else f"-max_total_time={arguments.seconds}"
    total, failed = 0, []
    print(f"{'target':<24}{'inputs':>10}{'seconds':>9}", flush=True)
    for name in arguments.targets or TARGETS:
        began = time.monotonic()
        executed, error = _fuzz(name, limit, arguments.found / name)
        total += executed
        print(f"{name:<24}{executed:>10}{time.monotonic() - began:>9.0f}  {'FAILED' if error else ''}", flush=True)
        if error:
            failed.append(name)
            print(f"{TARGETS[name].promise}\n{error}", flush=True)
    print(f"{total} inputs for {len(arguments.targets or TARGETS)} targets, {len(failed)} failed", flush=True)
    return 1 if failed else 0


def _fuzz(name: str, limit: str, found: Path) -> tuple[int, str]:
    """Return how many inputs the target *name* took, and what happened if it failed."""
    found.mkdir(parents=True, exist_ok=True)
    words = found.with_name(f"{name}.words")
    words.write_text("".join(map(_quoted, TARGETS[name].words)))
    for data in TARGETS[name].corpus:
        (found / hashlib.sha1(data).hexdigest()).write_bytes(data)
    options = [limit, *_LIMITS, f"-dict={words}", f"-artifact_prefix={found.parent}/{name}-", "-print_final_stats=1"]
    child = "import sys; from ansible_collections.outofband.chr.tests.fuzz.run import fuzz; fuzz(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", child, name, *options, str(found)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        errors="replace",
    )
    executed = _EXECUTED.search(done.stdout)
    said = "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("INFO:", "WARNING:", "#")))
    return int(executed[1]) if executed else 0, said[-4000:] if done.returncode else ""


def _quoted(word: bytes) -> str:
    """A line of a dictionary of libFuzzer."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def fuzz(name: str, *options: str) -> None:
    """Let atheris run the target *name* in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        from . import targets  # noqa: F401
    atheris.Setup([name, *options], TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
