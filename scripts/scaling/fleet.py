"""The servers of a run: their CPU to the nanosecond, what Redis says of itself, and who listens to it."""

import http.client
import json
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from processes import Process, Redis, Server, free_port

MIX = Path(__file__).with_name("mix.lua")
ALL = "0-1023"


def cpu(process):
    """The seconds of CPU that a process has used, by the scheduler's own count."""
    tasks = Path(f"/proc/{process.child.pid}/task")
    nanos = 0
    for task in tasks.iterdir():
        try:
            nanos += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):
            pass
    return nanos / 1e9


def sent(redis):
    return int(re.search(rb"total_net_output_bytes:(\d+)", redis.command("INFO", "stats")).group(1))


def prime(server, items, tenants=1):
    """Asks for each item of each tenant once, and waits for what is stored."""
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for tenant in range(1, tenants + 1):
        for item in items:
            link.request("GET", f"/items/{item}", headers={"x-tenant": str(tenant), "Host": "fleet"})
            link.getresponse().read()
    link.close()
    time.sleep(0.2)


class Watch:
    """What some processes use while something is done."""

    def __init__(self, servers, redis=()):
        self.servers, self.redis = list(servers), list(redis)
        self.before = self.read()

    def read(self):
        return {
            "at": time.monotonic(),
            "servers": [cpu(server) for server in self.servers],
            "redis": [cpu(node) for node in self.redis],
            "sent": [sent(node) for node in self.redis],
        }

    def end(self):
        now = self.read()
        used = {"seconds": now["at"] - self.before["at"]}
        for name in ("servers", "redis", "sent"):
            used[name] = [b - a for a, b in zip(self.before[name], now[name], strict=True)]
        return used


# Of the items that are read, and of as many that nobody reads.
READ, UNREAD = 1000, 500

# Requests that come one by one: some 1,500 a second, whom others seldom meet. And as many at once as a
# core can take, whose commands go together.
APART = {"clients": 8, "pause": 5}
TOGETHER = {"clients": 64, "pause": 0}


def new_items():
    """A number after which there are some that nobody has asked for."""
    new_items.last += 10_000_000
    return new_items.last


new_items.last = 1_000_000


def drive(servers, seconds, keys=100, writes=0, fresh=0, clients=4, pause=0, tenants=1, written=READ, first=None):
    """Drives each server with a wrk of its own, at once, and answers what they sent together."""
    running = []
    for server in servers:
        running.append(subprocess.Popen(
            ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "5s",
             "-s", str(MIX), server.url, "--", *map(str, (keys, writes, fresh, first or new_items(), tenants, pause, written))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    total = {}
    for child in running:
        output = child.communicate()[0]
        line = next((line for line in output.splitlines() if line.startswith("@")), None)
        if line is None:
            raise SystemExit(f"wrk failed: {output}")
        for name, value in json.loads(line[1:]).items():
            total[name] = max(total.get(name, 0), value) if name == "micros" else total.get(name, 0) + value
    if total["failed"] > total["requests"] / 100:
        raise SystemExit(f"requests failed: {total}")
    return total


class Listeners:
    """Connections that are told what moves, as near-caches are, and throw it away."""

    def __init__(self, redis, count):
        self.sockets = []
        for _ in range(count):
            link = socket.create_connection(("127.0.0.1", redis.port))
            link.sendall(b"HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX load:g: PREFIX load:a: NOLOOP\r\n")
            self.sockets.append(link)
        time.sleep(0.2)
        self.going = True
        self.thread = threading.Thread(target=self.drain, daemon=True)
        self.thread.start()

    def drain(self):
        while self.going:
            ready, _, _ = select.select(self.sockets, [], [], 0.1)
            for link in ready:
                link.recv(1 << 20)

    def end(self):
        self.going = False
        self.thread.join()
        for link in self.sockets:
            link.close()


class Node(Redis):
    """A node of a cluster without replicas."""

    def __init__(self):
        self.port = free_port()
        while self.port > 55_000:
            self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="node-")
        self.url = f"redis://127.0.0.1:{self.port}"
        Process.__init__(self, [
            "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--cluster-enabled", "yes", "--dir", self.folder,
            "--loglevel", "warning",
        ], ALL)
        self.wait_for(self.port)
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.reader = self.socket.makefile("rb")

    def end(self):
        super().end()
        shutil.rmtree(self.folder, ignore_errors=True)


def cluster(count):
    """Nodes that share the slots evenly."""
    nodes = [Node() for _ in range(count)]
    slots = 16_384
    for at, node in enumerate(nodes):
        node.command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        node.command("CLUSTER", "ADDSLOTSRANGE", slots * at // count, slots * (at + 1) // count - 1)
        if at:
            node.command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
    end = time.monotonic() + 30
    while not all(b"cluster_state:ok" in node.command("CLUSTER", "INFO")
                  and f"cluster_known_nodes:{count}".encode() in node.command("CLUSTER", "INFO")
                  for node in nodes):
        if time.monotonic() > end:
            raise SystemExit("the cluster does not come up")
        time.sleep(0.1)
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    return nodes, url


def server(mode, url=None, **variables):
    if url:
        variables["redis_url"] = url
    return Server(mode, ALL, None, size=1024, miss_ms=0, workers=1, **variables)
