# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import os
import resource as limits
import signal
import ssl
import subprocess
import sys
import time

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, TransferFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._image import download as module
from ansible_collections.outofband.chr.plugins.plugin_utils._image.checksum import Checksum
from ansible_collections.outofband.chr.plugins.plugin_utils._image.download import Download, Trust, check_url, shown
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.rude import RudeServer, rude
from ansible_collections.outofband.chr.tests.lab.web import Resource, WebServer

BODY = os.urandom(3_000_000)
RIGHT = Checksum("sha256", hashlib.sha256(BODY).hexdigest())
OTHER = os.urandom(3_000_000)
TRUST = Trust()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "file"


@pytest.fixture
def get(web, target):
    """Download ``/f`` as the web has it now; the lines that were said."""

    def run(url=None, checksum=RIGHT, seconds=60.0, trust=TRUST):
        said = []
        target.parent.mkdir(exist_ok=True)
        Download(url or f"{web.url}/f", target, checksum, trust, Deadline(seconds), said.append).run()
        return said

    return run


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def left(target):
    return sorted(one.name for one in target.parent.iterdir())


def test_a_file_comes_whole_and_alone(web, get, target):
    web["/f"] = Resource(BODY)
    assert get() == []
    assert target.read_bytes() == BODY
    assert left(target) == ["file"]
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_connection_that_breaks_is_continued_where_it_broke(web, get, target):
    web["/f"] = Resource(BODY, break_after=[1_000_000, 500_000, 1])
    get()
    assert target.read_bytes() == BODY
    assert web["/f"].sent == len(BODY)
    assert [one.get("Range") for one in web["/f"].asked] == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500001-"]


def test_a_later_run_goes_on_where_the_first_was_given_up(web, get, target):
    web["/f"] = Resource(BODY, break_after=[1_000_000, 0, 0, 0, 0])
    with pytest.raises(
        TransferFailed,
        match=r"after several tries: .*The 1 MB that arrived are kept, and the next run continues from there",
    ):
        get()
    get()
    assert target.read_bytes() == BODY
    assert web["/f"].sent == len(BODY)


