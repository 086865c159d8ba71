//! A fleet in small steps of time: who is asked, who is told, and who runs the handler.
//!
//! Reads and writes come at random, from a seed. A read is answered by the near-cache of its instance,
//! if that has the key's present version; else by Redis, if an entry of it is there; else by one run of the
//! handler in the fleet, for which all others wait. A write moves a key, or all keys of its tenant,
//! and each near-cache is told.

/// Numbers that are the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are enough")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }
}

/// A fleet and its traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) instances: usize,
    pub(crate) tenants: usize,
    pub(crate) keys_per_tenant: usize,
    /// Reads and writes a second, of all instances together.
    pub(crate) reads: f64,
    pub(crate) writes: f64,
    /// How many tenants the writes are on, each as likely as the other.
    pub(crate) written_tenants: usize,
    /// A write moves all keys of its tenant, and not one.
    pub(crate) whole_tenants: bool,
    pub(crate) near: bool,
    /// How many instances the reads of one tenant go to.
    pub(crate) spread: usize,
    /// For how long the handler runs, in milliseconds.
    pub(crate) handler: u32,
    /// For how long all this is, in milliseconds.
    pub(crate) span: u32,
}

impl Fleet {
    fn keys(&self) -> usize {
        self.tenants * self.keys_per_tenant
    }

    /// One of the instances that the key's tenant is read by. Neighbours have others, as far as there are.
    fn instance(&self, key: usize, turn: usize) -> usize {
        (key / self.keys_per_tenant * self.spread + turn) % self.instances
    }

    /// How often one key moves, in a second.
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    fn moves_of(&self, key: usize) -> f64 {
        if key / self.keys_per_tenant >= self.written_tenants {
            return 0.0;
        }
        let of_tenant = self.writes / self.written_tenants.max(1) as f64;
        if self.whole_tenants { of_tenant } else { of_tenant / self.keys_per_tenant as f64 }
    }

    /// The share of reads of a key that find what was there the last time, where a reader comes so
    /// many times a second and the key moves so many times: whichever of two comes first.
    fn share(reads: f64, moves: f64) -> f64 {
        if moves == 0.0 { 1.0 } else { reads / (reads + moves) }
    }
}

/// What has happened, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) reads: f64,
    pub(crate) near_hits: f64,
    /// Look-ups by Redis, misses among them.
    pub(crate) lookups: f64,
    /// Runs of the handler, each with its miss and its fill.
    pub(crate) runs: f64,
    /// Reads that waited for a run that was under way.
    pub(crate) waited: f64,
    /// Fills that came too late.
    pub(crate) refused: f64,
    pub(crate) writes: f64,
    /// What one near-cache was told.
    pub(crate) told: f64,
    /// The most runs that there were at once.
    pub(crate) at_once: f64,
}

struct Run {
    key: usize,
    version: u32,
    until: u32,
}

/// Runs the fleet.
#[allow(clippy::cast_precision_loss, reason = "counts of a simulation")]
pub(crate) fn simulate(fleet: &Fleet, seed: u64) -> Rates {
    let mut random = Random::new(seed);
    let keys = fleet.keys();
    let mut version = vec![1_u32; keys];
    let mut stored = vec![0_u32; keys];
    let mut running = vec![0_u32; keys];
    let mut near = vec![0_u32; if fleet.near { keys * fleet.instances } else { 0 }];
    // As it is when it has been going on for long.
    let reads_of_key = fleet.reads / keys as f64;
    for key in 0..keys {
        let moves = fleet.moves_of(key);
        stored[key] = u32::from(random.unit() < Fleet::share(reads_of_key, moves));
        let share = Fleet::share(reads_of_key / fleet.spread as f64, moves);
        for turn in 0..if fleet.near { fleet.spread } else { 0 } {
            let instance = fleet.instance(key, turn);
            near[instance * keys + key] = u32::from(stored[key] == 1 && random.unit() < share);
        }
    }
    let mut count = Rates::default();
    let mut runs: Vec<Run> = Vec::new();
    let (mut owed_reads, mut owed_writes) = (0.0, 0.0);
    for now in 0..fleet.span {
        runs.retain(|run| {
            if run.until > now {
                return true;
            }
            if version[run.key] == run.version {
                stored[run.key] = run.version;
            } else {
                count.refused += 1.0;
            }
            if running[run.key] == run.version {
                running[run.key] = 0;
            }
            false
        });
        owed_reads += fleet.reads / 1000.0;
        owed_writes += fleet.writes / 1000.0;
        let mut left = [drawn(&mut owed_reads), drawn(&mut owed_writes)];
        while left[0] + left[1] > 0 {
            // In any order.
            let is_write = random.below(left[0] + left[1]) >= left[0];
            left[usize::from(is_write)] -= 1;
            if is_write {
                count.writes += 1.0;
                count.told += 1.0;
                let tenant = random.below(fleet.written_tenants.clamp(1, fleet.tenants));
                let first = tenant * fleet.keys_per_tenant;
                let own = first..first + fleet.keys_per_tenant;
                let moved = random.below(fleet.keys_per_tenant);
                if fleet.whole_tenants {
                    version[own].iter_mut().for_each(|version| *version += 1);
                } else {
                    version[first + moved] += 1;
                }
                continue;
            }
            count.reads += 1.0;
            let key = random.below(keys);
            let instance = fleet.instance(key, random.below(fleet.spread));
            let present = version[key];
            if fleet.near && near[instance * keys + key] == present {
                count.near_hits += 1.0;
                continue;
            }
            count.lookups += 1.0;
            if stored[key] == present {
                if fleet.near {
                    near[instance * keys + key] = present;
                }
            } else if running[key] == present {
                count.waited += 1.0;
            } else {
                count.runs += 1.0;
                running[key] = present;
                runs.push(Run { key, version: present, until: now + fleet.handler.max(1) });
                count.at_once = count.at_once.max(runs.len() as f64);
            }
        }
    }
    count.a_second(fleet.span)
}

