"""Puts a run into words, tables and plots: docs/PERFORMANCE.md and docs/performance/."""

from statistics import median

import svg
from cases import IN_REDIS

NAMES = {
    "bare": "bare handler, static body, no cache",
    "handwritten": "**hand-written** handler, one multiplexed GET",
    "redis": "**this crate, Redis**",
    "near": "**this crate, near-cache, `coherent`**",
    "strict": "**this crate, near-cache, `strict`**",
    "memory": "**this crate, memory**",
    "tower-http-cache-redis": "tower-http-cache, Redis",
    "tower-http-cache-memory": "tower-http-cache, memory",
    "hitbox-redis": "hitbox, Redis",
    "hitbox-moka": "hitbox, moka",
    "axum-response-cache": "axum-response-cache, memory",
    "http-cache-moka": "http-cache-tower-server, moka",
}


def write(results, docs):
    plots = docs / "performance"
    plots.mkdir(parents=True, exist_ok=True)
    parts = [head(results)]
    for name, section in SECTIONS.items():
        if name in results["cases"]:
            parts.append(section(results["cases"][name], results, plots))
    (docs / "PERFORMANCE.md").write_text("\n".join(parts))


def head(results):
    machine, options = results["machine"], results["options"]
    crates = ", ".join(f"{name} {version}" for name, version in machine["crates"].items())
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    return f"""# Performance

Written by `scripts/load-test` from one run; to run it again, and replace every figure below:

    scripts/load-test

| | |
|---|---|
| run | {results["began"]} UTC, commit {machine["commit"]}, {results.get("minutes", "?")} minutes |
| machine | {machine["cpu"]}, {machine["cores"]} cores, {machine["memory"]}, {machine["system"]}; load average before the run {machine["load"]} |
| programs | {machine["rustc"]}, redis-server {machine["redis-server"]}, {machine["wrk"]} |
| this crate | {crates} |
| others | {peers} |
{warning(results)}
**Method.** [`examples/load_target`](../examples/load_target) is one server with several modes, and [`benches/peers`](../benches/peers/src) is
the same server with other crates in it, each in its best honest configuration, which is in its file. The server is pinned to core
{options["server_cores"]}, wrk and redis-server to core {options["load_core"]}. All servers of a case run at once and are driven by turns (A B C, A B C, …), {options["rounds"]} rounds of
{options["seconds"]} s each; a ratio is the median of the ratios of the rounds, so that what slows the machine slows both sides. CPU is what the server's process used for
one request, by /proc. Every server is built with cargo's `release` profile. wrk sends its next request when the last is answered, so
its latencies hide what a server that stalls does to those who would have come meanwhile.

"Hand-written" is a handler that asks Redis itself, with one GET on a multiplexed connection, and answers with the bytes
([`handwritten.rs`](../examples/load_target/handwritten.rs)). It promises nothing of what this crate promises. The layer has every promise on, and two stamps on each
entry.
"""


def warning(results):
    """What a reader must know of a run that was not alone."""
    if float(results["machine"]["load"]) < 1.5:
        return ""
    return """
**The machine was busy with other work during this run.** Requests a second and latencies say little then, and their ratios vary by half;
go by the CPU that a request takes, and by the counts of instructions.
"""