def test_a_run_that_was_killed_is_continued(web, target):
    target.parent.mkdir()
    web["/f"] = Resource(BODY, stall_after=1_000_000)
    program = (
        "import sys; from pathlib import Path\n"
        f"from {module.__name__} import Download, Trust\n"
        f"from {Deadline.__module__} import Deadline\n"
        "Download(sys.argv[1], Path(sys.argv[2]), None, Trust(), Deadline(60), print).run()"
    )
    command = [sys.executable, "-c", program, f"{web.url}/f", str(target)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    part = target.with_name("file.part")
    with subprocess.Popen(command, env=environment) as process:
        while not part.exists() or part.stat().st_size < 1_000_000:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    web["/f"].stall_after = None
    subprocess.run(command, env=environment, check=True)
    assert target.read_bytes() == BODY
    assert web["/f"].sent == len(BODY)
    assert left(target) == ["file"]


def begun(web, get, target, **kept):
    """Leave the first third of BODY behind, and change what the server has."""
    web["/f"] = Resource(BODY, break_after=[1_000_000, 0, 0, 0, 0], **kept)
    with pytest.raises(TransferFailed):
        get()
    assert target.with_name("file.part").stat().st_size == 1_000_000


@pytest.mark.parametrize("kept", [{}, {"etag": None, "headers": {"Last-Modified": "Mon, 01 Jun 2026 00:00:00 GMT"}}])
def test_a_file_that_changed_in_between_is_begun_anew(web, get, target, kept):
    begun(web, get, target, **kept)
    web["/f"] = Resource(OTHER)
    get(checksum=Checksum("sha256", hashlib.sha256(OTHER).hexdigest()))
    assert target.read_bytes() == OTHER
    assert web["/f"].asked[0]["Range"] == "bytes=1000000-"


def test_a_server_that_is_wrong_about_the_change_is_found_out_by_the_checksum(web, get, target):
    begun(web, get, target)
    web["/f"] = Resource(OTHER, always_partial=True)
    get(checksum=Checksum("sha256", hashlib.sha256(OTHER).hexdigest()))
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize("kept", [{"ranges": False}, {"etag": "weak"}, {"etag": None}])
def test_a_server_that_cannot_continue_sends_it_from_the_beginning(web, get, target, kept):
    web["/f"] = Resource(BODY, break_after=[1_000_000], **kept)
    get()
    assert target.read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file_is_begun_anew(web, get, target):
    begun(web, get, target)
    web["/f"] = Resource(BODY[:1000], etag=None, always_partial=True)
    get(checksum=Checksum("sha256", hashlib.sha256(BODY[:1000]).hexdigest()))
    assert target.read_bytes() == BODY[:1000]


def test_a_run_that_was_killed_after_the_last_byte_is_continued_with_nothing(web, get, target):
    begun(web, get, target)
    with target.with_name("file.part").open("ab") as part:
        part.write(BODY[1_000_000:])
    web["/f"].break_after.clear()
    sent = web["/f"].sent
    get()
    assert target.read_bytes() == BODY
    assert web["/f"].sent == sent


def test_another_part_than_the_one_asked_for_is_not_taken(web, get, target):
    begun(web, get, target)
    web["/f"] = Resource(BODY, status=206, headers={"Content-Range": "bytes 0-2999999/3000000"}, ranges=False)
    get()
    assert target.read_bytes() == BODY
    assert [one.get("Range") for one in web["/f"].asked] == ["bytes=1000000-", None]


def test_a_wrong_checksum_leaves_nothing(web, get, target):
    web["/f"] = Resource(OTHER)
    with pytest.raises(TransferFailed, match=rf"has the checksum sha256:\w+, not {RIGHT}. It was removed"):
        get()
    assert left(target) == []
    assert len(web["/f"].asked) == 1


def test_a_server_that_is_busy_is_asked_again(web, get, target):
    web["/f"] = Resource(BODY, statuses=[503, 502, 429])
    get()
    assert target.read_bytes() == BODY


def test_tries_end(web, get):
    web["/f"] = Resource(BODY, statuses=[503] * 9)
    with pytest.raises(TransferFailed, match="/f was not downloaded after several tries: the server answered 503"):
        get()
    assert len(web["/f"].asked) == 4


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (404, "The server does not have this file: check version and url"),
        (403, "A login is required"),
        (400, "Check version and url"),
    ],
)
def test_a_refusal_is_told_at_once(web, get, target, status, advice):
    web["/f"] = Resource(b"", status)
    with pytest.raises(TransferFailed, match=rf"/f answered {status} [\w ]+\. {advice}"):
        get()
    assert len(web["/f"].asked) == 1
    assert left(target) == []


PAGE = b"\n<!DOCTYPE html><html><head><title>Log in\x1b[2J, please</title></head>" + bytes(100_000)


def test_a_web_page_in_place_of_the_file_is_recognised(web, get, target):
    web["/f"] = Resource(PAGE, headers={"Content-Type": "text/html"})
    with pytest.raises(
        TransferFailed, match=r"answered with a web page \('Log in \[2J, please'\) instead of the file\. "
    ):
        get()
    assert left(target) == []


def test_a_redirect_to_a_web_page_says_where_it_led(web, get):
    web["/f"] = Resource(b"", 302, {"Location": f"{web.url}/login?secret=1"})
    web["/login"] = Resource(PAGE)
    with pytest.raises(TransferFailed, match=rf"instead of the file after it led to {web.url}/login\. "):
        get()


def test_a_redirect_is_followed_and_continued(web, get, target):
    web["/f"] = Resource(b"", 302, {"Location": f"{web.url}/real"})
    web["/real"] = Resource(BODY, break_after=[1_000_000])
    get()
    assert target.read_bytes() == BODY
    assert web["/real"].sent == len(BODY)


