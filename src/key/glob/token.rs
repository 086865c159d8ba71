//! A pattern in pieces, each of which takes one byte or any number of them.

use super::GlobError;
use crate::key::byte_set::ByteSet;

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::key) enum Token {
    /// This byte.
    Byte(u8),
    /// One byte of these.
    Class(ByteSet),
    /// Any bytes.
    Star,
}

/// The first piece of a pattern that is not empty, and how many bytes it is written in.
pub(in crate::key) fn next_token(pattern: &[u8]) -> Result<(Token, usize), GlobError> {
    match *pattern {
        [b'*', ..] => Ok((Token::Star, 1)),
        [b'?', ..] => Ok((Token::Class(ByteSet::ALL), 1)),
        [b'\\', byte, ..] => Ok((Token::Byte(byte), 2)),
        [b'\\'] => Err(GlobError::TrailingBackslash),
        [b'[', ref inside @ ..] => {
            let (set, length) = class(inside)?;
            Ok((Token::Class(set), length + 1))
        }
        [byte, ..] => Ok((Token::Byte(byte), 1)),
        [] => Ok((Token::Star, 0)),
    }
}

/// A class up to and including its `]`.
fn class(inside: &[u8]) -> Result<(ByteSet, usize), GlobError> {
    let negated = inside.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut set = ByteSet::EMPTY;
    loop {
        match inside[at..] {
            [b'\\', byte, ..] => {
                set.insert(ascii(byte)?);
                at += 2;
            }
            [b']', ..] => break,
            // The end of a range is taken as it stands, even where it is `]` or `\`.
            [start, b'-', end, ..] => {
                let (start, end) = (ascii(start)?, ascii(end)?);
                for byte in start.min(end)..=start.max(end) {
                    set.insert(byte);
                }
                at += 3;
            }
            [byte, ..] => {
                set.insert(ascii(byte)?);
                at += 1;
            }
            [] => return Err(GlobError::UnclosedClass),
        }
    }
    Ok((if negated { set.complement() } else { set }, at + 1))
}

/// Redis compares `char`s, whose sign depends on the machine.
fn ascii(byte: u8) -> Result<u8, GlobError> {
    if byte.is_ascii() { Ok(byte) } else { Err(GlobError::NonAsciiClass) }
}

/// Whether the pieces match the whole of `text`.
///
/// Only the latest star is ever reconsidered: whatever an earlier one could take, the latest
/// can take as well.
pub(in crate::key) fn matches(tokens: &[Token], text: &[u8]) -> bool {
    let (mut next, mut at) = (0, 0);
    let mut retry = None;
    loop {
        let fits = match tokens.get(next) {
            Some(Token::Star) => {
                next += 1;
                retry = Some((next, at));
                continue;
            }
            None if at == text.len() => return true,
            None => false,
            Some(Token::Byte(byte)) => text.get(at) == Some(byte),
            Some(Token::Class(set)) => text.get(at).is_some_and(|&byte| set.contains(byte)),
        };
        if fits {
            next += 1;
            at += 1;
            continue;
        }
        let Some((behind_star, taken)) = retry else { return false };
        if taken >= text.len() {
            return false;
        }
        retry = Some((behind_star, taken + 1));
        (next, at) = (behind_star, taken + 1);
    }
}
