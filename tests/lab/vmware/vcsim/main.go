// SPDX-FileCopyrightText: 2026 The outofband.chr authors
// SPDX-License-Identifier: GPL-3.0-or-later

// A vCenter whose VMs are routers: govmomi's simulator with guest operations as the vendor's manual
// describes them for a CHR. Scripts go to the lab over a unix socket; counters, faults and switches
// are reached through a plain HTTP port.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type fault struct {
	kind  string
	count int
}

type lab struct {
	sync.Mutex
	socket, accept, refuse string
	retention, boot        time.Duration
	events                 bool
	ctx                    *simulator.Context
	counts                 map[string]int
	seconds                map[string]float64
	faults                 map[string]*fault
	jobs                   map[string]map[int64]*types.GuestProcessInfo
	next                   int64
	sessions, denied       map[string]bool
	copies                 map[string]bool
	lease, transfer        url.Values
	uploads                []map[string]any
}

// guestProcesses takes the place of the simulator's own manager, which would run the text in a
// shell.
type guestProcesses struct {
	mo.GuestProcessManager
	lab *lab
}

type startBody struct {
	Res    *types.StartProgramInGuestResponse `xml:"urn:vim25 StartProgramInGuestResponse,omitempty"`
	Fault_ *soap.Fault                        `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault,omitempty"`
}

func (b *startBody) Fault() *soap.Fault { return b.Fault_ }

// processInfo is types.GuestProcessInfo with an exit code of 0 that is sent.
type processInfo struct {
	Name      string     `xml:"name"`
	Pid       int64      `xml:"pid"`
	Owner     string     `xml:"owner"`
	CmdLine   string     `xml:"cmdLine"`
	StartTime time.Time  `xml:"startTime"`
	EndTime   *time.Time `xml:"endTime"`
	ExitCode  *int32     `xml:"exitCode"`
}

// ListProcessesInGuestResponse gives the response element its name: the simulator takes it from the
// Go type.
type ListProcessesInGuestResponse struct {
	Returnval []processInfo `xml:"returnval,omitempty"`
}

type listBody struct {
	Res    *ListProcessesInGuestResponse `xml:"urn:vim25 ListProcessesInGuestResponse,omitempty"`
	Fault_ *soap.Fault                   `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault,omitempty"`
}

func (b *listBody) Fault() *soap.Fault { return b.Fault_ }

// ready finds the VM and says why nothing can be done in it, if so.
func (l *lab) ready(ctx *simulator.Context, ref types.ManagedObjectReference) (*simulator.VirtualMachine, types.BaseMethodFault) {
	vm, ok := ctx.Map.Get(ref).(*simulator.VirtualMachine)
	switch {
	case !ok:
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	case vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn:
		return nil, &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: vm.Runtime.PowerState}
	case vm.Guest.ToolsRunningStatus != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning):
		return nil, &types.GuestOperationsUnavailable{}
	}
	return vm, nil
}

// ask sends one request to the lab; replies come as lines.
func (l *lab) ask(request map[string]any) (*bufio.Scanner, net.Conn) {
	conn, err := net.Dial("unix", l.socket)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<24)
	return lines, conn
}

func (l *lab) allowed(vm *simulator.VirtualMachine, auth types.BaseGuestAuthentication, request map[string]any) (*bufio.Scanner, net.Conn, types.BaseMethodFault) {
	login, ok := auth.(*types.NamePasswordAuthentication)
	if !ok {
		return nil, nil, &types.InvalidArgument{InvalidProperty: "auth"}
	}
	request["vm"], request["name"] = vm.Self.Value, vm.Name
	request["user"], request["password"] = login.Username, login.Password
	lines, conn := l.ask(request)
	var reply struct {
		Login bool
		Now   float64
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &reply) != nil || !reply.Login {
		conn.Close()
		return nil, nil, &types.InvalidGuestLogin{}
	}
	request["now"] = moment(reply.Now)
	return lines, conn, nil
}

// moment is a time of the router's clock.
func moment(seconds float64) time.Time {
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}

