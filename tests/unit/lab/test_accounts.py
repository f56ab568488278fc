# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The license rules of the manual, as the lab's routers and account server keep them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import EXPIRED, TRIALS, TWIN, UNAUTHORIZED, AccountServer
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.accounts import ENVIRONMENT, Refused, RemoteAccounts

DAY = 86400
NAME, PASSWORD = "me@example.com", "s3cret"


@pytest.fixture
def server() -> Iterator[AccountServer]:
    with AccountServer() as server:
        server.add_account(NAME, PASSWORD)
        yield server


def a_router(server: AccountServer, **options: object) -> Router:
    return Router(accounts=server, clock=server.clock, **options)  # type: ignore[arg-type]


def renew(router: Router, level: str = "p1", *, password: str = PASSWORD, more: str = "duration=5s") -> str:
    """The last status."""
    outcome = router.run(f'/system license renew account="{NAME}" password="{password}" level={level} {more}')
    assert outcome.exitcode == 0, outcome
    return outcome.output.decode().split("status: ")[-1].strip()


def shown(router: Router, name: str) -> str:
    outcome = router.run(f":put [/system license get {name}]")
    assert outcome.exitcode == 0, outcome
    return outcome.output.decode().strip()


def trial(server: AccountServer, level: str = "p1", **options: object) -> Router:
    router = a_router(server, **options)
    assert renew(router, level) == "done"
    return router


def paid(server: AccountServer, level: str = "p1") -> Router:
    router = trial(server, level)
    server.purchase(NAME, router.system_id, level)
    assert renew(router, level) == "done"
    return router


def pass_days(server: AccountServer, router: Router, days: float) -> None:
    server.shift(days * DAY)
    shown(router, "level")


@pytest.mark.parametrize("level", ["p1", "p10", "p-unlimited"])
def test_a_trial_is_requested_from_the_router_and_lasts_60_days(server: AccountServer, level: str) -> None:
    """Manual 5.1: rules 1 and 2; 5.6: the deadline is 30 days after the next renewal."""
    router = trial(server, level)
    assert shown(router, "level") == level
    assert server.listed(NAME) == [router.system_id]
    assert router.license.next_renewal_at and router.license.deadline_at
    assert (router.license.deadline_at - router.license.next_renewal_at).days == 30
    pass_days(server, router, 59.9)
    assert shown(router, "limited-upgrades") == "false"
    pass_days(server, router, 0.2)
    assert shown(router, "limited-upgrades") == "true"


def test_an_ended_trial_keeps_its_level(server: AccountServer) -> None:
    """Manual 5.4: it keeps working at the same tier, with limited upgrades; next-renewal-at is
    empty then."""
    router = trial(server, "p10")
    pass_days(server, router, 61)
    assert (shown(router, "level"), shown(router, "next-renewal-at")) == ("p10", "")
    assert renew(router, "p10") == EXPIRED


def test_an_expired_router_may_still_show_its_dates(server: AccountServer) -> None:
    """Manual 5.4: nothing is said about the dates; switch expired_keeps_dates."""
    router = trial(server)
    router.license_switches.expired_keeps_dates = True
    pass_days(server, router, 61)
    assert shown(router, "limited-upgrades") == "true"
    assert shown(router, "deadline-at") != ""


def test_an_ended_trial_leaves_the_account_after_two_months(server: AccountServer) -> None:
    """Manual 5.1: rule 4."""
    router = trial(server)
    server.expired_needs_prepaid = False
    pass_days(server, router, 119)
    assert server.listed(NAME) == [router.system_id]
    pass_days(server, router, 2)
    assert server.listed(NAME) == []
    with pytest.raises(Refused, match="no instance"):
        server.purchase(NAME, router.system_id, "p1")


def test_an_ended_trial_can_be_bought_within_60_days(server: AccountServer) -> None:
    """Manual 5.1: rule 4, where the newer help page does not hold."""
    router = trial(server)
    server.expired_needs_prepaid = False
    pass_days(server, router, 100)
    server.purchase(NAME, router.system_id, "p1")
    assert renew(router) == "done"
    assert shown(router, "limited-upgrades") == "false"


