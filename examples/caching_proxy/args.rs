//! What the command line says.

use std::ffi::OsString;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
caching_proxy --upstream http://HOST[:PORT] [OPTION...]

Passes requests on to one origin, and answers from its cache where it can.

  --upstream URL                  the origin: http://, a host, a port, and no path
  --listen ADDRESS:PORT           port 0 takes a free one [LISTEN, or 127.0.0.1:3000]
  --redis URL                     keep what is stored in Redis [in this process]
  --rfc9111                       a shared cache by RFC 9111: responses say what is stored and for
                                  how long, and requests what they accept
  --targeted NAME                 a response field that says to this cache what Cache-Control says to
                                  all, such as CDN-Cache-Control (RFC 9213); given several times,
                                  the first that a response has counts
  --query-method PATH             answer QUERY on this path from the cache too, by the request's
                                  content; may be given several times
  --max-request-body BYTES        the largest content that is read for that [65536]
  --timeout SECONDS               how long the origin may keep silent [30]
  --lookup-timeout MILLISECONDS   how long a look-up may take before the origin is asked [50]

Without --rfc9111:
  --ttl SECONDS                   how long what may be stored is fresh, at most [60]
  --stale-while-revalidate SECONDS
                                  how long after that it is served while one request asks the
                                  origin again [0]
  --stale-if-error SECONDS        how long after that it is served if the origin fails [3600]
  --revalidate SECONDS            how long after that the origin is asked whether it is still good,
                                  if it has a validator [3600]
  --same-for-all-users            store also what requests with Cookie or Authorization are
                                  answered: only for origins that answer all users the same
  --post PATH                     as --query-method, for POST: only where it changes nothing
";

/// What the process is to do.
pub(crate) enum Asked {
    Help,
    Serve(Box<Settings>),
}

pub(crate) struct Settings {
    pub(crate) listen: String,
    pub(crate) upstream: Authority,
    pub(crate) redis: Option<String>,
    pub(crate) rfc9111: bool,
    pub(crate) targeted: Vec<String>,
    pub(crate) query_method: Vec<String>,
    pub(crate) post: Vec<String>,
    pub(crate) max_request_body: usize,
    pub(crate) timeout: Duration,
    pub(crate) lookup_timeout: Duration,
    pub(crate) ttl: Duration,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) revalidate: Duration,
    pub(crate) same_for_all_users: bool,
}

/// Reads the arguments, or says which is wrong and what it should be.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut upstream = None;
    let mut settings = Settings {
        listen: std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned()),
        upstream: Authority::from_static("localhost"),
        redis: None,
        rfc9111: false,
        targeted: Vec::new(),
        query_method: Vec::new(),
        post: Vec::new(),
        max_request_body: 64 << 10,
        timeout: Duration::from_secs(30),
        lookup_timeout: Duration::from_millis(50),
        ttl: Duration::from_secs(60),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::from_secs(3600),
        revalidate: Duration::from_secs(3600),
        same_for_all_users: false,
    };
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("help") | Short('h') => return Ok(Asked::Help),
            Long("rfc9111") => settings.rfc9111 = true,
            Long("same-for-all-users") => settings.same_for_all_users = true,
            Long("upstream") => upstream = Some(authority(&text(&mut parser, "--upstream")?)?),
            Long("listen") => settings.listen = text(&mut parser, "--listen")?,
            Long("redis") => settings.redis = Some(text(&mut parser, "--redis")?),
            Long("targeted") => settings.targeted.push(text(&mut parser, "--targeted")?),
            Long("query-method") => {
                settings.query_method.push(path(&mut parser, "--query-method")?);
            }
            Long("post") => settings.post.push(path(&mut parser, "--post")?),
            Long("max-request-body") => {
                let most = number(&mut parser, "--max-request-body", 1)?;
                settings.max_request_body = usize::try_from(most).unwrap_or(usize::MAX);
            }
            Long("timeout") => settings.timeout = seconds(&mut parser, "--timeout", 1)?,
            Long("lookup-timeout") => {
                let most = number(&mut parser, "--lookup-timeout", 1)?;
                settings.lookup_timeout = Duration::from_millis(most);
            }
            Long("ttl") => settings.ttl = seconds(&mut parser, "--ttl", 1)?,
            Long("stale-while-revalidate") => {
                let window = seconds(&mut parser, "--stale-while-revalidate", 0)?;
                settings.stale_while_revalidate = window;
            }
            Long("stale-if-error") => {
                settings.stale_if_error = seconds(&mut parser, "--stale-if-error", 0)?;
            }
            Long("revalidate") => settings.revalidate = seconds(&mut parser, "--revalidate", 0)?,
            other => return Err(other.unexpected().to_string()),
        }
    }
    settings.upstream = upstream.ok_or(
        "--upstream is missing: say where the origin is, as in --upstream http://HOST:PORT",
    )?;
    Ok(Asked::Serve(Box::new(settings)))
}

/// The host and port of an origin's URL.
fn authority(url: &str) -> Result<Authority, String> {
    let wrong = |why| Err(format!("--upstream {url}: {why}; expected http://HOST[:PORT]"));
    let Ok(uri) = url.parse::<Uri>() else { return wrong("that is no URL") };
    if uri.scheme() != Some(&Scheme::HTTP) {
        return wrong("only http is spoken with the origin");
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return wrong("paths are passed on as they are, so the origin's URL has none");
    }
    match uri.authority() {
        Some(authority) if !authority.as_str().contains('@') => Ok(authority.clone()),
        _ => wrong("it names no host, or a user"),
    }
}

fn text(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    let value = parser.value().map_err(|_| format!("{option} is given without a value"))?;
    value.into_string().map_err(|_| format!("the value of {option} is not UTF-8"))
}

fn path(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    let path = text(parser, option)?;
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(format!("{option} {path}: expected a path, as in {option} /search"))
}

fn number(parser: &mut lexopt::Parser, option: &str, least: u64) -> Result<u64, String> {
    let text = text(parser, option)?;
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("{option} {text}: expected a whole number, {least} or more")),
    }
}

fn seconds(parser: &mut lexopt::Parser, option: &str, least: u64) -> Result<Duration, String> {
    number(parser, option, least).map(Duration::from_secs)
}