func (m *guestProcesses) StartProgramInGuest(ctx *simulator.Context, req *types.StartProgramInGuest) soap.HasFault {
	l, spec := m.lab, req.Spec.GetGuestProgramSpec()
	vm, problem := l.ready(ctx, req.Vm)
	if problem != nil {
		return &startBody{Fault_: simulator.Fault("", problem)}
	}
	l.Lock()
	l.next++
	pid, known := l.next, spec.ProgramPath == "import" || l.accept == "both" || spec.ProgramPath == l.accept
	l.Unlock()
	request := map[string]any{
		"op": "start", "pid": pid, "program": spec.ProgramPath, "arguments": spec.Arguments, "check_only": !known,
		"directory": spec.WorkingDirectory, "environment": spec.EnvVariables}
	lines, conn, problem := l.allowed(vm, req.Auth, request)
	if problem != nil {
		return &startBody{Fault_: simulator.Fault("", problem)}
	}
	if !known {
		conn.Close()
		if l.refuse == "FileNotFound" {
			return &startBody{Fault_: simulator.Fault("", &types.FileNotFound{FileFault: types.FileFault{File: spec.ProgramPath}})}
		}
		return &startBody{Fault_: simulator.Fault("", &types.InvalidArgument{InvalidProperty: "programPath"})}
	}
	owner := req.Auth.(*types.NamePasswordAuthentication).Username
	job := &types.GuestProcessInfo{Name: spec.ProgramPath, Pid: pid, Owner: owner, CmdLine: spec.ProgramPath, StartTime: request["now"].(time.Time)}
	l.Lock()
	if l.jobs[vm.Self.Value] == nil {
		l.jobs[vm.Self.Value] = map[int64]*types.GuestProcessInfo{}
	}
	l.jobs[vm.Self.Value][pid] = job
	l.Unlock()
	go func() {
		defer conn.Close()
		var end struct {
			Exit  int32
			Power string
			Now   float64
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &end) != nil {
			return
		}
		now := moment(end.Now)
		l.Lock()
		job.EndTime, job.ExitCode = &now, end.Exit
		l.Unlock()
		if end.Power != "" {
			l.power(vm, end.Power)
		}
		time.Sleep(l.retention)
		l.Lock()
		delete(l.jobs[vm.Self.Value], pid)
		l.Unlock()
	}()
	return &startBody{Res: &types.StartProgramInGuestResponse{Returnval: pid}}
}

