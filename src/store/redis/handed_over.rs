//! What another primary of a cluster is told that has taken over slots.
//!
//! A primary of a cluster that is cut off from most others refuses writes after the nodes' time-out,
//! and only then is another chosen; but not on one clock, and not if it is done by hand. So what this
//! store has moved [lately](super::lately) in a slot is moved once more by whoever serves it next.

use std::collections::HashMap;
use std::sync::Arc;

use super::failure::Failure;
use super::node::Node;
use super::nodes::{Map, Shared};
use super::scopes::moving;
use crate::store::types::nonce;

/// How many calls are sent at once.
const BATCH: usize = 100;

impl Shared {
    /// Notes what is to be moved once more by those who serve its slot on one map, and were no primaries
    /// on the other. From primary to primary slots move in peace, with all that is in them.
    pub(super) fn hand_over(&self, was: &Map, is: &Map) {
        if was.nodes.is_empty() {
            return;
        }
        // Of slots that move from primary to primary, which is most of what changes, nothing is noted: so
        // the many names are not even made.
        let serves = |map: &Map, node: &Arc<Node>| {
            map.nodes.iter().any(|known| known.address() == node.address())
        };
        if is.is_whole() && is.nodes.iter().all(|node| serves(was, node)) {
            return;
        }
        let is_new = |name: &String| {
            is.node_of(name).is_none_or(|node| {
                was.nodes.iter().all(|primary| primary.address() != node.address())
            })
        };
        // The generation of a tenant that is spread may be where it was, and the entries that it ends
        // elsewhere.
        let places = self.lately.places().into_iter();
        let places = places
            .filter(|place| is_new(&place.generation()) || place.parts().any(|name| is_new(&name)));
        let overdue: Vec<String> = places.map(|place| place.generation()).collect();
        self.overdue.lock().extend(overdue);
    }

    /// Whether something is still to be moved once more.
    pub(super) fn is_overdue(&self) -> bool {
        !self.overdue.lock().is_empty()
    }

    /// Moves what is noted. What fails stays noted.
    pub(super) async fn catch_up(&self) -> Result<(), Failure> {
        let overdue: Vec<String> = self.overdue.lock().iter().cloned().collect();
        let mut nodes: HashMap<Arc<str>, (Arc<Node>, Vec<String>)> = HashMap::new();
        for name in overdue {
            if let Some(node) = self.node_of(&name) {
                let known = nodes.entry(node.address().clone());
                known.or_insert_with(|| (node, Vec::new())).1.push(name);
            }
        }
        let mut failure = None;
        for (node, names) in nodes.values() {
            for batch in names.chunks(BATCH) {
                match move_each(node, batch).await {
                    Ok(()) => {
                        let mut overdue = self.overdue.lock();
                        for name in batch {
                            overdue.remove(name);
                        }
                    }
                    Err(failed) => {
                        failure = Some(failed);
                        break;
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Moves names that need not be in one slot.
async fn move_each(node: &Node, names: &[String]) -> Result<(), Failure> {
    let mut link = node.sure().link().await?;
    let nonces: Vec<[u8; 8]> = names.iter().map(|_| nonce()).collect();
    let names: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let jobs: Vec<_> = names.iter().map(|name| moving(name)).collect();
    let calls: Vec<_> = jobs.iter().zip(&nonces).map(|(job, nonce)| job.call(nonce)).collect();
    link.together(Vec::new(), &calls).await.map(drop)
}
