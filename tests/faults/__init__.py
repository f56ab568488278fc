# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of faults: what happens when something goes wrong on the way to a router.

A row is a fault, a column a backend. ``table.py`` has the rows and what is expected of each cell;
``columns.py`` has the backends, which know how to cause each fault; ``cell.py`` judges what came of
it.
"""
