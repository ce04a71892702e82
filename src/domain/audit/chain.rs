//! The chain over the audit rows: recomputed row by row, it names the first row that is not as it was written.
//!
//! A walk holds a few rows at a time, however long the chain is. When it has found a row that does not fit, it goes on to see
//! whether the one that belongs there stands elsewhere.

#[cfg(test)]
mod tests;
mod trouble;

use std::fmt;

use self::trouble::Trouble;
use super::{AuditEntry, AuditHead, START};

/// What a walk over the audit log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditCheck {
    /// Every row is there, in order and unaltered. Whoever kept an earlier head can also tell whether rows were cut off.
    Whole { rows: i64, head: [u8; 32] },
    /// The first row that is not as it was written.
    Broken(Break),
}

/// The first row that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The place in the chain, counted from 1.
    pub revision: i64,
    /// Of the row that stands there, as it says itself; `None` when none does.
    pub id: Option<String>,
    pub fault: Fault,
    /// How that shows.
    pub detail: String,
}

/// What was done to the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Edited,
    Missing,
    OutOfOrder,
    Inserted,
    /// It is missing, and nothing follows.
    CutOff,
}

/// A row that cannot even be read: what can be, and why not the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub revision: Option<i64>,
    pub id: Option<String>,
    pub why: String,
}

impl Fault {
    /// The word for scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Missing => "missing",
            Self::OutOfOrder => "out_of_order",
            Self::Inserted => "inserted",
            Self::CutOff => "cut_off",
        }
    }
}

impl fmt::Display for AuditCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { rows, .. } => write!(f, "{rows} audit rows, the chain is whole"),
            Self::Broken(broken) => broken.fmt(f),
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the audit row of revision {}", self.revision)?;
        if let Some(id) = &self.id {
            // What somebody wrote there must not speak to a terminal.
            write!(f, " (`{}`)", id.escape_debug())?;
        }
        let fault = match self.fault {
            Fault::Edited => "was edited",
            Fault::Missing => "is missing",
            Fault::OutOfOrder => "is out of order",
            Fault::Inserted => "was inserted",
            Fault::CutOff => "was cut off at the end",
        };
        write!(f, " {fault}: {}", self.detail)
    }
}

/// A walk along the chain: how far it is whole, and the first row where it is not.
#[derive(Debug)]
pub struct Chain {
    /// What the database holds to be its newest row, when the rows are of the same moment.
    end: Option<(i64, Vec<u8>)>,
    /// What was kept elsewhere; each is a row of the chain, or the chain is not the one that it was.
    heads: Vec<AuditHead>,
    last: Last,
    trouble: Option<Box<Trouble>>,
    /// The first row that does not even say where it belongs.
    stray: Option<Stray>,
}

#[derive(Debug)]
struct Stray {
    /// The revision that should have come.
    expected: i64,
    row: Unreadable,
}

/// The last row that fits.
#[derive(Debug)]
struct Last {
    revision: i64,
    id: Option<String>,
    hash: [u8; 32],
    /// The hash of the row before it.
    previous: [u8; 32],
}

impl Chain {
    /// A walk from the first row on. `end` is the revision and the hash that must be the last ones, `heads` were kept elsewhere.
    #[must_use]
    pub fn new(end: Option<(i64, Vec<u8>)>, heads: Vec<AuditHead>) -> Self {
        Self { end, heads, last: Last { revision: 0, id: None, hash: START, previous: START }, trouble: None, stray: None }
    }

    /// The next row, in the order of revisions.
    pub fn take(&mut self, row: Result<AuditEntry, Unreadable>) {
        match (&mut self.trouble, row) {
            (Some(trouble), Ok(entry)) => trouble.look_at(&entry),
            (Some(_), Err(_)) => {}
            (None, Ok(entry)) => self.trouble = self.follow(entry).err(),
            (None, Err(row)) => {
                let expected = self.last.revision + 1;
                match row.revision {
                    None => self.stray = self.stray.take().or(Some(Stray { expected, row })),
                    Some(revision) => {
                        let misplaced = self.place(revision, row.id.as_ref()).err();
                        let edited = || Trouble::settled(expected, row.id, Fault::Edited, unreadable(&row.why));
                        self.trouble = Some(misplaced.unwrap_or_else(edited));
                    }
                }
            }
        }
    }

    /// Whether a row of this revision may come now.
    fn place(&self, revision: i64, id: Option<&String>) -> Result<(), Box<Trouble>> {
        let expected = self.last.revision + 1;
        let inserted = |detail: String| Err(Trouble::settled(revision, id.cloned(), Fault::Inserted, detail));
        if revision < 1 {
            return inserted("no write has such a revision".to_owned());
        }
        if revision < expected {
            return inserted("there is another row of this revision".to_owned());
        }
        match self.end {
            Some((end, _)) if expected > end => inserted(format!("the database itself says that it is at revision {end}")),
            _ if revision > expected => Err(Trouble::missing(expected, self.last.hash, revision)),
            _ => Ok(()),
        }
    }

