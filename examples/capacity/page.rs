//! docs/SCALE.md, every figure of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::costs::{Check, ClusterRun, Cost, Measured};
use crate::model::{CLIENTS, CORES, NETWORK, PLANNED, keys_in, off, predicted};
use crate::plans::{Plan, most_told, sizes, storms};
use crate::simulation::{Fleet, simulate};

const BEGINNING: &str = "\
# Scale

Written by `scripts/scale` from one run; to run it again, and replace every figure below:

    scripts/scale

It measures what each operation costs on one machine, in CPU and not in time, so that other work on the machine
counts little; checks a model of these costs with runs of one, two and four instances; and carries it to fleets that can't be run
here. Tables under *measured* are measurements. Those under *worked out* are the model's, from the measured costs and a
[simulation](../examples/capacity/simulation.rs) with a fixed seed, and no fleet of that size has been run.

";

/// The whole page.
pub(crate) fn page(measured: &Measured) -> String {
    let mut page = String::from(BEGINNING);
    page.push_str("| | |\n|---|---|\n");
    for (what, is) in &measured.machine {
        let _ = writeln!(page, "| {what} | {is} |");
    }
    push_costs(measured, &mut page);
    push_memory(measured, &mut page);
    push_checks(measured, &mut page);
    push_cluster(&measured.cluster, &mut page);
    push_sizes(measured, &mut page);
    push_feed(measured, &mut page);
    push_storms(measured, &mut page);
    page.push_str(END);
    page
}

fn push_costs(measured: &Measured, page: &mut String) {
    page.push_str(
        "\n## Costs (measured)\n\nCPU of one operation, the HTTP server's work included, and what Redis sends for it; with four clients, who are to one instance what some thousand requests a second are.\n\n\
         | | instance µs | Redis µs | Redis sends, bytes |\n|---|---|---|---|\n",
    );
    let costs = &measured.costs;
    let rows: [(&str, &Cost); 8] = [
        ("a request without a cache, answered from memory", &costs.bare),
        ("a hit that Redis answers", &costs.hit),
        ("the same, of 64 clients at once, whose look-ups go together", &costs.hit_together),
        ("a hit that the near-cache answers", &costs.near_hit),
        ("a miss, with its fill, without the handler's own work", &costs.miss),
        ("a write, with its invalidation", &costs.write),
        ("a move, told to one near-cache", &costs.told),
        ("a second of an idle instance with a near-cache", &costs.idle),
    ];
    for (what, cost) in rows {
        let _ = writeln!(
            page,
            "| {what} | {} | {} | {} |",
            figure(cost.instance),
            figure(cost.redis),
            figure(cost.sent)
        );
    }
}

fn push_memory(measured: &Measured, page: &mut String) {
    let memory = &measured.memory;
    let _ = writeln!(
        page,
        "\n## Memory (measured)\n\nBytes that Redis needs, with a body of {} bytes.\n\n| | bytes |\n|---|---|",
        figure(memory.body)
    );
    for (what, bytes) in &memory.kept {
        let _ = writeln!(page, "| {what} | {} |", figure(*bytes));
    }
    let _ = writeln!(
        page,
        "| a key altogether, by the growth of the server | {} |",
        figure(memory.key)
    );
    let _ = writeln!(
        page,
        "\nWorked out: a server of 8 GiB has room for {} such keys.",
        figure(keys_in(memory, 8.0 * 1024.0 * 1024.0 * 1024.0))
    );
}

fn push_checks(measured: &Measured, page: &mut String) {
    page.push_str(
        "\n## The model and the runs (measured)\n\nThe model adds up the costs above, each as often as it occurs. A part of the reads are of new keys, \
         a part of the requests writes; each instance has a client of its own. The last column compares how often Redis was asked with what the simulation \
         says for such a fleet: it knows the rates and nothing else.\n\n\
         | cache | instances | requests | near hits | hits by Redis | misses | writes | instance CPU s, model | measured | off | Redis CPU s, model | measured | off | look-ups, simulated to measured |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for check in &measured.checks {
        let (instance, redis) = predicted(&measured.costs, check);
        let reads = check.requests - check.writes;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {instance:.2} | {:.2} | {} | {redis:.2} | {:.2} | {} | {} |",
            kind(check.near),
            check.instances,
            figure(check.requests),
            figure(if check.near { reads - check.lookups } else { 0.0 }),
            figure(if check.near { check.lookups } else { reads } - check.runs),
            figure(check.runs),
            figure(check.writes),
            check.instance_cpu,
            percent(off(instance, check.instance_cpu)),
            check.redis_cpu,
            percent(off(redis, check.redis_cpu)),
            percent(off(simulated_lookups(check), check.lookups)),
        );
    }
    let worst = |of: fn((f64, f64), &Check) -> f64| {
        let offs =
            measured.checks.iter().map(|check| of(predicted(&measured.costs, check), check).abs());
        offs.fold(0.0, f64::max)
    };
    let _ = writeln!(
        page,
        "\nAt most {} off for the instances, and {} for Redis.",
        percent(worst(|(instance, _), check| off(instance, check.instance_cpu))),
        percent(worst(|(_, redis), check| off(redis, check.redis_cpu)))
    );
}

