//! The protocol with one rule switched off: each must break, and its shortest way to break is
//! kept in words under `traces/`.
//!
//! `MODEL_TRACES=write cargo nextest run -p protocol-model` writes those files anew.

use std::fs;
use std::path::Path;

use super::explore::explore;
use super::machine::Model;
use super::properties::{
    COHERENT, DOUBLED, FENCES, FENCES_AND_AWAY, TWO_FENCES, nothing_stale_is_served,
};
use super::rules::{Rules, RunId, TagMoves};
use super::scenario::fault::{
    AWAY, CRASH, DOUBLE, EVICT, EVICT_TOKENS, FLUSH, LOST_REPLY, RESTART,
};
use super::scenario::{Kind, NearCache, Scenario};

const ONE: &[(Kind, u8)] = &[(Kind::Hard, 1)];
const FENCED: &[(Kind, u8)] = &[(Kind::Fenced, 1)];
const FENCED_AND_HARD: &[(Kind, u8)] = &[(Kind::Fenced, 1), (Kind::Hard, 0)];
const TWO_FENCED: &[(Kind, u8)] = &[(Kind::Fenced, 1), (Kind::Fenced, 1)];
const PATTERN: &[(Kind, u8)] = &[(Kind::Pattern, 0)];
const TAG: &[(Kind, u8)] = &[(Kind::Tag, 1)];
const SOFT_AND_TAG: &[(Kind, u8)] = &[(Kind::Soft, 1), (Kind::Tag, 1)];

/// Checks that `scenario` holds with every rule in force and breaks with `off`, in the way that
/// the trace of this name tells.
fn breaks(name: &str, rule: &str, off: Rules, scenario: Scenario) {
    breaks_under(Rules::ALL, name, rule, off, scenario);
}

/// The same with these rules for every rule.
fn breaks_under(all: Rules, name: &str, rule: &str, off: Rules, scenario: Scenario) {
    let sound = explore(&Model { scenario, rules: all }, &[nothing_stale_is_served]);
    if let Some(found) = sound.broken {
        panic!("broken with every rule in force: {:?}\n{}", found.broken, found.trace);
    }
    breaks_though_a_property_holds(name, rule, off, scenario);
}

