//! What a restore undoes: every "no" of the live database that the backup does not have.

mod line;

use std::collections::BTreeMap;

use self::line::{AdminLine, KeyLine, Line, OrgLine, SecretLine};
use super::{Head, Store, StoreError, moment::Moment};
use crate::domain::{
    clock::Timestamp,
    name::{Name, Reason},
};

/// What was ended, narrowed or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Of a key or an admin token.
    Revocation,
    Disabling,
    /// An expiry that was set or brought forward.
    Expiry,
    /// Permissions that were taken away.
    Reduction,
    /// A secret that was ended, or has an end now.
    Rotation,
    Suspension,
    Deletion,
    /// The live row cannot be read, and so opens nothing.
    Unreadable,
    /// The live database does not have the row.
    Absence,
}

/// One "no" that a restore undoes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    pub what: Ending,
    /// Of the org, the key or the admin.
    pub id: String,
    pub name: String,
    /// The org of a key.
    pub org: Option<String>,
    /// For an expiry and a reduction, when the key was last changed; for a rotation, the end of the secret.
    pub at: Option<Timestamp>,
    pub reason: Option<String>,
    /// Which permissions, which secret.
    pub detail: Option<String>,
}

/// Everything that a restore undoes, and what it makes disappear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undoing {
    /// Where the live database stood before it was compared.
    pub head: Head,
    pub undone: Vec<Undone>,
    /// Orgs, keys, secrets of keys that stay, and admins that are not in the backup.
    pub orgs: u64,
    pub keys: u64,
    pub secrets: u64,
    pub admins: u64,
}

impl Store {
    /// Compares this database with a backup, row by row, at `now`.
    ///
    /// # Errors
    /// When the database cannot be read at all; a row that cannot be read is an [`Ending::Unreadable`].
    pub async fn undone_by(&self, backup: &Self, now: Timestamp) -> Result<Undoing, StoreError> {
        let head = self.head().await?;
        let mut undoing = Undoing { head, undone: Vec::new(), orgs: 0, keys: 0, secrets: 0, admins: 0 };
        line::compare::<OrgLine>(self, backup, |live, kept| undoing.take_org(live, kept)).await?;
        line::compare::<KeyLine>(self, backup, |live, kept| undoing.take_key(live, kept, now)).await?;
        line::compare::<AdminLine>(self, backup, |live, kept| undoing.take_admin(live, kept)).await?;
        Ok(undoing)
    }
}

impl Undoing {
    fn take_org(&mut self, live: Option<&Line<OrgLine>>, kept: Option<&Line<OrgLine>>) {
        match (live, kept) {
            (Some(_), None) => self.orgs += 1,
            (live, Some(Line::Read(kept))) if kept.deleted_at.is_none() => {
                let item = |what, at: Option<Moment>, reason: Option<&Reason>| Undone {
                    at: at.map(|at| at.0),
                    reason: reason.map(ToString::to_string),
                    ..Undone::of(what, &kept.id, &kept.name)
                };
                match live {
                    None => self.undone.push(item(Ending::Absence, None, None)),
                    Some(Line::Broken) => self.undone.push(item(Ending::Unreadable, None, None)),
                    Some(Line::Read(live)) => {
                        if live.deleted_at.is_some() {
                            self.undone.push(item(Ending::Deletion, live.deleted_at, None));
                        }
                        if live.suspended_at.is_some() && kept.suspended_at.is_none() {
                            self.undone.push(item(Ending::Suspension, live.suspended_at, live.reason.as_ref()));
                        }
                    }
                }
            }
            (_, _) => {}
        }
    }

    fn take_key(&mut self, live: Option<&Line<KeyLine>>, kept: Option<&Line<KeyLine>>, now: Timestamp) {
        match (live, kept) {
            (Some(_), None) => self.keys += 1,
            // What is revoked in the backup stays closed, whatever else differs.
            (live, Some(Line::Read(kept))) if kept.revoked_at.is_none() && !kept.org_deleted => match live {
                None => self.undone.push(kept.undone(Ending::Absence)),
                Some(Line::Broken) => self.undone.push(kept.undone(Ending::Unreadable)),
                Some(Line::Read(live)) => {
                    let known = |secret: &&SecretLine| kept.secrets.iter().any(|other| other.id == secret.id);
                    self.secrets += live.secrets.iter().filter(|secret| !known(secret)).count() as u64;
                    key_endings(live, kept, now, &mut self.undone);
                }
            },
            (_, _) => {}
        }
    }

    fn take_admin(&mut self, live: Option<&Line<AdminLine>>, kept: Option<&Line<AdminLine>>) {
        match (live, kept) {
            (Some(_), None) => self.admins += 1,
            (live, Some(Line::Read(kept))) if kept.revoked_at.is_none() => {
                let item = |what, at| Undone { at, ..Undone::of(what, &kept.id, &kept.name) };
                match live {
                    None => self.undone.push(item(Ending::Absence, None)),
                    Some(Line::Broken) => self.undone.push(item(Ending::Unreadable, None)),
                    Some(Line::Read(live)) => {
                        self.undone.extend(live.revoked_at.map(|at| item(Ending::Revocation, Some(at.0))));
                    }
                }
            }
            (_, _) => {}
        }
    }
}

/// What was done to a key that the backup does not know of.
fn key_endings(live: &KeyLine, kept: &KeyLine, now: Timestamp, undone: &mut Vec<Undone>) {
    let item = |what, at: Option<Moment>| Undone { at: at.map(|at| at.0), ..live.undone(what) };
    if live.revoked_at.is_some() {
        let reason = live.reason.as_ref().map(ToString::to_string);
        undone.push(Undone { reason, ..item(Ending::Revocation, live.revoked_at) });
    }
    if live.disabled_at.is_some() && kept.disabled_at.is_none() {
        undone.push(item(Ending::Disabling, live.disabled_at));
    }
    if ends_earlier(live.expires_at, kept.expires_at, now) {
        let detail = live.expires_at.map(|at| format!("expires at {}", at.0));
        undone.push(Undone { detail, ..item(Ending::Expiry, Some(live.updated_at)) });
    }
    let taken: Vec<&str> = kept.permissions.difference(&live.permissions).map(String::as_str).collect();
    if !taken.is_empty() {
        undone.push(Undone { detail: Some(taken.join(", ")), ..item(Ending::Reduction, Some(live.updated_at)) });
    }
    let secrets: BTreeMap<&str, &SecretLine> = live.secrets.iter().map(|secret| (&*secret.id, secret)).collect();
    for secret in &kept.secrets {
        let detail = Some(secret.hint.clone());
        match secrets.get(&*secret.id) {
            Some(live) if ends_earlier(live.expires_at, secret.expires_at, now) => {
                undone.push(Undone { detail, ..item(Ending::Rotation, live.expires_at) });
            }
            None if secret.expires_at.is_none_or(|end| now < end.0) => {
                undone.push(Undone { detail, ..item(Ending::Absence, None) });
            }
            _ => {}
        }
    }
}

/// Whether the end came nearer; one that is over in the backup, too, opens nothing.
fn ends_earlier(live: Option<Moment>, kept: Option<Moment>, now: Timestamp) -> bool {
    live.is_some_and(|live| kept.is_none_or(|kept| live.0 < kept.0 && now < kept.0))
}

impl Undone {
    fn of(what: Ending, id: &str, name: &Name) -> Self {
        Self { what, id: id.to_owned(), name: name.to_string(), org: None, at: None, reason: None, detail: None }
    }
}