func (m *guestProcesses) ListProcessesInGuest(ctx *simulator.Context, req *types.ListProcessesInGuest) soap.HasFault {
	l := m.lab
	vm, problem := l.ready(ctx, req.Vm)
	if problem == nil {
		var conn net.Conn
		if _, conn, problem = l.allowed(vm, req.Auth, map[string]any{"op": "login"}); problem == nil {
			conn.Close()
		}
	}
	if problem != nil {
		return &listBody{Fault_: simulator.Fault("", problem)}
	}
	l.Lock()
	defer l.Unlock()
	jobs, pids, res := l.jobs[vm.Self.Value], req.Pids, new(ListProcessesInGuestResponse)
	for pid := range jobs {
		if len(req.Pids) == 0 {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		if job := jobs[pid]; job != nil {
			info := processInfo{Name: job.Name, Pid: pid, Owner: job.Owner, CmdLine: job.CmdLine, StartTime: job.StartTime}
			if job.EndTime != nil {
				info.EndTime, info.ExitCode = job.EndTime, &job.ExitCode
				if len(req.Pids) > 0 {
					delete(jobs, pid) // the read of its id that shows the end consumes the record
				}
			}
			res.Returnval = append(res.Returnval, info)
		}
	}
	return &listBody{Res: res}
}

func (l *lab) tools(vm *simulator.VirtualMachine, status types.VirtualMachineToolsRunningStatus) {
	l.ctx.WithLock(vm, func() {
		l.ctx.Update(vm, []types.PropertyChange{{Name: "guest.toolsRunningStatus", Val: string(status)}})
	})
}

// power does what a router's own reboot or shutdown does to its VM, or a suspension.
func (l *lab) power(vm *simulator.VirtualMachine, what string) {
	l.Lock()
	delete(l.jobs, vm.Self.Value)
	l.Unlock()
	l.tools(vm, types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	if what == "reboot" {
		time.AfterFunc(l.boot, func() { l.tools(vm, types.VirtualMachineToolsRunningStatusGuestToolsRunning) })
		return
	}
	state := types.VirtualMachinePowerStatePoweredOff
	if what == "standby" {
		state = types.VirtualMachinePowerStateSuspended
	}
	l.ctx.WithLock(vm, func() {
		l.ctx.Update(vm, []types.PropertyChange{{Name: "runtime.powerState", Val: state}})
	})
}

// restart lets the router begin anew, with nothing in its memory.
func (l *lab) restart(vm *simulator.VirtualMachine) {
	_, conn := l.ask(map[string]any{"op": "reboot", "vm": vm.Self.Value, "name": vm.Name})
	conn.Close()
}

// script lets the router run one of its power scripts, and tells whether the operation may go on.
func (l *lab) script(vm *simulator.VirtualMachine, name string) bool {
	lines, conn := l.ask(map[string]any{"op": "script", "script": name, "vm": vm.Self.Value, "name": vm.Name})
	defer conn.Close()
	var reply struct{ Done bool }
	return lines.Scan() && json.Unmarshal(lines.Bytes(), &reply) == nil && reply.Done
}

// defaults are VMware's, for a new VM.
func defaults() *types.ToolsConfigInfo {
	on := true
	return &types.ToolsConfigInfo{AfterPowerOn: &on, AfterResume: &on, BeforeGuestStandby: &on,
		BeforeGuestShutdown: &on, BeforeGuestReboot: &on}
}

// begins is what happens in a VM that was powered on or resumed.
func (l *lab) begins(vm *simulator.VirtualMachine, script string) {
	if vm.Config.Tools == nil || vm.Config.Tools.BeforeGuestReboot == nil {
		vm.Config.Tools = defaults()
	}
	l.tools(vm, types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	time.AfterFunc(l.boot, func() {
		l.tools(vm, types.VirtualMachineToolsRunningStatusGuestToolsRunning)
		l.script(vm, script)
	})
}

// report takes what every router says of itself into the VM's properties, and gives it the host's
// time where that is wanted.
func (l *lab) report() {
	for _, one := range l.ctx.Map.All("VirtualMachine") {
		vm := one.(*simulator.VirtualMachine)
		if _, problem := l.ready(l.ctx, vm.Self); problem != nil || l.copies[vm.Self.Value] {
			continue
		}
		keys := map[string]any{}
		for _, option := range vm.Config.ExtraConfig {
			keys[option.GetOptionValue().Key] = option.GetOptionValue().Value
		}
		sync := vm.Config.Tools.SyncTimeWithHost
		lines, conn := l.ask(map[string]any{"op": "report", "vm": vm.Self.Value, "name": vm.Name, "keys": keys,
			"sync": sync != nil && *sync})
		var said struct {
			Host, Address string
			Interfaces    []struct {
				Name, Mac string
				Addresses []struct {
					Address string
					Prefix  int32
				}
			}
		}
		if lines.Scan() && json.Unmarshal(lines.Bytes(), &said) == nil {
			var nics []types.GuestNicInfo
			for _, one := range said.Interfaces {
				nic := types.GuestNicInfo{Network: one.Name, MacAddress: one.Mac, Connected: true, IpConfig: &types.NetIpConfigInfo{}}
				for _, address := range one.Addresses {
					nic.IpConfig.IpAddress = append(nic.IpConfig.IpAddress,
						types.NetIpConfigInfoIpAddress{IpAddress: address.Address, PrefixLength: address.Prefix})
				}
				nics = append(nics, nic)
			}
			l.ctx.WithLock(vm, func() {
				l.ctx.Update(vm, []types.PropertyChange{{Name: "guest.net", Val: nics},
					{Name: "guest.hostName", Val: said.Host}, {Name: "guest.ipAddress", Val: said.Address}})
			})
		}
		conn.Close()
	}
}

// tooled is a VM whose router's tools have a part in what is done to it: scripts of the router run
// before it goes down, and around a quiesced snapshot.
type tooled struct {
	*simulator.VirtualMachine
	lab *lab
}

func (p *tooled) ShutdownGuest(ctx *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	return &methods.ShutdownGuestBody{Res: new(types.ShutdownGuestResponse), Fault_: p.ask(ctx, "shutdown")}
}

func (p *tooled) RebootGuest(ctx *simulator.Context, req *types.RebootGuest) soap.HasFault {
	return &methods.RebootGuestBody{Res: new(types.RebootGuestResponse), Fault_: p.ask(ctx, "reboot")}
}

func (p *tooled) StandbyGuest(ctx *simulator.Context, req *types.StandbyGuest) soap.HasFault {
	return &methods.StandbyGuestBody{Res: new(types.StandbyGuestResponse), Fault_: p.ask(ctx, "standby")}
}

func (p *tooled) ask(ctx *simulator.Context, what string) *soap.Fault {
	if _, problem := p.lab.ready(ctx, p.Self); problem != nil {
		if _, ok := problem.(*types.GuestOperationsUnavailable); ok {
			problem = new(types.ToolsUnavailable)
		}
		return simulator.Fault("", problem)
	}
	go p.carryOut(ctx, what)
	return nil
}

func (p *tooled) carryOut(ctx *simulator.Context, what string) {
	wanted, script := p.Config.Tools.BeforeGuestShutdown, "poweroff"
	switch what {
	case "reboot":
		wanted = p.Config.Tools.BeforeGuestReboot
	case "standby":
		wanted, script = p.Config.Tools.BeforeGuestStandby, "suspend"
	}
	if *wanted && !p.lab.script(p.VirtualMachine, script) {
		if !p.lab.events {
			return
		}
		of := types.VmEvent{Event: types.Event{Vm: &types.VmEventArgument{
			EntityEventArgument: types.EntityEventArgument{Name: p.Name}, Vm: p.Self}}}
		reason := types.LocalizedMethodFault{Fault: new(types.InvalidState), LocalizedMessage: "the script failed"}
		var event types.BaseEvent = &types.VmFailedToShutdownGuestEvent{VmEvent: of, Reason: reason}
		if what == "reboot" {
			event = &types.VmFailedToRebootGuestEvent{VmEvent: of, Reason: reason}
		}
		manager := ctx.Map.EventManager()
		ctx.WithLock(manager, func() { manager.PostEvent(ctx, &types.PostEvent{EventToPost: event}) })
		return
	}
	if what == "reboot" {
		p.lab.restart(p.VirtualMachine)
	}
	p.lab.power(p.VirtualMachine, what)
}

// backup runs one of the router's backup scripts, if it has it: whether it went well.
func (s *tooled) backup(name string) bool {
	lines, conn := s.lab.ask(map[string]any{"op": "backup", "vm": s.Self.Value, "name": s.Name, "script": name})
	defer conn.Close()
	var reply struct{ Ok bool }
	return lines.Scan() && json.Unmarshal(lines.Bytes(), &reply) == nil && reply.Ok
}

func (s *tooled) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	on := s.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
	tools := s.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	if !req.Quiesce || !on || !tools {
		req.Quiesce = req.Quiesce && !on // "ignored", says the API's reference
		return s.VirtualMachine.CreateSnapshotTask(ctx, req)
	}
	s.lab.Lock()
	_, unprepared := s.lab.faults["PrepareSnapshot"]
	delete(s.lab.faults, "PrepareSnapshot")
	s.lab.Unlock()
	if !s.backup("freeze") || unprepared {
		s.backup("freeze-fail")
		task := simulator.CreateTask(s.VirtualMachine, "createSnapshot", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
			return nil, &types.ApplicationQuiesceFault{}
		})
		return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: task.Run(ctx)}}
	}
	result := s.VirtualMachine.CreateSnapshotTask(ctx, req)
	s.backup("thaw")
	return result
}

