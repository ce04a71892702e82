//! `GET /docs/errors`: every code, what it means and what to do. Each error's `docs_url` leads here.

use std::fmt::Write as _;

use axum::{extract::State, response::Html};

use super::state::AppState;

/// What a page says about a code.
pub(super) struct Explanation {
    pub code: &'static str,
    pub status: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

const fn explain(code: &'static str, status: &'static str, meaning: &'static str, remedy: &'static str) -> Explanation {
    Explanation { code, status, meaning, remedy }
}

/// The codes of the product itself, by name.
pub(super) const EXPLANATIONS: [Explanation; 23] = [
    explain(
        "BEHIND_REVISION",
        "503",
        "The server has not read the revision that `Claviger-Min-Revision` asks for, and did not within half a second.",
        "Try again after `Retry-After` seconds, or ask the server that answered the write.",
    ),
    explain(
        "CONFLICT",
        "409",
        "The state of things stands against the change: a slug that is taken, a revoked key, the last owner.",
        "Read the message, and the object as it is now.",
    ),
    explain(
        "FORBIDDEN",
        "403",
        "An admin's role does not allow the call, or a policy without a code of its own forbids the request.",
        "Ask an owner, or look at the policy that `policies` names.",
    ),
    explain("INTERNAL", "500", "The server failed. Nothing was allowed.", "Look for the request id in the server's log."),
    explain(
        "INVALID_ADMIN_TOKEN",
        "401",
        "The admin token is missing, mistyped, unknown or revoked.",
        "Send `Authorization: Bearer op_admin_…`; make a token with `claviger admin create`.",
    ),
    explain(
        "INVALID_API_KEY",
        "401",
        "The API key is missing, mistyped, unknown, revoked, disabled or expired. Which of these is never told.",
        "Send `Authorization: Bearer op_live_…`; look the key up by its last four characters.",
    ),
    explain(
        "INVALID_CONTEXT",
        "422",
        "The context does not fit the type that the schema declares for the action, or sets what the server sets.",
        "Compare it with the action's `context` in the schema.",
    ),
    explain(
        "INVALID_REQUEST",
        "400 or 422",
        "The request has another shape than the call takes (400), or a value that it does not accept (422); `param` names it.",
        "Correct what `param` names.",
    ),
    explain(
        "METHOD_NOT_ALLOWED",
        "405",
        "The path exists, but not with this method.",
        "Use one of the methods in the `Allow` header.",
    ),
    explain(
        "NOT_FOUND",
        "404",
        "There is no such path, or no such object.",
        "Check the spelling; paths are taken as they stand, ids are never reused.",
    ),
    explain(
        "NOT_READY",
        "503",
        "The server has not read the database's present history yet (it starts, or a backup was restored), or it is stopping.",
        "Try again after `Retry-After` seconds, on another replica if there is one; `/readyz` says when it is ready.",
    ),
    explain(
        "ORGANIZATION_SUSPENDED",
        "403",
        "The organization is suspended: none of its keys may do anything.",
        "Settle the reason and unsuspend it.",
    ),
    explain(
        "OUTCOME_UNKNOWN",
        "503",
        "The database did not say whether the change was made.",
        "Read the object before you repeat the change; a call with an `Idempotency-Key` may be sent again as it is.",
    ),
    explain(
        "PERMISSION_DENIED",
        "403",
        "No policy permits the request. When exactly one permission would change that, `details.missing_permission` names it. With the setting `policies.explain_denials`, `details` also shows the policies that are about the request, clause by clause.",
        "Grant the permission to the key, or use another key.",
    ),
    explain(
        "POLICY_ERROR",
        "403",
        "A policy could not be evaluated, or would have allowed what no policy may. That denies.",
        "Look for the decision id in the server's log, and run `claviger policy test`.",
    ),
    explain("REQUEST_TIMEOUT", "408", "The body took longer than ten seconds to arrive.", "Send it in one piece."),
    explain(
        "REQUEST_TOO_LARGE",
        "413",
        "The body is larger than the call accepts: 64 KiB for decisions, 1 MiB for management calls.",
        "Send less.",
    ),
    explain(
        "STALE_SNAPSHOT",
        "503",
        "The server has not reached its database for longer than `consistency.max_staleness`, so it decides nothing.",
        "Try again after `Retry-After` seconds, on another replica if there is one; see whether the database runs.",
    ),
    explain(
        "STORE_UNAVAILABLE",
        "503",
        "The database does not answer. Nothing was changed; decisions go on from memory.",
        "Try again after `Retry-After` seconds.",
    ),
    explain(
        "TOO_MANY_STREAMS",
        "429",
        "As many streams of decisions are open as one server feeds: eight.",
        "Close one, or read `GET /v1/decisions` now and then.",
    ),
    explain(
        "UNKNOWN_ACTION",
        "422",
        "The action is no permission of the schema in force.",
        "Compare it with `GET /v1/permissions`; the message suggests the nearest name.",
    ),
    explain(
        "UNKNOWN_PERMISSION",
        "422",
        "A key cannot be granted what the schema does not declare.",
        "Use one of `details.valid`.",
    ),
    explain(
        "UNKNOWN_RESOURCE_TYPE",
        "422",
        "The action does not apply to resources of this type.",
        "Use a type that the schema's `appliesTo` names for the action.",
    ),
];

/// The page: the product's codes, then those that the policies in force bring.
#[utoipa::path(get, path = "/docs/errors", operation_id = "error_docs", tag = "health", security(()),
    responses((status = 200, content_type = "text/html", body = String)))]
pub(super) async fn error_docs(State(app): State<AppState>) -> Html<String> {
    let mut page = String::from(HEAD);
    for Explanation { code, status, meaning, remedy } in &EXPLANATIONS {
        section(&mut page, code, status, meaning, remedy);
    }
    let snapshot = app.keeper.current();
    for (code, message) in snapshot.policies().engine.codes() {
        if !EXPLANATIONS.iter().any(|known| *known.code == *code) {
            let meaning = format!("A policy forbids the request: {message}.");
            section(&mut page, &code, "403", &meaning, "Look at the policy that `policies` of the answer names.");
        }
    }
    page.push_str("</main>\n</html>\n");
    Html(page)
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Claviger: error codes</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
  main { max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
  h2 { font: 600 1.1rem ui-monospace, monospace; margin: 2rem 0 0 }
  h2 small { font-weight: 400; opacity: .7 }
  section:target { outline: 2px solid; outline-offset: .5rem }
  p { margin: .25rem 0 }
</style>
<main>
<h1>Error codes</h1>
<p>Every error has a stable code, a message, the request's id and a link to this page. Only a 200 is an allow.</p>
";

fn section(page: &mut String, code: &str, status: &str, meaning: &str, remedy: &str) {
    let (code, meaning, remedy) = (escape(code), markup(meaning), markup(remedy));
    let _ = write!(
        page,
        "<section id=\"{code}\">\n<h2><a href=\"#{code}\">{code}</a> <small>{status}</small></h2>\n<p>{meaning}</p>\n<p>{remedy}</p>\n</section>\n"
    );
}

/// Codes and messages come from policy files, which people write.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Backticks become `code`.
fn markup(text: &str) -> String {
    let parts = escape(text);
    let parts = parts.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}
