# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection costs, beside the peers that users would take otherwise.

Each section is a file with a function ``measure``, which yields rows. A row is ours beside a peer
or a floor, measured in the same run. Ratios count, as seconds depend on the machine.

* ``row.py``: a row with its ratio and its target. ``stage.py``: sizes and folders of a run.
* ``clock.py``, ``playbook.py``, ``servers.py``, ``watched.py``: how it is measured.
* ``machine.py``, ``report.py``, ``compare.py``: the machine, the table and the file, and the
  comparison with the committed file ``result.json``.
* All others are sections or their peers.
"""
