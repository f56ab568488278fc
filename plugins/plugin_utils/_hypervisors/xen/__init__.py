# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Xen: a guest below dom0's xenstore, and VMs run by ``xl``. Backend ``xenstore``."""
