# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
/ip address add address=198.51.100.1/24 interface=ether1
