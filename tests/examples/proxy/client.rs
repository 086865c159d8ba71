//! Messages of HTTP/1.1 as they are on the wire, and a client that shows them so.

use sfv::{BareItem, List, ListEntry, Parser};
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::case::PATIENCE;

/// A request or a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Its first line.
    pub(crate) start: String,
    /// Names as they came.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to the end that its head announced.
    pub(crate) whole: bool,
}

/// A response.
pub(crate) type Answer = Message;

/// What the cache says it did: the last member of Cache-Status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStatus {
    pub(crate) cache: String,
    pub(crate) hit: bool,
    pub(crate) fwd: Option<String>,
    pub(crate) fwd_status: Option<i64>,
    pub(crate) ttl: Option<i64>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) detail: Option<String>,
}

impl Message {
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("no status in {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// All lines of one name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// The one line of this name, if there is one.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let lines = self.all(name);
        assert!(lines.len() < 2, "{name} is there more than once: {self:?}");
        lines.first().copied()
    }

    /// The number in a field.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let number = self.field(name).and_then(|value| value.parse().ok());
        number.unwrap_or_else(|| panic!("no number in {name} of {self:?}"))
    }

    /// Everything in Cache-Status, by a parser of structured fields that isn't the crate's own work.
    pub(crate) fn statuses(&self) -> Vec<CacheStatus> {
        let joined = self.all("cache-status").join(", ");
        let list: List =
            Parser::new(&joined).parse().unwrap_or_else(|why| panic!("{joined}: {why}"));
        list.iter().map(CacheStatus::of).collect()
    }

    /// What the proxy's cache says.
    pub(crate) fn cache(&self) -> CacheStatus {
        self.statuses().pop().unwrap_or_default()
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.cache().hit
    }
}

impl CacheStatus {
    fn of(member: &ListEntry) -> Self {
        let ListEntry::Item(item) = member else { panic!("an inner list: {member:?}") };
        let word = |item: &BareItem| match item {
            BareItem::Token(token) => token.as_str().to_owned(),
            BareItem::String(text) => text.as_str().to_owned(),
            other => panic!("neither token nor string: {other:?}"),
        };
        let mut status = Self { cache: word(&item.bare_item), ..Self::default() };
        for (name, value) in &item.params {
            let number = || match value {
                BareItem::Integer(number) => Some(i64::from(*number)),
                other => panic!("{name} is no integer: {other:?}"),
            };
            match name.as_str() {
                "hit" => status.hit = *value == BareItem::Boolean(true),
                "stored" => status.stored = *value == BareItem::Boolean(true),
                "collapsed" => status.collapsed = *value == BareItem::Boolean(true),
                "fwd" => status.fwd = Some(word(value)),
                "detail" => status.detail = Some(word(value)),
                "ttl" => status.ttl = number(),
                "fwd-status" => status.fwd_status = number(),
                other => panic!("RFC 9211 knows no {other}"),
            }
        }
        assert!(status.hit != status.fwd.is_some(), "either hit or fwd (RFC 9211 2): {status:?}");
        status
    }
}

/// One request on a connection of its own. With `Transfer-Encoding` among the fields the body is in
/// chunks already.
pub(crate) async fn ask(
    address: &str,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let has = |sought: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(sought));
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !has("host") {
        request.push_str("Host: example.test\r\n");
    }
    for (name, value) in fields {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    if !body.is_empty() && !has("transfer-encoding") {
        let _ = write!(request, "Content-Length: {}\r\n", body.len());
    }
    request.push_str("\r\n");
    let request = [request.as_bytes(), body].concat();
    stream.write_all(&request).await.expect("the request is sent");
    read_answer(&mut stream, method).await.unwrap_or_default()
}

/// What is answered to `method`, if it is anything.
pub(crate) async fn read_answer(stream: &mut TcpStream, method: &str) -> Option<Answer> {
    let answer = timeout(PATIENCE, read_message(stream, &mut Vec::new(), Some(method))).await;
    answer.expect("an answer in time")
}

/// Reads one message; `None` if there is none before the end. `asked` is the method that a response
/// answers, and `None` for a request. What comes after the message stays in `buffer`.
pub(crate) async fn read_message(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    asked: Option<&str>,
) -> Option<Message> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        if !more(stream, buffer).await {
            return None;
        }
    };
    let rest = buffer.split_off(end + 4);
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    *buffer = rest;
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let fields = lines
        .map(|line| line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}")))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut message = Message { start, fields, body: Vec::new(), whole: true };
    let bodiless = match asked {
        None => false,
        Some("HEAD") => true,
        Some(_) => matches!(message.status(), 100..=199 | 204 | 304),
    };
    if bodiless {
        return Some(message);
    }
    let chunked = message.field("transfer-encoding").is_some_and(|coding| coding == "chunked");
    if chunked {
        (message.body, message.whole) = read_chunks(stream, buffer).await;
    } else if message.field("content-length").is_some() {
        let length = usize::try_from(message.number("content-length")).expect("a small body");
        while buffer.len() < length && more(stream, buffer).await {}
        message.whole = buffer.len() >= length;
        let rest = buffer.split_off(length.min(buffer.len()));
        message.body = std::mem::replace(buffer, rest);
    } else if asked.is_some() {
        while more(stream, buffer).await {}
        message.body = std::mem::take(buffer);
    }
    Some(message)
}

/// A chunked body, and whether it came to its end.
async fn read_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = find(buffer, b"\r\n") else {
            if more(stream, buffer).await {
                continue;
            }
            return (body, false);
        };
        let size = String::from_utf8_lossy(&buffer[..line]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.expect("a size in hexadecimal");
        while buffer.len() < line + 2 + size + 2 {
            if !more(stream, buffer).await {
                body.extend_from_slice(buffer.get(line + 2..).unwrap_or_default());
                return (body, false);
            }
        }
        body.extend_from_slice(&buffer[line + 2..line + 2 + size]);
        buffer.drain(..line + 2 + size + 2);
        if size == 0 {
            // Trailers, if any, were asked for by nobody.
            return (body, true);
        }
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    matches!(stream.read_buf(buffer).await, Ok(1..))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
