# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""QEMU without a manager: the agent's socket, and VMs run by systemd. Backend ``qemu``."""
