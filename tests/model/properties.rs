//! What must hold in every state, and the checks that it does.
//!
//! Every check is a test of its own, so that nextest runs them side by side. Each prints how many
//! states it visited.

use super::explore::{Claim, explore};
use super::machine::Model;
use super::rules::{Rules, TagMoves};
use super::scenario::fault::{AWAY, CRASH, DOUBLE, EVICT, FLUSH, LEAVE, LOST_REPLY, RESTART};
use super::scenario::{Kind, NearCache, Scenario};
use super::scripts::Validity;
use super::state::{Broken, Phase, State};

/// P6 and P12: a read that began after an invalidation was confirmed is never answered with
/// anything older, and what a soft one left is served flagged only.
pub(super) fn nothing_stale_is_served(_: &Model, s: &State) -> Option<Broken> {
    s.broken
}

/// What P6 rests on: no valid entry, and no flight that a lookup made now would join, is older
/// than what is confirmed.
pub(super) fn nothing_old_is_valid(model: &Model, s: &State) -> Option<Broken> {
    let entry = s.redis.entry.is_some_and(|entry| {
        let tagged = entry.tag.is_none() || entry.tag == s.redis.tag;
        let floor = match s.redis.validity(entry, &model.rules, s.redis.run) {
            _ if !tagged => 0,
            Validity::Fresh => s.confirmed,
            Validity::Stale => s.confirmed_hard,
            Validity::Invalid => 0,
        };
        entry.version < floor
    });
    let key = s.redis.flight_key(&model.rules, s.redis.run);
    let flight = s.flights.iter().any(|flight| {
        matches!(flight.phase, Phase::Running { version, .. } if version < s.confirmed)
            && flight.key.is_some()
            && flight.key == key
    });
    (entry || flight).then_some(Broken::ValidButOld)
}

/// Rule 10: a scope with live fence tokens is not open, whatever becomes of its generation.
pub(super) fn a_fenced_scope_is_not_open(_: &Model, s: &State) -> Option<Broken> {
    let open = s.redis.is_fenced() && s.redis.generation.current().is_some();
    open.then_some(Broken::FenceOpened)
}

const ALL: &[Claim] = &[nothing_stale_is_served, nothing_old_is_valid, a_fenced_scope_is_not_open];

fn holds(scenario: Scenario) {
    holds_under(scenario, Rules::ALL);
}

fn holds_under(scenario: Scenario, rules: Rules) {
    let report = explore(&Model { scenario, rules }, ALL);
    println!(
        "{} states, {} steps, depth {}, {:.1} s",
        report.states,
        report.steps,
        report.depth,
        report.elapsed.as_secs_f64()
    );
    if let Some(found) = report.broken {
        panic!("{:?}\n{}", found.broken, found.trace);
    }
}

const ONE: &[(Kind, u8)] = &[(Kind::Hard, 1)];
const TWO: &[(Kind, u8)] = &[(Kind::Hard, 1), (Kind::Hard, 1)];
const THREE: &[(Kind, u8)] = &[(Kind::Hard, 1), (Kind::Hard, 1), (Kind::Hard, 1)];
const PATTERN: &[(Kind, u8)] = &[(Kind::Pattern, 0)];
const TAG: &[(Kind, u8)] = &[(Kind::Tag, 1)];
const SOFT: &[(Kind, u8)] = &[(Kind::Soft, 1), (Kind::Hard, 1)];
const FENCED: &[(Kind, u8)] = &[(Kind::Fenced, 1), (Kind::Hard, 0)];
const ONE_FENCED: &[(Kind, u8)] = &[(Kind::Fenced, 1)];
const TWO_FENCED: &[(Kind, u8)] = &[(Kind::Fenced, 1), (Kind::Fenced, 0)];

/// The faults of the store and of the way to it that any protocol must bear.
const ANY: u16 = EVICT | FLUSH | LEAVE | DOUBLE | LOST_REPLY;

pub(super) const DOUBLED: Scenario = Scenario::new(3, TWO).faults(1, ANY);
pub(super) const FENCES: Scenario = Scenario::new(2, FENCED).faults(2, CRASH | EVICT);
pub(super) const TWO_FENCES: Scenario = Scenario::new(2, TWO_FENCED).faults(2, CRASH | EVICT);
pub(super) const FENCES_AND_AWAY: Scenario = Scenario::new(3, ONE_FENCED).faults(2, AWAY);
pub(super) const COHERENT: Scenario = Scenario::new(3, PATTERN).near(NearCache::Coherent);