// before sees every call before the simulator: it counts, and can let it fail.
func (l *lab) before(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	of := method.This.Value
	switch body := method.Body.(type) {
	case *types.StartProgramInGuest:
		of = body.Vm.Value
	case *types.ListProcessesInGuest:
		of = body.Vm.Value
	}
	l.Lock()
	if ctx.Session != nil {
		l.sessions[ctx.Session.Key] = true
	}
	l.counts[method.Name]++
	var one *fault
	for _, key := range []string{method.Name, method.Name + "@" + of} {
		if found := l.faults[key]; found != nil {
			one = found
			if one.count--; one.count <= 0 {
				delete(l.faults, key)
			}
		}
	}
	l.Unlock()
	if one == nil {
		switch target := ctx.Map.Get(method.This).(type) { // the session's objects go before those of all
		case *simulator.HostNetworkSystem:
			ctx.Session.Put(&hostNetwork{target})
		case *simulator.DistributedVirtualPortgroup:
			ctx.Session.Put(&portGroup{target})
		case *simulator.DistributedVirtualSwitch:
			ctx.Session.Put(&dvs{target})
		}
		vm, ok := ctx.Map.Get(method.This).(*simulator.VirtualMachine)
		switch {
		case method.Name == "ImportVApp":
			ctx.Session.Put(&pool{ctx.Map.Get(method.This).(*simulator.ResourcePool), l})
		case method.Name == "HasPrivilegeOnEntities":
			ctx.Session.Put(&authorization{ctx.Map.Get(method.This).(*simulator.AuthorizationManager), l})
		case !ok:
		case strings.HasSuffix(method.Name, "Guest") || method.Name == "CreateSnapshot_Task":
			ctx.Session.Put(&tooled{vm, l})
		case method.Name == "PowerOnVM_Task" && vm.Runtime.PowerState == types.VirtualMachinePowerStateSuspended:
			l.begins(vm, "resume")
		case method.Name == "PowerOnVM_Task":
			l.begins(vm, "poweron")
		case method.Name == "ResetVM_Task" && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn:
			l.restart(vm)
			l.power(vm, "reboot")
		}
		return nil, nil
	}
	switch one.kind {
	case "NotAuthenticated":
		return nil, &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &method.This, PrivilegeId: "System.View"}}
	case "NoPermission":
		return nil, &types.NoPermission{Object: &method.This, PrivilegeId: "VirtualMachine.GuestOperations.Execute"}
	case "ManagedObjectNotFound":
		return nil, &types.ManagedObjectNotFound{Obj: types.ManagedObjectReference{Type: "VirtualMachine", Value: of}}
	}
	if plain := plainFault(one.kind); plain != nil {
		return nil, plain
	}
	// A number: be silent for so long.
	if seconds, err := strconv.ParseFloat(one.kind, 64); err == nil {
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		return nil, nil
	}
	return nil, &types.SystemError{Reason: one.kind}
}

