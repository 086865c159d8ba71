"""What is measured. Each case answers plain figures, which the report puts in words and pictures."""

import threading
import time
from statistics import median

from processes import OURS, Redis, Server
from wrk import drive

PEERS = ["tower-http-cache-redis", "hitbox-redis", "tower-http-cache-memory", "hitbox-moka",
         "axum-response-cache", "http-cache-moka"]
IN_REDIS = {"handwritten", "redis", "near", "strict", "tower-http-cache-redis", "hitbox-redis"}
SIZES = {"1 KiB": 1024, "32 KiB": 32768}


class Bench:
    """The settings of a whole run, and how it tells of its progress."""

    def __init__(self, servers, rounds, seconds, server_cores, load_core, quick):
        self.servers, self.rounds, self.seconds = servers, rounds, seconds
        self.server_cores, self.load_core, self.quick = server_cores, load_core, quick

    def say(self, what):
        print(f"{time.strftime('%H:%M:%S')}  {what}", flush=True)

    def redis(self, port=None):
        return Redis(self.load_core, port)

    def server(self, mode, redis, cores=None, **variables):
        return Server(mode, cores or self.server_cores, redis if mode in IN_REDIS else None, **variables)

    def drive(self, server, seconds=None, redis=None, **how):
        return drive(server, self.load_core, seconds or self.seconds, redis=redis, **how)

    def interleaved(self, name, runs, rounds=None):
        """Runs {label: function} by turns: A B C, A B C, …; the figures of each."""
        rounds = rounds or self.rounds
        results = {label: [] for label in runs}
        for turn in range(rounds):
            for label, run in runs.items():
                figures = run()
                results[label].append(figures)
                self.say(f"{name}, round {turn + 1}/{rounds}, {label}: {figures['per_second']:,.0f}/s, "
                         f"p99 {figures['percentiles']['99'] / 1000:.1f} ms, {figures['server_cpu']:.1f} µs CPU")
        return results


def hits(bench):
    """Hits alone, at two sizes: every server, by turns."""
    answer = {}
    for label, size in SIZES.items():
        redis = bench.redis()
        servers = {mode: bench.server(mode, redis, size=size) for mode in bench.servers}
        for server in servers.values():
            bench.drive(server, 1)
        runs = {
            mode: (lambda server=server, mode=mode: bench.drive(
                server, redis=redis if mode in IN_REDIS else None))
            for mode, server in servers.items()
        }
        answer[label] = bench.interleaved(f"hits {label}", runs)
        for server in servers.values():
            server.end()
        redis.end()
    return answer


