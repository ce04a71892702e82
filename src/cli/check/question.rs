//! What is asked: the flags of `claviger check` as a body of `POST /v1/authorize`.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    cli::failure::Failure,
    domain::{decision, redact::redact},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct QuestionArgs {
    /// A permission
    #[arg(required = true)]
    action: Option<String>,
    /// What is acted on, as Cedar writes it: Type::"id" [default: the key's own organization]
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
    /// File with the context as JSON; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
}

/// A body of `POST /v1/authorize`. The context stays as it was written, so that the API judges it and not this command.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Question {
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Resource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Resource {
    r#type: String,
    id: String,
}

impl QuestionArgs {
    /// Whether standard input is taken.
    pub(super) fn is_from_stdin(&self) -> bool {
        self.context.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// Reads the flags, and the context from where they say.
    pub(in crate::cli) fn read(&self) -> Result<Question, Failure> {
        let action = self.action.clone().ok_or_else(|| Failure::usage("there is no action"))?;
        let resource = self.resource.as_deref().map(|text| {
            parse_resource(text).ok_or_else(|| {
                Failure::usage(format!("`{}` is no resource; write it as `Org::\"org_…\"`, quoted for the shell", redact(text)))
            })
        });
        Ok(Question { action, resource: resource.transpose()?, context: self.read_context()? })
    }

    fn read_context(&self) -> Result<Option<Box<RawValue>>, Failure> {
        let Some(path) = &self.context else { return Ok(None) };
        let read = if self.is_from_stdin() {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(path)
        };
        let text = read.map_err(|error| Failure::usage(format!("the context `{}` cannot be read: {error}", path.display())))?;
        let context = serde_json::from_str(&text);
        context.map(Some).map_err(|error| Failure::usage(format!("the context `{}` is no JSON: {error}", path.display())))
    }
}

impl Question {
    /// The same for the engine.
    ///
    /// # Errors
    /// A context that is no JSON object.
    pub(in crate::cli) fn into_request(self) -> Result<decision::Request, Failure> {
        let context = self.context.map(|context| serde_json::from_str(context.get())).transpose();
        let context = context.map_err(|error| Failure::usage(format!("the context is no JSON object: {error}")))?;
        let resource = self.resource.map(|Resource { r#type: kind, id }| decision::Resource { kind, id });
        Ok(decision::Request { action: self.action, resource, context: context.unwrap_or_default() })
    }
}

/// `Type::"id"`, the type with its namespace, the id with the escapes of a string.
fn parse_resource(text: &str) -> Option<Resource> {
    let (kind, quoted) = text.split_at_checked(text.find("::\"")?)?;
    let id = serde_json::from_str(quoted.strip_prefix("::")?).ok()?;
    (!kind.is_empty()).then(|| Resource { r#type: kind.to_owned(), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_written_as_cedar_writes_it() {
        for (text, kind, id) in [
            (r#"Org::"org_1""#, "Org", "org_1"),
            (r#"Shop::Order::"a b::\"c\"""#, "Shop::Order", "a b::\"c\""),
            (r#"Org::"""#, "Org", ""),
        ] {
            assert_eq!(parse_resource(text), Some(Resource { r#type: kind.to_owned(), id: id.to_owned() }), "{text}");
        }
        for text in ["", "Org", "Org::", "Org::org_1", r#"Org::"org_1"#, r#"::"org_1""#, r#"Org::"a" "b""#] {
            assert_eq!(parse_resource(text), None, "{text}");
        }
    }
}
