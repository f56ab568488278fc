# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: simulated routers, the playbooks that run on them, and a page about it."""