    /// Takes the row when it is the one that must follow.
    fn follow(&mut self, entry: AuditEntry) -> Result<(), Box<Trouble>> {
        let revision = entry.record.revision;
        if revision == self.last.revision + 1 && self.displaces_last(&entry) {
            let detail = "the row that stands after it belongs in its place";
            return Err(Trouble::settled(self.last.revision, self.last.id.take(), Fault::Inserted, detail));
        }
        self.place(revision, Some(&entry.record.id)).map_err(|mut trouble| {
            trouble.look_at(&entry);
            trouble
        })?;
        if entry.previous != self.last.hash || entry.hash != entry.record.hash(&self.last.hash) {
            return Err(self.misfit(entry));
        }
        let hash = entry.record.hash(&self.last.hash);
        let id = Some(entry.record.id);
        if self.heads.iter().any(|head| head.revision == revision && head.hash != hash) {
            let detail = "it is not the one that the kept head names: it, or one before it, was written anew";
            return Err(Trouble::settled(revision, id, Fault::Edited, detail));
        }
        self.last = Last { revision, id, hash, previous: self.last.hash };
        Ok(())
    }

    /// Whether the row belongs in the place of the last one, which fits as well.
    fn displaces_last(&self, entry: &AuditEntry) -> bool {
        let Last { revision, previous, hash, .. } = &self.last;
        *revision > 0
            && entry.previous == previous
            && entry.hash != hash
            && entry.hash == entry.record.hash_as(*revision, previous)
    }

    /// What is wrong with a row of the expected revision that does not continue the chain.
    fn misfit(&self, entry: AuditEntry) -> Box<Trouble> {
        let (expected, last) = (self.last.revision + 1, &self.last);
        let fits = |revision, previous: &[u8; 32]| entry.hash == entry.record.hash_as(revision, previous);
        let id = Some(entry.record.id.clone());
        let settled = |fault, detail: &str| Trouble::settled(expected, id.clone(), fault, detail);
        if fits(expected, &last.hash) {
            return settled(Fault::Edited, "what it holds as the hash of the row before it is another one");
        }
        if last.revision > 0 && entry.hash == last.hash && entry.previous == last.previous {
            return settled(Fault::Inserted, "it is a copy of the row before it");
        }
        let own = <[u8; 32]>::try_from(entry.previous.as_slice());
        let fits_own = |revision| own.is_ok_and(|previous| fits(revision, &previous));
        if fits_own(expected) {
            return Trouble::bound_elsewhere(last, entry);
        }
        let is_next = fits_own(expected + 1);
        Trouble::misplaced(last.hash, entry, is_next)
    }

    /// There is no further row.
    #[must_use]
    pub fn end(self) -> AuditCheck {
        let Self { end, heads, last, trouble, stray } = self;
        let next = last.revision + 1;
        let cut_off = |detail| Break { revision: next, id: None, fault: Fault::CutOff, detail };
        if let Some(trouble) = trouble {
            let found = trouble.end(end.as_ref().map(|(_, hash)| hash.as_slice()));
            return AuditCheck::Broken(explained(found, stray));
        }
        if let Some(Stray { expected, row }) = stray {
            let is_there = expected == next && end.is_none_or(|(revision, _)| revision >= next);
            let fault = if is_there { Fault::Edited } else { Fault::Inserted };
            return AuditCheck::Broken(Break { revision: expected, id: row.id, fault, detail: unreadable(&row.why) });
        }
        if let Some(newest) = heads.iter().map(|head| head.revision).max()
            && newest > last.revision
        {
            return AuditCheck::Broken(cut_off(format!("a head of revision {newest} was kept")));
        }
        match end {
            Some((revision, _)) if revision > last.revision => {
                AuditCheck::Broken(cut_off(format!("the database itself says that it is at revision {revision}")))
            }
            Some((_, hash)) if hash != last.hash => AuditCheck::Broken(Break {
                revision: last.revision,
                id: last.id,
                fault: Fault::Edited,
                detail: "it is not the one that the database itself keeps as the head of the chain".to_owned(),
            }),
            _ => AuditCheck::Whole { rows: last.revision, head: last.hash },
        }
    }
}

/// What stood where a row is missing, when that cannot be read, is what became of it.
fn explained(found: Break, stray: Option<Stray>) -> Break {
    match stray {
        Some(Stray { expected, row }) if found.fault == Fault::Missing && found.revision == expected => {
            Break { id: row.id, fault: Fault::Edited, detail: unreadable(&row.why), ..found }
        }
        _ => found,
    }
}

fn unreadable(why: &str) -> String {
    format!("it cannot be read: {why}")
}