def hits(case, results, plots):
    rows, shown = [], {}
    for mode in results["servers"]:
        cells = []
        for size, found in case.items():
            runs = found[mode]
            ratio = ratios(found, mode)
            shown.setdefault(size, {})[mode] = ratio
            cells += [f"**{ratio:.2f}**", f"{ratios(found, mode, 'bare'):.2f}",
                      f"{mid(runs, 'per_second'):,.0f}", f"{mid(runs, 'server_cpu'):.1f}",
                      f"{spared(found, mode):.2f}", f"{spared(found, mode, 'bare'):.2f}",
                      f"{at(runs, '50'):.2f} / {at(runs, '99'):.2f}"]
        rows.append([NAMES[mode], *cells])
    heads = ["req/s to hand-written", "to bare", "req/s", "CPU µs", "CPU to hand-written", "to bare", "p50 / p99 ms"]
    count = len(heads)
    tables = "\n".join(f"{size}:\n\n" + table(["", *heads], [
        [row[0], *row[1 + count * at:1 + count * (at + 1)]] for row in rows]) for at, size in enumerate(case))
    modes = results["servers"]
    save(plots, "hits.svg", svg.bars("Hits: throughput to the hand-written handler", modes, shown))
    cpu = {size: {mode: mid(found[mode], "server_cpu") for mode in modes if mid(found[mode], "server_cpu") < 200}
           for size, found in case.items()}
    save(plots, "cpu.svg", svg.bars("Hits: CPU of the server for a request, µs (over 200: not shown)", modes, cpu))
    for size, found in case.items():
        latency(plots, f"latency-{size.replace(' ', '')}.svg", f"Latency of hits, {size}, 64 clients", found)
    pictures = "\n".join(f"![latency](performance/latency-{size.replace(' ', '')}.svg)" for size in case)
    return f"""## Hits

64 clients, 100 keys, one thread, one connection to Redis. Ratios above 1 are better: requests a second to those of the other server, and
by CPU how many requests the server answers with what the other one takes for one. The latter does not depend on what else the
machine does, and is what counts where the server is not alone on its core.

{tables}
![throughput](performance/hits.svg)
![CPU](performance/cpu.svg)

{pictures}

What limits each: {limits(case, results)}
"""


def limits(case, results):
    """Whose core was busy, from the figures."""
    said = []
    for mode in results["servers"]:
        for size, found in case.items():
            server, redis = mid(found[mode], "server_cpu_busy"), mid(found[mode], "redis_cpu_busy")
            who = f"server {server:.0%}" + (f", Redis {redis:.0%} of the core it shares with wrk" if redis else "")
            said.append(f"| {NAMES[mode]} | {size} | {who} | {'the server' if server > 0.9 else 'the core of wrk and Redis'} |")
    return "\n\n| | | of a core in use | limit |\n|---|---|---|---|\n" + "\n".join(said)


def scale(case, results, plots):
    lines = {mode: [(int(count), mid(runs, "per_second")) for count, runs in found.items()]
             for mode, found in case["clients"].items()}
    save(plots, "clients.svg", svg.lines("Hits of 1 KiB by clients", lines, "clients", "requests a second", True))
    counts = list(next(iter(case["clients"].values())))
    rows = [[NAMES[mode], *(f"{mid(found[count], 'per_second'):,.0f}" for count in counts)]
            for mode, found in case["clients"].items()]
    ratio = [[NAMES[mode], *(f"{paired(found[count], case['clients']['handwritten'][count]):.2f}" for count in counts)]
             for mode, found in case["clients"].items()] if "handwritten" in case["clients"] else []
    threads = [[NAMES[mode], *(f"{mid(runs, 'per_second'):,.0f}" for runs in found.values()),
                f"{paired(*reversed(list(found.values()))):.2f}"] for mode, found in case["workers"].items()]
    links = [[NAMES[mode], *(f"{mid(runs, 'per_second'):,.0f}" for runs in found.values())]
             for mode, found in case["connections"].items()]
    return f"""## Scale

Requests a second by clients:

{table(["", *counts], rows)}
To the hand-written handler:

{table(["", *counts], ratio)}
![by clients](performance/clients.svg)

By threads that serve, which have both cores here and share one of them with the load, so that two are no faster than the load is:

{table(["", "1 thread", "2 threads", "ratio"], threads)}
By connections to Redis, 128 clients:

{table(["", "1", "2", "4"], links)}"""


