//! docs/SCALE.md, every figure of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::costs::{Check, ClusterRun, Cost, Costs, Load, Measured};
use crate::model::{CLIENTS, CORES, NETWORK, PLANNED, keys_in, off, predicted};
use crate::plans::{Plan, Side, most_told, sizes, storms};
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
    push_short(measured, &mut page);
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

/// The largest fleet with the fewest writes, and what each turn makes of it.
fn push_short(measured: &Measured, page: &mut String) {
    let plans = sizes(&measured.costs);
    let least = |plan: &Plan| plan.fleet.writes / plan.fleet.reads < 0.005;
    let largest = plans.iter().filter(|plan| plan.fleet.instances == 1000 && least(plan));
    page.push_str(
        "\n## In short (worked out)\n\nA thousand instances that answer 10 million reads a second, with a write to every thousand reads, need so many primaries of Redis, by the costs below when requests go \
         together and when they come one by one:\n\n\
         | cache | near hits | runs out first, on one primary | primaries |\n|---|---|---|---|\n",
    );
    for plan in largest {
        let _ = writeln!(
            page,
            "| {}{} | {} | {} | {} |",
            kind(plan.fleet.near),
            plan.with,
            percent(plan.rates.near_hits / plan.rates.reads),
            plan.apart.first.0.as_str(),
            whole_range(plan.together.primaries, plan.apart.primaries),
        );
    }
}

fn push_costs(measured: &Measured, page: &mut String) {
    page.push_str(
        "\n## Costs (measured)\n\nCPU of one operation, the HTTP server's work included, and what Redis sends for it. *Apart* are requests that come one by one, some 1,500 a second: \
         each wakes the instance, and Redis. *Together* are those of 64 clients at once, on an instance that is always busy: commands of one moment go in one write, and look-ups \
         in one command. What a fleet's requests cost is between the two, the nearer to the second the busier it is. \
         Hits are measured alone; misses and writes among hits, by what they add.\n\n\
         | | instance µs, apart | together | Redis µs, apart | together | Redis sends, bytes, apart | together |\n|---|---|---|---|---|---|---|\n",
    );
    let row = |what: &str, of: fn(&Costs) -> Cost| {
        let (apart, together) = (of(&measured.costs.apart), of(&measured.costs.together));
        format!(
            "| {what} | {} | {} | {} | {} | {} | {} |\n",
            figure(apart.instance),
            figure(together.instance),
            figure(apart.redis),
            figure(together.redis),
            figure(apart.sent),
            figure(together.sent)
        )
    };
    for row in [
        row("a request without a cache, answered from memory", |costs| costs.bare),
        row("a hit that Redis answers", |costs| costs.hit),
        row("a hit that the near-cache answers", |costs| costs.near_hit),
        row("a miss, with its fill, without the handler's own work", |costs| costs.miss),
        row("a write, with its invalidation", |costs| costs.write),
        row("a look-up by Redis, among hits of the near-cache", |costs| costs.near_look_up),
        row("a miss there", |costs| costs.near_miss),
        row("a write there", |costs| costs.near_write),
        row("a move, told to one near-cache", |costs| costs.told),
    ] {
        page.push_str(&row);
    }
    let idle = &measured.costs.apart.idle;
    let _ = writeln!(
        page,
        "\nAn instance with a near-cache that nobody asks uses {} µs of a second, for which Redis uses {} µs and sends {} bytes.",
        figure(idle.instance),
        figure(idle.redis),
        figure(idle.sent)
    );
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
        "\n## The model and the runs (measured)\n\nThe model adds up the costs of the same load, each as often as it occurs. Of 1,000 requests 30 are of new keys and 20 are writes; \
         each instance has as many clients as when the costs were measured, so there is more of everything the more instances there are. The last column compares how often Redis was asked with what the simulation \
         says for such a fleet: it knows the rates and how long requests take, and nothing else.\n\n\
         | load | cache | instances | requests | near hits | hits by Redis | misses | writes | instance CPU s, model | measured | off | Redis CPU s, model | measured | off | look-ups, simulated to measured |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for check in &measured.checks {
        let (instance, redis) = predicted(measured.costs.of(check.load), check);
        let reads = check.requests - check.writes;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {instance:.2} | {:.2} | {} | {redis:.2} | {:.2} | {} | {} |",
            if check.load == Load::Apart { "apart" } else { "together" },
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
    let _ = writeln!(
        page,
        "\nHalf of the predictions are at most {} off for the instances and {} for Redis, and all at most {} and {}. Apart, Redis is \
         predicted too high for several instances: what they ask begins to go together.",
        percent(far_off(measured, false, 2)),
        percent(far_off(measured, true, 2)),
        percent(far_off(measured, false, 1)),
        percent(far_off(measured, true, 1)),
    );
}

