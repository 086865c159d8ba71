//! The steps that search: the removal of entries by an ad-hoc pattern, and the list of keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bb8_redis::redis::{Cmd, Value, cmd};

use super::RedisStore;
use super::connection::Link;
use super::entries::{bytes_of, number};
use super::failure::{Failure, Sign, Turn};
use super::node::Node;
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
        let mut cursor: u64 = cursor.unwrap_or("0").parse().map_err(|_| foreign())?;
        let prefix = space.prefix('e');
        let pattern = format!("{prefix}* {}", glob.as_str());
        // No more in one step than the page may hold: what a step has found can't be put back.
        let step = limit.clamp(10, STEP);
        let began = Instant::now();
        // In a cluster a cursor is that of one node; whoever pages on after the slot has moved may
        // miss some.
        let mut link = self.nodes.node_of(&prefix).await?.links.link().await?;
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
            let names = names.iter().filter_map(|name| key_of(name, &prefix));
            keys.extend(names.filter(|key| glob.matches(&key.text)));
            cursor = next;
            if cursor == 0 || keys.len() >= limit || began.elapsed() >= PAGE {
                let next = (cursor != 0).then(|| cursor.to_string());
                return Ok(KeyPage { keys: keys.into_iter().collect(), next });
            }
        }
    }

    /// Fills and flights under way carry epochs from before the first move, so what is removed
    /// isn't stored again by them; what was read during the search carries epochs from before the
    /// second.
    ///
    /// A search belongs to one run of one server. In a cluster all of the tenant is on one node; if
    /// the slot has moved during the search, or begun to, there is another one where it is now.
    pub(super) async fn do_delete_pattern(
        &self,
        space: &Space,
        glob: &Glob,
    ) -> Result<u64, StoreError> {
        let epochs: Vec<String> = (0..EPOCHS).map(|number| space.epoch(number)).collect();
        // For the near-cache they have moved when all of it is over, or given up.
        let _moving = self.near.as_ref().map(|near| near.moving_names(&epochs));
        let prefix = space.prefix('e');

        self.nodes.note_tenant(space)?;
        self.move_epochs(&epochs).await?;
        let mut removed = 0;
        if self.nodes.is_cluster() {
            removed += self.search_cluster(&prefix, glob).await?;
        } else {
            let node = self.nodes.node_of(&prefix).await?;
            removed += self.search(&node, &prefix, glob).await?;
        }
        // Once more, since a search may last for longer than that is remembered.
        self.nodes.note_tenant(space)?;
        self.move_epochs(&epochs).await?;
        Ok(removed)
    }

    async fn search_cluster(&self, prefix: &str, glob: &Glob) -> Result<u64, Failure> {
        let mut removed = 0;
        let mut before = self.owner(prefix).await?;
        for _ in 0..ROUNDS {
            let node = self.nodes.shared.node_named(&before.address)?;
            removed += self.search(&node, prefix, glob).await?;
            // In this order: whatever goes over during the first search is there for the second.
            if let Some(heir) = &before.heir {
                let node = self.nodes.shared.node_at(&heir.host, heir.port)?;
                removed += self.search(&node, prefix, glob).await?;
            }
            let after = self.owner(prefix).await?;
            let was_searched = after.address == before.address
                || before.heir.as_ref().is_some_and(|heir| heir.address() == *after.address);
            if was_searched && (after.heir.is_none() || after.heir == before.heir) {
                return Ok(removed);
            }
            before = after;
        }
        let text = "the tenant's slot goes from node to node without end";
        Err(Failure::new(StoreErrorKind::Unavailable, text))
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
    async fn search(&self, node: &Node, prefix: &str, glob: &Glob) -> Result<u64, Failure> {
        // Nothing in a prefix has a meaning in a pattern: tenants are escaped. This finds all that
        // matches and perhaps more, since its first star may reach beyond the first space.
        let pattern = format!("{prefix}* {}", glob.as_str());
        let mut link = node.links.link().await?;
        let mut removed = 0;
        let mut cursor = Vec::from(*b"0");
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor[..]).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let reply = link.command(&scan).await?;
            let (next, names) = read_scan(reply).ok_or_else(|| link.nonsense("SCAN"))?;
            let matching: Vec<&[u8]> = names
                .iter()
                .map(Vec::as_slice)
                .filter(|name| text_of(name, prefix).is_some_and(|text| glob.matches(text)))
                .collect();
            for batch in matching.chunks(BATCH) {
                removed += match unlink(&mut link, batch).await {
                    Err(failure) if *failure.sign() != Sign::None => {
                        self.unlink_each(batch).await?
                    }
                    unlinked => unlinked?,
                };
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }

    /// Unlinks one by one, each wherever it is: the slot is moving.
    async fn unlink_each(&self, names: &[&[u8]]) -> Result<u64, Failure> {
        let mut removed = 0;
        for name in names {
            let Ok(text) = std::str::from_utf8(name) else { continue };
            let one = std::slice::from_ref(name);
            removed +=
                self.nodes.at(text, |mut link| async move { unlink(&mut link, one).await }).await?;
        }
        Ok(removed)
    }
}

async fn unlink(link: &mut Link, names: &[&[u8]]) -> Result<u64, Failure> {
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
fn text_of<'a>(name: &'a [u8], prefix: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(prefix.as_bytes())?;
    let space = rest.iter().position(|&byte| byte == b' ')?;
    std::str::from_utf8(&rest[space + 1..]).ok()
}

/// The same with the variant before it.
fn key_of(name: &[u8], prefix: &str) -> Option<StoredKey> {
    let rest = std::str::from_utf8(name.strip_prefix(prefix.as_bytes())?).ok()?;
    let (variant, text) = rest.split_once(' ')?;
    Some(StoredKey { variant: variant.to_owned(), text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_text_within_a_name() {
        let prefix = "gym:e:{4}:";
        assert_eq!(text_of(b"gym:e:{4}:GET /users 1", prefix), Some("/users 1"));
        assert_eq!(text_of(b"gym:e:{4}:GET ", prefix), Some(""));
        for foreign in [&b"gym:e:{5}:GET /"[..], b"gym:e:{4}:GET", b"gym:e:{4}:GET \xff", b""] {
            assert_eq!(text_of(foreign, prefix), None);
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
