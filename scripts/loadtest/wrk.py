"""Drives one server with wrk, and reads what it says."""

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("items.lua")


def drive(server, cores, seconds, clients=64, keys=100, writes=0, path="each", redis=None):
    """The figures of one run: what wrk tells, and the CPU of those who answered."""
    watched = {"server_cpu": server} | ({"redis_cpu": redis} if redis else {})
    before = {name: process.cpu() for name, process in watched.items()}
    # A whole number, by which wrk counts its seconds.
    command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s",
               "--timeout", "5s", "-s", str(SCRIPT), server.url, "--", str(keys), str(writes), path]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    line = next((line for line in output.stdout.splitlines() if line.startswith("@")), None)
    if line is None:
        raise SystemExit(f"wrk failed: {output.stdout}{output.stderr}")
    figures = json.loads(line[1:])
    spent = figures["micros"] / 1e6
    count = max(figures["requests"], 1)
    figures["per_second"] = figures["requests"] / spent
    figures["failed"] = sum(figures.pop(kind) for kind in ("status", "connect", "read", "write", "timeout"))
    figures["percentiles"] = {f"{at:g}": micros for at, micros in figures["percentiles"]}
    for name, process in watched.items():
        used = process.cpu() - before[name]
        figures[name] = used * 1e6 / count
        figures[f"{name}_busy"] = used / spent
    return figures
