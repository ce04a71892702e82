//! The first row that does not fit, and what the rows after it tell about it.

use super::{AuditEntry, Break, Fault, Last};

/// The first row that does not fit.
#[derive(Debug)]
pub(super) struct Trouble {
    found: Break,
    watch: Watch,
}

/// What a later row could still show.
#[derive(Debug)]
enum Watch {
    Nothing,
    /// The row that belongs here may stand elsewhere: the one that continues from this hash.
    Rightful {
        hash: [u8; 32],
        standing: Option<Box<AuditEntry>>,
    },
    /// A row that is whole but bound to another predecessor. When the next one continues it, it belongs to the chain.
    Heir {
        hash: Vec<u8>,
        belongs: Break,
    },
}

impl Trouble {
    /// No later row can say more about it.
    pub(super) fn settled(revision: i64, id: Option<String>, fault: Fault, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self { found: Break { revision, id, fault, detail: detail.into() }, watch: Watch::Nothing })
    }

    /// No row of this revision stands where it should.
    pub(super) fn missing(revision: i64, hash: [u8; 32], next: i64) -> Box<Self> {
        let detail = format!("the next row is of revision {next}");
        let found = Break { revision, id: None, fault: Fault::Missing, detail };
        Box::new(Self { found, watch: Watch::Rightful { hash, standing: None } })
    }

    /// The row does not give its hash where it stands, though it may do so at the next place.
    pub(super) fn misplaced(hash: [u8; 32], entry: AuditEntry, is_next: bool) -> Box<Self> {
        let (revision, id) = (entry.record.revision, entry.record.id.clone());
        let found = if is_next {
            let detail = "the row after it stands in its place".to_owned();
            Break { revision, id: None, fault: Fault::Missing, detail }
        } else {
            let detail = "what it says does not give its hash".to_owned();
            Break { revision, id: Some(id), fault: Fault::Edited, detail }
        };
        Box::new(Self { found, watch: Watch::Rightful { hash, standing: Some(Box::new(entry)) } })
    }

    /// The row is whole, but does not continue the last one.
    pub(super) fn bound_elsewhere(last: &Last, entry: AuditEntry) -> Box<Self> {
        let AuditEntry { record, hash, .. } = entry;
        let belongs = if last.revision > 0 {
            let detail = "it was written anew with a hash of its own: the row after it continues another one";
            Break { revision: last.revision, id: last.id.clone(), fault: Fault::Edited, detail: detail.to_owned() }
        } else {
            let detail = "it does not begin the chain but continues another one".to_owned();
            Break { revision: record.revision, id: Some(record.id.clone()), fault: Fault::Edited, detail }
        };
        let detail = "it does not continue the row before it".to_owned();
        let found = Break { revision: record.revision, id: Some(record.id), fault: Fault::Inserted, detail };
        Box::new(Self { found, watch: Watch::Heir { hash, belongs } })
    }

    /// A row after the one that does not fit.
    pub(super) fn look_at(&mut self, entry: &AuditEntry) {
        match std::mem::replace(&mut self.watch, Watch::Nothing) {
            Watch::Nothing => {}
            Watch::Heir { hash, belongs } => {
                if entry.previous == hash {
                    self.found = belongs;
                }
            }
            Watch::Rightful { hash, standing } => {
                if entry.previous == hash && entry.hash == entry.record.hash_as(self.found.revision, &hash) {
                    self.found = displaced(&self.found, standing.as_deref(), entry);
                } else {
                    self.watch = Watch::Rightful { hash, standing };
                }
            }
        }
    }

    /// There is no further row; the hash is the one that the database keeps as its newest.
    pub(super) fn end(self, kept: Option<&[u8]>) -> Break {
        match self.watch {
            Watch::Heir { hash, belongs } if kept == Some(hash.as_slice()) => belongs,
            _ => self.found,
        }
    }
}

/// The row that belongs here was found elsewhere: either the one that stands here has its own place, or it never had one.
fn displaced(found: &Break, standing: Option<&AuditEntry>, rightful: &AuditEntry) -> Break {
    let at = rightful.record.revision;
    let has_a_place = standing.is_none_or(|standing| {
        let previous = <[u8; 32]>::try_from(standing.previous.as_slice());
        previous.is_ok_and(|previous| standing.hash == standing.record.hash_as(at, &previous))
    });
    let (fault, detail) = match (has_a_place, at == found.revision) {
        (false, _) => (Fault::Inserted, format!("the row that belongs in its place stands at revision {at}")),
        (true, true) => (Fault::OutOfOrder, "it stands after later ones".to_owned()),
        (true, false) => (Fault::OutOfOrder, format!("the row that belongs here stands at revision {at}")),
    };
    let id = standing.unwrap_or(rightful).record.id.clone();
    Break { revision: found.revision, id: Some(id), fault, detail }
}
