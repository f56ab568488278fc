# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pace
type: aggregate
short_description: Write when each task began
description:
  - For the benchmark of this collection. The file is named by C(PACE_TO). Each line has the name of
    a task, the time, and the processor time of the process C(PACE_SERVER).
"""

import json
import os
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

from ansible_collections.outofband.chr.tests.benchmark.clock import processor_seconds


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pace"
    CALLBACK_NEEDS_ENABLED = True

    def _note(self, what):
        server = os.environ["PACE_SERVER"]
        line = json.dumps([what, time.perf_counter(), processor_seconds(int(server)) if server else 0.0])
        with Path(os.environ["PACE_TO"]).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._note(task.get_name())

    def v2_playbook_on_stats(self, stats):
        self._note("end")