@pytest.mark.parametrize("when", [61, 200])
def test_an_expired_router_takes_a_prepaid_key_only(server: AccountServer, when: int) -> None:
    """Help page: only with a prepaid key, which cannot be combined."""
    router = trial(server)
    pass_days(server, router, when)
    with pytest.raises(Refused):
        server.purchase(NAME, router.system_id, "p1")
    key = server.prepaid(NAME, "p1")
    with pytest.raises(Refused, match="combined"):
        server.purchase(NAME, router.system_id, "p10", prepaid=key)
    server.purchase(NAME, router.system_id, "p1", prepaid=key)
    assert renew(router) == "done"
    assert shown(router, "limited-upgrades") == "false"


def test_the_level_of_a_licensed_router_is_the_account_servers(server: AccountServer) -> None:
    """Manual 5.1, rule 5, and 5.3: the level given to renew no longer matters; a higher trial needs
    a new instance."""
    router = trial(server, "p1")
    assert renew(router, "p10") == "done"
    assert shown(router, "level") == "p1"


@pytest.mark.parametrize("bought", ["p1", "p10", "p-unlimited"])
def test_a_purchase_reaches_the_router_by_a_renew_by_hand(server: AccountServer, bought: str) -> None:
    """Manual 5.2: the level bought may differ from the trial's; without renew the router does not
    learn of it."""
    router = trial(server, "p10")
    server.purchase(NAME, router.system_id, bought)
    pass_days(server, router, 35)
    assert shown(router, "level") == "p10"
    assert renew(router) == "done"
    assert shown(router, "level") == bought
    pass_days(server, router, 300)
    assert shown(router, "limited-upgrades") == "false"


def test_a_purchase_without_renew_is_too_late_at_the_deadline(server: AccountServer) -> None:
    """Manual 5.2: the trial ends, and a fresh installation is needed."""
    router = trial(server)
    server.purchase(NAME, router.system_id, "p1")
    pass_days(server, router, 61)
    assert shown(router, "limited-upgrades") == "true"
    assert renew(router) == EXPIRED


def test_a_router_may_learn_of_a_purchase_by_itself(server: AccountServer) -> None:
    """Manual 5.2: the other side of it, switch automatic_learns."""
    server.automatic_learns = True
    router = trial(server)
    server.purchase(NAME, router.system_id, "p10")
    pass_days(server, router, 31)
    assert shown(router, "level") == "p10"


def test_paid_licenses_go_upwards_only_and_the_former_one_is_free_again(server: AccountServer) -> None:
    """Manual 5 and 5.3."""
    router = paid(server, "p1")
    server.purchase(NAME, router.system_id, "p10")
    assert (server.accounts[NAME].keys, server.accounts[NAME].spent) == (["p1"], 45 + 95)
    for level in ("p1", "p10"):
        with pytest.raises(Refused):
            server.purchase(NAME, router.system_id, level)
    assert shown(router, "level") == "p1"
    assert renew(router) == "done"
    assert shown(router, "level") == "p10"
    other = trial(server)
    server.purchase(NAME, other.system_id, "p1", own_key=True)
    assert server.accounts[NAME].keys == []
    assert server.accounts[NAME].spent == 45 + 95


def test_a_transfer_limits_the_upgrades_of_the_source(server: AccountServer) -> None:
    """Help page: within one account, to an instance that is not expired; the source keeps its
    level."""
    source, target = paid(server, "p10"), trial(server)
    server.transfer(NAME, source.system_id, target.system_id)
    assert renew(target) == "done"
    assert shown(target, "level") == "p10"
    pass_days(server, source, 31)
    assert (shown(source, "level"), shown(source, "limited-upgrades")) == ("p10", "true")
    with pytest.raises(Refused, match="not eligible"):
        server.transfer(NAME, source.system_id, target.system_id)


