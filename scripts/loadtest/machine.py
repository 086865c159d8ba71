"""On what a run was made."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe(root):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1))
    lock = (root / "Cargo.lock").read_text()
    peers = (root / "benches" / "peers" / "Cargo.lock").read_text()
    return {
        "cpu": cpu.group(1) if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "memory": f"{memory / 1024 / 1024:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "rustc": said("rustc", "--version"),
        "redis-server": re.search(r"v=(\S+)", said("redis-server", "--version")).group(1),
        "wrk": said("wrk", "-v").split("[")[0].strip(),
        "commit": said("git", "-C", str(root), "rev-parse", "--short", "HEAD"),
        "load": f"{os.getloadavg()[0]:.1f}",
        "crates": {name: version(lock, name) for name in
                   ("tower-response-cache", "axum", "hyper", "tokio", "redis", "bb8", "bb8-redis")},
        "peers": {name: version(peers, name) for name in
                  ("tower-http-cache", "hitbox", "hitbox-redis", "hitbox-moka", "axum-response-cache",
                   "http-cache-tower-server", "moka", "redis")},
    }


def said(*command):
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return (ran.stdout + ran.stderr).strip().splitlines()[0]


def version(lock, name):
    found = re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock)
    return found.group(1) if found else "?"
