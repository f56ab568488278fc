// SPDX-FileCopyrightText: 2026 The outofband.chr authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const copyUuid = "4207c0de-0000-4000-800%d-%012x"

// copies adds VMs that are only there to be listed. The simulator takes 35 ms to make a VM, and a
// list of 1,000 VMs must not cost half a minute. Each has a name, ids and addresses of its own, and
// shares the rest with *like*. Returns their ids.
func copies(ctx *simulator.Context, like *simulator.VirtualMachine, count int) map[string]bool {
	made := map[string]bool{}
	folder := ctx.Map.Get(*like.Parent).(*simulator.Folder)
	pool := ctx.Map.Get(*like.ResourcePool).(*simulator.ResourcePool)
	for i := 0; i < count; i++ {
		one := *like
		one.Self = types.ManagedObjectReference{}
		one.Name = fmt.Sprintf("copy%04d", i)
		config, guest := *like.Config, *like.Guest
		config.Name, config.Uuid, config.InstanceUuid = one.Name, fmt.Sprintf(copyUuid, 1, i), fmt.Sprintf(copyUuid, 2, i)
		guest.HostName = one.Name
		guest.IpAddress = fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)
		guest.Net = []types.GuestNicInfo{{
			Network: "ether1", MacAddress: fmt.Sprintf("00:50:56:a0:%02x:%02x", i/256, i%256), Connected: true,
			IpConfig: &types.NetIpConfigInfo{IpAddress: []types.NetIpConfigInfoIpAddress{
				{IpAddress: guest.IpAddress, PrefixLength: 16},
				{IpAddress: fmt.Sprintf("fe80::250:56ff:fea0:%x", i), PrefixLength: 64},
			}},
		}}
		one.Config, one.Guest = &config, &guest
		one.Summary.Config.Name, one.Summary.Config.Uuid = one.Name, config.Uuid
		one.Summary.Config.VmPathName = fmt.Sprintf("[LocalDS_0] %s/%s.vmx", one.Name, one.Name)
		ctx.Map.PutEntity(folder, &one)
		folder.ChildEntity = append(folder.ChildEntity, one.Self)
		pool.Vm = append(pool.Vm, one.Self)
		made[one.Self.Value] = true
	}
	return made
}

// lost makes a VM one whose files are gone: the server knows its name and no configuration.
func lost(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	vm.Config = nil
	vm.Summary.Config = types.VirtualMachineConfigSummary{Name: vm.Name}
	ctx.Update(vm, []types.PropertyChange{{
		Name: "runtime.connectionState", Val: types.VirtualMachineConnectionStateInaccessible}})
}

// hostState sets the connection of the hosts of that name, and that of their VMs, as a vCenter does.
func hostState(ctx *simulator.Context, name string, state types.HostSystemConnectionState) {
	seen := types.VirtualMachineConnectionStateDisconnected
	if state == types.HostSystemConnectionStateConnected {
		seen = types.VirtualMachineConnectionStateConnected
	}
	for _, one := range ctx.Map.All("HostSystem") {
		host := one.(*simulator.HostSystem)
		if host.Name != name {
			continue
		}
		ctx.WithLock(host, func() {
			ctx.Update(host, []types.PropertyChange{{Name: "runtime.connectionState", Val: state}})
		})
		for _, other := range ctx.Map.All("VirtualMachine") {
			vm := other.(*simulator.VirtualMachine)
			if vm.Runtime.Host != nil && *vm.Runtime.Host == host.Self {
				ctx.WithLock(vm, func() {
					ctx.Update(vm, []types.PropertyChange{{Name: "runtime.connectionState", Val: seen}})
				})
			}
		}
	}
}
