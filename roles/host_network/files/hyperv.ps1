# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Lets the network cards of a VM send from other MAC addresses, and get VLANs with their tags. In check mode, Ansible sets
# $WhatIfPreference, and the Set- cmdlets change nothing.

[CmdletBinding(SupportsShouldProcess)]
param (
    [Parameter(Mandatory)] [string] $Name,
    [Parameter(Mandatory)] [bool] $Spoofing,
    [string[]] $Trunk = @(),
    [int] $NativeVlan = 0,
    [int[]] $Cards = @()
)

$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$allowed = @(
    foreach ($range in $Trunk) {
        $first, $last = $range -split '-'
        if (-not $last) { $last = $first }
        [int] $first .. [int] $last
    }
) | Sort-Object -Unique
$spoofingMode = if ($Spoofing) { 'On' } else { 'Off' }

$number = 0
foreach ($card in @(Get-VMNetworkAdapter -VMName $Name)) {
    $number += 1
    if ($Cards.Count -gt 0 -and $Cards -notcontains $number) { continue }

    if ([string] $card.MacAddressSpoofing -ne $spoofingMode) {
        Set-VMNetworkAdapter -VMNetworkAdapter $card -MacAddressSpoofing $spoofingMode
        $Ansible.Changed = $true
    }

    if ($Trunk.Count -eq 0) { continue }
    $vlan = Get-VMNetworkAdapterVlan -VMNetworkAdapter $card
    $now = @($vlan.AllowedVlanIdList | Sort-Object -Unique)
    if ([string] $vlan.OperationMode -ne 'Trunk' -or $vlan.NativeVlanId -ne $NativeVlan -or ($now -join ',') -ne ($allowed -join ',')) {
        Set-VMNetworkAdapterVlan -VMNetworkAdapter $card -Trunk -AllowedVlanIdList ($Trunk -join ',') -NativeVlanId $NativeVlan
        $Ansible.Changed = $true
    }
}
