//! Settings: where they come from, what is wrong with them, what they hide.

use std::process::Command;

use serde_json::Value;

use super::{Ran, Shell};

const OLD: &str = "2025:an-old-pepper-of-more-than-32-characters";
const NEW: &str = "2026:a-new-pepper-of-more-than-32-characters";

impl Shell {
    fn configured(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command: Command = crate::support::program::command(self.path(), arguments);
        command.envs(environment.iter().copied());
        Ran::of(command, "")
    }
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name_and_where_it_stands() {
    let shell = Shell::new();
    for (text, words) in [
        ("[databse]\nurl = \"sqlite:a.db\"", &["`databse` is no setting; did you mean `database`?", "claviger.toml"][..]),
        ("[http]\nlissten = \"127.0.0.1:1\"", &["`http.lissten` is no setting; did you mean `http.listen`?"]),
        ("[keys]\nquux = 1", &["`keys.quux` is no setting:"]),
        ("[log]\ndecisions = \"often\"", &["`log.decisions` must be `off`, `denies` or `all`"]),
        ("[http]\nlisten = 80", &["`http.listen` must be a string"]),
        ("[trace]\nqueue = 1", &["`trace.queue` must be at least"]),
        ("[metrics]\nlissten = \"127.0.0.1:1\"", &["`metrics.lissten` is no setting; did you mean `metrics.listen`?"]),
        ("[metrics]\ninterval = \"often\"", &["`metrics`: `often` is no interval of exports"]),
        ("[metrics]\nendpoint = \"a:4318\"", &["`metrics`: `a:4318` is no URL of a collector"]),
        ("[database]\nurl = \"mysql://root:hunter22@db/a\"", &["neither `sqlite:` nor `postgres://`"]),
        ("[keys]\npepper = \"hunter22\"", &["`keys.pepper`: a pepper is `id:secret`"]),
        ("[keys]\npepper = 22", &["`keys.pepper` must be a"]),
        ("[keys]\nprefix = \"Op\"", &["`keys.prefix`: a prefix is"]),
        ("[log]\nfile_age = \"daily\"", &["`log.file_age` is a number above 0 and one of s, m, h, d"]),
        ("[log]\nfile_bytes = 1", &["`log.file_bytes` must be at least 65536"]),
        ("[log]\nfile = \"\"", &["`log.file` names no file"]),
        ("[record.mask]\n\"claviger.key.ids\" = \"hash\"", &["no field that can be masked; did you mean `claviger.key.id`?"]),
        ("[record.mask]\nclaviger.key.id = \"hsah\"", &["use `erase` or `hash`; did you mean `hash`?"]),
        ("[record.mask]\nclaviger.decision.id = \"hash\"", &["`claviger.decision.id` cannot be masked"]),
        ("[record.mask]\nclaviger.key.id = 22", &["the mask of a field is `erase` or `hash`"]),
        ("[record]\ncontext = [\"a\", \"a\"]", &["`record.context` has an attribute without a name, or one twice"]),
        ("[record]\nmasks = 1", &["`record.masks` is no setting; did you mean `record.mask`?"]),
        ("[log]\nlevel = \"loud\"", &["`loud` is no log level"]),
        ("[policies]\nsuspended_may = [\"Not One\"]", &["`policies.suspended_may`"]),
        ("[http\nlisten", &[]),
    ] {
        shell.write("claviger.toml", text);
        let ran = shell.configured(&["config", "check"], &[]);
        ran.refused(1, words.first().copied().unwrap_or_default());
        assert!(words.iter().all(|words| ran.err.contains(words)) && !ran.err.contains("hunter22"), "{text}: {ran:?}");
        shell.configured(&["serve"], &[]).expect(1);
        shell.configured(&["org", "list"], &[]).expect(1);
    }
    shell.configured(&["config", "check", "--config", "nowhere.toml"], &[]).refused(2, "`nowhere.toml` does not exist");
}

#[test]
fn an_unknown_variable_is_refused_like_an_unknown_key() {
    let shell = Shell::new();
    for (name, value, words) in [
        ("CLAVIGER_DATABASE__ULR", "x", "`database.ulr` is no setting; did you mean `database.url`?: from the environment"),
        ("CLAVIGER_LOGG__LEVEL", "info", "`logg` is no setting; did you mean `log`?"),
        ("CLAVIGER_LOG__DECISIONS", "often", "`log.decisions` must be `off`, `denies` or `all`"),
        ("CLAVIGER_TRACE__QUEUE", "many", "`trace.queue` must be"),
    ] {
        shell.configured(&["config", "check"], &[(name, value)]).refused(1, words);
    }
    shell.configured(&["config", "check"], &[("CLAVIGER_API_KEY", "x"), ("CLAVIGER_SERVER", "x")]).expect(0);
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_file() {
    let shell = Shell::new();
    shell.write("claviger.toml", "[database]\nurl = \"sqlite:file.db\"\n[log]\nlevel = \"warn\"\n[policies]\ndir = \"rules\"");
    let environment = [("CLAVIGER_DATABASE__URL", "sqlite:variable.db"), ("CLAVIGER_LOG__LEVEL", "debug")];
    let arguments = ["config", "check", "--database", "sqlite:flag.db", "-o", "json"];
    let ran = shell.configured(&arguments, &environment).expect(0);
    let settings: Value = serde_json::from_str(&ran.out).unwrap();
    let told = |key: &str| {
        let setting = settings.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap();
        (setting["value"].as_str().unwrap().to_owned(), setting["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(told("database.url"), ("sqlite:flag.db".into(), "a flag".into()));
    assert_eq!(told("log.level"), ("debug".into(), "the environment".into()));
    let (dir, source) = told("policies.dir");
    assert!(dir == "rules" && source.contains("claviger.toml"), "{source}");
    assert_eq!(told("http.listen"), ("127.0.0.1:8080".into(), "default".into()));
    let table = shell.configured(&["config", "check"], &environment).expect(0).out;
    assert!(table.lines().any(|line| line.starts_with("database.url") && line.ends_with("the environment")), "{table}");
}

#[test]
fn what_is_recorded_and_where_is_among_the_settings() {
    let shell = Shell::new();
    shell.write("claviger.toml", "[record.mask]\nclaviger.resource.id = \"hash\"\n\"claviger.context.ip\" = \"erase\"");
    let environment =
        [("CLAVIGER_RECORD__CONTEXT", r#"["ip", "purpose"]"#), ("CLAVIGER_LOG__FILE", "/var/log/claviger/decisions.jsonl")];
    let ran = shell.configured(&["config", "check", "-o", "json"], &environment).expect(0);
    let settings: Value = serde_json::from_str(&ran.out).unwrap();
    let told = |key: &str| settings.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap()["value"].clone();
    for (key, value) in [
        ("log.file", "/var/log/claviger/decisions.jsonl"),
        ("log.file_bytes", "104857600"),
        ("log.file_age", "1d"),
        ("log.files", "10"),
        ("record.mask", "claviger.context.ip=erase, claviger.resource.id=hash"),
        ("record.context", "ip, purpose"),
    ] {
        assert_eq!(told(key), value, "{key}");
    }
    let table = shell.configured(&["config", "check"], &[]).expect(1);
    assert!(table.err.contains("`claviger.context.ip` is no field that can be masked"), "{table:?}");
}

#[test]
fn the_settings_in_the_page_about_the_decision_log_are_settings() {
    let page = std::fs::read_to_string(crate::support::program::shipped_directory("docs/decision-log.md")).unwrap();
    let settings = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shell = Shell::new();
    shell.write("claviger.toml", settings);
    let table = shell.configured(&["config", "check"], &[]).expect(0).out;
    assert_eq!(table.matches("claviger.toml").count(), 7, "{table}");
}

#[test]
fn no_secret_is_among_the_settings() {
    let shell = Shell::new();
    let environment = [
        ("CLAVIGER_DATABASE__URL", "postgres://claviger:hunter22@db.example:5433/claviger"),
        ("CLAVIGER_KEYS__PEPPER", NEW),
        ("CLAVIGER_KEYS__RETIRED_PEPPER", OLD),
        ("CLAVIGER_TRACE__HEADERS", "{x-token=\"hunter22\"}"),
        ("CLAVIGER_TRACE__ENDPOINT", "https://me:hunter22@collector.example/otlp"),
        ("CLAVIGER_METRICS__HEADERS", "{x-measure=\"hunter22\"}"),
        ("CLAVIGER_METRICS__ENDPOINT", "https://me:hunter22@metrics.example"),
    ];
    for output in ["table", "json"] {
        let ran = shell.configured(&["config", "check", "-o", output], &environment).expect(0);
        for told in [
            "postgres://db.example:5433/claviger",
            "https://***@collector.example/otlp",
            "x-token=***",
            "x-measure=***",
            "https://***@metrics.example",
        ] {
            assert!(ran.out.contains(told), "{told}: {}", ran.out);
        }
        for secret in ["hunter22", &OLD[5..], &NEW[5..], "claviger:"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}: {ran:?}");
        }
    }
}

#[test]
fn a_key_made_under_the_old_pepper_works_until_that_is_forgotten() {
    let shell = Shell::new();
    let url = ("CLAVIGER_DATABASE__URL", "sqlite:claviger.db");
    let with_old = [url, ("CLAVIGER_KEYS__PEPPER", OLD)];
    shell.configured(&["org", "create", "Acme"], &with_old).expect(0);
    let create = ["key", "create", "--org", "acme", "--name", "CI", "--environment", "live", "--permission", "jobs:read"];
    let old = shell.configured(&create, &with_old).expect(0).line();
    let check = |secret: &str, environment: &[(&str, &str)]| {
        shell.configured(&["check", "jobs:read"], &[environment, &[("CLAVIGER_API_KEY", secret)]].concat()).code
    };
    let retired = [url, ("CLAVIGER_KEYS__PEPPER", NEW), ("CLAVIGER_KEYS__RETIRED_PEPPER", OLD)];
    let forgotten = [url, ("CLAVIGER_KEYS__PEPPER", NEW)];
    let new = shell.configured(&create, &retired).expect(0).line();
    assert_eq!((check(&old, &with_old), check(&new, &with_old)), (0, 4));
    assert_eq!((check(&old, &retired), check(&new, &retired)), (0, 0));
    assert_eq!((check(&old, &forgotten), check(&new, &forgotten)), (4, 0));
    let plain = shell.configured(&create, &[url]).expect(0).line();
    let from_plain = [url, ("CLAVIGER_KEYS__PEPPER", NEW), ("CLAVIGER_KEYS__RETIRED_PEPPER", "plain")];
    assert_eq!((check(&plain, &from_plain), check(&plain, &forgotten)), (0, 4));
}