// plainFault is the fault of that name, if it is one of those that need no content.
func plainFault(kind string) types.BaseMethodFault {
	return map[string]types.BaseMethodFault{
		"GuestOperationsUnavailable": &types.GuestOperationsUnavailable{},
		"GuestPermissionDenied":      &types.GuestPermissionDenied{},
		"InvalidState":               &types.InvalidState{},
		"NoDiskSpace":                &types.NoDiskSpace{Datastore: "LocalDS_0"},
		"NotSupported":               &types.NotSupported{},
		"RestrictedVersion":          &types.RestrictedVersion{},
		"TaskInProgress":             &types.TaskInProgress{Task: types.ManagedObjectReference{Type: "Task", Value: "task-1"}},
	}[kind]
}

// configure sets what is no text of a VM's configuration, or one of its keys.
func configure(vm *simulator.VirtualMachine, key, value string) bool {
	flag, tools := value == "true", vm.Config.Tools
	switch key {
	case "config.template":
		vm.Config.Template = flag
	case "config.tools.syncTimeWithHost":
		tools.SyncTimeWithHost = &flag
	case "config.tools.afterPowerOn":
		tools.AfterPowerOn = &flag
	case "config.tools.beforeGuestShutdown":
		tools.BeforeGuestShutdown = &flag
	default:
		if !strings.HasPrefix(key, "guestinfo.") {
			return false
		}
		vm.Config.ExtraConfig = append(vm.Config.ExtraConfig, &types.OptionValue{Key: key, Value: value})
	}
	return true
}

