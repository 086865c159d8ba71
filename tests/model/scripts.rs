//! The store's atomic steps, each named as in the `Store` trait, on one key and one scope.

use super::rules::{Rules, TagMoves};
use super::scenario::Kind;
use super::state::{Entry, Generation, Id, Key, Lease, Mint, Redis, Run, Set, Snapshot, Version};

/// The answer of [`Redis::miss`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    Granted(Snapshot),
    Wait(Snapshot),
    Again,
    Closed,
}

/// What a lookup makes of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    Fresh,
    /// A soft invalidation has put its stamp behind the current one.
    Stale,
    Invalid,
}

impl Redis {
    /// `lookup`: `MGET entry g epoch`, on a connection that believes in `run`. Tags are not seen.
    pub(super) fn validity(&self, entry: Entry, rules: &Rules, run: Run) -> Validity {
        if !rules.same_run(entry.run, run) {
            Validity::Invalid
        } else if self.generation.current() == Some(entry.stamp) {
            Validity::Fresh
        } else if self.generation.is_behind(entry.stamp) {
            Validity::Stale
        } else {
            Validity::Invalid
        }
    }

    /// `lookup`: the key of the flight that a request may share after it, if no part is missing.
    pub(super) fn flight_key(&self, rules: &Rules, run: Run) -> Option<Key> {
        let key = Key { stamp: self.generation.current(), epoch: self.epoch, run };
        let closed = matches!(self.generation, Generation::Closed { .. });
        let complete = key.stamp.is_some() && key.epoch.is_some();
        let key = Key { epoch: key.epoch.filter(|_| rules.flights_know_the_epoch), ..key };
        (complete || !rules.no_key_with_a_missing_part && !closed).then_some(key)
    }

    /// `miss`: creates what is missing, then says who runs the handler.
    pub(super) fn miss(
        &mut self,
        rules: &Rules,
        token: u8,
        run: Run,
        ignore_entry: bool,
        mint: &mut Mint,
    ) -> Miss {
        let stamp = self.ensure(rules, mint);
        let epoch = *self.epoch.get_or_insert_with(|| mint.id());
        let Some(stamp) = stamp else {
            return Miss::Closed;
        };
        self.miss_with(rules, (token, run), ignore_entry, stamp, epoch)
    }

    /// The first half of a miss where the entry is on another node: that of the generation. Answers the
    /// stamp, if the scope is open.
    pub(super) fn ensure(&mut self, rules: &Rules, mint: &mut Mint) -> Option<Id> {
        if self.generation == Generation::Missing {
            self.generation = if self.is_fenced() && rules.created_closed_while_fenced {
                Generation::Closed { id: mint.id(), until: self.fence | self.nobody }
            } else {
                Generation::open(mint.id())
            };
        }
        self.generation.current()
    }

    /// The second half, that of the entry, which is told the stamp.
    pub(super) fn miss_there(
        &mut self,
        rules: &Rules,
        from: (u8, Run),
        ignore_entry: bool,
        stamp: Id,
        mint: &mut Mint,
    ) -> Miss {
        let epoch = *self.epoch.get_or_insert_with(|| mint.id());
        self.miss_with(rules, from, ignore_entry, stamp, epoch)
    }

    fn miss_with(
        &mut self,
        rules: &Rules,
        (token, run): (u8, Run),
        ignore_entry: bool,
        stamp: Id,
        epoch: Id,
    ) -> Miss {
        let appeared =
            self.entry.is_some_and(|entry| rules.same_run(entry.run, run) && entry.stamp == stamp);
        if rules.again && !ignore_entry && appeared {
            return Miss::Again;
        }
        let mut snapshot = Snapshot { stamp, epoch, run };
        let held = self.lease;
        if let Some(lease) = held
            && !rules.stamps_of_own_reply
        {
            (snapshot.stamp, snapshot.epoch) = (lease.stamp, lease.epoch);
        }
        if held.is_some_and(|it| it.token != token && it.stamp == stamp && it.epoch == epoch) {
            return Miss::Wait(snapshot);
        }
        self.lease = Some(Lease { token, stamp, epoch });
        Miss::Granted(snapshot)
    }

