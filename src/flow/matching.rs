//! Which configured route a request is on. Costs no allocation where it is on none.

use std::cell::RefCell;

use http::{Extensions, Method, Request, Uri};

use super::shared::Shared;
use crate::key::normalize_path_lossy;
use crate::policy::ReadMethod;

/// Which table a request was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matched {
    Read(usize),
    Write,
}

/// Finds a request's route. Costs no allocation.
pub(crate) fn match_route<B>(
    shared: &Shared,
    request: &Request<B>,
    prefix: Option<&str>,
) -> Option<Matched> {
    match_head(shared, request.method(), request.uri(), request.extensions(), prefix)
}

/// The same, of what the head of a request says.
pub(crate) fn match_head(
    shared: &Shared,
    method: &Method,
    uri: &Uri,
    extensions: &Extensions,
    prefix: Option<&str>,
) -> Option<Matched> {
    let rules = &shared.rules;
    with_full_path(uri, extensions, prefix, |path| {
        let read = ReadMethod::of_request(method)
            .and_then(|method| rules.reads.of(method).raw.at(path).ok());
        if let Some(found) = read {
            let route = &rules.routes[*found.value];
            if Handled::is_by(shared, extensions) {
                return None;
            }
            if !route.uncached {
                if !is_shadowed(&route.name, extensions) {
                    return Some(Matched::Read(*found.value));
                }
                route.telemetry.routed_elsewhere();
            }
        }
        if method.is_safe() || method.as_str() == "QUERY" {
            return None;
        }
        // A tunnel through a path (RFC 8441) says nothing of what is there, unless a rule says so.
        if *method == Method::CONNECT && !rules.writes.contains_key(method) {
            return None;
        }
        // A path that is spelled otherwise may reach the same handler.
        let is_known = rules.reads.tables().any(|reads| reads.raw.at(path).is_ok())
            || rules.writes.get(method).is_some_and(|table| table.raw.at(path).is_ok())
            || (path.contains('%') || path.contains("/."))
                && is_known_normalized(shared, method, path);
        // Another configuration may have a rule for it.
        (is_known || shared.sees_others()).then_some(Matched::Write)
    })
}

/// Whether axum has routed the request to another route than the one that its path fits here, one
/// that was not declared: `/users/me` is no `/users/{id}`.
#[cfg(feature = "axum")]
fn is_shadowed(template: &str, extensions: &Extensions) -> bool {
    let Some(matched) = extensions.get::<axum::extract::MatchedPath>() else { return false };
    let matched = matched.as_str();
    // A catch-all may stand for a router of another kind, which knows better.
    template != matched && !matched.contains("{*") && !has_same_shape(template, matched)
}

#[cfg(not(feature = "axum"))]
fn is_shadowed(_: &str, _: &Extensions) -> bool {
    false
}

/// Whether two templates differ at most in the names of their parameters.
#[cfg(feature = "axum")]
fn has_same_shape(one: &str, other: &str) -> bool {
    let mut others = other.split('/');
    one.split('/').all(|segment| {
        others.next().is_some_and(|other| {
            segment == other || segment.starts_with('{') && other.starts_with('{')
        })
    }) && others.next().is_none()
}

/// Left in a request by each cache that reads for it: a layer of the same cache further in must
/// not wait for the one further out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handled(Vec<Mark>);

/// What tells one cache of this process from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(usize);

impl Mark {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self(std::ptr::from_ref(shared) as usize)
    }
}

impl Handled {
    pub(crate) fn mark(mark: Mark, extensions: &mut Extensions) {
        extensions.get_or_insert_default::<Self>().0.push(mark);
    }

    fn is_by(shared: &Shared, extensions: &Extensions) -> bool {
        extensions.get::<Self>().is_some_and(|handled| handled.0.contains(&Mark::of(shared)))
    }
}

fn is_known_normalized(shared: &Shared, method: &Method, path: &str) -> bool {
    let mut canonical = String::with_capacity(path.len());
    normalize_path_lossy(path, &mut canonical);
    shared.rules.reads.tables().any(|reads| reads.canonical.at(&canonical).is_ok())
        || shared
            .rules
            .writes
            .get(method)
            .is_some_and(|table| table.canonical.at(&canonical).is_ok())
}

thread_local! {
    /// Where a prefix and a path are put together, so that a request on no configured route costs
    /// no allocation.
    static JOINED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls `with` with the path as it was before any router stripped a part of it.
pub(crate) fn with_full_path<T>(
    uri: &Uri,
    extensions: &Extensions,
    prefix: Option<&str>,
    with: impl FnOnce(&str) -> T,
) -> T {
    let Some(prefix) = prefix else {
        #[cfg(feature = "axum")]
        if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
            return with(original.0.path());
        }
        let _ = extensions;
        return with(uri.path());
    };
    // Taken out for the call, in case it comes back here.
    let mut joined = JOINED.take();
    joined.clear();
    joined.push_str(prefix);
    joined.push_str(uri.path());
    let answer = with(&joined);
    JOINED.set(joined);
    answer
}
