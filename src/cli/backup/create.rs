//! `claviger backup create`.

use std::path::Path;

use serde_json::json;

use super::{file::Partial, postgres};
use crate::{
    cli::{
        desk::refuse_missing_file,
        exit::Exit,
        failure::Failure,
        output::{Output, fields, write_json, write_line},
    },
    config::Loaded,
    domain::random::Random,
    store::Store,
};

/// A schema that is behind or ahead is no obstacle: before an upgrade is when a backup is wanted.
pub(super) async fn run(loaded: &Loaded, file: &Path, output: Output) -> Result<Exit, Failure> {
    refuse_missing_file(loaded)?;
    let partial = Partial::create(file)?;
    let store = Store::open(&loaded.config.database, Random::System).await?;
    let written = write(loaded, &store, partial.path()).await;
    store.close().await;
    let engine = written?;
    let bytes = partial.publish()?;
    let view = json!({ "file": file.display().to_string(), "engine": engine, "bytes": bytes });
    match output {
        Output::Json => write_json(&view)?,
        Output::Id => write_line(&file.display().to_string())?,
        Output::Table => write_line(&fields(&view))?,
    }
    Ok(Exit::Ok)
}

/// Returns the engine's name.
async fn write(loaded: &Loaded, store: &Store, file: &Path) -> Result<&'static str, Failure> {
    // There is something to back up.
    store.head().await?;
    let libpq = loaded.config.database.libpq()?;
    if let (Some(libpq), Some((server, schema))) = (libpq, store.postgres_place().await?) {
        postgres::dump(&libpq, server, &schema, file)?;
        return Ok("postgres");
    }
    store.write_file(file).await?;
    Ok("sqlite")
}