def stampede(case, results, plots):
    rows = [[NAMES[mode], found["runs"], f"{found['runs'] / found['seconds']:.1f}",
             f"{found['percentiles']['50'] / 1000:.2f}", f"{found['percentiles']['99'] / 1000:.1f}",
             f"{found['max'] / 1000:.0f}", found["failed"]] for mode, found in case.items()]
    latency(plots, "stampede.svg", "A stampede each second", {mode: [found] for mode, found in case.items()})
    return f"""## A stampede

64 clients on one key that expires each second and takes 50 ms to make. One run a second is all that is needed.

{table(["", "handler runs", "a second", "p50 ms", "p99 ms", "max ms", "errors"], rows)}
![latency](performance/stampede.svg)
"""


def mix(case, results, plots):
    rows = [[NAMES[mode], f"{ratios(case, mode):.2f}", f"{mid(runs, 'per_second'):,.0f}",
             f"{at(runs, '50'):.2f}", f"{at(runs, '99'):.2f}", f"{at(runs, '99.9'):.2f}",
             sum(run["failed"] for run in runs)] for mode, runs in case.items()]
    latency(plots, "mix.svg", "95 % reads, 5 % invalidating writes", case)
    return f"""## Reads and writes

95 reads of 100, and 5 writes that invalidate what they write, on 100 keys of 1 KiB that take 5 ms to make. The hand-written handler
deletes the key, which a fill under way then undoes: it serves what is outdated until the TTL ends. This crate does not.

{table(["", "to hand-written", "req/s", "p50 ms", "p99 ms", "p99.9 ms", "errors"], rows)}
![latency](performance/mix.svg)
"""


def outage(case, results, plots):
    begin, end = case["down"]
    lines = {mode: [(second, row["per_second"]) for second, row in enumerate(rows)]
             for mode, rows in case["seconds"].items()}
    save(plots, "outage.svg", svg.lines("Redis away", lines, "second", "requests a second", spans=[(begin, end)]))
    worst = {mode: [(second, row["percentiles"]["99"] / 1000) for second, row in enumerate(rows)]
             for mode, rows in case["seconds"].items()}
    save(plots, "outage-p99.svg", svg.lines("Redis away", worst, "second", "p99, ms", spans=[(begin, end)]))
    latency(plots, "outage-latency.svg", "Latency before and during an outage", {
        f"{mode}, {when}": rows[part] for mode, rows in case["seconds"].items()
        for when, part in (("before", slice(0, begin)), ("away", slice(begin, end)))})
    rows = []
    for mode, seconds in case["seconds"].items():
        rows.append([f"{NAMES[mode]}: req/s", *(f"{row['per_second']:,.0f}" for row in seconds)])
        rows.append(["p99 ms", *(f"{row['percentiles']['99'] / 1000:.1f}" for row in seconds)])
        rows.append(["errors", *(row["failed"] for row in seconds)])
        runs = [row["runs"] for row in seconds]
        rows.append(["handler runs", *(b - a for a, b in zip([runs[0], *runs], runs))])
    count = len(next(iter(case["seconds"].values())))
    heads = [f"{second}{' (away)' if begin <= second < end else ''}" for second in range(count)]
    return f"""## An outage

Redis is ended at second {begin} and started again, empty, at second {end}. 64 clients, 100 keys of 1 KiB that take 5 ms to make. The hand-written handler
reconnects by itself and runs for each request meanwhile; this crate lets requests for one key share a run.

{table(["", *heads], rows)}
![requests](performance/outage.svg)
![p99](performance/outage-p99.svg)
![latency](performance/outage-latency.svg)
"""


