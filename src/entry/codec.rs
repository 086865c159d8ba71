//! Version 1 of the stored frame.
//!
//! | bytes | content |
//! |---|---|
//! | n | the [`Head`] |
//! | 8 | XXH3-64 of all the frame but these bytes, big-endian |
//! | 8 | [`Entry::name`], big-endian |
//! | varint | `stored_at`, as its difference from the head's `fresh_until` |
//! | varint, varint | `stale_until` and `error_until`, likewise |
//! | varint, varint | `age`, `cost` |
//! | varint | the status; 0 for [`Content::Value`], 1 for [`Content::Varies`] |
//! | varint | how many tags; each: varint length, text, 16 bytes of stamp |
//! | 1, 16 | 1 and the selection, or 0 alone |
//! | varint | how many header fields, for a response; how many names, for [`Content::Varies`] |
//! | each field | a code byte; if it says "spelled out": varint length, name; varint length, value |
//! | or each name | the same without the value |
//! | the rest | the body |

use std::hash::Hasher as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use twox_hash::XxHash3_64;

use super::{Content, DecodeError, Entry, Head, Id, Prepared, field_code, varint};

const CHECKSUM: usize = 8;

/// In the place of a status, of which there is none below 100.
const VARIES: u16 = 1;

impl Entry {
    /// The bytes to store: one allocation, of just their length.
    ///
    /// # Panics
    ///
    /// If the head has more than [`Head::MAX_STAMPS`] stamps, which `build()` excludes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let head = self.head.encoded_len();
        let mut length = Length(0);
        self.put_fields(&mut length);
        let mut frame = Vec::with_capacity(head + CHECKSUM + length.0);
        self.head.write(&mut frame);
        frame.put(&[0; CHECKSUM]);
        self.put_fields(&mut frame);
        let sum = checksum(&frame[..head], &frame[head + CHECKSUM..]);
        frame[head..head + CHECKSUM].copy_from_slice(&sum);
        Bytes::from(frame)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// The body and the values of header fields share `frame`'s memory. Nothing is allocated for
    /// a length before the frame is known to be that long.
    ///
    /// # Errors
    ///
    /// If these are not the very bytes of a frame of this version.
    #[allow(clippy::needless_pass_by_value, reason = "the entry keeps slices of it")]
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        let (head, length) = read_head(&frame)?;
        let mut reader = Reader { frame: &frame, at: length };
        let sum = reader.array::<CHECKSUM>()?;
        if checksum(&frame[..length], &frame[reader.at..]) != sum {
            return Err(DecodeError::Checksum);
        }
        let name = u64::from_be_bytes(reader.array()?);
        let stored_at = varint::apply(head.fresh_until, reader.varint()?);
        let stale_until = varint::apply(head.fresh_until, reader.varint()?);
        let error_until = varint::apply(head.fresh_until, reader.varint()?);
        let age = reader.small()?;
        let cost = reader.small()?;
        let status = reader.small::<u16>()?;
        let tags = reader.tags()?;
        let selection = reader.selection()?;
        let content = match status {
            0 => Content::Value,
            VARIES => Content::Varies(reader.names()?),
            _ => Content::Response {
                status: StatusCode::from_u16(status).map_err(|_| DecodeError::Malformed)?,
                headers: reader.fields()?,
            },
        };
        let body = frame.slice(reader.at..);
        Ok(Self {
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
        })
    }

    fn put_fields(&self, sink: &mut impl Sink) {
        let base = self.head.fresh_until;
        sink.put(&self.name.to_be_bytes());
        for moment in [self.stored_at, self.stale_until, self.error_until] {
            sink.put_varint(varint::difference(base, moment));
        }
        sink.put_varint(self.age.into());
        sink.put_varint(self.cost.into());
        sink.put_varint(match &self.content {
            Content::Response { status, .. } => status.as_u16().into(),
            Content::Value => 0,
            Content::Varies(_) => VARIES.into(),
        });
        sink.put_varint(self.tags.len() as u64);
        for (tag, stamp) in &self.tags {
            sink.put_long(tag.as_bytes());
            sink.put(stamp.as_bytes());
        }
        match &self.selection {
            Some(digest) => {
                sink.put(&[1]);
                sink.put(digest);
            }
            None => sink.put(&[0]),
        }
        match &self.content {
            Content::Response { headers, .. } => {
                sink.put_varint(headers.len() as u64);
                for (name, value) in headers {
                    sink.put_name(name, value.is_sensitive());
                    sink.put_long(value.as_bytes());
                }
            }
            Content::Varies(names) => {
                sink.put_varint(names.len() as u64);
                for name in names {
                    sink.put_name(name, false);
                }
            }
            Content::Value => {}
        }
        sink.put(&self.body);
    }
}

fn checksum(before: &[u8], after: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = XxHash3_64::new();
    hasher.write(before);
    hasher.write(after);
    hasher.finish().to_be_bytes()
}