def test_a_paid_router_renews_itself(server: AccountServer) -> None:
    """Manual 5.4: first contact at next-renewal-at."""
    router = paid(server)
    before = router.license.deadline_at
    pass_days(server, router, 29)
    assert router.license.attempts == 0
    pass_days(server, router, 1.5)
    assert router.license.attempts == 1
    assert router.license.deadline_at and before and router.license.deadline_at > before
    assert server.renewals(router.system_id) == 2, "by hand: the trial and the purchase"


def test_attempts_are_hourly_and_end_with_an_answer(server: AccountServer) -> None:
    """Manual 5.4: once an hour after next-renewal-at; the newer manual: until the server responds
    successfully."""
    router = paid(server)
    server.reachable = False
    pass_days(server, router, 30)
    assert router.license.attempts == 1
    pass_days(server, router, 1)
    assert router.license.attempts == 25
    assert shown(router, "limited-upgrades") == "false"
    server.reachable = True
    pass_days(server, router, 1)
    assert router.license.attempts == 26
    pass_days(server, router, 5)
    assert router.license.attempts == 26


@pytest.mark.parametrize("stops", [False, True])
def test_attempts_may_end_at_an_error(server: AccountServer, stops: bool) -> None:
    """Manual 5.4: "until the server responds with an error" against the newer "successfully"."""
    router = paid(server)
    router.license_switches.retries_stop_at_error = stops
    server.error = "ERROR: Licensing Error: later"
    pass_days(server, router, 30.01)
    assert router.license.attempts == 1
    server.error = ""
    pass_days(server, router, 1)
    assert router.license.attempts == (1 if stops else 2)


def test_the_deadline_limits_upgrades_and_keeps_the_level(server: AccountServer) -> None:
    """Manual 5.4: deadline-at passes without a contact."""
    router = paid(server, "p-unlimited")
    server.reachable = False
    pass_days(server, router, 61)
    assert (shown(router, "level"), shown(router, "limited-upgrades")) == ("p-unlimited", "true")


def test_the_routers_own_clock_decides(server: AccountServer) -> None:
    """Manual 5.4: the router considers the license expired, whatever the time is elsewhere."""
    router = Router(accounts=server)
    assert renew(router) == "done"
    server.reachable = False
    router.clock.shift(61 * DAY)
    assert shown(router, "limited-upgrades") == "true"
    assert server.clock.now() < router.clock.now()


def test_clones_with_one_id_cannot_both_be_licensed(server: AccountServer) -> None:
    """Manual 5.5: an equal system id breaks getting a license; generate-new-id before the trial is
    the remedy."""
    first = a_router(server)
    second, third = first.clone("second"), first.clone("third")
    assert first.system_id == second.system_id == third.system_id
    assert renew(first) == "done"
    assert renew(second) == TWIN
    assert third.run("/system license generate-new-id").exitcode == 0
    assert third.system_id != first.system_id
    assert renew(third) == "done"
    server.clones = "share"
    assert renew(second) == "done"


def test_a_copy_does_not_extend_a_trial(server: AccountServer) -> None:
    """Manual 4: the copy knows about the earlier trial period."""
    first = trial(server)
    pass_days(server, first, 50)
    copy = first.clone("copy")
    assert shown(copy, "deadline-at") == shown(first, "deadline-at")
    pass_days(server, copy, 11)
    assert shown(copy, "limited-upgrades") == "true"


def test_a_new_id_makes_the_key_of_a_licensed_router_worthless(server: AccountServer) -> None:
    """Manual 5.5: nothing stops it, and the key can no longer be updated."""
    router = paid(server)
    old = router.system_id
    assert router.run("/system license generate-new-id").exitcode == 0
    assert shown(router, "system-id") != old
    assert renew(router).startswith("ERROR")
    pass_days(server, router, 61)
    assert (shown(router, "level"), shown(router, "limited-upgrades")) == ("p1", "true")


def test_a_new_id_may_show_after_a_reboot_only(server: AccountServer) -> None:
    """Manual 5.5: nothing is said about a reboot; switch new_id_at_reboot."""
    router = a_router(server)
    router.license_switches.new_id_at_reboot = True
    old = shown(router, "system-id")
    router.run("/system license generate-new-id")
    assert shown(router, "system-id") == old
    router.reboot()
    assert shown(router, "system-id") != old