/// How often the simulation asks Redis, for the same traffic.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of one run")]
fn simulated_lookups(check: &Check) -> f64 {
    let again = check.requests - check.writes - check.fresh;
    let fleet = Fleet {
        instances: check.instances as usize,
        tenants: 1,
        keys_per_tenant: check.keys as usize,
        reads: again / check.seconds,
        writes: check.writes / check.seconds,
        written_tenants: 1,
        whole_tenants: false,
        near: check.near,
        handler: 1,
        span: (check.seconds * 1000.0) as u32,
    };
    simulate(&fleet, 1).lookups * check.seconds + check.fresh
}

fn push_cluster(runs: &[ClusterRun], page: &mut String) {
    page.push_str(
        "\n## A cluster (measured)\n\nHits of many tenants. *More than one node* is the share of requests that read on two: with a rule for all tenants, whose \
         scope has a slot of its own, those of tenants on other nodes, by the slots of these tenants, who all ask as often. *Capacity* is that of one server with the same rules, times how many \
         requests the nodes answer together when the busiest uses all of its core, by CPU; requests a second are those of this machine, on which all processes share \
         the cores.\n\n\
         | nodes | rule for all tenants | tenants | Redis µs a request, all nodes | busiest node's part | more than one node | capacity | instance µs | req/s here |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for run in runs {
        let cpu: f64 = run.cpu.iter().sum();
        let busiest = run.cpu.iter().copied().fold(0.0, f64::max);
        let alone = runs.iter().find(|other| other.nodes == 1 && other.everybody == run.everybody);
        let alone = alone.map_or(0.0, |other| other.cpu.iter().sum::<f64>() / other.requests);
        let more = run.apart / f64::from(run.tenants);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {:.2} | {} | {} |",
            run.nodes,
            if run.everybody { "yes" } else { "no" },
            run.tenants,
            figure(cpu * 1e6 / run.requests),
            percent(busiest / cpu),
            percent(more),
            alone / (busiest / run.requests),
            figure(run.instance_cpu * 1e6 / run.requests),
            figure(run.requests / run.seconds),
        );
    }
}

fn push_sizes(measured: &Measured, page: &mut String) {
    let _ = writeln!(
        page,
        "\n## Sizes (worked out)\n\nEach instance serves 10,000 reads a second, of 2,000 keys of 200 tenants, all as likely; handlers take 5 ms. Redis has one core \
         a primary for its commands, a network of {} Gbit/s and {} clients; an instance has {CORES} cores. What is used more than {} is planned away. The first thing to run out is \
         that on one primary: over 100% the fleet does not run so. Then the number of primaries that carry it, if the tenants spread evenly over them, and what is \
         used most on those.\n\n\
         | cache | instances | reads/s | writes/s | near hits | asks Redis, /s | Redis cores | Redis sends, Gbit/s | feed to one instance, kbit/s | hearing it, of a core | instance cores | runs out first | what to turn | primaries | then most used |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        NETWORK / 1e9,
        figure(CLIENTS),
        percent(PLANNED),
    );
    for plan in sizes(&measured.costs) {
        let (fleet, rates, alone) = (&plan.fleet, &plan.rates, &plan.alone);
        let instances = of(fleet.instances);
        let _ = writeln!(
            page,
            "| {}{} | {} | {} | {} | {} | {} | {:.2} | {:.2} | {} | {} | {:.2} | {}{}, {} | {} | {} | {}, {} |",
            kind(fleet.near),
            if plan.liveness > 1.0 {
                format!(", `liveness` {} s", plan.liveness)
            } else {
                String::new()
            },
            fleet.instances,
            figure(rates.reads),
            figure(rates.writes),
            percent(rates.near_hits / rates.reads),
            figure(rates.lookups),
            alone.redis_cores,
            alone.sent / 1e9,
            figure(alone.feed / instances / 1e3),
            percent(alone.hearing_cores),
            alone.instance_cores,
            if plan.is_over() { "**" } else { "" },
            plan.first.0.as_str().to_owned() + if plan.is_over() { "**" } else { "" },
            percent(plan.first.1),
            plan.turn(),
            plan.primaries,
            plan.then.0.as_str(),
            percent(plan.then.1),
        );
    }
    page.push_str(
        "\nA tenant is on one primary, whatever its size. A tenant whose traffic alone is over what one primary carries is not helped by more of them: only by near-caches.\n",
    );
}