#[test]
fn p6_without_faults() {
    holds(Scenario::new(4, ONE));
}

#[test]
fn p6_with_four_reads_and_a_fault() {
    holds(Scenario::new(4, ONE).faults(1, EVICT | LEAVE));
}

#[test]
fn p6_with_three_writes() {
    holds(Scenario::new(2, THREE).faults(1, ANY));
}

#[test]
fn p6_with_two_writes_and_a_fault() {
    holds(DOUBLED);
}

#[test]
fn p6_with_two_faults() {
    holds(Scenario::new(3, ONE).faults(2, ANY));
}

#[test]
fn p6_with_crashes() {
    holds(Scenario::new(3, ONE).faults(2, CRASH | EVICT));
}

#[test]
fn p6_to_the_letter() {
    holds(Scenario::new(3, TWO).faults(1, ANY).commit_in_script());
}

#[test]
fn p6_after_a_restart_from_a_snapshot() {
    holds(Scenario::new(3, ONE).faults(1, RESTART));
}

#[test]
fn p6_after_a_restart_and_another_fault() {
    holds(Scenario::new(2, TWO).faults(2, RESTART | EVICT | DOUBLE));
}

#[test]
fn p6_while_the_store_is_away() {
    holds(Scenario::new(3, TWO).faults(2, AWAY | LEAVE));
}

#[test]
fn p6_with_fences_and_a_crash() {
    holds(FENCES);
}

#[test]
fn p6_with_two_fences_and_a_crash() {
    holds(TWO_FENCES);
}

#[test]
fn p6_with_fences_and_doubled_commands() {
    holds(Scenario::new(2, TWO_FENCED).faults(1, DOUBLE | LOST_REPLY));
}

#[test]
fn p6_with_fences_and_a_store_away() {
    holds(FENCES_AND_AWAY);
}

#[test]
fn p6_of_delete_pattern() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Pattern, 1), (Kind::Hard, 1)];
    holds(Scenario::new(3, WRITES));
}

#[test]
fn p6_of_delete_pattern_with_two_faults() {
    holds(Scenario::new(2, PATTERN).faults(2, ANY | RESTART));
}

#[test]
fn p6_of_remove() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Remove, 1), (Kind::Pattern, 1)];
    holds(Scenario::new(2, WRITES).faults(1, ANY));
}

#[test]
fn p6_of_tags_that_the_response_names() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Tag, 1), (Kind::Hard, 1)];
    holds(Scenario::new(2, WRITES).tagged().faults(1, ANY | RESTART));
}

#[test]
fn p6_of_tags_with_two_faults() {
    holds(Scenario::new(2, TAG).tagged().faults(2, ANY | RESTART));
}

#[test]
fn p6_of_tags_to_the_letter() {
    holds(Scenario::new(3, TAG).tagged().faults(1, ANY | RESTART).commit_in_script());
}

#[test]
fn p6_of_tags_while_the_store_is_away() {
    holds(Scenario::new(3, TAG).tagged().faults(2, AWAY | LEAVE));
}

#[test]
fn p6_of_tags_with_crashes() {
    holds(Scenario::new(2, TAG).tagged().faults(2, CRASH | EVICT));
}

/// Whatever else moves the epoch lies between stamp and fill as well.
#[test]
fn p6_of_tags_and_delete_pattern() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Tag, 1), (Kind::Pattern, 1)];
    holds(Scenario::new(2, WRITES).tagged().faults(1, ANY));
}

#[test]
fn p12_of_soft_invalidations_and_tags() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Soft, 1), (Kind::Tag, 1)];
    holds(Scenario::new(2, WRITES).tagged().faults(1, ANY | RESTART));
}

/// For tags one look at the epoch is enough, be it the stamp's or the fill's: without the former
/// the fill refuses, without the latter the stamp is outdated. (What `remove` and `delete_pattern`
/// need is the fill's.)
#[test]
fn p6_of_tags_rests_on_one_of_two_looks_at_the_epoch() {
    let scenario = Scenario::new(2, TAG).tagged().faults(2, ANY | RESTART);
    holds_under(scenario, Rules { stamp_checks_epoch: false, ..Rules::ALL });
    holds_under(scenario, Rules { fill_checks_epoch: false, ..Rules::ALL });
}

/// The epoch and the tag may move in two scripts, if the epoch is the first.
#[test]
fn p6_of_tags_whose_epoch_moves_before_them() {
    let rules = Rules { tag_moves: TagMoves::EpochFirst, ..Rules::ALL };
    holds_under(Scenario::new(2, TAG).tagged().faults(1, ANY | RESTART), rules);
}