/// The same, for a scenario that lies within one that a property has searched already.
fn breaks_though_a_property_holds(name: &str, rule: &str, off: Rules, scenario: Scenario) {
    let report = explore(&Model { scenario, rules: off }, &[nothing_stale_is_served]);
    println!("broken after {} states, {:.1} s", report.states, report.elapsed.as_secs_f64());
    let found = report.broken.expect("a rule that can be left out without harm is no rule");
    let told = format!("Switched off: {rule}.\n\n{}", found.trace);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("traces/{name}.txt"));
    if std::env::var_os("MODEL_TRACES").is_some_and(|it| it == "write") {
        return fs::write(&file, told).expect("the traces can be written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept.replace('\r', "") == told, "{} tells another story than:\n{told}", file.display());
}

#[test]
fn ids_minted_by_the_client() {
    breaks_though_a_property_holds(
        "01-ids-minted-by-the-client",
        "rule 1, the script mints the id",
        Rules { ids_minted_in_the_script: false, ..Rules::ALL },
        Scenario { faults: (1, DOUBLE), ..DOUBLED },
    );
}

#[test]
fn a_retry_with_the_same_id() {
    breaks_though_a_property_holds(
        "07-a-retry-with-the-same-id",
        "rule 7, an invalidation that was not confirmed is retried with a new id",
        Rules { retry_has_a_new_id: false, ..Rules::ALL },
        Scenario { faults: (1, LOST_REPLY), ..DOUBLED },
    );
}

#[test]
fn no_run_id() {
    breaks(
        "02-no-run-id",
        "rule 2, entries, flights and fills carry the run id",
        Rules { run_id: RunId::None, ..Rules::ALL },
        Scenario::new(2, ONE).faults(1, RESTART),
    );
}

#[test]
fn a_run_id_of_the_process() {
    breaks(
        "02-a-run-id-of-the-process",
        "rule 2, each connection learns the run id (the process keeps the first it met)",
        Rules { run_id: RunId::PerProcess, ..Rules::ALL },
        Scenario::new(2, ONE).faults(1, RESTART),
    );
}

#[test]
fn a_missing_generation_created_open_under_a_fence() {
    breaks(
        "04-created-open-under-a-fence",
        "rule 4, a missing generation is created closed if the scope has live fence tokens",
        Rules { created_closed_while_fenced: false, ..Rules::ALL },
        Scenario::new(2, FENCED).faults(2, EVICT | CRASH),
    );
}

#[test]
fn a_miss_script_without_again() {
    breaks(
        "04-without-again",
        "rule 4, the miss script answers AGAIN if a valid entry has appeared",
        Rules { again: false, ..Rules::ALL },
        Scenario::new(2, &[]).count_runs(),
    );
}

#[test]
fn stamps_from_the_lease() {
    breaks(
        "04-stamps-from-the-lease",
        "rule 4, stamps and epoch come from the caller's own reply, not from the lease",
        Rules { stamps_of_own_reply: false, ..Rules::ALL },
        Scenario::new(2, ONE).faults(1, EVICT),
    );
}

#[test]
fn a_flight_key_with_a_missing_part() {
    breaks(
        "05-a-flight-key-with-a-missing-part",
        "rule 5, with a part missing the miss script comes before any flight",
        Rules { no_key_with_a_missing_part: false, ..Rules::ALL },
        Scenario::new(2, ONE).faults(1, FLUSH),
    );
}

#[test]
fn a_shared_run_that_had_started_before() {
    breaks(
        "05-a-run-that-had-started-before",
        "rule 5, without the store's help only a run that starts after the request began is shared",
        Rules { next_run_only: false, ..Rules::ALL },
        Scenario::new(2, ONE).faults(2, AWAY),
    );
}

#[test]
fn a_closed_leader_who_stays_in_the_map() {
    breaks(
        "05-a-closed-leader-stays-in-the-map",
        "rule 5, a leader told CLOSED leaves the map of flights",
        Rules { closed_leaves_the_map: false, ..Rules::ALL },
        Scenario::new(3, TWO_FENCED),
    );
}

#[test]
fn a_leader_told_nothing_who_stays_in_the_map() {
    breaks_though_a_property_holds(
        "05-a-leader-without-the-store-stays-in-the-map",
        "rule 5, a leader whom the store did not answer leaves the map of flights",
        Rules { closed_leaves_the_map: false, ..Rules::ALL },
        FENCES_AND_AWAY,
    );
}

#[test]
fn a_flight_key_without_the_epoch() {
    breaks(
        "05-a-flight-key-without-the-epoch",
        "rule 5, the epoch is part of a flight's key",
        Rules { flights_know_the_epoch: false, ..Rules::ALL },
        Scenario::new(2, PATTERN),
    );
}

#[test]
fn a_fill_that_ignores_the_epoch() {
    breaks(
        "06-a-fill-that-ignores-the-epoch",
        "rule 6, a fill is refused if the epoch has moved since its miss",
        Rules { fill_checks_epoch: false, ..Rules::ALL },
        Scenario::new(2, PATTERN),
    );
}

#[test]
fn an_invalidation_that_opens_a_fence() {
    breaks(
        "07-an-invalidation-opens-a-fence",
        "rule 7, a closed generation stays closed",
        Rules { closed_stays_closed: false, ..Rules::ALL },
        Scenario::new(2, FENCED_AND_HARD).faults(1, CRASH),
    );
}

#[test]
fn an_invalidation_that_shortens_a_fence() {
    breaks_though_a_property_holds(
        "07-an-invalidation-shortens-a-fence",
        "rule 7, a closed generation keeps its TTL",
        Rules { closed_keeps_its_ttl: false, ..Rules::ALL },
        Scenario { faults: (2, CRASH | EVICT_TOKENS), ..FENCES },
    );
}

#[test]
fn a_hard_invalidation_that_leaves_the_old_behind() {
    breaks(
        "07-hard-leaves-the-old-behind",
        "rule 7, only a soft invalidation keeps the previous id beside the new one",
        Rules { hard_leaves_nothing_behind: false, ..Rules::ALL },
        Scenario::new(2, ONE),
    );
}

#[test]
fn epochs_moved_only_after_the_scan() {
    breaks(
        "09-epochs-moved-only-after",
        "rule 9, delete_pattern moves the epochs before it scans",
        Rules { epochs_moved_before: false, ..Rules::ALL },
        Scenario::new(2, PATTERN),
    );
}

#[test]
fn epochs_moved_only_before_the_scan() {
    breaks_though_a_property_holds(
        "09-epochs-moved-only-before",
        "rule 9, delete_pattern moves the epochs again after it has scanned",
        Rules { epochs_moved_after: false, ..Rules::ALL },
        COHERENT,
    );
}

#[test]
fn a_lift_that_opens_the_fences_of_others() {
    breaks(
        "10-a-lift-opens-the-fences-of-others",
        "rule 10, with other tokens left a lift leaves the scope closed",
        Rules { lift_heeds_others: false, ..Rules::ALL },
        Scenario::new(2, &[(Kind::Fenced, 1), (Kind::Fenced, 0)]).faults(1, CRASH),
    );
}

#[test]
fn a_fence_that_does_not_see_what_was_lost() {
    breaks_though_a_property_holds(
        "10-a-fence-after-lost-tokens",
        "rule 10 as sharpened here, a fence that finds a closed scope without tokens adds one",
        Rules { fence_replaces_lost_tokens: false, ..Rules::ALL },
        Scenario { faults: (2, CRASH | EVICT_TOKENS), ..TWO_FENCES },
    );
}

/// No rule is off: this is the limit that rule 10 states.
#[test]
fn a_crash_and_a_flush_of_the_fence() {
    breaks_though_a_property_holds(
        "10-limit-a-crash-and-a-flush",
        "nothing; the limit of rule 10, a crash and the loss of the fence's own keys at once",
        Rules::ALL,
        Scenario::new(2, FENCED).faults(2, CRASH | FLUSH),
    );
}

#[test]
fn a_lift_without_its_token() {
    breaks_though_a_property_holds(
        "10-a-lift-without-its-token",
        "rule 10 as sharpened here, a lift that does not find its token opens nothing",
        Rules { lift_needs_its_token: false, ..Rules::ALL },
        Scenario { faults: (2, CRASH | EVICT_TOKENS), ..TWO_FENCES },
    );
}

#[test]
fn tags_stamped_whatever_the_epoch() {
    breaks(
        "12-tags-stamped-whatever-the-epoch",
        "rule 12, neither stamp nor fill looks at the epoch",
        Rules { stamp_checks_epoch: false, fill_checks_epoch: false, ..Rules::ALL },
        Scenario::new(2, TAG).tagged(),
    );
}

#[test]
fn a_fill_after_its_stamp_that_ignores_the_epoch() {
    breaks(
        "12-a-stamped-fill-that-ignores-the-epoch",
        "rule 6, a fill is refused if the epoch has moved, also after a stamp that looked at it",
        Rules { fill_checks_epoch: false, ..Rules::ALL },
        Scenario::new(2, PATTERN).tagged(),
    );
}

#[test]
fn a_tag_that_moves_alone() {
    breaks(
        "12-a-tag-that-moves-alone",
        "rule 12, the invalidation of a tag moves the epoch",
        Rules { tag_moves: TagMoves::TagAlone, ..Rules::ALL },
        Scenario::new(2, TAG).tagged(),
    );
}

#[test]
fn a_tag_that_moves_before_the_epoch() {
    breaks(
        "12-a-tag-that-moves-before-the-epoch",
        "rule 12, the invalidation of a tag moves it and the epoch in one script",
        Rules { tag_moves: TagMoves::TagFirst, ..Rules::ALL },
        Scenario::new(2, TAG).tagged(),
    );
}

#[test]
fn a_stale_entry_whose_tag_nobody_looks_up() {
    breaks(
        "12-a-stale-entry-whose-tag-is-not-looked-up",
        "rule 12, a stale entry is served only if its tags stand",
        Rules { stale_checks_tags: false, ..Rules::ALL },
        Scenario::new(2, SOFT_AND_TAG).tagged(),
    );
}

#[test]
fn tags_looked_up_in_another_run() {
    breaks(
        "12-tags-looked-up-in-another-run",
        "rule 12, tags are looked up on a connection with the same run id",
        Rules { tags_of_the_same_run: false, ..Rules::ALL },
        Scenario::new(2, TAG).tagged().faults(1, RESTART),
    );
}

#[test]
fn a_tag_of_a_spread_tenant_that_moves_before_the_epochs() {
    breaks_under(
        Rules::SPREAD,
        "15-a-tag-that-moves-before-the-epochs",
        "rule 15, where a tenant is spread the epochs move before the tag",
        Rules { tag_moves: TagMoves::TagFirst, ..Rules::SPREAD },
        Scenario::new(2, TAG).tagged().spread(),
    );
}

#[test]
fn stamps_of_another_node_that_are_not_sealed() {
    breaks_under(
        Rules::SPREAD,
        "14-stamps-that-are-not-sealed",
        "rule 14, an id that another node has is sealed with the run of that node",
        Rules { stamps_are_sealed: false, ..Rules::SPREAD },
        Scenario::new(2, ONE).spread().faults(1, RESTART),
    );
}

#[test]
fn a_fill_of_a_spread_tenant_that_ignores_the_epoch() {
    breaks_under(
        Rules::SPREAD,
        "15-a-fill-that-ignores-the-epoch",
        "rule 15, a fill compares the epoch in the step that stores, though its stamp did before",
        Rules { fill_checks_epoch: false, ..Rules::SPREAD },
        Scenario::new(2, TAG).tagged().spread(),
    );
}

#[test]
fn a_strict_near_cache_of_a_spread_tenant_that_ignores_the_epoch() {
    breaks_under(
        Rules::SPREAD,
        "15-strict-near-cache-ignores-the-epoch",
        "rule 13, a near-cache entry is valid only if the epoch is known and equal (spread tenant)",
        Rules { near_knows_the_epoch: false, ..Rules::SPREAD },
        Scenario::new(3, PATTERN).near(NearCache::Strict).spread(),
    );
}

#[test]
fn a_near_cache_that_ignores_the_epoch() {
    breaks_though_a_property_holds(
        "13-near-cache-ignores-the-epoch",
        "rule 13, a near-cache entry is valid only if the epoch is known and equal",
        Rules { near_knows_the_epoch: false, ..Rules::ALL },
        COHERENT,
    );
}

#[test]
fn a_strict_near_cache_that_ignores_the_epoch() {
    breaks(
        "13-strict-near-cache-ignores-the-epoch",
        "rule 13, a near-cache entry is valid only if the epoch is known and equal (strict mode)",
        Rules { near_knows_the_epoch: false, ..Rules::ALL },
        Scenario::new(3, PATTERN).near(NearCache::Strict),
    );
}

#[test]
fn a_near_cache_that_forgets_where_its_feed_was() {
    breaks_though_a_property_holds(
        "13-near-cache-forgets-the-position",
        "section 5, a near-cache takes an entry only if its feed has not moved since it asked",
        Rules { near_notes_the_position: false, ..Rules::ALL },
        COHERENT,
    );
}
