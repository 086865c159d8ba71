"""Starts and ends the processes of a load test, each by its own process id."""

import atexit
import os
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOAD_TARGET = ROOT / "target" / "release" / "examples" / "load_target"
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A child that is pinned to some cores and gone when the test ends."""

    running = []

    def __init__(self, arguments, cores, environment=None, log="children.log"):
        path = ROOT / "target" / "load" / log
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as out:
            self.child = subprocess.Popen(
                ["taskset", "-c", cores, *map(str, arguments)],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )
        self.log = path
        Process.running.append(self)

    def cpu(self):
        """The seconds of CPU it has used."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self):
        """Its memory, in bytes."""
        return int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * 4096

    def wait_for(self, port, patience=15):
        """Waits until it accepts connections."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise SystemExit(f"{self.child.args} ended with {self.child.returncode}: see {self.log}")
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"{self.child.args} does not listen on {port}: see {self.log}")

    def end(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if self in Process.running:
            Process.running.remove(self)


@atexit.register
def end_all():
    for process in list(Process.running):
        process.end()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis(Process):
    """An empty server without persistence."""

    def __init__(self, cores, port=None):
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        super().__init__([
            "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--loglevel", "warning",
        ], cores)
        self.wait_for(self.port)
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.reader = self.socket.makefile("rb")

    def command(self, *parts):
        """Sends one command and answers its reply; raises if that is an error."""
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
        lines = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        self.socket.sendall(lines)
        return self.reply()

    def reply(self):
        line = self.reader.readline().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.reader.read(length + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return rest

    def end(self):
        self.reader.close()
        self.socket.close()
        super().end()


class Server(Process):
    """One of the servers that are compared."""

    def __init__(self, mode, cores, redis=None, **variables):
        self.mode = mode
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {"MODE": mode, "PORT": str(self.port)}
        environment |= {name.upper(): str(value) for name, value in variables.items()}
        if redis:
            environment["REDIS_URL"] = redis.url
        super().__init__([program(mode)], cores, environment)
        self.wait_for(self.port)

    def runs(self):
        """How often an item was made."""
        return self.count("runs")

    def count(self, what):
        """A number that the server tells of itself."""
        import urllib.request
        with urllib.request.urlopen(f"{self.url}/{what}", timeout=5) as answer:
            return int(answer.read())


OURS = ["bare", "handwritten", "redis", "near", "strict", "memory"]


def program(mode):
    if mode in OURS:
        return LOAD_TARGET
    return ROOT / "target" / "peers" / "release" / "peers"
