# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab's Proxmox VE lists: the cluster's resources, its nodes, their VMs, and pools.

As PVE::API2::Cluster, PVE::API2Tools and PVE::API2::Nodes have it. What a node broadcasts is
missing for a node that is offline: the names of its VMs, and what they use.
"""

from __future__ import annotations

import typing as t

from .tasks import Died

_GIB = 1 << 30


class Resources:
    """The lists of a cluster. A part of LabProxmox."""

    def resources(self: t.Any, kind: str | None, login: str) -> list[dict[str, t.Any]]:
        """GET /cluster/resources. *kind*: ``vm``, ``node``, or None for all."""
        rows: list[dict[str, t.Any]] = []
        if kind in (None, "pool"):
            rows += [{"id": f"/pool/{one}", "type": "pool", "pool": one} for one in self._pools()]
        if kind in (None, "vm") and "VM.Audit" in self._privileges(login):
            rows += [self._resource(vm) for vm in list(self.vms.values())]
        if kind in (None, "node"):
            rows += self.node_rows(fingerprints=False)
        if kind in (None, "storage"):
            rows += [
                {"id": f"storage/{node}/{one}", "type": "storage", "storage": one, "node": node, "status": "available"}
                for node in self.nodes
                for one in self.storages
            ]
        return rows

    def _resource(self: t.Any, vm: t.Any) -> dict[str, t.Any]:
        row = {
            "type": vm.kind,
            "vmid": vm.vmid,
            "node": vm.node,
            "id": f"{vm.kind}/{vm.vmid}",
            "status": "unknown",
            **({"pool": vm.pool} if vm.pool else {}),
        }
        if self.number >= (8, 0) and vm.config.get("tags"):  # since pve-manager 7.3
            row["tags"] = vm.config["tags"]
        if vm.node not in self.offline and self.known_to_the_cluster(vm):
            row |= {"name": vm.name, "template": int(vm.template), **self._usage(vm)}
            row["maxcpu"] = int(vm.config.get("cores", 1)) * int(vm.config.get("sockets", 1))
        return row

    def _usage(self: t.Any, vm: t.Any) -> dict[str, t.Any]:
        return {
            "status": "running" if vm.running else "stopped",
            "uptime": 60 if vm.running else 0,
            "cpu": 0.01 if vm.running else 0,
            "maxmem": int(vm.config.get("memory", 512)) << 20,
            "mem": 0,
            "maxdisk": 128 << 20,
            "disk": 0,
            **dict.fromkeys(("netin", "netout", "diskread", "diskwrite"), 0),
        }

    def node_rows(self: t.Any, *, fingerprints: bool = True) -> list[dict[str, t.Any]]:
        """GET /nodes, and the nodes among the resources, which have no fingerprints."""
        usage = {"uptime": 3600, "cpu": 0.05, "mem": _GIB, "maxcpu": 4, "maxmem": 8 * _GIB, "disk": 0, "maxdisk": 0}
        return [
            {
                "id": f"node/{one}",
                "node": one,
                "type": "node",
                "level": "",
                **({"status": "offline"} if one in self.offline else {"status": "online", **usage}),
                **({"ssl_fingerprint": ":".join(["AB"] * 32)} if fingerprints else {}),
            }
            for one in self.nodes
        ]

    def vm_rows(self: t.Any, node: str, kind: str, login: str) -> list[dict[str, t.Any]]:
        """GET /nodes/{node}/qemu or lxc."""
        return [
            {
                "vmid": vm.vmid,
                "name": vm.name,
                "cpus": int(vm.config.get("cores", 1)),
                **self._usage(vm),
                **({"template": 1} if vm.template else {}),
                **({"tags": vm.config["tags"]} if vm.config.get("tags") else {}),
            }
            for vm in list(self.vms.values())
            if vm.node == node and vm.kind == kind and "VM.Audit" in self._privileges(login)
        ]

    def _pools(self: t.Any) -> list[str]:
        return sorted({vm.pool for vm in self.vms.values() if vm.pool})

    def places(self: t.Any, path: str, login: str) -> t.Any:
        """GET /cluster/status, /pools and /pools/{poolid}."""
        if path == "/pools":
            return [{"poolid": one} for one in self._pools()]
        if path.startswith("/pools/"):
            pool = path.removeprefix("/pools/")
            if pool not in self._pools():
                raise Died(500, f"pool '{pool}' does not exist")
            return {"members": [self._resource(vm) for vm in self.vms.values() if vm.pool == pool]}
        if "Sys.Audit" not in self._privileges(login):
            raise Died(403, "Permission check failed (/, Sys.Audit)")
        cluster = [{"type": "cluster", "id": "cluster", "name": self.cluster_name, "quorate": 1, "version": 2}]
        return [
            *({**one, "nodes": len(self.nodes)} for one in cluster if self.cluster_name),
            *(
                {"type": "node", "id": f"node/{one}", "name": one, "online": int(one not in self.offline), "local": 0}
                for one in self.nodes
            ),
        ]
