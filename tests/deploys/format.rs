//! Two builds that store in different formats.

use bytes::Bytes;
use tower_response_cache::entry::{DecodeError, Entry, Head};
use tower_response_cache::key::{Names, Space};

use crate::support::Backend;
use crate::{Deploy, Guard, STATS, after, before};

/// Frames of each version stand under a letter of their own, so that neither build ever meets the
/// other's: whoever makes another version takes another letter, and adds a row here.
#[test]
fn each_version_of_the_format_has_a_letter_of_its_own() {
    let rows = [(1, 'e')];
    let (version, letter) = rows[rows.len() - 1];
    assert_eq!(Head::MAGIC, [b'T', b'R', b'C', version]);
    let space = Space::new(&"gym".into(), "4");
    let names = Names::new(&space, "GET", "/users");
    assert!(names.entry().starts_with(&space.prefix(letter)));
}

#[test]
fn a_frame_of_any_other_version_is_none() {
    let frame = include_bytes!("../golden/entry-v1.bin");
    assert!(Entry::decode(Bytes::from_static(frame)).is_ok());
    for version in (0..=u8::MAX).filter(|version| *version != 1) {
        let mut other = frame.to_vec();
        other[3] = version;
        assert_eq!(Entry::decode(other.into()), Err(DecodeError::Version(version)));
    }
}

/// A later build, as far as this one can tell: another fingerprint on the list, and frames of another
/// version under another letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_of_two_formats_leave_each_others_entries_alone_and_reach_them() {
    let backend = Backend::redis().await;
    let deploy = Deploy::of(&backend, Guard::On, before, after).await;
    let (old, source) = (&deploy.old, &deploy.source);
    let server = backend.server.as_ref().unwrap();
    old.warm("4", STATS).await;
    let (theirs, frame) =
        (&b"gym:E:{4}:GET /users/42/stats"[..], &b"TRC\x02 and what it means"[..]);
    assert!(server.raw(&[b"SET", theirs, frame]).starts_with("+OK"));
    server.raw(&[b"APPEND", b"gym:c:{4}:all", b"laterone"]);

    let runs = source.runs();
    for _ in 0..10 {
        old.get("4", STATS).await.assert_hit();
    }
    assert_eq!(source.runs(), runs, "nobody displaces the other's");
    assert!(server.raw(&[b"GET", theirs]).contains("TRC\x02 and what it means"));

    let before = server.raw(&[b"GET", b"gym:g:{4}:tenant"]);
    deploy.new.put("4", "/users/42", "second").await;
    assert_ne!(server.raw(&[b"GET", b"gym:g:{4}:tenant"]), before, "it is stamped with this");
}

/// Where frames of another version stand under this one's names all the same, they are misses, and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_another_version_under_this_ones_name_is_a_miss() {
    let backend = Backend::redis().await;
    let deploy = Deploy::of(&backend, Guard::On, before, after).await;
    let (old, server) = (&deploy.old, backend.server.as_ref().unwrap());
    for version in [0, 2, 255] {
        old.warm("4", STATS).await;
        let name = b"gym:e:{4}:GET /users/42/stats";
        assert!(server.raw(&[b"EXISTS", name]).starts_with(":1"));
        server.raw(&[b"SETRANGE", name, b"3", &[version]]);
        let answer = old.get("4", STATS).await;
        answer.assert_miss();
        assert_eq!(answer.text(), "stats of 42: first");
    }
}