def test_a_login_of_the_url_reaches_the_server_but_no_message_and_no_other_server(web, get, target):
    basic = "Basic " + base64.b64encode(b"me:s3cret").decode()
    url = web.url.replace("//", "//me:s3cret@") + "/f"
    web["/f"] = Resource(BODY, login=basic)
    get(url)
    assert target.read_bytes() == BODY
    web["/f"] = Resource(BODY, 404)
    with pytest.raises(TransferFailed) as failed:
        get(url)
    assert "s3cret" not in str(failed.value)
    with WebServer() as other:
        other["/f"] = Resource(BODY)
        web["/f"] = Resource(b"", 302, {"Location": f"{other.url}/f"}, login=basic)
        get(url)
        assert "Authorization" not in other["/f"].asked[0]


def test_a_length_that_is_too_large_is_no_whole_file(web, get):
    web["/f"] = Resource(BODY, length=len(BODY) + 1, ranges=False)
    with pytest.raises(TransferFailed, match="closed the connection after 3000000 of 3000001 bytes"):
        get()


def test_a_file_without_a_length_is_taken_as_it_ends(web, get, target):
    web["/f"] = Resource(BODY, length=-1)
    get()
    assert target.read_bytes() == BODY


def test_an_empty_file_is_none(web, get):
    web["/f"] = Resource(b"")
    with pytest.raises(TransferFailed, match="an empty file"):
        get(checksum=None)


@pytest.mark.parametrize("length", [None, -1])
def test_more_bytes_than_any_image_has_are_not_stored(web, get, target, monkeypatch, length):
    monkeypatch.setattr(module, "_LARGEST", 2_000_000)
    web["/f"] = Resource(BODY, length=length)
    with pytest.raises(TransferFailed, match="cannot be the image of a router"):
        get()
    assert left(target) == []


def test_a_server_that_falls_silent_ends_with_the_time(web, get):
    web["/f"] = Resource(BODY, stall_after=1_000_000)
    with pytest.raises(
        TransferFailed, match=r"was not downloaded within 1 s \(timeout\): .*The 1 MB that arrived are kept"
    ):
        get(seconds=1.0)


def test_a_server_that_falls_silent_is_left_and_asked_again(web, get, target, monkeypatch):
    monkeypatch.setattr(module, "_STALL", 0.5)
    web["/f"] = Resource(BODY, stall_after=2_000_000)
    get()
    assert target.read_bytes() == BODY
    assert web["/f"].asked[1]["Range"] == "bytes=2000000-"


def test_nobody_at_the_address_is_told(get):
    with pytest.raises(TransferFailed, match="http://127.0.0.1:1/f was not downloaded after several tries: .*refused"):
        get("http://127.0.0.1:1/f")


def test_a_name_that_is_not_known_is_told(get):
    with pytest.raises(TransferFailed, match="name cannot be resolved"):
        get("http://nowhere.invalid/f")


def test_a_full_disk_leaves_nothing(web, get, target):
    web["/f"] = Resource(BODY)
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(
            ChrError, match=r"file.part cannot be written: .* Free space there, or choose another folder with cache"
        ):
            get()
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    assert left(target) == []


def test_progress_is_told_when_it_takes_long(web, get, monkeypatch):
    monkeypatch.setattr("ansible_collections.outofband.chr.plugins.plugin_utils._core.progress._SILENT", 0.0)
    web["/f"] = Resource(BODY)
    said = get()
    assert said[-1].startswith("downloading f: 3 of 3 MB (100 %), ")


def test_a_certificate_is_checked(target, get, tmp_path):
    make_certificate(tmp_path / "pem", "DNS:localhost")
    with WebServer(tmp_path / "pem") as web:
        web["/f"] = Resource(BODY)
        with pytest.raises(
            InvalidInput, match=r"The certificate of the server of https://localhost:\d+/f is not trusted: .*ca_path"
        ):
            get(f"{web.url}/f")
        get(f"{web.url}/f", trust=Trust(validate_certs=False))
    assert target.read_bytes() == BODY