// pool lets imports go wrong, or their disks go elsewhere, as the lab's control says.
type pool struct {
	*simulator.ResourcePool
	lab *lab
}

func (p *pool) ImportVApp(ctx *simulator.Context, req *types.ImportVApp) soap.HasFault {
	p.lab.Lock()
	wanted := p.lab.lease
	p.lab.Unlock()
	result := p.ResourcePool.ImportVApp(ctx, req)
	body, ok := result.(*methods.ImportVAppBody)
	if !ok || body.Res == nil || len(wanted) == 0 {
		return result
	}
	lease := ctx.Session.Get(body.Res.Returnval).(*simulator.HttpNfcLease)
	for lease.State == types.HttpNfcLeaseStateInitializing {
		time.Sleep(time.Millisecond)
	}
	if problem := plainFault(wanted.Get("error")); problem != nil {
		lease.State, lease.Error = types.HttpNfcLeaseStateError, &types.LocalizedMethodFault{Fault: problem}
		return result
	}
	info := *lease.Info
	for i := range info.DeviceUrl {
		if one := wanted.Get("address"); one != "" {
			target, _ := url.Parse(info.DeviceUrl[i].Url)
			target.Host = one
			info.DeviceUrl[i].Url = target.String()
		}
		info.DeviceUrl[i].SslThumbprint = wanted.Get("thumbprint")
	}
	if timeout, err := strconv.Atoi(wanted.Get("timeout")); err == nil {
		info.LeaseTimeout = int32(timeout)
	}
	lease.Info = &info
	return result
}

// authorization has privileges that nobody has.
type authorization struct {
	*simulator.AuthorizationManager
	lab *lab
}

func (a *authorization) HasPrivilegeOnEntities(req *types.HasPrivilegeOnEntities) soap.HasFault {
	body := a.AuthorizationManager.HasPrivilegeOnEntities(req).(*methods.HasPrivilegeOnEntitiesBody)
	a.lab.Lock()
	defer a.lab.Unlock()
	for _, entity := range body.Res.Returnval {
		for i := range entity.PrivAvailability {
			entity.PrivAvailability[i].IsGranted = !a.lab.denied[entity.PrivAvailability[i].PrivId]
		}
	}
	return body
}

// corrupted is a body in which one byte is another one.
type corrupted struct{ io.Reader }

func (c corrupted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if n > 0 {
		p[n-1] ^= 1
	}
	return n, err
}

// trouble is what the lab's control wants to happen to this transfer: whether it was answered
// already.
func (l *lab) trouble(w http.ResponseWriter, r *http.Request) bool {
	l.Lock()
	wanted := l.transfer
	if r.Method != http.MethodGet {
		l.transfer = nil
	}
	l.Unlock()
	if r.Method == http.MethodGet {
		return false
	}
	if seconds, err := strconv.ParseFloat(wanted.Get("stall"), 64); err == nil {
		time.Sleep(time.Duration(seconds * float64(time.Second)))
	}
	if status, err := strconv.Atoi(wanted.Get("status")); err == nil {
		io.Copy(io.Discard, r.Body)
		http.Error(w, "as the lab wants it", status)
		return true
	}
	if wanted.Get("corrupt") != "" {
		r.Body = io.NopCloser(corrupted{r.Body})
	}
	return false
}

// nfc takes what an ESXi host takes, a streamOptimized disk, and remembers what it was.
func (l *lab) nfc(w http.ResponseWriter, r *http.Request) {
	if l.trouble(w, r) {
		return
	}
	body := bufio.NewReader(r.Body)
	head, _ := body.Peek(12)
	if len(head) < 12 || string(head[:4]) != "KDMV" || binary.LittleEndian.Uint32(head[8:])&0x30000 != 0x30000 {
		http.Error(w, "not a streamOptimized disk", http.StatusInternalServerError)
		return
	}
	sum := sha256.New()
	size := r.ContentLength
	r.Body = io.NopCloser(io.TeeReader(body, sum))
	simulator.ServeNFC(w, r)
	l.Lock()
	defer l.Unlock()
	l.uploads = append(l.uploads, map[string]any{"type": r.Header.Get("Content-Type"), "size": size,
		"sha256": fmt.Sprintf("%x", sum.Sum(nil))})
}