def scale(bench):
    """Hits of 1 KiB by clients, by threads that serve, and by connections to Redis."""
    modes = [mode for mode in bench.servers if mode in OURS]
    clients = [1, 16, 128] if bench.quick else [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    seconds = 1 if bench.quick else max(1, bench.seconds // 2)
    redis = bench.redis()
    answer = {"clients": {}, "workers": {}, "connections": {}}
    servers = {mode: bench.server(mode, redis) for mode in modes}
    for server in servers.values():
        bench.drive(server, 1)
    for count in clients:
        runs = {mode: (lambda server=server: bench.drive(server, seconds, clients=count))
                for mode, server in servers.items()}
        for mode, found in bench.interleaved(f"{count} clients", runs).items():
            answer["clients"].setdefault(mode, {})[count] = found
    for server in servers.values():
        server.end()
    # Two threads that serve have both cores, and share one with the load: compare within a column.
    both = ",".join(sorted({bench.server_cores, bench.load_core}))
    for workers in (1, 2):
        servers = {mode: bench.server(mode, redis, both, workers=workers) for mode in modes}
        for server in servers.values():
            bench.drive(server, 1)
        runs = {mode: (lambda server=server: bench.drive(server, seconds)) for mode, server in servers.items()}
        for mode, found in bench.interleaved(f"{workers} threads", runs).items():
            answer["workers"].setdefault(mode, {})[workers] = found
        for server in servers.values():
            server.end()
    servers = {(mode, count): bench.server(mode, redis, connections=count)
               for count in (1, 2, 4) for mode in modes if mode in ("handwritten", "redis", "strict")}
    for server in servers.values():
        bench.drive(server, 1)
    runs = {f"{mode}, {count} connections": (lambda server=server: bench.drive(server, seconds, clients=128))
            for (mode, count), server in servers.items()}
    found = bench.interleaved("connections", runs)
    for mode, count in servers:
        answer["connections"].setdefault(mode, {})[count] = found[f"{mode}, {count} connections"]
    for server in servers.values():
        server.end()
    redis.end()
    return answer


def stampede(bench):
    """64 clients on one key that expires each second and takes 50 ms to make."""
    answer = {}
    redis = bench.redis()
    seconds = 3 if bench.quick else max(6, bench.seconds)
    for mode in bench.servers:
        # Nothing expires where nothing is cached.
        if mode == "bare":
            continue
        server = bench.server(mode, redis, ttl_ms=1000, miss_ms=50)
        figures = bench.drive(server, seconds, keys=1)
        figures["runs"] = server.runs()
        figures["seconds"] = seconds
        server.end()
        answer[mode] = figures
        bench.say(f"stampede, {mode}: {figures['runs']} runs in {seconds} s, "
                  f"p99 {figures['percentiles']['99'] / 1000:.1f} ms")
    redis.end()
    return answer


def mix(bench):
    """95 reads and 5 invalidating writes of 100, on 100 keys of 1 KiB that take 5 ms to make."""
    modes = [mode for mode in bench.servers if mode in OURS and mode != "bare"]
    redis = bench.redis()
    servers = {mode: bench.server(mode, redis) for mode in modes}
    for server in servers.values():
        bench.drive(server, 1)
    runs = {mode: (lambda server=server: bench.drive(server, writes=50)) for mode, server in servers.items()}
    answer = bench.interleaved("95 % reads, 5 % writes", runs)
    for server in servers.values():
        server.end()
    redis.end()
    return answer


def outage(bench):
    """Redis is stopped for 5 s under load, and started again, empty. A row for each second."""
    modes = [mode for mode in bench.servers if mode in IN_REDIS and mode in OURS]
    before, down, after = (1, 2, 3) if bench.quick else (3, 5, 6)
    answer = {"down": [before, before + down], "seconds": {}}
    for mode in modes:
        redis = bench.redis()
        port = redis.port
        server = bench.server(mode, redis)
        bench.drive(server, 1)
        rows = []
        for second in range(before + down + after):
            if second == before:
                redis.end()
            if second == before + down:
                redis = bench.redis(port)
            rows.append(bench.drive(server, 1))
            rows[-1]["runs"] = server.runs()
        answer["seconds"][mode] = rows
        bench.say(f"outage, {mode}: " + " ".join(f"{row['per_second'] / 1000:.1f}k" for row in rows))
        server.end()
        redis.end()
    return answer


def invalidation(bench):
    """A pattern with 1,000,000 keys stored and 100,000 of them in its tenant, and on an empty Redis."""
    thousand = 20 if bench.quick else 1000
    answer = {"keys": thousand * 1000, "in_tenant": thousand * 100}
    redises, servers = {}, {}
    for label in ("empty", "full"):
        redises[label] = bench.redis()
        servers[label] = bench.server("redis", redises[label])
        # What is real is stored in both, so that there is something to invalidate.
        bench.drive(servers[label], 1)
    populate(redises["full"], "load:e:{5}:/items/", thousand * 900)
    populate(redises["full"], "load:e:{4}:/items/x", thousand * 100)
    runs = {label: (lambda label=label: counted(bench, servers[label], redises[label]))
            for label in servers}
    answer["runs"] = bench.interleaved("invalidation", runs)
    answer["stored"] = {label: redis.command("DBSIZE") for label, redis in redises.items()}
    for label in servers:
        servers[label].end()
        redises[label].end()
    return answer


def populate(redis, prefix, count):
    script = ("for i = ARGV[2], ARGV[3] do redis.call('SET', ARGV[1] .. i, ARGV[4]) end")
    for begin in range(0, count, 20_000):
        end = min(begin + 20_000, count) - 1
        redis.command("EVAL", script, 0, prefix, begin, end, "x" * 100)


def counted(bench, server, redis):
    """Writes alone, 8 at a time, and what a script cost Redis meanwhile."""
    redis.command("CONFIG", "RESETSTAT")
    figures = bench.drive(server, clients=8, writes=1000, path="/items", redis=redis)
    stats = redis.command("INFO", "commandstats").decode()
    line = next(line for line in stats.splitlines() if line.startswith("cmdstat_evalsha:"))
    fields = dict(part.split("=") for part in line.partition(":")[2].split(","))
    figures["script_micros"] = float(fields["usec_per_call"])
    return figures


def memory(bench):
    """MEMORY USAGE of entries with bodies of 100 to 4096 bytes, to a plain SET under the same key."""
    step = 500 if bench.quick else 37
    answer = {}
    kept = b"content-type: application/json\r\n"
    modes = [mode for mode in bench.servers if mode in IN_REDIS and mode not in ("near", "strict")]
    for mode in modes:
        redis = bench.redis()
        server = bench.server(mode, redis, size=0, miss_ms=0)
        rows = [row for size in range(100, 4097, step)
                if (row := weigh(redis, server, size, kept))]
        others = {}
        if mode == "redis":
            others["generation"] = usage(redis, "load:g:*")
            others["lease"] = lease(bench, redis)
        answer[mode] = {"rows": rows, "others": others}
        more = sum(row["used"] - row["plain"] for row in rows) / max(len(rows), 1)
        bench.say(f"memory, {mode}: {more:+.0f} bytes to a plain SET, over {len(rows)} sizes {others}")
        server.end()
        redis.end()
    return answer


def weigh(redis, server, size, kept):
    """One item, and the same body and fields under the same key by SET, in the same second."""
    redis.command("FLUSHALL")
    get(server, size)
    key = wait_for_entry(redis, size)
    if key is None:
        return None
    used = redis.command("MEMORY", "USAGE", key, "SAMPLES", "0")
    body = get(server, size)
    redis.command("SELECT", 1)
    redis.command("SET", key, kept + body, "EX", 3600)
    plain = redis.command("MEMORY", "USAGE", key, "SAMPLES", "0")
    redis.command("SELECT", 0)
    return {"size": size, "key": len(key), "used": used, "plain": plain}


def wait_for_entry(redis, size):
    """The largest key, once one of that size is there; some store more than one string in it."""
    for _ in range(200):
        keys = [key for key in redis.command("KEYS", "*") if b":w:" not in key]
        sized = [(redis.command("MEMORY", "USAGE", key, "SAMPLES", "0") or 0, key) for key in keys]
        if sized and max(sized)[0] >= size:
            return max(sized)[1]
        time.sleep(0.01)
    return None


def usage(redis, pattern):
    found = [redis.command("MEMORY", "USAGE", key) for key in redis.command("KEYS", pattern)]
    found = [size for size in found if size]
    return round(median(found)) if found else None


def lease(bench, redis):
    """What a lease takes, while an item is being made."""
    server = bench.server("redis", redis, miss_ms=1500)
    asking = threading.Thread(target=get, args=(server, 7))
    asking.start()
    found = None
    for _ in range(100):
        found = usage(redis, "load:l:*")
        if found:
            break
        time.sleep(0.01)
    asking.join()
    server.end()
    return found


def get(server, n):
    import urllib.request
    # Of such a length that the key of this crate has 40 bytes.
    request = urllib.request.Request(f"{server.url}/items/{n}", headers={"x-tenant": "gym-00000000004"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


ALL = {case.__name__: case for case in (hits, scale, stampede, mix, outage, invalidation, memory)}
