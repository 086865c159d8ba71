//! Look-ups: what the store has under a key's names.

use std::sync::Arc;

use bb8_redis::redis::{Cmd, Value};
use bytes::Bytes;

use super::RedisStore;
use super::elsewhere::Places;
use super::failure::Failure;
use super::node::Node;
use super::replies::bytes_of;
use super::scopes::generation;
use crate::entry::{Generation, Id, RunId};
use crate::key::Names;
use crate::store::near::{By, Kept, Near};
use crate::store::{Found, StoreError};

/// What of a key's names is read at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    All,
    /// All but the entry.
    Stamps,
}

/// The answer, and by whom.
struct Answer {
    found: Found,
    by: Vec<By>,
}

impl RedisStore {
    pub(super) async fn do_lookup(&self, names: &Names) -> Result<Found, StoreError> {
        Ok(self.read(names, What::All).await?.found)
    }

    /// Reads it all as of one moment; what of it is on another node of a cluster at the same time, but
    /// not the same moment. Whoever was told of an invalidation before this began finds it in either.
    async fn read(&self, names: &Names, what: What) -> Result<Answer, Failure> {
        let places = self.places(names);
        let here = self.read_here(names, what, places.here);
        let [tenant, everybody] = places.elsewhere();
        if tenant.is_none() && everybody.is_none() {
            return here.await;
        }
        // All to their end: who is given up was perhaps asked together with others.
        let (answer, tenant, everybody) =
            tokio::join!(here, self.look_elsewhere(tenant), self.look_elsewhere(everybody));
        let mut answer = answer?;
        let mut all = answer.found.generations.to_vec();
        for (generations, by) in tenant?.into_iter().chain(everybody?) {
            all.extend(generations);
            answer.by.push(by);
        }
        answer.found.generations = all.into();
        Ok(answer)
    }

    /// Reads the names of one slot, of the scopes the first `count`.
    async fn read_here(&self, names: &Names, what: What, count: usize) -> Result<Answer, Failure> {
        // In a cluster each name may turn out to be elsewhere.
        if self.nodes.is_cluster() {
            return self.read_alone(names, what, count).await;
        }
        let node = self.nodes.node_of(names.entry()).await?;
        let (_under_way, many) = node.gather.begin();
        if many && let Some(answer) = self.read_gathered(&node, names, what, count).await? {
            return self.nodes.shared.counts(&node).map(|()| answer);
        }
        self.read_alone(names, what, count).await
    }

    async fn read_gathered(
        &self,
        node: &Node,
        names: &Names,
        what: What,
        count: usize,
    ) -> Result<Option<Answer>, Failure> {
        let with_entry = what == What::All;
        let wanted = with_entry.then(|| (names.entry(), true)).into_iter();
        let wanted = wanted.chain(names.scopes().take(count).map(|name| (name, false)));
        let wanted = wanted.chain([(names.epoch(), false)]);
        let Some(read) = node.gather.read(wanted).await? else {
            return Ok(None);
        };
        let first = usize::from(with_entry);
        let entry = if with_entry { read.entry() } else { None };
        let generations = (first..first + count)
            .map(|at| read.stamp(at).map_or(Generation::Missing, Generation::parse))
            .collect::<Arc<[_]>>();
        let epoch = read.stamp(first + count).and_then(Id::from_slice);
        let (run, source, address) = read.by();
        let by = self.by(address, run);
        let found = Found { source, ..Found::new(entry, generations, epoch, run) };
        Ok(Some(Answer { found, by }))
    }

    /// Who has answered, if that matters.
    fn by(&self, address: &Arc<str>, run: RunId) -> Vec<By> {
        let by = self.near.as_ref().map(|_| By { address: Arc::clone(address), run });
        by.into_iter().collect()
    }

    async fn read_alone(&self, names: &Names, what: What, count: usize) -> Result<Answer, Failure> {
        self.nodes
            .at(names.entry(), move |mut link| async move {
                let bytes = names.entry().len() + names.epoch().len() * (count + 2) + 16;
                let mut command = Cmd::with_capacity(3 + count, bytes);
                command.arg("MGET");
                if what == What::All {
                    command.arg(names.entry());
                }
                for scope in names.scopes().take(count) {
                    command.arg(scope);
                }
                command.arg(names.epoch());
                let Value::Array(values) = link.read(command).await? else {
                    return Err(link.nonsense("MGET"));
                };
                if values.len() != count + 1 + usize::from(what == What::All) {
                    return Err(link.nonsense("MGET"));
                }
                let mut values = values.into_iter();
                let entry = match what {
                    What::All => values.next().and_then(bytes_of).map(Bytes::from),
                    What::Stamps => None,
                };
                let generations: Arc<[_]> = values.by_ref().take(count).map(generation).collect();
                let epoch = values.next().and_then(bytes_of);
                let epoch = epoch.and_then(|stored| Id::from_slice(&stored));
                let (run, source) = (link.run(), link.id());
                let by = self.by(link.address(), run);
                let found = Found { source, ..Found::new(entry, generations, epoch, run) };
                Ok(Answer { found, by })
            })
            .await
    }

    pub(super) fn places<'a>(&self, names: &'a Names) -> Places<'a> {
        Places::of(names, self.nodes.is_cluster())
    }

    /// Looks up, and keeps near what was found.
    pub(super) async fn look_and_keep(
        &self,
        near: &Near,
        names: &Names,
    ) -> Result<Found, StoreError> {
        // Before the server is asked: what moves from now on outdates the answer.
        let asked = near.ask(names);
        let mut answer = self.read(names, What::All).await?;
        if let Some(asked) = asked {
            let now = self.nodes.shared.kit.clock.now();
            near.keep(names, asked, &mut answer.found, &answer.by, now);
        }
        Ok(answer.found)
    }

    /// Asks whether what is kept still holds, and looks up if not.
    pub(super) async fn confirm_near(
        &self,
        near: &Near,
        names: &Names,
        kept: Arc<Kept>,
    ) -> Result<Found, StoreError> {
        let now = self.read(names, What::Stamps).await?.found;
        if now.epoch == Some(kept.epoch)
            && now.generations == kept.generations
            && now.run == kept.run
        {
            return Ok(kept.found(None));
        }
        near.forget(names);
        self.look_and_keep(near, names).await
    }
}
