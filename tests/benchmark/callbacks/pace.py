# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pace
type: aggregate
short_description: Write when each task began
description: For the benchmark of this collection. The file is named by C(PACE_TO).
"""

import json
import os
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pace"
    CALLBACK_NEEDS_ENABLED = True

    def _note(self, what):
        with Path(os.environ["PACE_TO"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, time.perf_counter()]) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._note(task.action)

    def v2_playbook_on_stats(self, stats):
        self._note("end")