def test_a_private_authority_is_believed(target, get, tmp_path, monkeypatch):
    """Python 3.13 asks an authority for extensions that ``openssl req -x509`` does not make."""
    make_certificate(tmp_path / "pem", "DNS:localhost")
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 has it
    monkeypatch.setattr(ssl, "create_default_context", lambda **given: given and strict)
    strict.load_verify_locations(tmp_path / "pem.crt")
    with WebServer(tmp_path / "pem") as web:
        web["/f"] = Resource(BODY)
        get(f"{web.url}/f", trust=Trust(ca_path=str(tmp_path / "pem.crt")))
    assert target.read_bytes() == BODY


def test_an_authority_that_is_no_file_is_refused(get):
    with pytest.raises(InvalidInput, match="ca_path '/no/such' cannot be used: No such file"):
        get(trust=Trust(ca_path="/no/such"))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/f",
        "/f",
        "",
        "http://",
        "http://host:99999/",
        "http://host/a b",
        "http://host/\n",
    ],
)
def test_only_http_is_downloaded(url):
    with pytest.raises(InvalidInput, match="not a valid http or https URL"):
        check_url(url)


def test_a_url_is_shown_without_its_secrets():
    assert shown("https://me:pass@host:8/a/b@c.zip?token=x#y") == "https://host:8/a/b@c.zip"


@pytest.mark.parametrize("how", ["header", "interim", "interim without end", "body", "chunk"])
def test_a_server_that_answers_without_end_is_left_with_the_time(get, how):
    with RudeServer(rude(how, paces=0.02)) as server:
        began = time.monotonic()
        with pytest.raises(TransferFailed, match=r"/f was not downloaded within 0.6 s \(timeout\)"):
            get(f"{server.url}/f", seconds=0.6)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("number", ["\xb2", "9" * 5000, "-1"])
@pytest.mark.parametrize("header", ["Content-Length", "Content-Range"])
def test_a_number_that_is_none_is_no_number(web, get, target, header, number):
    web["/f"] = Resource(BODY, length=-1, headers={header: number})
    get()
    assert target.read_bytes() == BODY


def test_a_length_of_400_digits_is_no_image(web, get):
    web["/f"] = Resource(BODY, length=-1, headers={"Content-Length": "9" * 400})
    with pytest.raises(TransferFailed, match="cannot be the image of a router"):
        get()


@pytest.mark.parametrize("way", ["http://", "ftp://", "file://", "http://a b"])
def test_a_redirect_leads_from_https_to_https_only(target, get, tmp_path, way):
    make_certificate(tmp_path / "pem", "DNS:localhost")
    with WebServer(tmp_path / "pem") as web, WebServer() as other:
        other["/f"] = Resource(BODY)
        web["/f"] = Resource(b"", 302, {"Location": other.url.replace("http://", way) + "/f"})
        with pytest.raises(TransferFailed, match="leads from https to http://|which is not downloaded"):
            get(f"{web.url}/f", trust=Trust(ca_path=str(tmp_path / "pem.crt")))
        assert other["/f"].asked == []
    assert left(target) == []


def test_redirects_in_a_circle_end(web, get):
    web["/f"] = Resource(b"", 302, {"Location": "/g"})
    web["/g"] = Resource(b"", 302, {"Location": "/f"})
    with pytest.raises(TransferFailed, match="from one address to the next, more than 10 times"):
        get()


def test_a_login_of_netrc_is_for_its_host_only(web, get, target, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web["/f"] = Resource(BODY, login="Basic " + base64.b64encode(b"me:s3cret").decode())
    get()
    assert target.read_bytes() == BODY
    with pytest.raises(TransferFailed, match="answered 401"):
        get(web.url.replace("127.0.0.1", "localhost") + "/f")