// folder gives the datastores' files to whoever has logged in.
func (l *lab) folder(service *simulator.Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("vmware_soap_session")
		l.Lock()
		known := err == nil && l.sessions[cookie.Value]
		l.Unlock()
		if !known {
			io.Copy(io.Discard, r.Body)
			http.Error(w, "not logged in", http.StatusUnauthorized)
			return
		}
		if !l.trouble(w, r) {
			service.ServeDatastore(w, r)
		}
	}
}

func (l *lab) control(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch r.URL.Path {
	case "/fault":
		count, _ := strconv.Atoi(query.Get("count"))
		l.Lock()
		l.faults[query.Get("method")] = &fault{query.Get("fault"), count}
		l.Unlock()
	case "/accept":
		l.Lock()
		l.accept = query.Get("program")
		l.Unlock()
	case "/report":
		l.report()
	case "/lease", "/transfer", "/deny":
		l.Lock()
		defer l.Unlock()
		switch r.URL.Path {
		case "/lease":
			l.lease = query
		case "/transfer":
			l.transfer = query
		default:
			l.denied[query.Get("privilege")] = true
		}
	case "/uploads":
		l.Lock()
		defer l.Unlock()
		json.NewEncoder(w).Encode(l.uploads)
	case "/datastore":
		for _, one := range l.ctx.Map.All("Datastore") {
			free, _ := strconv.ParseInt(query.Get("free"), 10, 64)
			l.ctx.WithLock(one, func() {
				l.ctx.Update(one, []types.PropertyChange{{Name: "summary.freeSpace", Val: free},
					{Name: "summary.accessible", Val: query.Get("accessible") != "false"}})
			})
		}
	case "/made":
		for _, one := range l.ctx.Map.All("VirtualMachine") {
			if vm := one.(*simulator.VirtualMachine); vm.Name == query.Get("name") {
				var text bytes.Buffer
				types.NewJSONEncoder(&text).Encode(*vm.Config)
				json.NewEncoder(w).Encode(map[string]any{"moid": vm.Self.Value, "power": vm.Runtime.PowerState,
					"folder": vm.Parent.Value, "pool": vm.ResourcePool.Value, "config": json.RawMessage(text.Bytes())})
			}
		}
	case "/host":
		hostState(l.ctx, query.Get("name"), types.HostSystemConnectionState(query.Get("state")))
	case "/forget":
		l.Lock()
		if moid := query.Get("moid"); moid != "" {
			delete(l.jobs, moid)
		} else {
			l.jobs = map[string]map[int64]*types.GuestProcessInfo{}
		}
		l.Unlock()
	case "/vm":
		for _, one := range l.ctx.Map.All("VirtualMachine") {
			vm := one.(*simulator.VirtualMachine)
			if vm.Self.Value != query.Get("moid") {
				continue
			}
			if query.Get("lost") != "" {
				l.ctx.WithLock(vm, func() { lost(l.ctx, vm) })
				continue
			}
			var changes []types.PropertyChange
			for key, values := range query {
				if key != "moid" {
					changes = append(changes, types.PropertyChange{Name: key, Val: values[0]})
				}
				if key == "runtime.powerState" {
					changes[len(changes)-1].Val = types.VirtualMachinePowerState(values[0])
				}
				if configure(vm, key, values[0]) {
					changes = changes[:len(changes)-1]
				}
			}
			l.ctx.WithLock(vm, func() { l.ctx.Update(vm, changes) })
		}
	case "/counts":
		l.Lock()
		defer l.Unlock()
		json.NewEncoder(w).Encode(l.counts)
		if query.Get("reset") != "" {
			l.counts = map[string]int{}
		}
	default:
		http.NotFound(w, r)
	}
}

