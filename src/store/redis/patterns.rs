//! The steps that search: the removal of entries by an ad-hoc pattern, and the list of keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bb8_redis::redis::{Cmd, Value, cmd};

use super::RedisStore;
use super::connection::Link;
use super::failure::{Failure, Sign, Turn};
use super::node::Node;
use super::replies::{bytes_of, number};
use crate::key::{EPOCHS, Glob, Space};
use crate::store::types::nonce;
use crate::store::{KeyPage, StoreError, StoreErrorKind, StoredKey};

/// How many names the server looks at for each step of the search.
const STEP: usize = 1000;

/// How long the search for one page of keys goes on, found or not.
const PAGE: Duration = Duration::from_millis(200);

/// How many names are unlinked by one command, so that nobody waits long behind it.
const BATCH: usize = 500;

/// How often a search begins again because the slot has moved meanwhile.
const ROUNDS: usize = 8;

/// Who serves a slot, and who is about to.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    address: Arc<str>,
    heir: Option<Arc<Turn>>,
}

impl Owner {
    /// Whether a search of the one and then of its heir has seen all that the other has now.
    fn covers(&self, after: &Self) -> bool {
        let was_searched = after.address == self.address
            || self.heir.as_ref().is_some_and(|heir| heir.address() == *after.address);
        was_searched && (after.heir.is_none() || after.heir == self.heir)
    }
}

