//! Prometheus text as its readers read it: strictly.
#![expect(clippy::float_cmp, reason = "counts are whole numbers, and what else is compared went through no arithmetic")]

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) type Labels = BTreeMap<String, String>;

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    pub(crate) at: f64,
}

/// Everything on a page.
#[derive(Debug)]
pub(crate) struct Scrape(pub(crate) Vec<Sample>);

impl Scrape {
    /// Asks a listener for metrics, in the form that this media type names.
    pub(crate) async fn of(url: &str, accept: &str) -> (Self, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header("accept", accept).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, accept));
        let text = answer.text().await.unwrap();
        (if accept == OPEN_METRICS { Self::open_metrics(&text) } else { Self::classic(&text) }, text)
    }

    /// Reads the classic form, which has no exemplars.
    #[track_caller]
    pub(crate) fn classic(text: &str) -> Self {
        let read = Self::read(text.lines());
        assert!(read.0.iter().all(|sample| sample.exemplar.is_none()), "{text}");
        read
    }

    /// Reads OpenMetrics, and claims what that promises beyond the classic form.
    #[track_caller]
    pub(crate) fn open_metrics(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the end is marked");
        let (mut types, mut family) = (BTreeMap::new(), String::new());
        for line in body.lines() {
            if let Some(told) = line.strip_prefix("# ") {
                let mut words = told.splitn(3, ' ');
                let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                match what {
                    "TYPE" => assert!(types.insert(name.to_owned(), rest.to_owned()).is_none(), "{name} comes twice"),
                    "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                    "HELP" => name.clone_into(&mut family),
                    _ => panic!("{line}"),
                }
                assert_eq!(name, family, "families are mixed: {line}");
            } else {
                let sample = sample(line);
                let suffix = sample.name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} after {family}"));
                let allowed: &[&str] = match &*types[&family] {
                    "counter" => &["_total"],
                    "info" => &["_info"],
                    "gauge" => &[""],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    other => panic!("{other}"),
                };
                assert!(allowed.contains(&suffix), "{line}");
                assert!(sample.exemplar.is_none() || suffix == "_bucket", "{line}");
                sample.exemplar.iter().for_each(|exemplar| assert_fits(exemplar, &sample.labels["le"]));
            }
        }
        Self::read(body.lines())
    }

    #[track_caller]
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let samples: Vec<_> = lines.filter(|line| !line.starts_with('#')).map(sample).collect();
        let series: BTreeSet<_> = samples.iter().map(|sample| (&sample.name, &sample.labels)).collect();
        assert_eq!(series.len(), samples.len(), "a series comes twice");
        let read = Self(samples);
        read.assert_buckets_add_up();
        read
    }

    fn assert_buckets_add_up(&self) {
        let mut last = BTreeMap::new();
        for sample in &self.0 {
            let Some(name) = sample.name.strip_suffix("_bucket") else { continue };
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").unwrap();
            let before = last.insert((name, labels.clone()), sample.value).unwrap_or_default();
            assert!(before <= sample.value, "{sample:?}");
            if bound == "+Inf" {
                let all = self.0.iter().find(|other| other.name == format!("{name}_count") && other.labels == labels);
                assert_eq!(all.unwrap().value, sample.value, "{sample:?}");
            }
        }
    }

    /// The samples of this name with at least these labels.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let fits = |sample: &Sample| labels.iter().all(|(name, text)| sample.labels.get(*name).is_some_and(|own| own == text));
        self.0.iter().filter(|sample| sample.name == name && fits(sample)).collect()
    }

    /// Their sum.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).iter().map(|sample| sample.value).sum()
    }

    /// Every text of a label.
    pub(crate) fn texts(&self, label: &str) -> BTreeSet<&str> {
        self.0.iter().filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }
}

fn assert_fits(exemplar: &Exemplar, bound: &str) {
    let length: usize = exemplar.labels.iter().map(|(name, text)| name.chars().count() + text.chars().count()).sum();
    assert!(length <= 128, "{exemplar:?}");
    assert!(bound == "+Inf" || exemplar.value <= bound.parse().unwrap(), "{exemplar:?} in {bound}");
}

#[track_caller]
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
    let (name, rest) = line.split_at(end);
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
    let (labels, rest) = if rest.starts_with('{') { labels(rest) } else { (Labels::new(), rest) };
    let (value, exemplar) = rest.strip_prefix(' ').unwrap().split_once(" # ").map_or((&rest[1..], None), |(value, exemplar)| {
        let (labels, rest) = self::labels(exemplar);
        let (value_of, at) = rest.strip_prefix(' ').unwrap().split_once(' ').unwrap();
        (value, Some(Exemplar { labels, value: value_of.parse().unwrap(), at: at.parse().unwrap() }))
    });
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap_or_else(|_| panic!("{line}")), exemplar }
}

/// Reads `{name="text",…}`, and returns what follows.
fn labels(text: &str) -> (Labels, &str) {
    let (mut labels, mut rest) = (Labels::new(), text.strip_prefix('{').unwrap());
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().unwrap() {
                (_, '\\') => value.push(if characters.next().unwrap().1 == 'n' { '\n' } else { '?' }),
                (at, '"') => break at,
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{text}");
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').unwrap_or_else(|| panic!("{text}"))),
        }
    }
}
