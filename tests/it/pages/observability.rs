//! `docs/observability.md`: every span, attribute, metric and log field, as the program has them.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use claviger::telemetry::names::{
    Field, OF_CALLS, OF_DECISIONS, OF_LINES, OF_RESOURCES, OF_SPANS,
    metrics::{ALL, Kind, Metric},
};

use super::Page;
use crate::support::program::shipped_directory;

const PAGE: &str = "docs/observability.md";

/// The tables of the page by the marks that stand before them.
fn tables() -> Vec<(&'static str, String)> {
    let fields = [
        ("OF_DECISIONS", OF_DECISIONS),
        ("OF_CALLS", OF_CALLS),
        ("OF_SPANS", OF_SPANS),
        ("OF_RESOURCES", OF_RESOURCES),
        ("OF_LINES", OF_LINES),
    ];
    let of_names = fields.into_iter().map(|(mark, fields)| (mark, table_of_fields(fields)));
    of_names.chain([("EVENTS", list_of_events()), ("METRICS", table_of_metrics())]).collect()
}

fn table_of_fields(fields: &[Field]) -> String {
    let mut table = "| name | value | meaning |\n|---|---|---|\n".to_owned();
    for Field { name, kind, meaning } in fields {
        let _ = writeln!(table, "| `{name}` | {kind} | {meaning} |");
    }
    table
}

fn table_of_metrics() -> String {
    let mut table = "| OTLP | Prometheus | kind | labels | meaning |\n|---|---|---|---|---|\n".to_owned();
    for metric in ALL {
        let Metric { name, kind, labels, help, .. } = metric;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(table, "| `{name}` | `{}` | {kind} | {} | {help} |", metric.prometheus_name(), labels.join(" "));
    }
    table
}

fn list_of_events() -> String {
    let names: Vec<_> = fields_of_events(Path::new("src")).into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ") + "\n"
}

/// The names of the fields in every call of `tracing` under a directory, as its macros read them.
fn fields_of_events(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(shipped_directory(directory.to_str().unwrap())).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(fields_of_events(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            for macro_name in ["error", "warn", "info", "debug", "trace"] {
                names.extend(text.split(&format!("tracing::{macro_name}!(")).skip(1).flat_map(fields_of));
            }
        }
    }
    names
}

/// The fields before the message, which is the first text that is not a value.
fn fields_of(arguments: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut part) = (0, false, String::new());
    let mut parts = Vec::new();
    for c in arguments.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted && depth > 0 => depth -= 1,
            ')' if !quoted => break,
            ',' if !quoted && depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    let names = parts.iter().map(|part| part.split('=').next().unwrap().trim().trim_start_matches(['%', '?']));
    names.filter(|name| !name.is_empty() && !name.starts_with('"')).map(str::to_owned).collect()
}

#[test]
fn the_page_lists_every_span_attribute_metric_and_log_field() {
    let page = Page::read(PAGE, &[]);
    let mut right = page.text.to_owned();
    for (mark, table) in tables() {
        let mark = format!("<!-- {mark} -->\n\n");
        let (before, after) = right.split_once(&mark).unwrap_or_else(|| panic!("there is no {mark}"));
        // A table goes on until an empty line.
        let rest = after.split_once("\n\n").map_or(String::new(), |(_, rest)| format!("\n{rest}"));
        right = format!("{before}{mark}{table}{rest}");
    }
    if page.text != right {
        let path = shipped_directory("target").join("observability.md");
        fs::write(&path, right).unwrap();
        panic!("{PAGE} is not what the program does: {} is", path.display());
    }
    for link in page.links() {
        assert!(shipped_directory(&link).exists(), "there is no {link}");
    }
}

#[test]
fn the_fields_of_an_event_are_read_as_its_macro_reads_them() {
    for (arguments, fields) in [
        (r#""a message");"#, vec![]),
        (r#"%error, "why, (or not)");"#, vec!["error"]),
        (r#"key = %caller.facts().key, ?step, age = ?self.age(), "a");"#, vec!["key", "step", "age"]),
        (r#"signal = if patient { "SIGTERM" } else { "SIGINT" }, "stopping");"#, vec!["signal"]),
        (r#"?decision.policies, "denied");"#, vec!["decision.policies"]),
    ] {
        assert_eq!(fields_of(arguments), fields, "{arguments}");
    }
}