# -- renew, the command ----------------------------------------------------------------------------


def test_states_as_observed(server: AccountServer) -> None:
    """Observed over REST on 7.22: connecting, renewing, then the end."""
    router = a_router(server)
    outcome = router.run('/system license renew account=x password=y level=p1 duration=5s as-value; :put "on"')
    assert outcome.output == b"on\r\n"
    source = ':foreach s in=[/system license renew account=x password=y level=p1 duration=5s as-value] do={ :put ($s->"status") }'
    assert router.run(source).output.decode().split("\r\n")[:-1] == ["connecting", "renewing", UNAUTHORIZED]
    assert router.run(source.replace("foreach s in=", "put ").partition(" do=")[0]).output.startswith(
        b".section=0;status=conn"
    )
    assert shown(router, "level") == "free"


def test_an_account_has_a_number_of_trials(server: AccountServer) -> None:
    """Observed: too many trial licences; one that was bought counts no more."""
    server.accounts[NAME].trials = 2
    routers = [trial(server), trial(server)]
    another = a_router(server)
    assert renew(another) == TRIALS
    server.purchase(NAME, routers[0].system_id, "p1")
    assert renew(another) == "done"


@pytest.mark.parametrize("without", ["account", "password", "level"])
def test_missing_arguments_are_an_error_without_a_terminal(server: AccountServer, without: str) -> None:
    words = [
        f"{name}={value}" for name, value in (("account", "x"), ("password", "y"), ("level", "p1")) if name != without
    ]
    command = f"/system license renew {' '.join(words)} duration=1s"
    left_out = a_router(server).run(f":put before\n{command}")
    assert (left_out.exitcode, b"before" in left_out.output) == (-1, False)
    empty = a_router(server).run(f'{command} {without}=""')
    assert (empty.exitcode, empty.output.decode().strip()) == (-1, f"missing value(s) of argument(s) {without}")


@pytest.mark.parametrize("argument", ["level=free", "level=p5", "interval=1ms", "interval=6s", "freeze-frame-interval"])
def test_other_arguments_are_refused(server: AccountServer, argument: str) -> None:
    source = f"/system license renew account=x password=y {argument} duration=1s"
    assert a_router(server).run(source if "level" in argument else f"{source} level=p1").exitcode == -1


def test_a_server_out_of_reach_leaves_the_router_connecting(server: AccountServer) -> None:
    server.reachable = False
    router = a_router(server)
    began = time.monotonic()
    assert renew(router, more="duration=300ms interval=100ms") == "connecting"
    assert 0.25 < time.monotonic() - began < 20
    assert renew(Router(), more="duration=100ms") == "connecting"
    server.reachable = True
    time.sleep(0.15)
    assert (router.license.level, server.log) == ("free", [])


@pytest.mark.parametrize(("late", "level"), [("applied", "p1"), ("lost", "free")])
def test_an_answer_after_the_duration(server: AccountServer, late: str, level: str) -> None:
    server.delay = 0.6
    router = a_router(server)
    router.license_switches.renew_late = late
    assert renew(router, more="duration=300ms") == "renewing"
    assert router.license.level == "free"
    time.sleep(0.6)
    assert router.license.level == level
    server.delay = 0.0
    assert renew(router) == "done"
    assert len(server.instances) == 1


def test_states_repeat_while_the_server_is_slow(server: AccountServer) -> None:
    server.delay = 0.3
    source = f'/system license renew account="{NAME}" password={PASSWORD} level=p1 duration=5s interval=50ms'
    output = a_router(server).run(source).output.decode()
    assert output.count("status: renewing") > 2
    assert output.endswith("  status: done\r\n")


