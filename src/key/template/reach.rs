//! What can be said of a scope and a route before any request.

use super::key_text::KeyTemplate;
use super::language::{self, Atom};
use super::path::{PathTemplate, Segment, canonical};
use super::scope::ScopeTemplate;
use super::scope_glob::{Part, ScopeGlob};
use super::scope_match::{Matcher, ScopeSegment};
use crate::key::byte_set::ByteSet;
use crate::key::glob::Token;
use crate::key::path::is_dot_segment;

/// Whether a scope covers the keys of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// No key of the route.
    Never,
    /// Every key of the route, with these values of the scope's parameters, in their order.
    Always(Vec<Binding>),
    /// It is to be asked of each key.
    Sometimes,
}

/// Where the value of a scope's parameter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// The parameter of this name: of the route's path for path and subtree scopes, of the key
    /// template for patterns over a key text (a path's text has the route's parameters).
    Param(String),
    /// This text, encoded.
    Constant(String),
}

impl ScopeTemplate {
    /// Whether this scope covers the keys of a route.
    ///
    /// Exact for [`path`](Self::path) and [`subtree`](Self::subtree) on routes without a catch-all;
    /// otherwise [`Reach::Sometimes`] is the answer when in doubt. A path or subtree looks at the
    /// route's path alone, a pattern at the key's text alone. A tag matches no text, so it is
    /// never: routes declare their tags.
    pub fn reach(&self, route_path: &PathTemplate, key: &KeyTemplate) -> Reach {
        match &self.matcher {
            Matcher::Path(segments) => reach_path(segments, false, route_path),
            Matcher::Subtree(segments) => reach_path(segments, true, route_path),
            Matcher::Glob(glob) => reach_glob(glob, route_path, key),
            Matcher::Tag => Reach::Never,
        }
    }
}

fn reach_path(scope: &[ScopeSegment], is_subtree: bool, route: &PathTemplate) -> Reach {
    if has_dot_segment(route) {
        return Reach::Never;
    }
    let mut bindings = Vec::new();
    let mut is_sure = true;
    let mut route_segments = route.segments().iter();
    for segment in scope {
        match (segment, route_segments.next()) {
            (_, None) => return Reach::Never,
            (_, Some(Segment::Rest(_))) => return Reach::Sometimes,
            (ScopeSegment::Literal(text), Some(Segment::Literal(literal))) => {
                if **text != canonical(literal) {
                    return Reach::Never;
                }
            }
            (ScopeSegment::Literal(text), Some(Segment::Param(_))) => {
                // Routers give no empty segment to a parameter.
                if text.is_empty() {
                    return Reach::Never;
                }
                is_sure = false;
            }
            (ScopeSegment::Param, Some(Segment::Literal(literal))) => {
                bindings.push(Binding::Constant(canonical(literal)));
            }
            (ScopeSegment::Param, Some(Segment::Param(name))) => {
                bindings.push(Binding::Param(name.clone()));
            }
        }
    }
    if !is_subtree && route_segments.next().is_some() {
        return Reach::Never;
    }
    if is_sure { Reach::Always(bindings) } else { Reach::Sometimes }
}

fn reach_glob(glob: &ScopeGlob, route: &PathTemplate, key: &KeyTemplate) -> Reach {
    let scope = language::glob_steps(glob);
    let (atoms, is_path) = match key {
        KeyTemplate::Path => (language::path_atoms(route), true),
        KeyTemplate::Text(text) => (text.atoms(), false),
    };
    if is_path && has_dot_segment(route) {
        return Reach::Never;
    }
    let mut steps = language::steps(&atoms);
    let mut is_possible = language::intersect(&scope, &steps);
    if is_path && !is_possible {
        steps.extend(language::query_steps());
        is_possible = language::intersect(&scope, &steps);
    }
    if !is_possible {
        return Reach::Never;
    }
    align(glob, &atoms, is_path).map_or(Reach::Sometimes, Reach::Always)
}

/// Walks glob and key text side by side as long as each piece of the one can only be the piece
/// of the other. `has_more` says that a query may follow the text.
fn align(glob: &ScopeGlob, atoms: &[Atom<'_>], has_more: bool) -> Option<Vec<Binding>> {
    let mut bindings = Vec::new();
    let mut at = 0;
    for part in &glob.head {
        match (part, atoms.get(at)) {
            (Part::Byte(byte), Some(Atom::Byte(literal))) if byte == literal => at += 1,
            (Part::One(set), Some(Atom::Byte(literal))) if set.contains(*literal) => at += 1,
            (Part::Byte(_) | Part::One(_), _) => return None,
            (Part::Param { set, delimiter }, _) => {
                let (binding, length) = align_param(set, &atoms[at..])?;
                bindings.push(binding);
                at += length;
                // At the end of the atoms the value may yet go on, or the text end in a query.
                match (delimiter, atoms.get(at)) {
                    (Some(delimiter), Some(Atom::Byte(literal))) if delimiter == literal => {}
                    (None, None) if !has_more => {}
                    _ => return None,
                }
            }
        }
    }
    let is_end = at == atoms.len() && !has_more;
    match glob.tail[..] {
        [Token::Star] => Some(bindings),
        [] if is_end => Some(bindings),
        _ => None,
    }
}

/// What a parameter stands for at the beginning of the atoms: one parameter of the key, or the
/// literal text up to where the value must end.
fn align_param(set: &ByteSet, atoms: &[Atom<'_>]) -> Option<(Binding, usize)> {
    if let Some(Atom::Param { name, set: values, .. }) = atoms.first() {
        return values.is_subset(set).then(|| (Binding::Param((*name).to_owned()), 1));
    }
    let text: String = atoms
        .iter()
        .map_while(|atom| match atom {
            Atom::Byte(byte) if set.contains(*byte) => Some(char::from(*byte)),
            _ => None,
        })
        .collect();
    let length = text.len();
    Some((Binding::Constant(text), length))
}

/// A path with such a segment is never cached.
fn has_dot_segment(route: &PathTemplate) -> bool {
    route.segments().iter().any(
        |segment| matches!(segment, Segment::Literal(text) if is_dot_segment(&canonical(text))),
    )
}