impl RedisStore {
    /// The cursor is the server's own, which says nothing of tenants: whatever it is, what is found
    /// begins with the prefix of this one.
    pub(super) async fn do_keys(
        &self,
        space: &Space,
        glob: &Glob,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        let foreign = || StoreError::new(StoreErrorKind::Refused, "not a cursor of this store");
        let pattern = format!("{}* {}", space.entries_glob(), glob.as_str());
        // No more in one step than the page may hold: what a step has found can't be put back.
        let step = limit.clamp(10, STEP);
        let began = Instant::now();
        // In a cluster a cursor is that of one node; whoever pages on after a slot has moved may miss
        // some.
        let nodes = self.nodes_of(space).await?;
        let (at, mut cursor) = read_cursor(cursor.unwrap_or("0")).ok_or_else(foreign)?;
        let Some(node) = nodes.get(at) else { return Ok(KeyPage::default()) };
        let mut link = node.links.link().await?;
        // The server may give a name more than once.
        let mut keys = BTreeSet::new();
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(step);
            let reply = link.command(&scan).await?;
            let found = read_scan(reply).and_then(|(next, names)| {
                Some((std::str::from_utf8(&next).ok()?.parse::<u64>().ok()?, names))
            });
            let (next, names) = found.ok_or_else(|| link.nonsense("SCAN"))?;
            let names = names.iter().filter_map(|name| key_of(name, space));
            keys.extend(names.filter(|key| glob.matches(&key.text)));
            cursor = next;
            if cursor == 0 || keys.len() >= limit || began.elapsed() >= PAGE {
                let next = match cursor {
                    0 if at + 1 < nodes.len() => Some(write_cursor(at + 1, 0)),
                    0 => None,
                    _ => Some(write_cursor(at, cursor)),
                };
                return Ok(KeyPage { keys: keys.into_iter().collect(), next });
            }
        }
    }

    /// Who serves the entries of this space, in a certain order.
    async fn nodes_of(&self, space: &Space) -> Result<Vec<Arc<Node>>, Failure> {
        let mut nodes: Vec<Arc<Node>> = Vec::with_capacity(1);
        for place in self.places_of(space) {
            let node = self.nodes.node_of(&place).await?;
            if nodes.iter().all(|known| known.address() != node.address()) {
                nodes.push(node);
            }
        }
        nodes.sort_by(|one, other| one.address().cmp(other.address()));
        Ok(nodes)
    }

    /// What the names of all slots begin with where this space has entries.
    fn places_of(&self, space: &Space) -> Vec<String> {
        if !self.is_spread(space) {
            return vec![space.prefix('e')];
        }
        // Of whatever kind: the braces are what counts.
        (0..EPOCHS).map(|number| space.epoch(number)).collect()
    }

    /// Fills and flights under way carry epochs from before the first move, so what is removed
    /// isn't stored again by them; what was read during the search carries epochs from before the
    /// second.
    ///
    /// A search belongs to one run of one server. In a cluster all of the tenant is on one node, or
    /// spread over some; if a slot has moved during the search, or begun to, there is another one where
    /// it is now.
    pub(super) async fn do_delete_pattern(
        &self,
        space: &Space,
        glob: &Glob,
    ) -> Result<u64, StoreError> {
        let epochs: Vec<String> = (0..EPOCHS).map(|number| space.epoch(number)).collect();
        // For the near-cache they have moved when all of it is over, or given up.
        let _moving = self.near.as_ref().map(|near| near.moving_names(&epochs));
        self.nodes.note_tenant(space)?;
        self.move_epochs(space, &epochs).await?;
        let mut removed = 0;
        if self.nodes.is_cluster() {
            removed += self.search_cluster(space, glob).await?;
        } else {
            let node = self.nodes.node_of(&space.prefix('e')).await?;
            removed += self.search(&node, space, glob).await?;
        }
        // Once more, since a search may last for longer than that is remembered.
        self.nodes.note_tenant(space)?;
        self.move_epochs(space, &epochs).await?;
        Ok(removed)
    }

    async fn search_cluster(&self, space: &Space, glob: &Glob) -> Result<u64, Failure> {
        let places = self.places_of(space);
        let mut removed = 0;
        let mut before = self.owners(&places).await?;
        for _ in 0..ROUNDS {
            // In this order: whatever goes over during the first search is there for the second.
            let owners: BTreeSet<&Arc<str>> = before.iter().map(|owner| &owner.address).collect();
            let heirs = before.iter().filter_map(|owner| owner.heir.as_ref());
            let heirs: BTreeSet<Arc<str>> = heirs.map(|heir| heir.address().into()).collect();
            let owners = owners.into_iter().map(|address| self.nodes.shared.node_named(address));
            let heirs = heirs.iter().map(|address| self.nodes.shared.node_named(address));
            for node in owners.chain(heirs) {
                removed += self.search(&*node?, space, glob).await?;
            }
            let after = self.owners(&places).await?;
            if before.iter().zip(&after).all(|(before, after)| before.covers(after)) {
                return Ok(removed);
            }
            before = after;
        }
        let text = "a slot of the tenant goes from node to node without end";
        Err(Failure::new(StoreErrorKind::Unavailable, text))
    }

    /// Who serves each of these places.
    async fn owners(&self, places: &[String]) -> Result<Vec<Owner>, Failure> {
        if let [place] = places {
            return Ok(vec![self.owner(place).await?]);
        }
        // Side by side.
        let (some, others) = places.split_at(places.len() / 2);
        let (some, others) =
            tokio::try_join!(Box::pin(self.owners(some)), Box::pin(self.owners(others)))?;
        Ok(some.into_iter().chain(others).collect())
    }

    /// Asks for a name that nobody has: a node from which the slot is moving away says so then.
    async fn owner(&self, prefix: &str) -> Result<Owner, Failure> {
        let name = &format!("{prefix}{:016x}", u64::from_be_bytes(nonce()));
        let mut node = self.nodes.node_of(name).await?;
        for _ in 0..ROUNDS {
            let mut link = node.links.link().await?;
            let address = Arc::clone(link.address());
            let mut exists = cmd("EXISTS");
            exists.arg(name);
            let Err(failure) = link.command(&exists).await else {
                return Ok(Owner { address, heir: None });
            };
            match failure.sign() {
                Sign::Turn(turn) if turn.asking => {
                    return Ok(Owner { address, heir: Some(Arc::clone(turn)) });
                }
                Sign::Turn(turn) => {
                    self.nodes.shared.kit.trouble.tell();
                    node = self.nodes.shared.node_at(&turn.host, turn.port)?;
                }
                _ => return Err(failure.passing()),
            }
        }
        let text = "the nodes of the cluster don't agree who has the tenant's slot";
        Err(Failure::new(StoreErrorKind::Unavailable, text))
    }

    /// Searches one node, and unlinks what matches.
    async fn search(&self, node: &Node, space: &Space, glob: &Glob) -> Result<u64, Failure> {
        // This finds all that matches and perhaps more, since its first star may reach beyond the first
        // space.
        let pattern = format!("{}* {}", space.entries_glob(), glob.as_str());
        let is_spread = self.is_spread(space);
        let mut link = node.links.link().await?;
        let mut removed = 0;
        let mut cursor = Vec::from(*b"0");
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor[..]).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let reply = link.command(&scan).await?;
            let (next, names) = read_scan(reply).ok_or_else(|| link.nonsense("SCAN"))?;
            let names = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
            let mut matching: Vec<&str> = names
                .filter(|name| text_of(name, space).is_some_and(|text| glob.matches(text)))
                .collect();
            // No command may have names of two slots, and names of one slot begin alike.
            let slot = |name: &str| if is_spread { name.find('}').unwrap_or(0) } else { 0 };
            matching.sort_unstable();
            for names in matching.chunk_by(|a, b| a[..slot(a)] == b[..slot(b)]) {
                for batch in names.chunks(BATCH) {
                    removed += match unlink(&mut link, batch).await {
                        Err(failure) if *failure.sign() != Sign::None => {
                            self.unlink_each(batch).await?
                        }
                        unlinked => unlinked?,
                    };
                }
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }

    /// Unlinks one by one, each wherever it is: the slot is moving.
    async fn unlink_each(&self, names: &[&str]) -> Result<u64, Failure> {
        let mut removed = 0;
        for name in names {
            let one = std::slice::from_ref(name);
            removed +=
                self.nodes.at(name, |mut link| async move { unlink(&mut link, one).await }).await?;
        }
        Ok(removed)
    }
}

