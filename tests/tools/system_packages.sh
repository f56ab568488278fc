#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# system_packages.sh demo|test: install the programs that the one or the other uses, where they are missing and may be installed.
# What stays missing is named; it is not an error here: the tests that need it say so.

set -u
PATH="$PATH:/usr/sbin:/sbin"

missing=()
needs() { # the package, then a shell command that succeeds if it is there
    eval "$2" >/dev/null 2>&1 || missing+=("$1")
}

needs python3-venv "python3 -c 'import ensurepip, venv'"
needs qemu-system-x86 "command -v qemu-system-x86_64"
needs openssh-client "command -v ssh"
needs libvirt-daemon "command -v libvirtd"
needs libvirt-daemon-driver-qemu "ls /usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so"
# Parts of libvirt-daemon in older distributions, packages of their own in newer ones.
needs libvirt-daemon-driver-storage "ls /usr/lib/*/libvirt/connection-driver/libvirt_driver_storage.so"
needs libvirt-daemon-driver-network "ls /usr/lib/*/libvirt/connection-driver/libvirt_driver_network.so"
needs libvirt-clients "command -v virsh"
needs libvirt-dev "pkg-config --exists libvirt"
needs pkg-config "command -v pkg-config"
needs gcc "command -v gcc"
needs libc6-dev "test -e /usr/include/stdio.h"
# go 1.23 or newer builds the vCenter simulator; one that is elsewhere on PATH will do.
needs golang "PATH=\"\$PATH:/usr/local/go/bin\" go version | grep -E 'go(1\.(2[3-9]|[3-9][0-9])|[2-9])'"
if [ "${1:-test}" = test ]; then
    needs qemu-guest-agent "command -v qemu-ga"
    needs openssh-server "command -v sshd"
    needs socat "command -v socat"
    needs iproute2 "command -v ip"
    needs qemu-utils "command -v qemu-img"
    needs e2fsprogs "command -v debugfs && command -v mke2fs && command -v e2fsck"
    needs shellcheck "command -v shellcheck"
    needs chromium "command -v chromium || command -v chromium-browser || command -v google-chrome"
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
else
    as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
fi

if [ ${#missing[@]} -eq 0 ]; then
    # oxenstored is not installed, as it would change how the machine boots; the tests unpack it from its package.
    if command -v apt-get >/dev/null && [ -z "$(apt-cache search --names-only '^xen-utils-[0-9.]+$')" ]; then
        "${as_root[@]}" apt-get update -qq 2>/dev/null
    fi
    exit 0
fi

if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "Installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    install() {
        "${as_root[@]}" apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
    }
    left=()
    if ! install "${missing[@]}"; then
        # One that cannot be had, such as Ubuntu's chromium, must not hold up the others.
        for package in "${missing[@]}"; do
            install "$package" || left+=("$package")
        done
    fi
    # The tests start a libvirtd and an sshd of their own; the machine does not need them.
    if [[ " ${missing[*]} " == *" openssh-server "* ]] && [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl disable --quiet --now ssh.service ssh.socket 2>/dev/null
    fi
    if [[ " ${missing[*]} " == *" libvirt-daemon "* ]] && [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl disable --quiet --now libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket \
            2>/dev/null
    fi
    missing=("${left[@]}")
    if [ ${#missing[@]} -eq 0 ]; then
        exit 0
    fi
fi
echo "Missing, please install: sudo apt-get install ${missing[*]}" >&2
exit 0
