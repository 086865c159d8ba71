"""What operations cost, and runs to check a model of them with."""

import statistics
import time

from fleet import ALL, Listeners, Watch, cluster, drive, prime, server
from processes import Redis

KEYS = 100


def per(used, count, redis=True):
    """What was used for one of so many."""
    return {
        "instance": sum(used["servers"]) * 1e6 / count,
        "redis": sum(used["redis"]) * 1e6 / count if redis else 0.0,
        "sent": sum(used["sent"]) / count if redis else 0.0,
    }


def median(rounds):
    return {name: max(0.0, statistics.median(one[name] for one in rounds)) for name in rounds[0]}


def costs(rounds, seconds):
    """The costs of all operations: medians over the rounds, in which each has its turn."""
    redis = Redis(ALL)
    bare = server("bare")
    layered = server("redis", redis.url)
    prime(layered, range(1000, 1001 + KEYS))
    # Not of a process that has just begun.
    for one in (bare, layered):
        drive([one], 1, KEYS, fresh=100, writes=100)
    found = {name: [] for name in ("bare", "hit", "hit_together", "miss", "write", "told", "near_hit", "idle")}
    for _ in range(rounds):
        for name, target, mix in (
            ("bare", bare, {}),
            ("hit", layered, {}),
            ("hit_together", layered, {"clients": 64}),
            ("miss", layered, {"fresh": 1000}),
            ("write", layered, {"writes": 1000}),
        ):
            prime(layered, range(1000, 1001 + KEYS))
            watch = Watch([target], [redis])
            count = drive([target], seconds, KEYS, **mix)["requests"]
            found[name].append(per(watch.end(), count, redis=name != "bare"))

    # Who is told, beside those who are not: the difference is the feed's.
    told = {"instance": [], "redis": [], "sent": []}
    listening = 16
    for _ in range(rounds):
        listeners = Listeners(redis, listening)
        watch = Watch([], [redis])
        count = drive([layered], seconds, KEYS, writes=1000)["requests"]
        with_them = per(watch.end(), count)
        listeners.end()
        watch = Watch([], [redis])
        count = drive([layered], seconds, KEYS, writes=1000)["requests"]
        without = per(watch.end(), count)
        for name in ("redis", "sent"):
            told[name].append((with_them[name] - without[name]) / listening)

    alone = idle([], redis, seconds)
    near = server("near", redis.url)
    prime(near, range(1000, 1001 + KEYS))
    for _ in range(rounds):
        resting = idle([near], redis, seconds)
        found["idle"].append({name: resting[name] - alone[name] for name in resting})
        watch = Watch([near], [redis])
        count = drive([near], seconds, KEYS)["requests"]
        found["near_hit"].append(per(watch.end(), count) | {"redis": 0.0, "sent": 0.0})
        watch = Watch([near], [redis])
        count = drive([layered], seconds, KEYS, writes=1000)["requests"]
        used = watch.end()
        told["instance"].append(
            (sum(used["servers"]) * 1e6 - resting["instance"] * used["seconds"]) / count)
    found["told"] = [dict(zip(told, values, strict=True)) for values in zip(*told.values(), strict=True)]
    for process in (near, layered, bare, redis):
        process.end()
    return {name: median(values) for name, values in found.items()}


def idle(servers, redis, seconds):
    """What a second costs in which nobody asks."""
    watch = Watch(servers, [redis])
    time.sleep(max(2, seconds))
    used = watch.end()
    return per(used, used["seconds"])


NAMES = {
    b":e:": "an entry",
    b":g:path": "the generation of a path",
    b":g:tenant": "the generation of a tenant",
    b":g:subtree": "the generation of a subtree",
    b":g:!": "an epoch, of which a tenant has 64",
    b":c:": "the list of a tenant's configurations",
}


def memory(count):
    redis = Redis(ALL)
    layered = server("redis", redis.url)
    prime(layered, range(1000, 1200))
    used = int(redis.command("INFO", "memory").split(b"used_memory:")[1].split(b"\r")[0])
    prime(layered, range(10_000, 10_000 + count))
    grown = int(redis.command("INFO", "memory").split(b"used_memory:")[1].split(b"\r")[0]) - used
    kept = {}
    cursor = b"0"
    while True:
        cursor, names = redis.command("SCAN", cursor, "COUNT", 1000)
        for name in names:
            what = next((of for part, of in NAMES.items()
                         if part in name.replace(b"{1}:", b"")), "another")
            kept.setdefault(what, []).append(redis.command("MEMORY", "USAGE", name) or 0)
        if cursor == b"0":
            break
    layered.end()
    redis.end()
    kept = {what: statistics.median(sizes) for what, sizes in kept.items()}
    return {"body": 1024, "kept": kept, "key": grown / count}


def check(near, instances, seconds):
    """Mixed traffic on several instances of one cache."""
    keys = 200
    redis = Redis(ALL)
    servers = [server("near" if near else "redis", redis.url) for _ in range(instances)]
    for one in servers:
        prime(one, range(1000, 1001 + keys))
    # As it is when it has been going on for a while.
    drive(servers, 1, keys, writes=20, fresh=30)
    told = [sum(one.count(what) for one in servers) for what in ("runs", "near")]
    watch = Watch(servers, [redis])
    sent = drive(servers, seconds, keys, writes=20, fresh=30)
    used = watch.end()
    runs, near_hits = (sum(one.count(what) for one in servers) - before
                       for what, before in zip(("runs", "near"), told, strict=True))
    for process in (*servers, redis):
        process.end()
    return {
        "near": near, "instances": instances, "keys": keys, "seconds": used["seconds"],
        "requests": sent["requests"], "writes": sent["writes"], "fresh": sent["fresh"], "runs": runs,
        "lookups": sent["requests"] - sent["writes"] - near_hits, "instance_cpu": sum(used["servers"]),
        "redis_cpu": sum(used["redis"]),
    }


def many_tenants(nodes, everybody, seconds, tenants=300, keys=5):
    """Hits of many tenants, on one server or on a cluster."""
    if nodes == 1:
        redis = [Redis(ALL)]
        url = redis[0].url
    else:
        redis, url = cluster(nodes)
    layered = server("redis", url, everybody=str(everybody).lower())
    prime(layered, range(1000, 1001 + keys), tenants)
    drive([layered], 1, keys, tenants=tenants)
    # Look-ups of one moment are one command, so commands say nothing of requests: slots do.
    apart = 0
    if everybody and nodes > 1:
        slot = lambda name: redis[0].command("CLUSTER", "KEYSLOT", name) * nodes // 16_384
        home = slot("load:a:all")
        apart = sum(slot(f"load:e:{{{tenant}}}:x") != home for tenant in range(1, tenants + 1))
    watch = Watch([layered], redis)
    sent = drive([layered], seconds, keys, tenants=tenants)
    used = watch.end()
    for process in (layered, *redis):
        process.end()
    return {
        "nodes": nodes, "everybody": everybody, "tenants": tenants, "requests": sent["requests"],
        "seconds": used["seconds"], "apart": apart, "cpu": used["redis"],
        "instance_cpu": sum(used["servers"]),
    }
