//! What can be changed, and what comes of it.

use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cli::{failure::Failure, key::create::KeyOrder},
    domain::{
        admin::NewAdmin,
        id::{AdminId, KeyId, OrgId},
        name::Reason,
        org::NewOrg,
    },
};

/// A change of an org, a key or an admin.
#[derive(Debug)]
pub(in crate::cli) enum Change {
    CreateOrg(NewOrg),
    SuspendOrg(OrgId, Reason),
    UnsuspendOrg(OrgId, Reason),
    DeleteOrg(OrgId),
    CreateKey(OrgId, KeyOrder),
    RotateKey(KeyId, Duration),
    FinishRotation(KeyId),
    DisableKey(KeyId),
    EnableKey(KeyId),
    RevokeKey(KeyId, Option<Reason>),
    CreateAdmin(NewAdmin),
    RevokeAdmin(AdminId),
}

/// A change that was made: the view of what was changed, under the name that the HTTP API gives it.
#[derive(Debug)]
pub(in crate::cli) struct Done {
    pub name: &'static str,
    pub view: Value,
    pub revision: i64,
    /// There once, when the change made one.
    pub secret: Option<SecretString>,
}

impl Change {
    /// What an answer calls the thing that was changed.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::CreateOrg(_) | Self::SuspendOrg(..) | Self::UnsuspendOrg(..) | Self::DeleteOrg(_) => "org",
            Self::CreateKey(..)
            | Self::RotateKey(..)
            | Self::FinishRotation(_)
            | Self::DisableKey(_)
            | Self::EnableKey(_)
            | Self::RevokeKey(..) => "key",
            Self::CreateAdmin(_) | Self::RevokeAdmin(_) => "admin",
        }
    }

    /// Whether it makes a secret.
    pub(super) const fn makes_secret(&self) -> bool {
        matches!(self, Self::CreateKey(..) | Self::RotateKey(..) | Self::CreateAdmin(_))
    }
}

impl Done {
    pub(super) fn new(name: &'static str, view: &impl Serialize, revision: i64) -> Result<Self, Failure> {
        Ok(Self { name, view: serde_json::to_value(view).map_err(Failure::failed)?, revision, secret: None })
    }

    pub(super) fn with_secret(self, secret: impl Into<SecretString>) -> Self {
        Self { secret: Some(secret.into()), ..self }
    }

    /// The answer to a change as the HTTP API gives it, without a secret: `{name: view, revision}`.
    pub(in crate::cli) fn body(&self) -> Value {
        json!({ self.name: self.view, "revision": self.revision })
    }
}
