// SPDX-FileCopyrightText: 2026 The outofband.chr authors
// SPDX-License-Identifier: GPL-3.0-or-later

// Command govc is govmomi's client with the commands that the tests need: another client than the
// collection's.
package main

import (
	"os"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/vm"
	_ "github.com/vmware/govmomi/cli/vm/guest"
)

func main() {
	os.Exit(cli.Run(os.Args[1:]))
}
