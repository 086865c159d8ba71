//! What is done to an input to make another.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// What means something to one reader or another.
const WORDS: [&[u8]; 56] = [
    b",",
    b", ",
    b";",
    b"=",
    b"==",
    b"\"",
    b"\\\"",
    b"\\",
    b"*",
    b"**",
    b"?",
    b"[",
    b"]",
    b"[^",
    b"-",
    b"{id}",
    b"{",
    b"}",
    b":",
    b"/",
    b"//",
    b"/../",
    b"/./",
    b"%",
    b"%2F",
    b"%2e",
    b"%00",
    b"%C3%A9",
    b"%zz",
    b"+",
    b"%2B",
    b"&",
    b"&&",
    b"?0",
    b"()",
    b"(\"a\" \"b\")",
    b"W/",
    b"w/",
    b"bytes=",
    b"0",
    b"-1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9999999999999999",
    b"max-age=",
    b"no-store",
    b"private=\"x\"",
    b"params",
    b"except=",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b" ",
    b"\t",
    b"\n",
    b"\x00",
    b"\xff",
    b"\xc3\xa9",
];

/// One change.
#[derive(Clone, Debug)]
pub enum Mutation {
    Flip {
        at: Index,
        bit: u8,
    },
    Set {
        at: Index,
        byte: u8,
    },
    Insert {
        at: Index,
        word: usize,
    },
    Delete {
        at: Index,
        length: usize,
    },
    Double {
        at: Index,
        length: usize,
        times: usize,
    },
    /// The rest comes from another input.
    Splice {
        at: Index,
        other: Index,
        from: Index,
    },
    /// A piece of another input comes in between.
    Graft {
        at: Index,
        other: Index,
        from: Index,
        length: usize,
    },
    Swap {
        one: Index,
        other: Index,
    },
}

/// Inputs that begin as one of these.
pub fn inputs(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (0..corpus.len(), vec(mutation(), 0..8)).prop_map(move |(seed, mutations)| {
        let mut bytes = corpus[seed].clone();
        for mutation in &mutations {
            mutation.apply(&mut bytes, &corpus);
        }
        bytes
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set { at, byte }),
        5 => (at(), 0..WORDS.len()).prop_map(|(at, word)| Mutation::Insert { at, word }),
        2 => (at(), 1..10_usize).prop_map(|(at, length)| Mutation::Delete { at, length }),
        2 => (at(), 1..10_usize, 1..20_usize)
            .prop_map(|(at, length, times)| Mutation::Double { at, length, times }),
        2 => (at(), at(), at()).prop_map(|(at, other, from)| Mutation::Splice { at, other, from }),
        2 => (at(), at(), at(), 1..10_usize)
            .prop_map(|(at, other, from, length)| Mutation::Graft { at, other, from, length }),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::Swap { one, other }),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let place = |at: &Index, length: usize| at.index(length + 1);
        match self {
            Self::Flip { at, bit } if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Set { at, byte } if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Swap { one, other } if !bytes.is_empty() => {
                let (one, other) = (one.index(bytes.len()), other.index(bytes.len()));
                bytes.swap(one, other);
            }
            Self::Flip { .. } | Self::Set { .. } | Self::Swap { .. } => {}
            Self::Insert { at, word } => {
                let at = place(at, bytes.len());
                bytes.splice(at..at, WORDS[*word].iter().copied());
            }
            Self::Delete { at, length } => {
                let at = place(at, bytes.len());
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Double { at, length, times } => {
                let at = place(at, bytes.len());
                let piece = bytes[at..(at + length).min(bytes.len())].repeat(*times);
                bytes.splice(at..at, piece);
            }
            Self::Splice { at, other, from } => {
                let other = &corpus[other.index(corpus.len())];
                bytes.truncate(place(at, bytes.len()));
                bytes.extend_from_slice(&other[place(from, other.len())..]);
            }
            Self::Graft { at, other, from, length } => {
                let other = &corpus[other.index(corpus.len())];
                let from = place(from, other.len());
                let piece = other[from..(from + length).min(other.len())].to_vec();
                let at = place(at, bytes.len());
                bytes.splice(at..at, piece);
            }
        }
    }
}
