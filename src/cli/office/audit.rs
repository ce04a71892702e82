//! The audit log, whole: as it lies in the database, or page by page from a server.

use serde_json::Value;

use super::{Counter, List, Office, Side};
use crate::{
    cli::failure::Failure,
    domain::audit::{AuditCheck, AuditEntry, AuditFilter, AuditHead, Chain, Unreadable},
    http::{AuditHeadView, AuditView},
};

impl Office {
    /// Where the chain stands.
    pub(in crate::cli) async fn audit_head(&self) -> Result<AuditHead, Failure> {
        match &self.side {
            Side::Database(desk) => Ok(desk.store.audit_head().await?),
            Side::Counter(counter) => counter.audit_head().await,
        }
    }

    /// Reads every row, oldest first, a few at a time.
    pub(in crate::cli) async fn export_audit(
        &self,
        mut take: impl FnMut(AuditEntry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let counter = match &self.side {
            Side::Database(desk) => return desk.store.export_audit(take).await,
            Side::Counter(counter) => counter,
        };
        let unreadable = |row: Unreadable| Failure::failed(format!("a row of the audit log cannot be read: {}", row.why));
        counter.walk_audit(|row| take(row.map_err(unreadable)?)).await
    }

    /// Walks the chain. What a server says of its newest row counts as a head that was kept: rows may come in meanwhile.
    pub(in crate::cli) async fn verify_audit(&self, mut heads: Vec<AuditHead>) -> Result<AuditCheck, Failure> {
        let counter = match &self.side {
            Side::Database(desk) => return Ok(desk.store.verify_audit_against(heads).await?),
            Side::Counter(counter) => counter,
        };
        heads.push(counter.audit_head().await?);
        let mut chain = Chain::new(None, heads);
        counter
            .walk_audit(|row| {
                chain.take(row);
                Ok(())
            })
            .await?;
        Ok(chain.end())
    }
}

impl Counter {
    async fn audit_head(&self) -> Result<AuditHead, Failure> {
        let reply = self.read("/v1/audit/head").await?;
        let view = Some(&reply.body).filter(|_| reply.status == 200).cloned();
        let head = view.and_then(|view| serde_json::from_value::<AuditHeadView>(view).ok()?.head());
        head.ok_or_else(|| self.server.refusal(&reply))
    }

    async fn walk_audit(
        &self,
        mut take: impl FnMut(Result<AuditEntry, Unreadable>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (everything, mut after) = (AuditFilter::default(), None);
        loop {
            let page = self.page(List::Audit(&everything), after.as_deref()).await?;
            page.views.into_iter().try_for_each(|view| take(read_view(view)))?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

fn read_view(view: Value) -> Result<AuditEntry, Unreadable> {
    let revision = view.get("revision").and_then(Value::as_i64);
    let id = view.get("id").and_then(Value::as_str).map(str::to_owned);
    let unreadable = |why: String| Unreadable { revision, id, why };
    match serde_json::from_value::<AuditView>(view).map(AuditView::entry) {
        Ok(Some(entry)) => Ok(entry),
        Ok(None) => Err(unreadable("a hash is not written in hexadecimal digits".to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}