#[test]
fn p12_of_soft_invalidations() {
    holds(Scenario::new(3, SOFT));
}

#[test]
fn p12_of_soft_invalidations_with_a_fault() {
    holds(Scenario::new(2, SOFT).faults(1, ANY | RESTART));
}

#[test]
fn p21_of_a_coherent_near_cache() {
    holds(COHERENT);
}

#[test]
fn p21_of_a_coherent_near_cache_with_a_fault() {
    holds(Scenario::new(2, ONE).near(NearCache::Coherent).faults(1, EVICT | FLUSH | RESTART));
}

#[test]
fn p21_of_a_strict_near_cache() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Hard, 0), (Kind::Pattern, 0)];
    holds(Scenario::new(2, WRITES).near(NearCache::Strict).faults(1, EVICT | FLUSH | RESTART));
}

#[test]
fn p13_the_handler_runs_once_for_reads_that_miss_together() {
    holds(Scenario::new(4, &[]).count_runs());
}

/// The limit that rule 10 states: with a crash and the loss of the fence's own keys at once, what
/// was acknowledged is covered even then.
#[test]
fn p6_of_acknowledged_writes_when_fences_are_lost() {
    let scenario = Scenario::new(2, ONE_FENCED).faults(2, CRASH | FLUSH | RESTART);
    holds(scenario.acknowledged_only());
}

/// Where only runs to come are shared, a leader told CLOSED may as well stay in the map.
#[test]
fn p6_with_leaders_who_stay_while_only_runs_to_come_are_shared() {
    let rules =
        Rules { closed_leaves_the_map: false, started_runs_are_shared: false, ..Rules::ALL };
    holds_under(FENCES_AND_AWAY, rules);
    holds_under(Scenario::new(3, &[(Kind::Fenced, 1), (Kind::Fenced, 1)]), rules);
}

/// What of the faults strikes a store whose connections are its own, where a tenant is spread.
const ANY_SPREAD: u16 = EVICT | FLUSH | LEAVE | LOST_REPLY | RESTART;

#[test]
fn p6_of_a_spread_tenant() {
    holds_under(Scenario::new(3, ONE).spread().faults(1, ANY_SPREAD), Rules::SPREAD);
}

#[test]
fn p6_of_a_spread_tenant_with_two_writes_and_two_faults() {
    holds_under(Scenario::new(2, TWO).spread().faults(2, ANY_SPREAD), Rules::SPREAD);
}

#[test]
fn p6_of_tags_of_a_spread_tenant() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Tag, 1), (Kind::Hard, 1)];
    let scenario = Scenario::new(2, WRITES).tagged().spread();
    holds_under(scenario.faults(1, ANY_SPREAD), Rules::SPREAD);
}

#[test]
fn p6_of_tags_of_a_spread_tenant_with_two_faults() {
    let scenario = Scenario::new(2, TAG).tagged().spread();
    holds_under(scenario.faults(2, ANY_SPREAD), Rules::SPREAD);
}

#[test]
fn p6_of_remove_and_delete_pattern_of_a_spread_tenant() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Remove, 1), (Kind::Pattern, 1)];
    holds_under(Scenario::new(2, WRITES).spread().faults(1, ANY_SPREAD), Rules::SPREAD);
}

#[test]
fn p6_of_a_spread_tenant_with_fences_and_a_crash() {
    let scenario = Scenario::new(2, FENCED).spread().faults(2, CRASH | EVICT);
    holds_under(scenario, Rules::SPREAD);
}

#[test]
fn p21_of_a_strict_near_cache_of_a_spread_tenant() {
    const WRITES: &[(Kind, u8)] = &[(Kind::Hard, 0), (Kind::Pattern, 0)];
    let scenario = Scenario::new(2, WRITES).near(NearCache::Strict).spread();
    holds_under(scenario.faults(1, EVICT | FLUSH | RESTART), Rules::SPREAD);
}

#[test]
fn p12_of_soft_invalidations_of_a_spread_tenant() {
    holds_under(Scenario::new(2, SOFT).spread().faults(1, ANY_SPREAD), Rules::SPREAD);
}

/// Leases and the fill's look at stamps save work and room: P6 does not rest on them.
#[test]
fn p6_rests_on_neither_leases_nor_stamps_at_the_fill() {
    let rules = Rules { fill_checks_lease: false, fill_checks_stamps: false, ..Rules::ALL };
    holds_under(Scenario::new(2, TWO).faults(1, ANY), rules);
}
