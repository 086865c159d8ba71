use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use twox_hash::XxHash3_64;

use super::{Content, DecodeError, Entry, Head, Id, Prepared, RunId};

fn an_id() -> impl Strategy<Value = Id> {
    (any::<u64>(), any::<[u8; 8]>()).prop_map(|(micros, nonce)| Id::mint(micros, nonce))
}

fn a_field() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "content-type",
            "etag",
            "vary",
            "set-cookie",
            "x-request-id"
        ])
        .prop_map(HeaderName::from_static),
        "[a-z0-9!#$%&'*+.^_`|~-]{1,40}".prop_map(|name| name.parse().unwrap()),
    ];
    let byte = any::<u8>().prop_map(|byte| match byte {
        0..32 if byte != b'\t' => byte + 32,
        127 => b'~',
        _ => byte,
    });
    (name, vec(byte, 0..200), any::<bool>()).prop_map(|(name, bytes, sensitive)| {
        let mut value = HeaderValue::from_bytes(&bytes).unwrap();
        value.set_sensitive(sensitive);
        (name, value)
    })
}

fn content() -> impl Strategy<Value = Content> {
    let response = (100_u16..1000, vec(a_field(), 0..12)).prop_map(|(status, fields)| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        Content::Response { status: StatusCode::from_u16(status).unwrap(), headers }
    });
    let varies = vec(a_field(), 0..4)
        .prop_map(|fields| Content::Varies(fields.into_iter().map(|(name, _)| name).collect()));
    prop_oneof![1 => Just(Content::Value), 1 => varies, 4 => response]
}

fn an_entry() -> impl Strategy<Value = Entry> {
    let head = (any::<[u8; 8]>(), any::<[u8; 8]>(), vec(an_id(), 0..6), any::<u64>());
    let head = head.prop_map(|(run, scopes, stamps, fresh_until)| Head {
        run: RunId(run),
        scopes,
        stamps: stamps.into(),
        fresh_until,
    });
    let moments = any::<(u64, u64, u64, u64)>();
    let tags = vec((any::<String>(), an_id()), 0..4);
    let rest = (any::<(u32, u32)>(), tags, any::<Option<[u8; 16]>>(), content());
    (head, moments, rest, vec(any::<u8>(), 0..500)).prop_map(|(head, moments, rest, body)| {
        let (name, stored_at, stale_until, error_until) = moments;
        let ((age, cost), tags, selection, content) = rest;
        let body = body.into();
        Entry {
            head,
            name,
            stored_at,
            age,
            stale_until,
            error_until,
            cost,
            tags,
            selection,
            content,
            body,
            prepared: Prepared::default(),
        }
    })
}

/// Each field in its order, with what equality overlooks.
fn fields(entry: &Entry) -> Vec<(&str, &[u8], bool)> {
    match &entry.content {
        Content::Value | Content::Varies(_) => Vec::new(),
        Content::Response { headers, .. } => headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes(), value.is_sensitive()))
            .collect(),
    }
}

/// Puts the right checksum into whatever `frame` has become, as far as it has a head.
fn reseal(frame: &mut [u8]) {
    let Some((_, at)) = Head::parse(frame) else { return };
    if frame.len() < at + 8 {
        return;
    }
    let sum = XxHash3_64::oneshot(&[&frame[..at], &frame[at + 8..]].concat());
    frame[at..at + 8].copy_from_slice(&sum.to_be_bytes());
}

proptest! {
    #[test]
    fn an_entry_survives_its_frame(entry in an_entry()) {
        let frame = entry.encode();
        let decoded = Entry::decode(frame.clone()).unwrap();
        prop_assert_eq!(&decoded, &entry);
        prop_assert_eq!(fields(&decoded), fields(&entry));
        prop_assert_eq!(decoded.encode(), frame);
    }

    #[test]
    fn body_and_values_share_the_frame(entry in an_entry()) {
        let frame = entry.encode();
        let inside = |part: &[u8]| part.is_empty() || frame.as_ptr_range().contains(&part.as_ptr());
        let decoded = Entry::decode(frame.clone()).unwrap();
        prop_assert!(inside(&decoded.body));
        prop_assert!(fields(&decoded).iter().all(|(_, value, _)| inside(value)));
    }

    #[test]
    fn a_changed_byte_is_an_error(entry in an_entry(), at: Index, mask in 1_u8..) {
        let mut frame = entry.encode().to_vec();
        *at.get_mut(&mut frame) ^= mask;
        prop_assert!(Entry::decode(frame.into()).is_err());
    }

    #[test]
    fn a_shortened_or_lengthened_frame_is_an_error(
        entry in an_entry(), at: Index, more in vec(any::<u8>(), 1..20),
    ) {
        let frame = entry.encode();
        prop_assert!(Entry::decode(frame.slice(..at.index(frame.len()))).is_err());
        prop_assert!(Entry::decode([frame.to_vec(), more].concat().into()).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(Entry::decode(bytes.into()).is_err());
    }

    #[test]
    fn hostile_fields_behind_a_right_checksum_do_no_harm(bytes in vec(any::<u8>(), 8..300)) {
        let mut frame = Vec::new();
        sample().head.write(&mut frame);
        frame.extend(bytes);
        reseal(&mut frame);
        if let Ok(entry) = Entry::decode(frame.into()) {
            prop_assert_eq!(Entry::decode(entry.encode()).unwrap(), entry);
        }
    }

    #[test]
    fn changes_behind_a_right_checksum_do_no_harm(
        entry in an_entry(), changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = entry.encode().to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut frame) = byte;
        }
        reseal(&mut frame);
        if let Ok(entry) = Entry::decode(frame.into()) {
            prop_assert_eq!(Entry::decode(entry.encode()).unwrap(), entry);
        }
    }
}