    /// `stamp`: the tag that the response has named gets its stamp, or it is said why not.
    pub(super) fn stamp(
        &mut self,
        rules: &Rules,
        run: Run,
        snapshot: Snapshot,
        mint: &mut Mint,
    ) -> Result<Id, &'static str> {
        if !rules.same_run(snapshot.run, run) {
            return Err("the run is another");
        }
        if rules.stamp_checks_epoch && self.epoch != Some(snapshot.epoch) {
            return Err("the epoch has moved");
        }
        Ok(*self.tag.get_or_insert_with(|| mint.id()))
    }

    /// `fill`: the script that renames the body into place. Answers why it refused, if it did.
    ///
    /// `from` is the token, and the run that the connection believes in; `tag` is the stamp of the
    /// tag that the response has named.
    pub(super) fn fill(
        &mut self,
        rules: &Rules,
        from: (u8, Run),
        snapshot: Snapshot,
        version: Version,
        tag: Option<Id>,
    ) -> Result<(), &'static str> {
        let (token, run) = from;
        if !rules.same_run(snapshot.run, run) {
            return Err("the run is another");
        }
        if rules.fill_checks_epoch && self.epoch != Some(snapshot.epoch) {
            return Err("the epoch has moved");
        }
        if rules.fill_checks_stamps && self.generation.current() != Some(snapshot.stamp) {
            return Err("the generation is another");
        }
        if rules.fill_checks_lease && self.lease.is_some_and(|lease| lease.token != token) {
            return Err("another holds the lease");
        }
        self.entry = Some(Entry { version, stamp: snapshot.stamp, tag, run: snapshot.run });
        self.lease = self.lease.filter(|lease| lease.token != token);
        Ok(())
    }

    /// `invalidate` of the configured scope. `id` is what the script mints.
    pub(super) fn invalidate(&mut self, rules: &Rules, soft: bool, id: Id) {
        self.generation = match self.generation {
            Generation::Missing => Generation::Missing,
            Generation::Open { current, behind } if soft || !rules.hard_leaves_nothing_behind => {
                Generation::Open { current: id, behind: [Some(current), behind[0]] }
            }
            Generation::Open { .. } => Generation::open(id),
            Generation::Closed { .. } if !rules.closed_stays_closed => Generation::open(id),
            Generation::Closed { until, .. } => {
                Generation::Closed { id, until: if rules.closed_keeps_its_ttl { until } else { 0 } }
            }
        };
    }

    /// The part of `delete_pattern`, `remove` and of a tag's invalidation that moves the epoch.
    pub(super) fn move_epoch(&mut self, mint: &mut Mint) {
        self.epoch = self.epoch.map(|_| mint.id());
    }

    /// One of the scripts that an invalidation of this kind consists of, the first being 0.
    ///
    /// `id` stands for the id of the configured scope's new generation.
    pub(super) fn script(
        &mut self,
        rules: &Rules,
        kind: Kind,
        script: u8,
        id: Id,
        mint: &mut Mint,
    ) {
        match (kind, script) {
            (Kind::Hard | Kind::Soft | Kind::Fenced, _) => {
                self.invalidate(rules, kind == Kind::Soft, id);
            }
            (Kind::Tag, script) => {
                let (epoch, tag) = match rules.tag_moves {
                    TagMoves::Together => (true, true),
                    TagMoves::TagAlone => (false, true),
                    TagMoves::TagFirst => (script == 1, script == 0),
                    TagMoves::EpochFirst => (script == 0, script == 1),
                };
                if epoch {
                    self.move_epoch(mint);
                }
                if tag {
                    self.tag = self.tag.map(|_| mint.id());
                }
            }
            (Kind::Remove, _) => {
                self.move_epoch(mint);
                self.entry = None;
            }
            (Kind::Pattern, 0) if rules.epochs_moved_before => self.move_epoch(mint),
            (Kind::Pattern, 1) => self.entry = None,
            (Kind::Pattern, 2) if rules.epochs_moved_after => self.move_epoch(mint),
            (Kind::Pattern, _) => {}
        }
    }

    /// `fence`: adds a token and closes the scope.
    ///
    /// A scope that is closed already without any token has lost its tokens, and somebody's
    /// handler may run still: a token of nobody's takes their place, for as long as the closed
    /// generation would have lived.
    pub(super) fn fence(&mut self, rules: &Rules, write: usize, mint: &mut Mint) {
        let closed_until = match self.generation {
            Generation::Closed { until, .. } => until,
            Generation::Missing | Generation::Open { .. } => 0,
        };
        if !self.is_fenced() && rules.fence_replaces_lost_tokens {
            self.nobody = closed_until;
        }
        self.fence |= 1 << write;
        self.generation = Generation::Closed { id: mint.id(), until: closed_until | self.fence };
    }

    /// `lift`: takes the token off. With others left the scope stays closed until their deadlines,
    /// with none left it opens under a new generation.
    ///
    /// A token that is not found was lost, and others may have been lost with it: then a closed
    /// scope stays closed for as long as it would have.
    pub(super) fn lift(&mut self, rules: &Rules, write: usize, mint: &mut Mint) {
        let found = self.fence & 1 << write != 0;
        self.fence &= !(1 << write);
        let live = self.fence | self.nobody;
        self.generation = match self.generation {
            _ if self.is_fenced() && rules.lift_heeds_others => {
                Generation::Closed { id: mint.id(), until: live }
            }
            Generation::Closed { until, .. } if !found && rules.lift_needs_its_token => {
                Generation::Closed { id: mint.id(), until }
            }
            Generation::Missing if !found => Generation::Missing,
            _ => Generation::open(mint.id()),
        };
    }

    /// Whether any fence token is live.
    pub(super) fn is_fenced(&self) -> bool {
        self.fence | self.nobody != 0
    }

    /// Time: the deadline of this write's token passes, for the token and for the TTL of a closed
    /// generation that it was the last to hold.
    pub(super) fn deadline(&mut self, passed: Set) {
        self.fence &= !passed;
        self.nobody &= !passed;
        if let Generation::Closed { until, .. } = &mut self.generation {
            *until &= !passed;
            if *until == 0 {
                self.generation = Generation::Missing;
            }
        }
    }
}

impl Rules {
    /// How many atomic scripts an invalidation of this kind takes.
    pub(super) fn scripts(&self, kind: Kind) -> u8 {
        match (kind, self.tag_moves) {
            (Kind::Pattern, _) => 3,
            (Kind::Tag, TagMoves::TagFirst | TagMoves::EpochFirst) => 2,
            _ => 1,
        }
    }

    /// The key of the flight that a request may share after the miss script.
    pub(super) fn flight_key(&self, snapshot: Snapshot) -> Key {
        let key = Key::from(snapshot);
        Key { epoch: key.epoch.filter(|_| self.flights_know_the_epoch), ..key }
    }

    /// Whether two run ids are taken for the same.
    pub(super) fn same_run(&self, one: Run, other: Run) -> bool {
        self.run_id == super::rules::RunId::None || one == other
    }
}