func main() {
	l := &lab{counts: map[string]int{}, faults: map[string]*fault{}, jobs: map[string]map[int64]*types.GuestProcessInfo{}, next: 2000,
		sessions: map[string]bool{}, denied: map[string]bool{}}
	flag.StringVar(&l.socket, "lab", "", "unix socket of the lab")
	flag.StringVar(&l.accept, "accept", "inline", "program that runs script text: inline, console or both")
	flag.StringVar(&l.refuse, "refuse", "InvalidArgument", "fault for another program: InvalidArgument or FileNotFound")
	flag.DurationVar(&l.retention, "retention", time.Minute, "how long a finished job is known")
	flag.BoolVar(&l.events, "events", true, "a power operation that a script has stopped leaves an event")
	flag.DurationVar(&l.boot, "boot", time.Second, "how long a reboot takes")
	user := flag.String("user", "script@vsphere.local", "API user")
	password := flag.String("password", "", "API password")
	count := flag.Int("vms", 1, "number of VMs")
	listedOnly := flag.Int("copies", 0, "number of further VMs, which are only there to be listed")
	names := flag.String("names", "", "names of the first VMs, with commas")
	esx := flag.Bool("esx", false, "be an ESXi host, not a vCenter")
	datastores := flag.Int("datastores", 1, "number of datastores")
	flag.Parse()

	model := simulator.VPX()
	model.Host = 0
	if *esx {
		model = simulator.ESX()
	}
	model.Machine, model.Datastore = *count, *datastores
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	l.ctx = model.Service.Context
	model.Map().Handler = l.before
	manager := &guestProcesses{lab: l}
	manager.Self = types.ManagedObjectReference{Type: "GuestProcessManager", Value: "guestOperationsProcessManager"}
	model.Map().Put(manager)
	connectHosts(model.Map())
	vms := model.Map().All("VirtualMachine")
	number := func(i int) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(vms[i].Reference().Value, "vm-"))
		return n
	}
	sort.Slice(vms, func(a, b int) bool { return number(a) < number(b) })
	given := strings.Split(*names, ",")
	listed := []map[string]string{}
	for i, one := range vms {
		vm := one.(*simulator.VirtualMachine)
		changes := []types.PropertyChange{
			{Name: "guest.toolsRunningStatus", Val: string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)},
		}
		if *names != "" && i < len(given) {
			path := fmt.Sprintf("[LocalDS_0] %s/%s.vmx", vm.Self.Value, vm.Self.Value)
			changes = append(changes, types.PropertyChange{Name: "name", Val: given[i]},
				types.PropertyChange{Name: "summary.config.name", Val: given[i]}, types.PropertyChange{Name: "summary.config.vmPathName", Val: path})
		}
		vm.Config.Tools = defaults()
		l.ctx.WithLock(vm, func() { l.ctx.Update(vm, changes) })
		listed = append(listed, map[string]string{"moid": vm.Self.Value, "name": vm.Name, "uuid": vm.Config.Uuid,
			"instance_uuid": vm.Config.InstanceUuid, "path": vm.Summary.Config.VmPathName})
	}
	l.copies = copies(l.ctx, vms[0].(*simulator.VirtualMachine), *listedOnly)
	folders := map[string]string{}
	for _, one := range model.Map().All("Datastore") {
		folders[one.(*simulator.Datastore).Name] = one.(*simulator.Datastore).Summary.Url
	}
	go func() {
		for range time.Tick(30 * time.Second) {
			l.report()
		}
	}()
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(*user, *password)}
	model.Service.ServeMux = http.NewServeMux()
	model.Service.ServeMux.HandleFunc("POST /nfc/", l.nfc)
	model.Service.ServeMux.HandleFunc("PUT /folder/", l.folder(model.Service))
	model.Service.ServeMux.HandleFunc("GET /folder/", l.folder(model.Service))
	server := model.Service.NewServer()
	certificate, err := server.CertificateFile()
	if err != nil {
		log.Fatal(err)
	}
	side, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(side, http.HandlerFunc(l.control))
	json.NewEncoder(os.Stdout).Encode(map[string]any{"host": "127.0.0.1", "port": server.URL.Port(),
		"control": "http://" + side.Addr().String(), "ca": certificate, "vms": listed, "datastores": folders})
	bufio.NewReader(os.Stdin).ReadString('\n') // until whoever started this is gone
	server.Close()
}
