//! Settings and policies: what lies on this machine.

use super::diagnosis::Check;
use crate::{
    cli::{
        exit::Exit,
        failure::Failure,
        policy_source::{PolicySource, PolicySourceArgs},
    },
    config::Loaded,
    domain::secret::Hashing,
    policy::Engine,
};

/// Whether the settings can be read; what comes of them only then.
///
/// # Errors
/// A file that a flag names and that is not there.
pub(super) fn check(settings: Result<Loaded, Failure>) -> Result<(Vec<Check>, Option<Loaded>), Failure> {
    const NEEDED: [&str; 7] = ["pepper", "policies", "database", "schema", "hashes", "permissions", "audit"];
    match settings {
        Ok(loaded) => {
            let set = loaded.settings().iter().filter(|setting| setting.source != "default").count();
            Ok((vec![Check::ok("settings", format!("readable, {set} of them set"))], Some(loaded)))
        }
        Err(failure) if failure.exit == Exit::Usage => Err(failure),
        Err(failure) => {
            let remedy = "correct it; `claviger config check` prints every setting and where it comes from";
            let mut checks = vec![Check::problem("settings", failure.reason(), remedy)];
            checks.extend(NEEDED.map(|check| Check::not_checked(check, "the settings cannot be read")));
            Ok((checks, None))
        }
    }
}

/// Whether new secrets are hashed with a pepper.
pub(super) fn check_pepper(loaded: &Loaded) -> Check {
    const CHECK: &str = "pepper";
    match loaded.config.keys.peppers() {
        Err(error) => Check::problem(CHECK, error, "correct the setting"),
        Ok(peppers) if matches!(peppers.current, Hashing::Plain) => Check::warning(
            CHECK,
            "none is configured: secrets are hashed with plain SHA-256, so whoever can write to the database can make keys",
            "set `keys.pepper` to `id:secret`, and `keys.retired_pepper` to `plain` until the secrets of now are rotated",
        ),
        Ok(peppers) => {
            let id = |hashing: &Hashing| hashing.pepper_id().map_or_else(|| "plain".to_owned(), |id| format!("`{id}`"));
            let retired = peppers.retired.as_ref().map(|retired| format!(", {} is retired", id(retired)));
            Check::ok(CHECK, format!("{} is current{}", id(&peppers.current), retired.unwrap_or_default()))
        }
    }
}

/// Whether a server would start with the policies, and the engine if so.
pub(super) fn check_policies(loaded: &Loaded, args: &PolicySourceArgs) -> (Check, Option<Engine>) {
    const CHECK: &str = "policies";
    let unread = |failure: &Failure| Check::problem(CHECK, failure.reason(), "name the directories, or make the files readable");
    let source = match PolicySource::find(loaded, args) {
        Ok(source) => source,
        Err(failure) => return (unread(&failure), None),
    };
    let files = match source.read() {
        Ok(files) => files,
        Err(failure) => return (unread(&failure), None),
    };
    let settings = match loaded.config.policies.settings() {
        Ok(settings) => settings,
        Err(error) => return (Check::problem(CHECK, error, "correct the setting"), None),
    };
    let engine = match Engine::load(&files, &settings) {
        Ok(engine) => engine,
        Err(error) => {
            let remedy = "correct the file; `claviger policy check` shows every finding with its place in the text";
            return (Check::problem(CHECK, error, remedy), None);
        }
    };
    let (policies, permissions) = (engine.policies().len(), engine.permissions().len());
    let loaded = format!("{policies} policies, {permissions} permissions, {}", engine.digest());
    let check = match source {
        PolicySource::Dirs(_) => Check::ok(CHECK, loaded),
        PolicySource::Shipped => Check::warning(
            CHECK,
            format!("there are no directories `policies` and `schema`: `dev` uses the built-in ones ({loaded}), `serve` none"),
            "run `claviger init` to write the built-in ones out, or set `policies.dir` and `policies.schema`",
        ),
    };
    (check, Some(engine))
}