/// How far the predictions are off at most, or one of `part` of them.
fn far_off(measured: &Measured, redis: bool, part: usize) -> f64 {
    let off = |check: &Check| {
        let (instance, of_redis) = predicted(measured.costs.of(check.load), check);
        if redis { off(of_redis, check.redis_cpu) } else { off(instance, check.instance_cpu) }.abs()
    };
    let mut offs: Vec<f64> = measured.checks.iter().map(off).collect();
    offs.sort_by(f64::total_cmp);
    let last = offs.len().div_ceil(part).saturating_sub(1);
    offs.get(last).copied().unwrap_or_default()
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
        spread: check.instances as usize,
        handler: check.latency,
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
         a primary for its commands, a network of {} Gbit/s and {} clients; an instance has {CORES} cores. What is used more than {} is planned away. Figures with *to* are those of the \
         costs together and apart. Argued, not measured: a Redis with much to do does not sleep between commands, so a large fleet is nearer to the first; it is the second that \
         is safe to plan with. The first thing to run out is that on one primary; in bold, the fleet does not run so even by the first. Then the number of primaries that carry it, if the tenants spread evenly over them, and what is \
         used most on those.\n\n\
         | cache | instances | reads/s | writes/s | near hits | asks Redis, /s | Redis cores | Redis sends, Gbit/s | feed to one instance, kbit/s | hearing it, of a core | instance cores | runs out first | what to turn | primaries | then most used |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        NETWORK / 1e9,
        figure(CLIENTS),
        percent(PLANNED),
    );
    for plan in sizes(&measured.costs) {
        let Plan { with, fleet, rates, apart, together } = &plan;
        let (least, most) = plan.first_used();
        let over = if least >= 1.0 { "**" } else { "" };
        let _ = writeln!(
            page,
            "| {}{with} | {} | {} | {} | {} | {} | {} | {:.2} | {} | {} | {} | {over}{}{over}, {} to {} | {} | {} | {}, {} |",
            kind(fleet.near),
            figure_whole(of(fleet.instances)),
            figure(rates.reads),
            figure(rates.writes),
            percent(rates.near_hits / rates.reads),
            figure(rates.lookups),
            range(together.alone.redis_cores, apart.alone.redis_cores),
            apart.alone.sent / 1e9,
            figure(apart.alone.feed / of(fleet.instances) / 1e3),
            percent(apart.alone.hearing_cores),
            range(together.alone.instance_cores, apart.alone.instance_cores),
            apart.first.0.as_str(),
            percent(least),
            percent(most),
            plan.turn(),
            whole_range(together.primaries, apart.primaries),
            apart.then.0.as_str(),
            percent(apart.then.1),
        );
    }
    page.push_str(
        "\nThe share of near hits has nothing to do with the number of keys: with a tenant's reads on N instances, and W writes to a read, it is 1 / (1 + N W), since whichever comes first, a move of a key or \
         the next read of it on the same instance, decides. So what helps a large fleet most is to send each tenant to few of the instances, by the load balancer, as in the last row of \
         each large size.\n\nA tenant is on one primary, whatever its size. A tenant whose traffic alone is over what one primary carries is helped by near-caches, and by more primaries only if its entries are spread over them (`spread_tenants`, docs/REDIS.md).\n",
    );
}

