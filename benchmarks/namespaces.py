"""Network namespaces on one machine, with a latency between them. Linux, as root.

Each namespace stands for a host. Where the kernel has netem, the hosts are connected by pairs of virtual Ethernet
devices and a bridge, and netem delays what each of them sends. Elsewhere each host has a TUN device, and a thread of
this process passes the packets on when they are due.
"""

import contextlib
import ctypes
import heapq
import itertools
import os
import select
import signal
import struct
import subprocess
import threading
import time

# of <linux/if_tun.h>
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PR_SET_TIMERSLACK = 29  # of <linux/prctl.h>
# the largest packets: the relay's cost is one of packets
MTU = 65_000
ADDRESS = "10.213.{}.{}"


def ip(*arguments, command="ip"):
    """Run `ip`, or `tc`; RuntimeError with its message if it fails."""
    process = subprocess.run([command, *map(str, arguments)], capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{command} {' '.join(map(str, arguments))} failed: {process.stderr.strip()}")
    return process.stdout


def has_netem():
    """Whether the kernel can delay packets: tried in a namespace that is removed again."""
    name = f"fastbp-try-{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("netns", "exec", name, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    except RuntimeError:
        return False
    finally:
        ip("netns", "del", name)
    return True


class Relay:
    """Passes packets between TUN devices, each after a delay and as fast as a line allows.

    Parameters
    ----------
    devices : dict of bytes to int
        Address of a host, as in an IP header -> file descriptor of its device.
    """

    def __init__(self, devices):
        self.devices = devices
        self.delay, self.bytes_per_second = 0.0, None
        self._waiting, self._number = [], itertools.count()
        self._is_free_at = dict.fromkeys(devices.values(), 0.0)
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._work, name="relay")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        os.close(self._stop)
        self._thread.join()
        os.close(self._wake)

    def _work(self):
        # by default, the kernel wakes a thread up to 50 us late
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
        while True:
            due = max(0.0, self._waiting[0][0] - time.perf_counter()) if self._waiting else None
            ready, _, _ = select.select([self._wake, *self.devices.values()], [], [], due)
            if self._wake in ready:
                return
            for source in ready:
                self._take_all(source)
            self._pass_on()

    def _take_all(self, source):
        """Read what a host has sent, and note when it arrives."""
        for _ in range(64):
            try:
                packet = os.read(source, 65_536)
            except BlockingIOError:
                return
            target = self.devices.get(packet[16:20])
            if packet[0] >> 4 != 4 or target is None:
                continue  # not IPv4, or to nobody here
            sent = time.perf_counter()
            if self.bytes_per_second:
                sent = max(sent, self._is_free_at[source]) + len(packet) / self.bytes_per_second
                self._is_free_at[source] = sent
            heapq.heappush(self._waiting, (sent + self.delay, next(self._number), target, packet))

    def _pass_on(self):
        """Write the packets that are due."""
        while self._waiting and self._waiting[0][0] <= time.perf_counter():
            _, _, target, packet = heapq.heappop(self._waiting)
            # a full queue loses packets, as a switch does; TCP sends them again
            with contextlib.suppress(BlockingIOError):
                os.write(target, packet)


class Hosts:
    """A context manager: hosts with a latency between them. At its end their processes and namespaces are gone.

    Parameters
    ----------
    n_hosts : int
    use_netem : bool or None, default=None
        None: where the kernel has it.

    Attributes
    ----------
    addresses : list of str
        The IPv4 address of each host.
    """

    def __init__(self, n_hosts, use_netem=None):
        number = os.getpid() % 250
        self.names = [f"fastbp-{os.getpid()}-{i}" for i in range(n_hosts)]
        self.addresses = [ADDRESS.format(number, i + 1) for i in range(n_hosts)]
        self.use_netem = has_netem() if use_netem is None else use_netem
        self._stack, self._relay, self._processes = contextlib.ExitStack(), None, []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for name in self.names:
                ip("netns", "add", name)
                stack.callback(ip, "netns", "del", name)
                ip("-n", name, "link", "set", "lo", "up")
            (self._connect_by_bridge if self.use_netem else self._connect_by_relay)(stack)
            stack.callback(self._end_processes)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def _connect_by_bridge(self, stack):
        """A pair of virtual Ethernet devices for each host, with one end in a bridge in a namespace of its own."""
        switch = f"fastbp-{os.getpid()}-switch"
        ip("netns", "add", switch)
        stack.callback(ip, "netns", "del", switch)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        for i, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            ip("-n", switch, "link", "add", f"port{i}", "type", "veth", "peer", "name", "net", "netns", name)
            ip("-n", switch, "link", "set", f"port{i}", "master", "bridge", "up")
            self._address(name, address)

    def _connect_by_relay(self, stack):
        """A TUN device for each host, all read by a relay."""
        import fcntl  # which not every system has, and others may import this module

        devices = {}
        for i, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            device = f"fb{os.getpid()}_{i}"
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
            ip("link", "set", device, "netns", name, "name", "net", "mtu", MTU, "txqueuelen", 10_000)
            self._address(name, address)
            devices[bytes(map(int, address.split(".")))] = descriptor
        self._relay = stack.enter_context(Relay(devices))

    def _address(self, name, address):
        ip("-n", name, "address", "add", f"{address}/24", "dev", "net")
        ip("-n", name, "link", "set", "net", "up")

    def set_line(self, round_trip, bits_per_second=None):
        """Set the latency, and the rate at which each host can send.

        Parameters
        ----------
        round_trip : float
            Seconds that are added to the time of a packet and its answer.
        bits_per_second : float, optional
            By default as fast as it goes.
        """
        if not self.use_netem:
            self._relay.delay = round_trip / 2
            self._relay.bytes_per_second = bits_per_second and bits_per_second / 8
            return
        rate = ["rate", f"{bits_per_second:.0f}bit"] if bits_per_second else []
        for name in self.names:
            delay = f"{1e6 * round_trip / 2:.0f}us"
            line = ["qdisc", "replace", "dev", "net", "root", "netem", "delay", delay, *rate, "limit", 100_000]
            ip("netns", "exec", name, "tc", *line)

    def start(self, host, command, **options):
        """Start a process on a host.

        Parameters
        ----------
        host : int
        command : list of str
        **options
            Those of `subprocess.Popen`.

        Returns
        -------
        subprocess.Popen
        """
        # a session of its own: Ctrl-C ends this process, which ends the others
        command = ["ip", "netns", "exec", self.names[host], *command]
        process = subprocess.Popen(command, start_new_session=True, **options)
        self._processes.append(process)
        return process

    def _end_processes(self):
        """End the processes and all that they have started, the last one first."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=3)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
