# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The boot sector of the lab's disk: reads what the table behind it lists into memory, and jumps into the Linux kernel, by the
# kernel's boot protocol for 16-bit loaders. disk.py makes the table, and writes into the kernel's header what a loader has to say.
# Unlike GRUB, it reads 64 KiB at a time and puts everything to its place at once: emulated, that is several seconds faster.

        .code16
        .set    BUFFER, 0x10000
        .set    MOST, 128               # sectors: a BIOS reads within 64 KiB

start:  cli
        xorw    %ax, %ax
        movw    %ax, %ss
        movw    $start, %sp
        movw    %ax, %ds
        sti
        cld
        movb    %dl, drive
        movw    $0x2401, %ax            # memory beyond the first megabyte
        int     $0x15
        movw    $table, %bp

run:    movl    0(%bp), %eax            # first sector on the disk
        movl    %eax, sector
        movl    8(%bp), %edi            # where it goes
part:   movl    4(%bp), %eax            # how many sectors there are still
        testl   %eax, %eax
        jz      next
        cmpl    $MOST, %eax
        jbe     read
        movl    $MOST, %eax
read:   movw    %ax, count
        movb    $0x42, %ah
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        jc      failed

        cli                             # segments of 4 GiB, which the BIOS takes back with each call
        lgdt    gdt
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $8, %bx
        movw    %bx, %ds
        movw    %bx, %es
        andb    $0xfe, %al
        movl    %eax, %cr0
        xorw    %bx, %bx
        movw    %bx, %ds
        movw    %bx, %es
        sti
        movzwl  count, %eax
        addl    %eax, sector
        subl    %eax, 4(%bp)
        movl    %eax, %ecx
        shll    $7, %ecx
        movl    $BUFFER, %esi
        addr32 rep movsl
        jmp     part

next:   addw    $12, %bp
        cmpl    $0, 0(%bp)
        jne     run
        cli
        movw    $0x9000, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movw    $0xe000, %sp
        ljmp    $0x9020, $0

failed: movw    $0x0e21, %ax            # "!"
        int     $0x10
        hlt
        jmp     failed

drive:  .byte   0
        .balign 4
packet: .byte   16, 0
count:  .word   0
        .word   0, BUFFER >> 4
sector: .long   0, 0
gdt:    .word   15                      # the table's own place is its unused first entry
        .long   gdt
        .word   0
        .quad   0x00cf92000000ffff
table:                                  # runs of 12 bytes: sector, number, address; a zero ends them
