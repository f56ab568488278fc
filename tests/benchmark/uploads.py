# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to send an image, against what curl, ssh with dd, or virsh take for the same on the
same path, in turns.

uploads.py [--size 256] [--rounds 5]
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MB = 1_000_000
Way = tuple[str, t.Callable[[], object]]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=256, help="MB of the image")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chr-bench-") as temporary:
        folder = Path(temporary)
        collection = folder / "collections" / "ansible_collections" / "outofband" / "chr"
        collection.parent.mkdir(parents=True)
        collection.symlink_to(ROOT)
        sys.path.insert(0, str(folder / "collections"))
        if arguments.serve:
            return serve(arguments.serve)
        image = folder / "image.raw"
        with image.open("wb") as file:
            for _unused in range(arguments.size):
                file.write(os.urandom(MB))
        for measure in (over_https, over_ssh, over_libvirt):
            measure(folder, image, arguments.rounds)
    return 0


def compare(title: str, image: Path, rounds: int, floor: Way, *ways: Way) -> None:
    """Print the pace of each way, and its ratio to that of *floor* in the same round."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, work in (floor, *ways):
            began = time.perf_counter()
            work()
            if number:  # the first round warms up
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    size = image.stat().st_size / MB
    print(f"An image of {size:.0f} MB {title}, median of {rounds}:")
    for name, each in seconds.items():
        ratio = statistics.median(base / ours for base, ours in zip(seconds[floor[0]], each, strict=True))
        print(f"  {name:<24} {size / statistics.median(each):6.0f} MB/s        {ratio:4.2f} x {floor[0]}")


def over_https(folder: Path, image: Path, rounds: int) -> None:
    """As Proxmox VE, XenAPI and NFC leases take it, to a server that only reads."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
    from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import Progress, Source
    from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Https

    server = subprocess.Popen([sys.executable, __file__, "--serve", folder], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        port, authority = server.stdout.readline().split()
        https = Https(
            "the server", ("localhost", int(port)), validate_certs=True, ca_path=authority, authority="", keep=5
        )

        def send() -> None:
            headers = {"Content-Length": str(image.stat().st_size)}
            with image.open("rb") as file:
                body = Source(file, Progress(lambda _line: None, "", image.stat().st_size))
                assert https.exchange("PUT", "PUT", "/", body, headers, Deadline(5), 60).status == 200

        command = ["curl", "--silent", "--show-error", "--fail", "--cacert", authority, "-H", "Expect:", "-T", image]
        curl = [*command, f"https://localhost:{port}/"]
        compare("over HTTPS", image, rounds, ("curl", lambda: subprocess.run(curl, check=True)), ("upload", send))
    finally:
        server.kill()
        server.wait()


def serve(folder: Path) -> int:
    from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate

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
    return 0


def over_ssh(folder: Path, image: Path, rounds: int) -> None:
    """As the platforms with commands of their own take it; put also computes the sha256 on the far
    side."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
    from ansible_collections.outofband.chr.tests.lab.options import options_for
    from ansible_collections.outofband.chr.tests.lab.sshd import Sshd

    (folder / "sshd").mkdir()
    sshd = Sshd(folder / "sshd")
    sshd.start()
    try:
        options = options_for("qemu", "x", 10, "auto", folder / "run", ssh_host="hypervisor", ssh_args=sshd.options)
        machine = Machine(options)
        sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
        ssh = f"ssh {sshd.options} -S {folder}/master -o ControlMaster=auto -o ControlPersist=30 hypervisor"
        dd = f"{ssh} dd of={folder}/dd.img bs=1M iflag=fullblock status=none <{image}"
        sha = f"{ssh} openssl dgst -sha256 {folder}/dd.img"
        compare(
            "over ssh",
            image,
            rounds,
            ("dd", lambda: subprocess.run(dd, shell=True, check=True)),
            (
                "dd, then its sha256",
                lambda: subprocess.run(f"{dd} && {sha}", shell=True, check=True, stdout=subprocess.DEVNULL),
            ),
            ("put, verified", lambda: machine.put(image, sha256, f"{folder}/put.img")),
        )
    finally:
        sshd.stop()


def over_libvirt(folder: Path, image: Path, rounds: int) -> None:
    """Into a volume of a private libvirtd, through its socket."""
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import stream as libvirt_stream
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.connection import library
    from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
    from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
    from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
    from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

    guest = build_image(Path(os.environ.get("OUTOFBAND_LAB_CACHE", ROOT / ".build" / "lab")))
    raw = Image(image, "raw", image.stat().st_size)
    with temporary_folder() as folder, Libvirtd(folder, guest) as daemon:
        daemon.pool("default")
        daemon.virsh("vol-create-as", "default", "v", str(raw.virtual_size), "--allocation", "0")
        connection = library().open(daemon.uri)
        volume = connection.storagePoolLookupByName("default").storageVolLookupByName("v")
        virsh = ["virsh", "-q", "-c", daemon.uri, "vol-upload", "--pool", "default", "v", image]
        compare(
            "over libvirt",
            image,
            rounds,
            ("virsh vol-upload", lambda: subprocess.run(virsh, check=True)),
            ("upload", lambda: libvirt_stream.upload(connection, volume, raw, sparse=True, moved=lambda _count: None)),
            (
                "read back, sha256",
                lambda: libvirt_stream.digest(connection, volume, raw.size, sparse=True, moved=lambda _count: None),
            ),
        )
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
