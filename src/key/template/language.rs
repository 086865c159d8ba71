//! Which texts templates and globs can make or match, and whether two of them have one in common.

use super::path::{PathTemplate, Segment, canonical};
use super::scope_glob::{Part, ScopeGlob};
use crate::key::byte_set::ByteSet;
use crate::key::glob::Token;

/// A piece of all the key texts of a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Atom<'t> {
    Byte(u8),
    Param { name: &'t str, set: ByteSet, may_be_empty: bool },
}

/// A step of an automaton without branches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// One byte of these.
    One(ByteSet),
    /// Any number of these.
    Many(ByteSet),
}

/// The normalised paths that a route takes.
pub(super) fn path_atoms(route: &PathTemplate) -> Vec<Atom<'_>> {
    let mut atoms = Vec::new();
    for segment in route.segments() {
        atoms.push(Atom::Byte(b'/'));
        match segment {
            Segment::Literal(text) => atoms.extend(canonical(text).bytes().map(Atom::Byte)),
            Segment::Param(name) => {
                atoms.push(Atom::Param { name, set: ByteSet::ENCODED, may_be_empty: false });
            }
            Segment::Rest(name) => {
                atoms.push(Atom::Param { name, set: ByteSet::PATH, may_be_empty: false });
            }
        }
    }
    atoms
}

pub(super) fn steps(atoms: &[Atom<'_>]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(atoms.len());
    for atom in atoms {
        match *atom {
            Atom::Byte(byte) => steps.push(Step::One(ByteSet::EMPTY.with(byte))),
            Atom::Param { set, may_be_empty, .. } => {
                if !may_be_empty {
                    steps.push(Step::One(set));
                }
                steps.push(Step::Many(set));
            }
        }
    }
    steps
}

/// What follows a path in the key of a request whose query is kept.
pub(super) fn query_steps() -> [Step; 3] {
    let mark = ByteSet::EMPTY.with(b'?');
    [Step::One(mark), Step::One(ByteSet::QUERY), Step::Many(ByteSet::QUERY)]
}

pub(super) fn glob_steps(glob: &ScopeGlob) -> Vec<Step> {
    let head = glob.head.iter().map(|part| match *part {
        Part::Byte(byte) => Step::One(ByteSet::EMPTY.with(byte)),
        Part::One(set) => Step::One(set),
        Part::Param { set, .. } => Step::Many(set),
    });
    let tail = glob.tail.iter().map(|token| match *token {
        Token::Byte(byte) => Step::One(ByteSet::EMPTY.with(byte)),
        Token::Class(set) => Step::One(set),
        Token::Star => Step::Many(ByteSet::ALL),
    });
    head.chain(tail).collect()
}

/// Whether some text is in both languages: a walk over the pairs of states.
pub(super) fn intersect(one: &[Step], other: &[Step]) -> bool {
    let width = other.len() + 1;
    let mut seen = vec![false; (one.len() + 1) * width];
    let mut open = vec![(0, 0)];
    while let Some((i, j)) = open.pop() {
        if std::mem::replace(&mut seen[i * width + j], true) {
            continue;
        }
        let (a, b) = (one.get(i), other.get(j));
        if a.is_none() && b.is_none() {
            return true;
        }
        if matches!(a, Some(Step::Many(_))) {
            open.push((i + 1, j));
        }
        if matches!(b, Some(Step::Many(_))) {
            open.push((i, j + 1));
        }
        if let (Some(a), Some(b)) = (a, b) {
            let ((a_set, a_next), (b_set, b_next)) = (a.taken(i), b.taken(j));
            if a_set.intersects(b_set) {
                open.push((a_next, b_next));
            }
        }
    }
    false
}

impl Step {
    /// What a byte must be, and the state after it.
    fn taken(&self, at: usize) -> (&ByteSet, usize) {
        match self {
            Self::One(set) => (set, at + 1),
            Self::Many(set) => (set, at),
        }
    }
}