async fn unlink(link: &mut Link, names: &[&str]) -> Result<u64, Failure> {
    let bytes = names.iter().map(|name| name.len()).sum::<usize>();
    let mut command = Cmd::with_capacity(1 + names.len(), 6 + bytes);
    command.arg("UNLINK");
    for name in names {
        command.arg(*name);
    }
    let reply = link.command(&command).await?;
    number(Some(&reply))
        .and_then(|count| u64::try_from(count).ok())
        .ok_or_else(|| link.nonsense("UNLINK"))
}

/// The cursor to go on from, and the names that this step found.
fn read_scan(reply: Value) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let mut parts = parts.into_iter();
    let cursor = bytes_of(parts.next()?)?;
    let Value::Array(names) = parts.next()? else {
        return None;
    };
    Some((cursor, names.into_iter().filter_map(bytes_of).collect()))
}

/// The key text of an entry's name: what follows the variant and a space. Foreign names have none.
fn text_of<'a>(name: &'a str, space: &Space) -> Option<&'a str> {
    space.key_of(name)?.split_once(' ').map(|(_, text)| text)
}

/// The same with the variant before it.
fn key_of(name: &[u8], space: &Space) -> Option<StoredKey> {
    let (variant, text) = space.key_of(std::str::from_utf8(name).ok()?)?.split_once(' ')?;
    Some(StoredKey { variant: variant.to_owned(), text: text.to_owned() })
}

/// Which of the nodes is searched, and its own cursor: the cursor alone for the first.
fn read_cursor(text: &str) -> Option<(usize, u64)> {
    let (at, cursor) = text.split_once('.').unwrap_or(("0", text));
    Some((at.parse().ok()?, cursor.parse().ok()?))
}

fn write_cursor(at: usize, cursor: u64) -> String {
    if at == 0 { cursor.to_string() } else { format!("{at}.{cursor}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_text_within_a_name() {
        let space = Space::new(&"gym".into(), "4");
        assert_eq!(text_of("gym:e:{4}:GET /users 1", &space), Some("/users 1"));
        assert_eq!(text_of("gym:e:{4}:GET ", &space), Some(""));
        for foreign in ["gym:e:{5}:GET /", "gym:e:{4}:GET", "gym:e:{4:7}:GET /", ""] {
            assert_eq!(text_of(foreign, &space), None);
        }
        let spread = space.clone().spread(true);
        assert_eq!(text_of("gym:e:{4:7}:GET /users 1", &spread), Some("/users 1"));
        let foreign = b"gym:e:{4}:GET \xff";
        assert_eq!(key_of(foreign, &space), None);
        let key = key_of(b"gym:e:{4}:GET;x /a b", &space).unwrap();
        assert_eq!((&*key.variant, &*key.text), ("GET;x", "/a b"));
    }

    #[test]
    fn a_cursor_says_which_node_is_next() {
        for (at, cursor) in [(0, 0), (0, 17), (1, 0), (2, u64::MAX)] {
            assert_eq!(read_cursor(&write_cursor(at, cursor)), Some((at, cursor)));
        }
        assert_eq!(read_cursor("17"), Some((0, 17)));
        for foreign in ["", ".", "1.", ".1", "-1", "1.2.3", "x.1", "18446744073709551616"] {
            assert_eq!(read_cursor(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn reads_only_what_a_scan_can_answer() {
        let names = Value::Array(vec![Value::BulkString(b"a".to_vec()), Value::Nil]);
        let reply = Value::Array(vec![Value::BulkString(b"17".to_vec()), names]);
        assert_eq!(read_scan(reply), Some((b"17".to_vec(), vec![b"a".to_vec()])));
        for odd in [Value::Nil, Value::Array(vec![]), Value::Array(vec![Value::Int(0)])] {
            assert_eq!(read_scan(odd), None);
        }
    }
}
