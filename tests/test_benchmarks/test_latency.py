"""The network with latency of `benchmarks/latency.py`."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from benchmark_cases import BENCHMARKS

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TUN devices and namespaces are those of Linux")
ONE, TWO = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
# seconds after which a packet is lost; only a failure comes near
LONG = 60


def packet(target, n_bytes=100, version=4):
    """What the relay reads of a packet: the version, and the address of the target."""
    return bytes([version << 4]) + bytes(15) + target + bytes(n_bytes - 20)


@pytest.fixture
def line(benchmarks):
    """A relay between two hosts, whose devices are pairs of sockets: what the hosts hold, and the relay."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for _, device in pairs:
        device.setblocking(False)
    devices = {address: device.fileno() for address, (_, device) in zip((ONE, TWO), pairs, strict=True)}
    with benchmarks("namespaces").Relay(devices) as relay:
        yield [host for host, _ in pairs], relay
    for pair in pairs:
        for end in pair:
            end.close()


def receive(host):
    assert select.select([host], [], [], LONG)[0], "the packet was lost"
    return host.recv(2**16)


@LINUX
def test_a_packet_arrives_after_the_delay(line):
    (one, two), relay = line
    relay.delay = 0.05
    start = time.perf_counter()
    one.send(packet(TWO))
    assert receive(two) == packet(TWO)
    assert time.perf_counter() - start >= 0.05
    two.send(packet(ONE))
    receive(one)
    assert time.perf_counter() - start >= 0.1
    one.send(packet(TWO, version=6))
    one.send(packet(bytes([10, 0, 0, 3])))
    one.send(packet(TWO, 21))
    assert len(receive(two)) == 21  # the others went nowhere


@LINUX
def test_packets_of_a_host_share_its_line(line):
    (one, two), relay = line
    relay.bytes_per_second = 20_000
    start = time.perf_counter()
    for n_bytes in (1000, 1001, 1002):
        one.send(packet(TWO, n_bytes))
    assert [len(receive(two)) for _ in range(3)] == [1000, 1001, 1002]
    assert time.perf_counter() - start >= 3003 / 20_000


def test_table(benchmarks):
    row = {"round_trip_ms": 5.0, "measured_round_trip_ms": 5.25, "sync_every": 10, "seconds_per_round": 0.25}
    results = [{**row, "not_steps": 0.9}]
    expected = ["5", "5.25", "10", "4", "250", "90"]
    *_, line = benchmarks("latency").show(results).splitlines()
    assert cells(line) == expected
    *_, line = benchmarks("latency").show(results, [0.2]).splitlines()
    assert cells(line) == [*expected, "200", "-20 %"]


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_long_rounds_are_several_too(benchmarks):
    rounds = benchmarks("latency").rounds_of_an_epoch
    assert [rounds(10, steps) for steps in (1, 10, 20, 100, 1000)] == [10, 10, 5, 5, 5]


def test_the_command_measures_what_the_page_shows(benchmarks):
    results = json.loads((BENCHMARKS / "results" / "scaling-epyc-2-cores.json").read_text())["latency"]
    latency = benchmarks("latency")
    assert {row["sync_every"] for row in results} == set(latency.SYNC_EVERY)
    assert {row["round_trip_ms"] for row in results} == set(latency.ROUND_TRIPS)


def can_make_namespaces():
    """Whether this process may make network namespaces and TUN devices."""
    with suppress(OSError):
        name = f"fastbp-may-{os.getpid()}"
        if not subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
            subprocess.run(["ip", "netns", "del", name], check=True)
            return Path("/dev/net/tun").exists() and os.access("/dev/net/tun", os.W_OK)
    return False


@LINUX
@pytest.mark.skipif(not can_make_namespaces(), reason="this user may not make network namespaces")
def test_hosts_have_a_latency_and_leave_nothing_behind(benchmarks):
    before = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    with benchmarks("namespaces").Hosts(2) as hosts:
        hosts.set_line(0.02)
        assert benchmarks("latency").measure_round_trip(hosts) >= 0.02
        sleeper = hosts.start(0, ["sleep", "600"])
    assert sleeper.returncode
    assert subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout == before
