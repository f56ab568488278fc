# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Xen host without Xen.

It has Debian's oxenstored and xenstore commands, and guests that speak to it over their rings.
"""
