//! The servers that decide from one database, as the database or one of them tells it.

use std::{collections::BTreeSet, time::Duration};

use super::diagnosis::{Check, counted};
use crate::domain::{clock::Timestamp, replica::Replica};

/// A replica polls four times a second; one that was not seen for this long is not well.
const STALE_MS: i64 = 5_000;
/// Every replica that is well has what was written by the end of this.
const BREATH: Duration = Duration::from_secs(1);

/// Everybody at one moment.
#[derive(Debug)]
pub(super) struct Look {
    /// How far the history has come.
    pub revision: i64,
    pub now: Timestamp,
    pub sights: Vec<Sight>,
}

/// One server.
#[derive(Debug)]
pub(super) struct Sight {
    pub id: String,
    pub address: String,
    pub version: String,
    pub policy_set: String,
    pub acked_revision: Option<i64>,
    pub seen_at: Timestamp,
}

impl From<&Replica> for Sight {
    fn from(replica: &Replica) -> Self {
        Self {
            id: replica.presence.id.to_string(),
            address: replica.presence.address.clone(),
            version: replica.presence.version.clone(),
            policy_set: replica.policy_set.clone(),
            acked_revision: replica.acked_revision,
            seen_at: replica.seen_at,
        }
    }
}

impl Sight {
    fn lag(&self, revision: i64) -> Option<i64> {
        self.acked_revision.map(|acked| revision.saturating_sub(acked).max(0))
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        self.silent_ms(now) > STALE_MS
    }

    fn silent_ms(&self, now: Timestamp) -> i64 {
        now.as_millis().saturating_sub(self.seen_at.as_millis())
    }

    fn name(&self) -> String {
        format!("`{}` at {}", self.id, self.address)
    }
}

/// Looks at them; once more after a second when one lacks something, which is nothing while it is about to get it.
pub(super) async fn check(check: &'static str, look: impl AsyncFn() -> Result<Look, Check>) -> Check {
    let first = match look().await {
        Ok(first) => first,
        Err(unread) => return unread,
    };
    let is_behind = |sight: &Sight| sight.lag(first.revision) != Some(0);
    if !first.sights.iter().any(is_behind) {
        return judge(check, first.revision, &first);
    }
    tokio::time::sleep(BREATH).await;
    match look().await {
        Ok(second) => judge(check, first.revision, &second),
        Err(unread) => unread,
    }
}

/// What is wrong with some servers that should all have come to `revision`.
fn judge(check: &'static str, revision: i64, look: &Look) -> Check {
    let (stale, fresh): (Vec<&Sight>, Vec<&Sight>) = look.sights.iter().partition(|sight| sight.is_stale(look.now));
    let mut found: Vec<(String, &str)> = Vec::new();
    for sight in stale {
        let finding = format!("{} was last seen {} s ago", sight.name(), sight.silent_ms(look.now) / 1_000);
        found.push((finding, "see whether it is stopped or cut from the database; when it is gone, the others forget it"));
    }
    for sight in fresh.iter().filter(|sight| sight.lag(revision) != Some(0)) {
        let lag = sight.lag(revision).map_or_else(
            || "has loaded nothing yet".to_owned(),
            |lag| format!("lacks {}", counted(lag, "revision", "revisions")),
        );
        found.push((format!("{} {lag}", sight.name()), "look at its log: it cannot read what was written"));
    }
    if let Some(versions) = differing(&fresh, |sight| &sight.version) {
        found.push((format!("they run versions {versions}"), "end the upgrade"));
    }
    if let Some(sets) = differing(&fresh, |sight| &sight.policy_set) {
        found.push((format!("they decide by policies {sets}"), "give all of them the same files"));
    }
    if found.is_empty() {
        let count = counted(i64::try_from(fresh.len()).unwrap_or(i64::MAX), "server decides", "servers decide");
        return Check::ok(check, format!("{count} from this database, none behind"));
    }
    let findings: Vec<_> = found.iter().map(|(finding, _)| &**finding).collect();
    let mut remedies: Vec<_> = found.iter().map(|(_, remedy)| *remedy).collect();
    remedies.dedup();
    Check::warning(check, findings.join("; "), &remedies.join("; "))
}

/// The different values and who has them, when there are several. A value that is not told yet differs from none.
fn differing<'a>(sights: &[&'a Sight], value: impl Fn(&'a Sight) -> &'a String) -> Option<String> {
    let told = |sight: &&'a Sight| Some(value(sight)).filter(|value| !value.is_empty());
    let values: BTreeSet<&String> = sights.iter().filter_map(told).collect();
    let who = |wanted: &String| {
        let names = sights.iter().filter(|sight| value(sight) == wanted).map(|sight| &*sight.address);
        format!("{wanted} ({})", names.collect::<Vec<_>>().join(", "))
    };
    (values.len() > 1).then(|| values.iter().map(|value| who(value)).collect::<Vec<_>>().join(" and "))
}
