# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the collection at work on simulated routers, and write one page about it.

as_collection.py demo [--keep]
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.missing import Missing, in_ci
from ansible_collections.outofband.chr.tests.lab.peers import collections
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

from .chapters import REPORT, Chapter, chapters, play
from .page import page
from .routers import Demo, start

SIMULATED = (
    "RouterOS, the account server of MikroTik, Proxmox VE, vCenter and XAPI are simulated here; QEMU, libvirt and xenstored "
    "are the real programs."
)
BUILD = Path(__file__).resolve().parents[2] / ".build"


def main() -> int:
    folder = BUILD / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).unlink(missing_ok=True)  # it would be compared with that of this run
    print(SIMULATED)
    print("Starting the hypervisors; building what they need takes up to 3 minutes, once:", flush=True)
    began = time.monotonic()
    with contextlib.ExitStack() as running:
        demo = start(running, BUILD / "lab", running.enter_context(temporary_folder()))
        inventory = folder / "inventory.json"
        inventory.write_text(json.dumps({"routers": {"hosts": demo.hosts}}, indent=2))
        print(f"{len(demo.hosts)} routers are up, booting or to be made.", flush=True)
        story = chapters(demo, folder)
        for number, chapter in enumerate(story, 1):
            tell(chapter, f"{number} of {len(story)}", demo, inventory, folder)
        shown = folder / "demo.html"
        shown.write_text(page(SIMULATED, demo, story), "utf-8")
        print(f"\nThis took {time.monotonic() - began:.0f} s.")
        if "--keep" in sys.argv:
            print(f"The routers stay until Ctrl-C. Inventory: {inventory}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(1e9)
    for what, reason in demo.missing.items():
        print(f"left out: {what}: {reason}")
    for what, reason in demo.broken.items():
        print(f"failed: {what}: {reason}")
    failed = [chapter for chapter in story if chapter.status]
    for chapter in failed:
        print(f"failed: {chapter.title}: {chapter.command}")
    print(f"Open {shown}")
    return bool(failed or demo.broken or not story or (demo.missing and in_ci()))


def tell(chapter: Chapter, place: str, demo: Demo, inventory: Path, folder: Path) -> None:
    """Run one chapter."""
    print(f"\n=== {place}: {chapter.title}\n{chapter.text}\n$ {chapter.command}", flush=True)
    others = None
    if chapter.needs:
        try:
            others = collections(BUILD / "lab", chapter.needs)
        except Missing as error:
            demo.missing[chapter.title] = str(error).partition("\n")[0]
            print(f"left out: {demo.missing[chapter.title]}", flush=True)
            return
    play(chapter, inventory, folder, others)


if __name__ == "__main__":
    sys.exit(main())
