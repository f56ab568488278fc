# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The RouterOS API: its commands as RouterOS scripts, and their output as its answers.

All of it is pure. Nothing here opens a connection.
"""