fn push_feed(measured: &Measured, page: &mut String) {
    page.push_str(
        "\n## The feed (worked out)\n\nEach move is told to each near-cache. So many writes a second can one primary tell, within what is planned, when it does \
         nothing else: by the costs apart, and together.\n\n| near-caches | writes/s | runs out first | of the core, for their proofs of life |\n|---|---|---|---|\n",
    );
    for instances in [1, 10, 100, 1000, 3000] {
        let (writes, limit) = most_told(&measured.costs.apart, instances);
        let (most, _) = most_told(&measured.costs.together, instances);
        let idle = of(instances) * measured.costs.apart.idle.redis / 1e6;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            figure_whole(of(instances)),
            whole_range(writes, most),
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
    for plan in storms(&measured.costs) {
        let Plan { fleet, rates, apart, together, .. } = &plan;
        let (least, most) = plan.first_used();
        let missed = rates.runs + rates.waited;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {}, {} to {} |",
            if fleet.whole_tenants { "its tenant" } else { "one key" },
            figure(rates.writes),
            fleet.written_tenants,
            percent(1.0 - missed / rates.reads),
            figure(rates.runs),
            figure(rates.waited),
            percent(if rates.runs == 0.0 { 0.0 } else { rates.refused / rates.runs }),
            figure(rates.at_once),
            range(together.alone.redis_cores, apart.alone.redis_cores),
            apart.first.0.as_str(),
            percent(least),
            percent(most),
        );
    }
}

const END: &str = "
## What the model leaves out

- Waiting. It adds up CPU, and says nothing of latencies; near a limit they grow. So plan with what is left free.
- Polls of those who wait for another instance's run: one look-up each 3 to 60 ms for each instance and key that waits.
- Keys that are not all as likely. Where some are asked for more, near-caches hold them and the share of near hits is higher;
  a single key or tenant that is asked for most is on one primary.
- Look-ups of a near-cache are taken to cost the less the more there are of them in a moment, down to what they cost without one: argued, and measured at the ends only.
- Names that share a place in what a near-cache remembers of moves, of 262,144 places: each move drops what shares it.
- Evictions, variants, groups (two round trips), fences (two more scripts), and replicas.
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
            "with": plan.with,
            "redis_cores": ends(plan, |side| side.alone.redis_cores),
            "sent_bits": ends(plan, |side| side.alone.sent),
            "feed_bits": ends(plan, |side| side.alone.feed),
            "instance_cores": ends(plan, |side| side.alone.instance_cores),
            "first": plan.apart.first.0.as_str(),
            "first_used": plan.apart.first.1,
            "primaries": ends(plan, |side| side.primaries),
        })
    };
    let checks = measured.checks.iter().map(|check| {
        let (instance, redis) = predicted(measured.costs.of(check.load), check);
        json!({
            "together": check.load == Load::Together,
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

/// A figure by the costs together, and by those apart.
fn ends(plan: &Plan, of: fn(&Side) -> f64) -> Value {
    json!([of(&plan.together), of(&plan.apart)])
}

#[allow(clippy::cast_precision_loss, reason = "a number of instances")]
fn of(instances: usize) -> f64 {
    instances as f64
}

fn kind(near: bool) -> &'static str {
    if near { "near-cache" } else { "Redis" }
}

fn range(from: f64, to: f64) -> String {
    format!("{from:.2} to {to:.2}")
}

fn whole_range(from: f64, to: f64) -> String {
    if (to - from).abs() < 0.5 {
        figure_whole(to)
    } else {
        format!("{} to {}", figure_whole(from), figure_whole(to))
    }
}

fn figure_whole(number: f64) -> String {
    if number < 100.0 { format!("{number:.0}") } else { figure(number) }
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