fn push_feed(measured: &Measured, page: &mut String) {
    page.push_str(
        "\n## The feed (worked out)\n\nEach move is told to each near-cache. So many writes a second can one primary tell, within what is planned, when it does \
         nothing else.\n\n| near-caches | writes/s | runs out first | of the core, for their proofs of life |\n|---|---|---|---|\n",
    );
    for instances in [1, 10, 100, 1000, 3000] {
        let (writes, limit) = most_told(&measured.costs, instances);
        let idle = of(instances) * measured.costs.idle.redis / 1e6;
        let _ = writeln!(
            page,
            "| {instances} | {} | {} | {} |",
            figure(writes),
            limit.as_str(),
            percent(idle)
        );
    }
    page.push_str(
        "\nThe proofs of life are asked four times in each `liveness` of the near-cache: twice as long a time halves them. Moves are what writes touch, and each fill of a \
         key of which nobody knew before, which creates its generation.\n",
    );
}

fn push_storms(measured: &Measured, page: &mut String) {
    page.push_str(
        "\n## Storms (worked out)\n\nA hundred instances with near-caches, a million reads a second of 10,000 keys of 200 tenants; handlers take 20 ms. Writes move one key, or all keys of \
         their tenant, as a rule with `tenant()` does and every write of a tenant during a rolling deploy. A run is shared by the fleet: whoever comes meanwhile waits.\n\n\
         | a write moves | writes/s | on tenants | reads that hit | runs/s | waited/s | fills too late | runs at once | Redis cores | runs out first on one primary |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Plan { fleet, rates, alone, first, .. } in storms(&measured.costs) {
        let missed = rates.runs + rates.waited;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {}, {} |",
            if fleet.whole_tenants { "its tenant" } else { "one key" },
            figure(rates.writes),
            fleet.written_tenants,
            percent(1.0 - missed / rates.reads),
            figure(rates.runs),
            figure(rates.waited),
            percent(if rates.runs == 0.0 { 0.0 } else { rates.refused / rates.runs }),
            figure(rates.at_once),
            alone.redis_cores,
            first.0.as_str(),
            percent(first.1),
        );
    }
}

const END: &str = "
## What the model leaves out

- Waiting. It adds up CPU, and says nothing of latencies; near a limit they grow. So plan with what is left free.
- Polls of those who wait for another instance's run: one look-up each 3 to 60 ms for each instance and key that waits.
- Keys that are not all as likely. Where some are asked for more, near-caches hold them and the share of near hits is higher;
  a single key or tenant that is asked for most is on one primary.
- Evictions, variants, groups (two round trips), fences (two more scripts), and replicas.
- Batches: under load Redis and its clients read and write several commands at once, which makes each cheaper than measured at low load.
";

/// The same figures for programs.
pub(crate) fn figures(measured: &Measured) -> Value {
    let plan = |plan: &Plan| {
        json!({
            "near": plan.fleet.near,
            "instances": plan.fleet.instances,
            "whole_tenants": plan.fleet.whole_tenants,
            "written_tenants": plan.fleet.written_tenants,
            "reads": plan.rates.reads,
            "writes": plan.rates.writes,
            "near_hits": plan.rates.near_hits,
            "lookups": plan.rates.lookups,
            "runs": plan.rates.runs,
            "waited": plan.rates.waited,
            "refused": plan.rates.refused,
            "redis_cores": plan.alone.redis_cores,
            "sent_bits": plan.alone.sent,
            "feed_bits": plan.alone.feed,
            "instance_cores": plan.alone.instance_cores,
            "first": plan.first.0.as_str(),
            "first_used": plan.first.1,
            "primaries": plan.primaries,
        })
    };
    let checks = measured.checks.iter().map(|check| {
        let (instance, redis) = predicted(&measured.costs, check);
        json!({
            "near": check.near,
            "instances": check.instances,
            "instance_off": off(instance, check.instance_cpu),
            "redis_off": off(redis, check.redis_cpu),
            "lookups_off": off(simulated_lookups(check), check.lookups),
        })
    });
    json!({
        "checks": checks.collect::<Vec<_>>(),
        "sizes": sizes(&measured.costs).iter().map(plan).collect::<Vec<_>>(),
        "storms": storms(&measured.costs).iter().map(plan).collect::<Vec<_>>(),
    })
}

#[allow(clippy::cast_precision_loss, reason = "a number of instances")]
fn of(instances: usize) -> f64 {
    instances as f64
}

fn kind(near: bool) -> &'static str {
    if near { "near-cache" } else { "Redis" }
}

fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent != 0.0 && percent.abs() < 10.0 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// A number for people: three digits, or thousands with commas.
fn figure(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if number.abs() < 100.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(figure(1_234_567.4), "1,234,567");
        assert_eq!(figure(99.96), "100.0");
        assert_eq!(figure(-1234.0), "-1,234");
        assert_eq!(percent(0.0123), "1.2%");
        assert_eq!(percent(1.5), "150%");
    }
}
