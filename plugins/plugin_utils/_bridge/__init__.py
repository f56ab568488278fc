# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The process that gives routers a local endpoint of the RouterOS API, and its client.

One process serves all routers of a run of Ansible, and ends with it. ``client.py`` is what actions
use. ``process.py`` is the program, ``server.py`` its life, ``bridge.py`` the endpoint of one
router, ``session.py`` one client at it, and ``router.py`` the way to the router.
"""
