// SPDX-FileCopyrightText: 2026 The outofband.chr authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// connectHosts gives each network of standard switches its hosts, which the simulator leaves out.
func connectHosts(all *simulator.Registry) {
	var hosts []types.ManagedObjectReference
	for _, host := range all.All("HostSystem") {
		hosts = append(hosts, host.Reference())
	}
	for _, one := range all.All("Network") {
		if network, ok := one.(*mo.Network); ok {
			network.Host = hosts
		}
	}
}

// hostNetwork has the calls to change a standard switch, which the simulator has not. As with a
// host, the whole is replaced.
type hostNetwork struct{ *simulator.HostNetworkSystem }

func (n *hostNetwork) UpdatePortGroup(req *types.UpdatePortGroup) soap.HasFault {
	for i := range n.NetworkInfo.Portgroup {
		group := &n.NetworkInfo.Portgroup[i]
		if group.Spec.Name != req.PgName {
			continue
		}
		if req.Portgrp.VlanId < 0 || req.Portgrp.VlanId > 4095 || req.Portgrp.VswitchName != group.Spec.VswitchName {
			return &methods.UpdatePortGroupBody{Fault_: simulator.Fault("", &types.InvalidArgument{InvalidProperty: "portgrp"})}
		}
		group.Spec = req.Portgrp
		inForce := *group.ComputedPolicy.Security
		if own := req.Portgrp.Policy.Security; own != nil {
			override(&inForce.AllowPromiscuous, own.AllowPromiscuous)
			override(&inForce.MacChanges, own.MacChanges)
			override(&inForce.ForgedTransmits, own.ForgedTransmits)
		}
		group.ComputedPolicy.Security = &inForce
		return &methods.UpdatePortGroupBody{Res: &types.UpdatePortGroupResponse{}}
	}
	return &methods.UpdatePortGroupBody{Fault_: simulator.Fault("", &types.NotFound{})}
}

func (n *hostNetwork) UpdateVirtualSwitch(req *types.UpdateVirtualSwitch) soap.HasFault {
	found := n.vswitch(req.VswitchName)
	if found == nil {
		return &methods.UpdateVirtualSwitchBody{Fault_: simulator.Fault("", &types.NotFound{})}
	}
	found.Spec, found.Mtu = req.Spec, req.Spec.Mtu
	return &methods.UpdateVirtualSwitchBody{Res: &types.UpdateVirtualSwitchResponse{}}
}

func (n *hostNetwork) vswitch(name string) *types.HostVirtualSwitch {
	for i := range n.NetworkInfo.Vswitch {
		if n.NetworkInfo.Vswitch[i].Name == name {
			return &n.NetworkInfo.Vswitch[i]
		}
	}
	return nil
}

func override(inForce **bool, own *bool) {
	if own != nil {
		*inForce = own
	}
}

// portGroup leaves as it is what a change does not name; the simulator would reset it.
type portGroup struct {
	*simulator.DistributedVirtualPortgroup
}

func (p *portGroup) ReconfigureDVPortgroupTask(ctx *simulator.Context, req *types.ReconfigureDVPortgroup_Task) soap.HasFault {
	task := simulator.CreateTask(p, "reconfigureDvPortgroup", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if req.Spec.ConfigVersion != p.Config.ConfigVersion {
			return nil, &types.ConcurrentAccess{}
		}
		now, _ := p.Config.DefaultPortConfig.(*types.VMwareDVSPortSetting)
		if now == nil {
			now = &types.VMwareDVSPortSetting{}
		}
		wanted := req.Spec.DefaultPortConfig.(*types.VMwareDVSPortSetting)
		if wanted.Vlan != nil {
			now.Vlan = wanted.Vlan
		}
		if wanted.SecurityPolicy != nil {
			if now.SecurityPolicy == nil {
				now.SecurityPolicy = &types.DVSSecurityPolicy{}
			}
			for _, pair := range [][2]**types.BoolPolicy{
				{&now.SecurityPolicy.AllowPromiscuous, &wanted.SecurityPolicy.AllowPromiscuous},
				{&now.SecurityPolicy.MacChanges, &wanted.SecurityPolicy.MacChanges},
				{&now.SecurityPolicy.ForgedTransmits, &wanted.SecurityPolicy.ForgedTransmits},
			} {
				if *pair[1] != nil {
					*pair[0] = *pair[1]
				}
			}
		}
		p.Config.DefaultPortConfig = now
		p.Config.ConfigVersion += "1"
		return nil, nil
	})
	return &methods.ReconfigureDVPortgroup_TaskBody{Res: &types.ReconfigureDVPortgroup_TaskResponse{Returnval: task.Run(ctx)}}
}

// dvs can have its MTU changed; the simulator drops that.
type dvs struct {
	*simulator.DistributedVirtualSwitch
}

func (s *dvs) ReconfigureDvsTask(ctx *simulator.Context, req *types.ReconfigureDvs_Task) soap.HasFault {
	config := s.Config.(*types.VMwareDVSConfigInfo)
	if wanted, ok := req.Spec.(*types.VMwareDVSConfigSpec); ok && wanted.MaxMtu != 0 {
		config.MaxMtu = wanted.MaxMtu
	}
	return s.DistributedVirtualSwitch.ReconfigureDvsTask(ctx, req)
}