def test_a_reboot_during_renew_loses_the_answer(server: AccountServer) -> None:
    server.delay = 0.6
    router, stop = a_router(server), threading.Event()
    threading.Timer(0.3, lambda: (stop.set(), router.reboot())).start()  # type: ignore[func-returns-value]
    source = f'/system license renew account="{NAME}" password={PASSWORD} level=p1 duration=5s'
    assert router.run(source, stop=stop).exitcode == 1
    time.sleep(0.5)
    assert (router.license.level, router.license.renewals, server.renewals(router.system_id)) == ("free", 0, 1)
    server.delay = 0.0
    assert renew(router) == "done"
    assert (router.license.renewals, len(server.instances)) == (1, 1)


def test_without_a_duration_renew_goes_on(server: AccountServer) -> None:
    router, stop = a_router(server), threading.Event()
    threading.Timer(0.5, stop.set).start()
    source = f'/system license renew account="{NAME}" password={PASSWORD} level=p1'
    assert router.run(source, stop=stop).exitcode == 1
    assert router.license.level == "p1"
    router.license_switches.renew_runs_on = 0.2
    assert router.run(source).exitcode == 0


def test_once_shows_the_first_state(server: AccountServer) -> None:
    router = a_router(server)
    assert renew(router, more="once") == "connecting"
    time.sleep(0.3)
    assert router.license.level == "p1"


def test_other_forms_of_the_output(server: AccountServer) -> None:
    router = a_router(server)
    command = f'/system license renew account="{NAME}" password={PASSWORD} level=p1 duration=5s'
    assert router.run(f"{command} file=out; {command} file=out append").output == b""
    assert router.files["out.txt"].data == b"  status: connecting\r\n  status: renewing\r\n  status: done\r\n" * 2
    assert router.run(f'{command} do={{ :put "<$status>" }}').output == b"<connecting>\r\n<renewing>\r\n<done>\r\n"
    router.license_switches.renew_sections = "last"
    assert router.run(command).output == b"  status: done\r\n"
    assert router.run(f":put [{command} as-value]").output == b".section=2;status=done\r\n"
    router.license_switches.renew_ends_early = False
    began = time.monotonic()
    assert router.run(command.replace("5s", "300ms")).exitcode == 0
    assert time.monotonic() - began >= 0.3


def test_routers_of_other_processes_reach_it_at_an_address(
    server: AccountServer, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (f"unix:{tmp_path}/a.sock", "tcp:127.0.0.1:0"):
        monkeypatch.setenv(ENVIRONMENT, server.listen(address))
        router = Router()
        assert renew(router) == "done"
        assert router.license.deadline_at == server.instances[router.system_id].ends
        remote = router.accounts
        assert isinstance(remote, RemoteAccounts)
        remote.ask("purchase", account=NAME, system_id=router.system_id, level="p10")
        with pytest.raises(Refused, match="no upgrade"):
            remote.ask("purchase", account=NAME, system_id=router.system_id, level="p1")
        assert renew(router) == "done"
        assert (router.license.level, remote.ask("renewals", system_id=router.system_id)) == ("p10", 2)
        remote.ask("change", reachable=False)
        assert renew(router, more="duration=100ms") == "connecting"
        server.reachable = True


def test_an_account_server_of_its_own_process(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    command = [sys.executable, "-m", "lab", "accounts", f"unix:{tmp_path}/a.sock", "--account", f"{NAME}:{PASSWORD}"]
    with subprocess.Popen(command, cwd=tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        name, _unused, address = process.stdout.readline().strip().partition("=")
        assert name == ENVIRONMENT
        assert renew(Router(accounts=RemoteAccounts(address))) == "done"
        process.stdin.close()
    assert renew(Router(accounts=RemoteAccounts(address)), more="duration=100ms") == "connecting"


def test_many_routers_renew_at_once_and_each_one_once(server: AccountServer) -> None:
    routers = [a_router(server) for _unused in range(60)]
    with ThreadPoolExecutor(60) as pool:
        assert set(pool.map(renew, routers)) == {"done"}
    assert {server.renewals(router.system_id) for router in routers} == {1}
    assert {router.license.renewals for router in routers} == {1}


def test_the_server_keeps_no_password_of_a_contact(server: AccountServer) -> None:
    renew(a_router(server), password="wr0ng")
    assert "wr0ng" not in repr(server.log)
    assert server.log[-1].status == UNAUTHORIZED
