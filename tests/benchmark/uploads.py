# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image to a hypervisor, beside curl, ssh with dd, and virsh on the same path."""

from __future__ import annotations

import hashlib
import http.server
import os
import ssl
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import Progress, Source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import stream as libvirt_stream
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.connection import library
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Https
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
from ansible_collections.outofband.chr.tests.lab.missing import Missing, need_library, need_program
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

from .clock import Work, medians_in_turns
from .row import NotRun, Row
from .servers import PACKAGE, line_of, started
from .stage import CACHE, Stage

TITLE = "An upload"
AT_MOST = 1 / 0.9
MB = 1_000_000


def measure(stage: Stage) -> t.Iterator[Row | NotRun]:
    image = stage.folder / "image.raw"
    size = stage.of(64, 256)
    with image.open("wb") as file:
        for _unused in range(size):
            file.write(os.urandom(MB))
    for way in (over_https, over_ssh, over_libvirt):
        try:
            yield from way(stage, image)
        except Missing as error:
            yield NotRun(TITLE, way.__name__.replace("_", " "), str(error))


def compared(stage: Stage, name: str, peer: str, theirs: Work, ours: Work, at_most: float | None = AT_MOST) -> Row:
    floor, own = medians_in_turns(stage.rounds, theirs, ours)
    return Row(TITLE, name, own, "s", peer, floor, at_most)


def over_https(stage: Stage, image: Path) -> t.Iterator[Row]:
    """As Proxmox VE, XenAPI and NFC leases take it, to a server that only reads."""
    need_program("curl")
    with started("-m", f"{PACKAGE}.uploads", str(stage.folder)) as server:
        port, authority = line_of(server).split()
        place = ("localhost", int(port))
        https = Https("the server", place, validate_certs=True, ca_path=authority, authority="", keep=5)

        def send() -> None:
            headers = {"Content-Length": str(image.stat().st_size)}
            with image.open("rb") as file:
                body = Source(file, Progress(lambda _line: None, "", image.stat().st_size))
                assert https.exchange("PUT", "PUT", "/", body, headers, Deadline(5), 60).status == 200

        command = ["curl", "--silent", "--show-error", "--fail", "--cacert", authority, "-H", "Expect:", "-T", image]
        curl = [*command, f"https://localhost:{port}/"]
        yield compared(stage, "over HTTPS", "curl", lambda: subprocess.run(curl, check=True), send)
        server.terminate()


def serve(folder: Path) -> None:
    """A server that reads what is sent, and prints its port and its certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            left = int(self.headers["Content-Length"])
            buffer = memoryview(bytearray(1 << 20))
            while left:
                left -= self.rfile.readinto(buffer[: min(left, len(buffer))])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: t.Any) -> None:
            return

    certificate = folder / "server.pem"
    make_certificate(certificate, "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        print(server.server_port, f"{certificate}.crt", flush=True)
        server.serve_forever()


def over_ssh(stage: Stage, image: Path) -> t.Iterator[Row]:
    """As the platforms with commands of their own take it.

    Ours also computes the sha256 on the far side.
    """
    folder = stage.folder
    (folder / "sshd").mkdir()
    sshd = Sshd(folder / "sshd")
    sshd.start()
    try:
        options = options_for("qemu", "x", 10, "auto", folder / "run", ssh_host="hypervisor", ssh_args=sshd.options)
        machine = Machine(options)
        sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
        ssh = f"ssh -q {sshd.options} -S {folder}/master -o ControlMaster=auto -o ControlPersist=30 hypervisor"
        dd = f"{ssh} dd of={folder}/dd.img bs=1M iflag=fullblock status=none <{image}"
        both = f"{dd} && {ssh} openssl dgst -sha256 {folder}/dd.img"
        yield compared(
            stage,
            "over ssh, verified",
            "dd over ssh, then its sha256",
            lambda: subprocess.run(both, shell=True, check=True, stdout=subprocess.DEVNULL),
            lambda: machine.put(image, sha256, f"{folder}/put.img"),
        )
    finally:
        sshd.stop()


def over_libvirt(stage: Stage, image: Path) -> t.Iterator[Row]:
    """Into a volume of a private libvirtd, through its socket."""
    need_library("libvirt", "libvirt-python")
    raw = Image(image, "raw", image.stat().st_size)
    with temporary_folder() as folder, Libvirtd(folder, build_image(CACHE)) as daemon:
        daemon.pool("default")
        daemon.virsh("vol-create-as", "default", "v", str(raw.virtual_size), "--allocation", "0")
        connection = library().open(daemon.uri)
        volume = connection.storagePoolLookupByName("default").storageVolLookupByName("v")
        virsh = ["virsh", "-q", "-c", daemon.uri, "vol-upload", "--pool", "default", "v", image]
        read = ["virsh", "-q", "-c", daemon.uri, "vol-download", "--pool", "default", "v", "/dev/null"]
        ignored: t.Any = {"sparse": True, "moved": lambda _count: None}
        yield compared(
            stage,
            "over libvirt",
            "virsh vol-upload",
            lambda: subprocess.run(virsh, check=True),
            lambda: libvirt_stream.upload(connection, volume, raw, **ignored),
        )
        yield compared(
            stage,
            "read back over libvirt, with its sha256",
            "virsh vol-download",
            lambda: subprocess.run(read, check=True),
            lambda: libvirt_stream.digest(connection, volume, raw.size, **ignored),
            at_most=None,
        )
        connection.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
