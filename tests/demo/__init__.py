# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One controller works on many routers for a long time, while faults happen to them.

The routers and the faults are those of the table of faults (``tests/faults``).
"""
