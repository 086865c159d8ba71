//! The stored frame.

use std::hash::Hasher as _;

use bytes::Bytes;
use tower_response_cache::entry::{Entry, Head};
use twox_hash::XxHash3_64;

use crate::runner::fuzz;

/// What a small frame may let the reader allocate: the map of the header fields, and what is in it.
fn most_allocated(length: usize) -> u64 {
    16 * 1024 + 256 * length as u64
}

/// With the checksum that it would have to have.
fn sealed(frame: &[u8]) -> Option<Vec<u8>> {
    let (_, head) = Head::parse(frame)?;
    let after = frame.get(head + 8..)?;
    let mut hasher = XxHash3_64::new();
    hasher.write(&frame[..head]);
    hasher.write(after);
    let mut sealed = frame.to_vec();
    sealed[head..head + 8].copy_from_slice(&hasher.finish().to_be_bytes());
    Some(sealed)
}

fn check(frame: Bytes) {
    let length = frame.len();
    let mut read = None;
    let used = allocation_counter::measure(|| read = Some(Entry::decode(frame)));
    assert!(used.bytes_max <= most_allocated(length), "{} bytes for {length}", used.bytes_max);
    if let Some(Ok(entry)) = read {
        assert_eq!(Entry::decode(entry.encode()), Ok(entry));
    }
}

#[test]
fn a_frame_is_an_entry_or_none() {
    fuzz("frame", |bytes| {
        check(Bytes::copy_from_slice(bytes));
        // Whoever can write can seal as well.
        if let Some(sealed) = sealed(bytes) {
            check(sealed.into());
        }
    });
}

/// The files of the corpus are what version 1 has written.
#[test]
fn the_frames_of_the_corpus_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/frame");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let frame = Bytes::from(std::fs::read(&path).unwrap());
        let entry = Entry::decode(frame.clone());
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(entry.encode(), frame, "{}", path.display());
    }
}
