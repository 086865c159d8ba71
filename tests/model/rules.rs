//! The rules of the protocol that can be switched off one by one.

/// Which run id a connection believes in (rule 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunId {
    /// Learnt by each connection before its first command.
    PerConnection,
    /// Learnt once by the process.
    PerProcess,
    /// Not looked at.
    None,
}

/// What the invalidation of a tag moves (rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagMoves {
    /// The epoch and the tag's generation in one script.
    Together,
    /// The tag's generation alone.
    TagAlone,
    /// The tag's generation, and the epoch in a second script.
    TagFirst,
    /// The epoch, and the tag's generation in a second script.
    EpochFirst,
}

/// The rules in force; the number is that of the design's section 4.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one rule to switch off")]
pub(super) struct Rules {
    /// 1: the script mints the id, so that a doubled command brings another one.
    pub(super) ids_minted_in_the_script: bool,
    /// 7: an invalidation that was not confirmed is retried with a new id.
    pub(super) retry_has_a_new_id: bool,
    /// 2
    pub(super) run_id: RunId,
    /// 4: a missing generation is created closed if the scope has live fence tokens.
    pub(super) created_closed_while_fenced: bool,
    /// 4: the miss script says so if a valid entry has appeared.
    pub(super) again: bool,
    /// 4: stamps and epoch come from the caller's own reply, not from the lease.
    pub(super) stamps_of_own_reply: bool,
    /// 5: a request that saw a missing part asks the miss script before it shares a flight.
    pub(super) no_key_with_a_missing_part: bool,
    /// 5: without the store's help only a run that starts after the request began is shared.
    pub(super) next_run_only: bool,
    /// 5: a leader told CLOSED leaves the map of flights.
    pub(super) closed_leaves_the_map: bool,
    /// 5, read generously: a run that started after the request began may be shared though it has
    /// started already when the request looks for one. Off, only a run to come is shared.
    pub(super) started_runs_are_shared: bool,
    /// 5: the epoch is part of a flight's key.
    pub(super) flights_know_the_epoch: bool,
    /// 6: a fill is refused if the epoch has moved since its miss.
    pub(super) fill_checks_epoch: bool,
    /// 6, as the `Store` trait has it: a fill is refused if a generation has moved.
    pub(super) fill_checks_stamps: bool,
    /// 6: a fill is refused if another token holds the lease.
    pub(super) fill_checks_lease: bool,
    /// 7: a closed generation stays closed.
    pub(super) closed_stays_closed: bool,
    /// 7: ... and keeps its TTL.
    pub(super) closed_keeps_its_ttl: bool,
    /// 7: a hard invalidation leaves nothing behind the new id.
    pub(super) hard_leaves_nothing_behind: bool,
    /// 9: `delete_pattern` moves the epochs before it scans.
    pub(super) epochs_moved_before: bool,
    /// 9: ... and after it has.
    pub(super) epochs_moved_after: bool,
    /// 10: a fence that finds the scope closed without tokens takes the place of what was lost.
    pub(super) fence_replaces_lost_tokens: bool,
    /// 10: with other tokens left, a lift leaves the scope closed.
    pub(super) lift_heeds_others: bool,
    /// 10: a lift that does not find its own token leaves a closed scope closed.
    pub(super) lift_needs_its_token: bool,
    /// 12: tags named by the response are stamped only if the epoch has not moved.
    pub(super) stamp_checks_epoch: bool,
    /// 12: the invalidation of a tag moves the epoch with it.
    pub(super) tag_moves: TagMoves,
    /// 12: a stale entry is served only if its tags stand, as any.
    pub(super) stale_checks_tags: bool,
    /// 12: the second round trip of a lookup is on a connection with the same run id.
    pub(super) tags_of_the_same_run: bool,
    /// 14: what is read of the generations' node is sealed with its run.
    pub(super) stamps_are_sealed: bool,
    /// 13: a near-cache entry is valid only while the epoch is known and equal.
    pub(super) near_knows_the_epoch: bool,
    /// Section 5: a near-cache takes an entry only if its feed has not moved since it asked.
    pub(super) near_notes_the_position: bool,
}

impl Rules {
    /// The protocol as designed, where a tenant is spread: a tag and the epochs can't move together.
    pub(super) const SPREAD: Self = Self { tag_moves: TagMoves::EpochFirst, ..Self::ALL };

    /// The protocol as designed.
    pub(super) const ALL: Self = Self {
        ids_minted_in_the_script: true,
        retry_has_a_new_id: true,
        run_id: RunId::PerConnection,
        created_closed_while_fenced: true,
        again: true,
        stamps_of_own_reply: true,
        no_key_with_a_missing_part: true,
        next_run_only: true,
        closed_leaves_the_map: true,
        started_runs_are_shared: true,
        flights_know_the_epoch: true,
        fill_checks_epoch: true,
        fill_checks_stamps: true,
        fill_checks_lease: true,
        closed_stays_closed: true,
        closed_keeps_its_ttl: true,
        hard_leaves_nothing_behind: true,
        epochs_moved_before: true,
        epochs_moved_after: true,
        fence_replaces_lost_tokens: true,
        lift_heeds_others: true,
        lift_needs_its_token: true,
        stamp_checks_epoch: true,
        tag_moves: TagMoves::Together,
        stale_checks_tags: true,
        tags_of_the_same_run: true,
        stamps_are_sealed: true,
        near_knows_the_epoch: true,
        near_notes_the_position: true,
    };
}
