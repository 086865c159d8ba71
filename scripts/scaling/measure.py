"""What operations cost, and runs to check a model of them with."""

import statistics
import time

from fleet import (ALL, APART, READ, TOGETHER, UNREAD, Listeners, Watch, cluster, drive, new_items, prime,
                   server)
from processes import Redis

KEYS = 100


def per(used, count, redis=True):
    """What was used for one of so many."""
    return {
        "instance": sum(used["servers"]) * 1e6 / count,
        "redis": sum(used["redis"]) * 1e6 / count if redis else 0.0,
        "sent": sum(used["sent"]) / count if redis else 0.0,
    }


def medians(rounds):
    """The median of each figure, however deep it is."""
    if isinstance(rounds[0], dict):
        return {name: medians([one[name] for one in rounds]) for name in rounds[0]}
    return max(0.0, statistics.median(rounds))


def costs(seconds, resting_seconds=2):
    """The costs of all operations, when requests come one by one and when they come together.

    A miss or a write costs what a run with some of them uses beyond its hits: those alone would go
    together with each other, as they seldom do.
    """
    redis = Redis(ALL)
    bare = server("bare")
    layered = server("redis", redis.url)
    alone = idle([], redis, resting_seconds)
    near = server("near", redis.url)
    for one in (layered, near):
        prime(one, range(UNREAD, UNREAD + 1 + KEYS))
        prime(one, range(READ, READ + 1 + KEYS))
    with_near = idle([near], redis, resting_seconds)
    resting = {name: max(0.0, with_near[name] - alone[name]) for name in alone}
    # Not of processes that have just begun.
    for one in (bare, layered, near):
        drive([one], 1, KEYS, fresh=100, writes=100, written=UNREAD)
    found = {}
    for load, clients in (("apart", APART), ("together", TOGETHER)):
        def run(target, of_redis=True, clients=clients, **mix):
            watch = Watch([target], [redis])
            sent = drive([target], seconds, KEYS, written=UNREAD, **clients, **mix)
            return per(watch.end(), 1, of_redis), sent

        def alike(target, of_redis):
            used, sent = run(target, of_redis)
            return {name: value / sent["requests"] for name, value in used.items()}

        def beyond(hit, what, target, run=run, **mix):
            used, sent = run(target, **mix)
            others = sent["requests"] - sent[what]
            return {name: (value - others * hit[name]) / sent[what] for name, value in used.items()}

        one = found[load] = {"idle": resting}
        one["bare"] = alike(bare, False)
        one["hit"] = alike(layered, True)
        one["near_hit"] = alike(near, False)
        one["write"] = beyond(one["hit"], "writes", layered, writes=200)
        first = new_items()
        one["miss"] = beyond(one["hit"], "fresh", layered, fresh=200, first=first)
        # The same items, of which the near-cache knows nothing yet.
        one["near_look_up"] = beyond(one["near_hit"], "fresh", near, fresh=100, first=first)
        one["near_miss"] = beyond(one["near_hit"], "fresh", near, fresh=100)
        one["near_write"] = beyond(one["near_hit"], "writes", near, writes=100)
        one["told"] = told(layered, near, redis, resting, seconds, clients)
        for name in ("near_miss", "near_write"):
            # Each is told to the one near-cache that there is.
            one[name] = {figure: one[name][figure] - one["told"][figure] for figure in one[name]}
    for process in (near, layered, bare, redis):
        process.end()
    return found


def told(layered, near, redis, resting, seconds, clients, listening=16):
    """A move, told to one near-cache: by Redis the difference that more listeners make."""
    def some_writes():
        watch = Watch([near], [redis])
        sent = drive([layered], seconds, KEYS, writes=100, written=UNREAD, **clients)
        return watch.end(), sent

    used, sent = some_writes()
    listeners = Listeners(redis, listening)
    more, sent_more = some_writes()
    listeners.end()
    own = sum(used["servers"]) * 1e6 - resting["instance"] * used["seconds"]
    before, after = per(used, sent["requests"]), per(more, sent_more["requests"])
    share = sent_more["writes"] / sent_more["requests"]
    return {"instance": own / sent["writes"],
            **{name: (after[name] - before[name]) / share / listening for name in ("redis", "sent")}}


def idle(servers, redis, seconds):
    """What a second costs in which nobody asks."""
    watch = Watch(servers, [redis])
    time.sleep(seconds)
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


def check(near, instances, seconds, load):
    """Mixed traffic on several instances of one cache."""
    keys = 200
    clients = {"apart": APART, "together": TOGETHER}[load]
    redis = Redis(ALL)
    servers = [server("near" if near else "redis", redis.url) for _ in range(instances)]
    for one in servers:
        prime(one, range(1000, 1001 + keys))
    # As it is when it has been going on for a while.
    drive(servers, 1, keys, writes=20, fresh=30, **clients)
    told = [sum(one.count(what) for one in servers) for what in ("runs", "near")]
    watch = Watch(servers, [redis])
    sent = drive(servers, seconds, keys, writes=20, fresh=30, **clients)
    used = watch.end()
    runs, near_hits = (sum(one.count(what) for one in servers) - before
                       for what, before in zip(("runs", "near"), told, strict=True))
    for process in (*servers, redis):
        process.end()
    latency = clients["clients"] * instances * used["seconds"] * 1000 / sent["requests"] - clients["pause"]
    return {
        "latency": max(1, round(latency)), "load": load, "near": near, "instances": instances, "keys": keys, "seconds": used["seconds"],
        "requests": sent["requests"], "writes": sent["writes"], "fresh": sent["fresh"], "runs": runs,
        "lookups": sent["requests"] - sent["writes"] - near_hits, "instance_cpu": sum(used["servers"]),
        "redis_cpu": sum(used["redis"]),
    }


def middle(checks):
    """The run whose instances used the median of CPU for a request."""
    return sorted(checks, key=lambda one: one["instance_cpu"] / one["requests"])[len(checks) // 2]


def many_tenants(nodes, everybody, seconds, tenants=300, keys=5):
    """Hits of many tenants, on one server or on a cluster."""
    if nodes == 1:
        redis = [Redis(ALL)]
        url = redis[0].url
    else:
        redis, url = cluster(nodes)
    layered = server("redis", url, everybody=str(everybody).lower())
    prime(layered, range(1000, 1001 + keys), tenants)
    drive([layered], 1, keys, tenants=tenants, **TOGETHER)
    # Look-ups of one moment are one command, so commands say nothing of requests: slots do.
    apart = 0
    if everybody and nodes > 1:
        slot = lambda name: redis[0].command("CLUSTER", "KEYSLOT", name) * nodes // 16_384
        home = slot("load:a:all")
        apart = sum(slot(f"load:e:{{{tenant}}}:x") != home for tenant in range(1, tenants + 1))
    watch = Watch([layered], redis)
    sent = drive([layered], seconds, keys, tenants=tenants, **TOGETHER)
    used = watch.end()
    for process in (layered, *redis):
        process.end()
    return {
        "nodes": nodes, "everybody": everybody, "tenants": tenants, "requests": sent["requests"],
        "seconds": used["seconds"], "apart": apart, "cpu": used["redis"],
        "instance_cpu": sum(used["servers"]),
    }