/// How many whole ones are owed by now.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a step of time")]
fn drawn(owed: &mut f64) -> usize {
    let whole = owed.floor();
    *owed -= whole;
    whole as usize
}

impl Rates {
    fn a_second(self, span: u32) -> Self {
        let by = 1000.0 / f64::from(span.max(1));
        Self {
            reads: self.reads * by,
            near_hits: self.near_hits * by,
            lookups: self.lookups * by,
            runs: self.runs * by,
            waited: self.waited * by,
            refused: self.refused * by,
            writes: self.writes * by,
            told: self.told * by,
            at_once: self.at_once,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        Fleet {
            instances: 10,
            tenants: 10,
            keys_per_tenant: 20,
            reads: 100_000.0,
            writes: 200.0,
            written_tenants: 10,
            whole_tenants: false,
            near: true,
            spread: 10,
            handler: 5,
            span: 1000,
        }
    }

    #[test]
    fn a_seed_gives_one_history() {
        assert_eq!(simulate(&fleet(), 7), simulate(&fleet(), 7));
        assert_ne!(simulate(&fleet(), 7), simulate(&fleet(), 8));
    }

    #[test]
    fn every_read_is_answered_in_one_way() {
        for near in [false, true] {
            let rates = simulate(&Fleet { near, ..fleet() }, 1);
            assert!((rates.near_hits + rates.lookups - rates.reads).abs() < 1e-6, "{rates:?}");
            assert!(rates.runs + rates.waited <= rates.lookups);
            assert_eq!(rates.near_hits > 0.0, near);
        }
    }

    #[test]
    fn without_writes_nobody_runs_or_is_told() {
        let rates = simulate(&Fleet { writes: 0.0, ..fleet() }, 1);
        assert_eq!((rates.runs, rates.told, rates.lookups), (0.0, 0.0, 0.0));
    }

    /// A key that moves costs each instance that reads it again one look-up, and the fleet one run.
    #[test]
    fn a_move_costs_one_run_and_a_look_up_an_instance() {
        let rates = simulate(&Fleet { writes: 20.0, span: 4000, ..fleet() }, 3);
        assert!((rates.runs / rates.writes - 1.0).abs() < 0.1, "{rates:?}");
        let lookups = (rates.lookups - rates.waited) / rates.writes;
        // Each instance reads each key 50 times a second, so all of them come again before it moves.
        assert!((9.0..12.0).contains(&lookups), "{lookups}");
    }

    #[test]
    fn fewer_instances_a_tenant_hit_more() {
        let hits = |spread| {
            let rates = simulate(&Fleet { instances: 100, spread, writes: 1000.0, ..fleet() }, 3);
            rates.near_hits / rates.reads
        };
        // Between a move of a key and the next there are 100 reads of it, on so many instances.
        assert!((0.45..0.55).contains(&hits(100)), "{}", hits(100));
        // Of them 10 on each of ten, less those that come while the handler runs.
        assert!((0.85..0.92).contains(&hits(10)), "{}", hits(10));
    }

    #[test]
    fn whole_tenants_cost_as_many_runs_as_they_have_keys() {
        let one = simulate(&Fleet { writes: 20.0, span: 4000, ..fleet() }, 3);
        let all = simulate(&Fleet { writes: 20.0, span: 4000, whole_tenants: true, ..fleet() }, 3);
        let ratio = all.runs / one.runs;
        assert!((16.0..21.0).contains(&ratio), "{ratio}");
        assert!((all.told - one.told).abs() < 1e-9, "one generation moves, whatever it covers");
    }

    #[test]
    fn runs_that_are_shared_bound_a_storm() {
        // A tenant of 20 keys moves a thousand times a second; a run takes 5 ms.
        let storm = Fleet { writes: 1000.0, written_tenants: 1, whole_tenants: true, ..fleet() };
        let rates = simulate(&storm, 5);
        // No key can have more than one run for each version that somebody reads.
        assert!(rates.runs <= 20.0 * 1000.0);
        assert!(rates.refused > rates.runs / 2.0, "most come too late: {rates:?}");
        assert!(rates.at_once <= 20.0 * 6.0, "{rates:?}");
    }
}