fn read_head(frame: &[u8]) -> Result<(Head, usize), DecodeError> {
    let [magic @ .., version] = Head::MAGIC;
    match frame.strip_prefix(&magic) {
        Some([]) => Err(DecodeError::Truncated),
        Some([found, ..]) if *found != version => Err(DecodeError::Version(*found)),
        Some(_) => Head::parse(frame).ok_or(DecodeError::Truncated),
        None if magic.starts_with(frame) => Err(DecodeError::Truncated),
        None => Err(DecodeError::Magic),
    }
}

/// Where the fields go: first to be measured, then to be written.
trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn put_varint(&mut self, value: u64) {
        let mut buffer = [0; varint::MAX];
        let length = varint::write(value, &mut buffer);
        self.put(&buffer[..length]);
    }

    fn put_name(&mut self, name: &HeaderName, sensitive: bool) {
        let sensitive = if sensitive { field_code::SENSITIVE } else { 0 };
        if let Some(code) = field_code::of(name) {
            self.put(&[code | sensitive]);
        } else {
            self.put(&[field_code::SPELLED | sensitive]);
            self.put_long(name.as_str().as_bytes());
        }
    }

    fn put_long(&mut self, bytes: &[u8]) {
        self.put_varint(bytes.len() as u64);
        self.put(bytes);
    }
}

struct Length(usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

struct Reader<'a> {
    frame: &'a Bytes,
    /// Never beyond the frame's end.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.frame[self.at..]
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.rest().get(..length).ok_or(DecodeError::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let array = self.rest().first_chunk().ok_or(DecodeError::Truncated)?;
        self.at += N;
        Ok(*array)
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let (value, length) = varint::read(self.rest()).map_err(|bad| match bad {
            varint::Bad::Short => DecodeError::Truncated,
            varint::Bad::Form => DecodeError::Malformed,
        })?;
        self.at += length;
        Ok(value)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, DecodeError> {
        T::try_from(self.varint()?).map_err(|_| DecodeError::Malformed)
    }

    /// How many items of at least `least` bytes each follow.
    fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        if count > self.rest().len() / least { Err(DecodeError::Truncated) } else { Ok(count) }
    }

    fn long(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.count(1)?;
        self.take(length)
    }

    fn tags(&mut self) -> Result<Vec<(String, Id)>, DecodeError> {
        let count = self.count(1 + Id::LEN)?;
        let mut tags = Vec::with_capacity(count);
        for _ in 0..count {
            let tag = str::from_utf8(self.long()?).map_err(|_| DecodeError::Malformed)?;
            let stamp = Id::from_slice(self.take(Id::LEN)?).ok_or(DecodeError::Malformed)?;
            tags.push((tag.to_owned(), stamp));
        }
        Ok(tags)
    }

    fn selection(&mut self) -> Result<Option<[u8; 16]>, DecodeError> {
        match self.array()? {
            [0] => Ok(None),
            [1] => self.array().map(Some),
            [_] => Err(DecodeError::Malformed),
        }
    }

    fn name(&mut self) -> Result<(HeaderName, bool), DecodeError> {
        let [code] = self.array()?;
        let name = match code & !field_code::SENSITIVE {
            field_code::SPELLED => HeaderName::from_lowercase(self.long()?).ok(),
            code => field_code::name(code),
        };
        Ok((name.ok_or(DecodeError::Malformed)?, code & field_code::SENSITIVE != 0))
    }

    fn names(&mut self) -> Result<Vec<HeaderName>, DecodeError> {
        let count = self.count(1)?;
        let mut names = Vec::new();
        for _ in 0..count {
            match self.name()? {
                (name, false) => names.push(name),
                (_, true) => return Err(DecodeError::Malformed),
            }
        }
        Ok(names)
    }

    fn fields(&mut self) -> Result<HeaderMap, DecodeError> {
        // A map's slot is far larger than the two bytes that announce a field: beyond a usual
        // number of fields the map grows only with what has been read.
        const USUAL: usize = 32;
        let count = self.count(2)?;
        let mut headers = HeaderMap::with_capacity(count.min(USUAL) + Entry::ROOM);
        for _ in 0..count {
            let (name, sensitive) = self.name()?;
            let length = self.count(1)?;
            let start = self.at;
            self.take(length)?;
            let mut value = HeaderValue::from_maybe_shared(self.frame.slice(start..self.at))
                .map_err(|_| DecodeError::Malformed)?;
            value.set_sensitive(sensitive);
            headers.try_append(name, value).map_err(|_| DecodeError::Malformed)?;
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_refused_before_anything_is_allocated_for_it() {
        let frame = Bytes::from([&[2][..], &[0; 34]].concat());
        let count = |least| Reader { frame: &frame, at: 0 }.count(least);
        assert_eq!(count(17), Ok(2));
        assert_eq!(count(18), Err(DecodeError::Truncated));
    }
}