def invalidation(case, results, plots):
    runs = case["runs"]
    rows = [[label, f"{case['stored'][label]:,}", f"{mid(runs[label], 'per_second'):,.0f}",
             f"{at(runs[label], '50'):.2f}", f"{at(runs[label], '99'):.2f}",
             f"{mid(runs[label], 'script_micros'):.1f}"] for label in runs]
    time = median(a["mean"] / b["mean"] for a, b in zip(runs["full"], runs["empty"]))
    script = median(a["script_micros"] / b["script_micros"] for a, b in zip(runs["full"], runs["empty"]))
    return f"""## Invalidating a pattern

`PUT /items`, which invalidates `subtree("/items")`, with {case["keys"]:,} keys stored and {case["in_tenant"]:,} of them in the tenant; and on a Redis that has none of them. 8 clients.

{table(["Redis", "keys", "writes/s", "p50 ms", "p99 ms", "script in Redis, µs"], rows)}
Full to empty: **{time:.2f}** in the time of a write, **{script:.2f}** in the time of the script.
"""


def memory(case, results, plots):
    rows = []
    for mode, found in case.items():
        more = [row["used"] - row["plain"] for row in found["rows"]]
        if more:
            keys = sorted(row["key"] for row in found["rows"])
            rows.append([NAMES[mode], f"{keys[0]} to {keys[-1]}", f"**{sum(more) / len(more):+.0f}**", min(more), max(more)])
    others = case.get("redis", {}).get("others", {})
    price = ", ".join(f"a {name} {size} bytes" for name, size in others.items() if size)
    return f"""## Memory

MEMORY USAGE of an entry to that of a plain SET of body and kept fields (`content-type`) under the same key with a TTL, over bodies of 100 to 4,096
bytes. Entries of this crate carry two stamps.

{table(["", "bytes of key", "bytes more, mean", "least", "most"], rows)}
Beside it: {price or "not measured"}. A generation is there once for each scope that has entries, and a lease while an item is being made.
"""


def micro(case, results, plots):
    names = sorted(set(case["nanos"]) | set(case["counts"]))
    rows = [[name, f"{case['nanos'][name]:,.0f}" if name in case["nanos"] else "",
             f"{case['counts'].get(name, 0):,}" if name in case["counts"] else "",
             case["allocations"].get(name, "")] for name in names]
    above = {name: case["nanos"][name] - case["nanos"]["bare"] for name in ("bypass", "memory-hit-1KiB")
             if "bare" in case["nanos"] and name in case["nanos"]}
    net = ""
    if above:
        net = ("\n`bare` is a call of the service inside by itself, which drops a request and a response with their fields. Above it "
               + " and ".join(f"{name} takes {nanos:,.0f} ns" for name, nanos in above.items()) + ".\n")
    return f"""## Micro-benchmarks

`cargo bench --bench micro`, and `scripts/bench-check` for the instructions, which do not depend on how busy the machine is and are compared with
[`benches/instructions.txt`](../benches/instructions.txt).

{table(["", "ns", "instructions", "allocations"], rows)}{net}"""


SECTIONS = {section.__name__: section
            for section in (hits, scale, stampede, mix, outage, invalidation, memory, micro)}


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def latency(plots, name, title, runs):
    """A plot of the percentiles of {label: [figures, …]}."""
    lines = {label: [(max(100 / (100 - float(p)), 1), v / 1000) for p, v in medians(found).items()]
             for label, found in runs.items()}
    save(plots, name, svg.lines(title, lines, "1 in so many requests is slower", "ms", True, True))


def mid(runs, key):
    found = [run[key] for run in runs if key in run]
    return median(found) if found else 0


def at(runs, percentile):
    return median(run["percentiles"][percentile] for run in runs) / 1000


def medians(runs):
    return {p: median(run["percentiles"][p] for run in runs) for p in runs[0]["percentiles"]}


def ratios(found, mode, base="handwritten"):
    return paired(found[mode], found[base]) if base in found else 0


def spared(found, mode, base="handwritten"):
    """How many requests it answers with the CPU that `base` takes for one."""
    if base not in found:
        return 0
    return median(b["server_cpu"] / max(a["server_cpu"], 1e-3) for a, b in zip(found[mode], found[base]))


def paired(runs, others):
    return median(a["per_second"] / b["per_second"] for a, b in zip(runs, others))


def save(plots, name, content):
    (plots / name).write_text(content)
