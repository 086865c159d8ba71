"""The micro-benchmarks: nanoseconds by criterion, instructions by callgrind."""

import json
import subprocess

from processes import ROOT


def run(bench):
    command = ["cargo", "bench", "--quiet", "--features", "redis", "--bench", "micro"]
    subprocess.run(command, cwd=ROOT, check=True)
    times = {}
    for file in sorted((ROOT / "target" / "criterion").glob("*/new/estimates.json")):
        times[file.parent.parent.name] = json.loads(file.read_text())["median"]["point_estimate"]
    subprocess.run([ROOT / "scripts" / "bench-check", "--count"], cwd=ROOT, check=True)
    counts = (ROOT / "target" / "load" / "instructions.txt").read_text().split("\n")
    counts = [line.split() for line in counts if line and not line.startswith("#")]
    for name, nanos in times.items():
        bench.say(f"{name}: {nanos:,.0f} ns")
    return {"nanos": times, "counts": {name: int(count) for name, count, *_ in counts},
            "allocations": {name: float(rest[0]) for name, _, *rest in counts if rest}}