/// What the golden file holds. It never changes once released; a new version gets a file of its own.
fn sample() -> Entry {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-custom", "one"),
        ("x-custom", "two"),
        ("etag", "\"v1\""),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.append("x-bytes", HeaderValue::from_bytes(b"\xff\t\xfe").unwrap());
    let mut secret = HeaderValue::from_static("s");
    secret.set_sensitive(true);
    headers.append("server", secret);
    Entry {
        head: Head {
            run: RunId(*b"run-0001"),
            scopes: *b"scopes-1",
            stamps: [Id::mint(1, *b"stamp--1"), Id::mint(2, *b"stamp--2")].into(),
            fresh_until: 1_700_000_300_000,
        },
        name: 0x0123_4567_89ab_cdef,
        stored_at: 1_700_000_000_000,
        age: 7,
        stale_until: 1_700_000_360_000,
        error_until: 1_700_000_300_000,
        cost: 1500,
        tags: vec![("členové".to_owned(), Id::mint(3, *b"stamp--3"))],
        selection: Some(*b"selection-digest"),
        content: Content::Response { status: StatusCode::OK, headers },
        body: Bytes::from_static(b"{\"hello\":\"world\"}"),
        prepared: Prepared::default(),
    }
}

fn golden(version: u8) -> PathBuf {
    let name = format!("tests/golden/entry-v{version}.bin");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn golden_v1_is_read_and_written_still() {
    let stored = Bytes::from(fs::read(golden(1)).unwrap());
    let entry = Entry::decode(stored.clone()).unwrap();
    assert_eq!(entry, sample());
    assert_eq!(fields(&entry), fields(&sample()));
    assert_eq!(sample().encode(), stored);
}

/// The layout byte by byte, written down independently of the encoder.
#[test]
fn golden_v1_is_what_the_layout_says() {
    let stored = fs::read(golden(1)).unwrap();
    let head = [
        &b"TRC\x01"[..],
        b"run-0001scopes-1",
        &[2],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        b"stamp--1",
        &[0, 0, 0, 0, 0, 0, 0, 2],
        b"stamp--2",
        &[0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe9, 0xfb, 0xe0],
    ]
    .concat();
    let rest = [
        &[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef][..],
        // -300_000, zigzag 599_999
        &[0xbf, 0xcf, 0x24],
        // 60_000, zigzag 120_000
        &[0xc0, 0xa9, 0x07],
        &[0],
        &[7],
        // 1500
        &[0xdc, 0x0b],
        // 200
        &[0xc8, 0x01],
        &[1, 9],
        "členové".as_bytes(),
        &[0, 0, 0, 0, 0, 0, 0, 3],
        b"stamp--3",
        b"\x01selection-digest",
        &[6],
        b"\x01\x10application/json",
        b"\x00\x08x-custom\x03one",
        b"\x00\x08x-custom\x03two",
        b"\x03\x04\"v1\"",
        b"\x00\x07x-bytes\x03\xff\t\xfe",
        // 38, and sensitive
        b"\xa6\x01s",
        b"{\"hello\":\"world\"}",
    ]
    .concat();
    let sum = XxHash3_64::oneshot(&[&head[..], &rest].concat()).to_be_bytes();
    assert_eq!(
        stored.escape_ascii().to_string(),
        [head, sum.into(), rest].concat().escape_ascii().to_string()
    );
}

#[test]
#[ignore = "writes the golden file of a new version, once"]
fn golden_file_of_a_new_version() {
    use std::io::Write;

    let mut file = fs::File::create_new(golden(Head::MAGIC[3])).unwrap();
    file.write_all(&sample().encode()).unwrap();
}

#[test]
fn every_other_byte_at_every_place_is_an_error() {
    let frame = sample().encode();
    for at in 0..frame.len() {
        for mask in 1..=u8::MAX {
            let mut changed = frame.to_vec();
            changed[at] ^= mask;
            let error = Entry::decode(changed.into()).unwrap_err();
            match at {
                0..3 => assert_eq!(error, DecodeError::Magic),
                3 => assert_eq!(error, DecodeError::Version(1 ^ mask)),
                20 => {}
                _ => assert_eq!(error, DecodeError::Checksum),
            }
        }
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let head = {
        let mut head = Vec::new();
        sample().head.write(&mut head);
        head
    };
    let sealed = |fields: &[&[u8]]| {
        let mut frame = [&head[..], &[0; 16], &fields.concat()].concat();
        reseal(&mut frame);
        frame
    };
    let huge: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let rows: [(&str, Vec<u8>, DecodeError); 24] = [
        ("nothing", vec![], DecodeError::Truncated),
        ("part of the magic", b"TR".to_vec(), DecodeError::Truncated),
        ("no version", b"TRC".to_vec(), DecodeError::Truncated),
        ("version alone", b"TRC\x01".to_vec(), DecodeError::Truncated),
        ("another value", b"{}".to_vec(), DecodeError::Magic),
        ("version 0", b"TRC\x00".to_vec(), DecodeError::Version(0)),
        ("version 2", b"TRC\x02 and more".to_vec(), DecodeError::Version(2)),
        ("no checksum", head.clone(), DecodeError::Truncated),
        ("no fields", sealed(&[]), DecodeError::Truncated),
        ("padded varint", sealed(&[&[0x80, 0]]), DecodeError::Malformed),
        ("age over 32 bits", sealed(&[&[0, 0, 0], huge]), DecodeError::Malformed),
        ("status over 16 bits", sealed(&[&[0; 5], huge]), DecodeError::Malformed),
        ("status 99", sealed(&[&[0, 0, 0, 0, 0, 99, 0, 0, 0]]), DecodeError::Malformed),
        ("huge count of tags", sealed(&[&[0; 6], huge]), DecodeError::Truncated),
        ("huge tag", sealed(&[&[0; 6], &[1], huge, &[0; 30]]), DecodeError::Truncated),
        ("tag not UTF-8", sealed(&[&[0; 6], &[1, 1, 0xff], &[0; 16]]), DecodeError::Malformed),
        ("half a selection", sealed(&[&[0; 7], &[1], &[0; 15]]), DecodeError::Truncated),
        ("unknown selection", sealed(&[&[0; 7], &[2], &[0; 16]]), DecodeError::Malformed),
        ("a sensitive name", sealed(&[&[0; 5], &[1, 0, 0, 1, 0x81]]), DecodeError::Malformed),
        (
            "huge count of fields",
            sealed(&[&[0; 5], &[0xc8, 1, 0, 0], huge]),
            DecodeError::Truncated,
        ),
        ("huge value", sealed(&[&[0; 5], &[0xc8, 1, 0, 0, 1, 1], huge]), DecodeError::Truncated),
        (
            "line break",
            sealed(&[&[0; 5], &[0xc8, 1, 0, 0, 1, 1, 1, b'\n']]),
            DecodeError::Malformed,
        ),
        ("unknown code", sealed(&[&[0; 5], &[0xc8, 1, 0, 0, 1, 0x7f, 0]]), DecodeError::Malformed),
        ("capital", sealed(&[&[0; 5], &[0xc8, 1, 0, 0, 1, 0, 1, b'A', 0]]), DecodeError::Malformed),
    ];
    for (row, bytes, expected) in rows {
        assert_eq!(Entry::decode(bytes.into()), Err(expected), "{row}");
    }
}

#[test]
fn a_plain_response_costs_at_most_70_bytes_beside_its_content() {
    let mut entry = sample();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("cache-control", HeaderValue::from_static("max-age=300"));
    headers.insert("etag", HeaderValue::from_static("\"33a64df551425fcc55e4d42a148795d9\""));
    entry.tags.clear();
    entry.selection = None;
    entry.age = 0;
    entry.cost = 25_000;
    entry.stale_until = entry.head.fresh_until;
    let values: usize = headers.values().map(HeaderValue::len).sum();
    entry.content = Content::Response { status: StatusCode::OK, headers };
    let stamps = entry.head.stamps.len() * Id::LEN;
    let overhead = entry.encode().len() - stamps - values - entry.body.len();
    // Names cost nothing beside their codes: they are not subtracted.
    assert!(overhead <= 70, "{overhead}");
}

#[test]
fn many_fields_survive() {
    let mut entry = sample();
    let mut headers = HeaderMap::new();
    for number in 0..2000 {
        let name: HeaderName = format!("x-{}", number % 700).parse().unwrap();
        headers.append(name, number.into());
    }
    entry.content = Content::Response { status: StatusCode::OK, headers };
    let decoded = Entry::decode(entry.encode()).unwrap();
    assert_eq!(fields(&decoded), fields(&entry));
}

#[test]
fn a_frame_is_allocated_once() {
    let frame = sample().encode();
    let length = frame.len();
    // Only a buffer without spare room becomes `Bytes` and `Vec` again where it is.
    let at = frame.as_ptr();
    let vec = Vec::from(frame);
    assert_eq!((vec.as_ptr(), vec.len(), vec.capacity()), (at, length, length));
}
