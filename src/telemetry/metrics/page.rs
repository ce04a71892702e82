//! What `GET /metrics` answers.

use std::sync::Arc;

use super::{Metrics, Reader, text};

/// The two forms of Prometheus text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    Classic,
    /// OpenMetrics 1.0, the only one that has room for exemplars.
    OpenMetrics,
}

impl TextForm {
    /// The form that an `Accept` header prefers.
    #[must_use]
    pub fn preferred(accept: &str) -> Self {
        let weight = |media: &str| {
            let ranges = accept.split(',').filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media));
                let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
                let told = |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, text)| *text);
                let speaks = media == CLASSIC || told("version").is_none_or(|version| version.trim_matches('"') == "1.0.0");
                (named && speaks).then(|| told("q").map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
            });
            ranges.fold(0.0_f64, f64::max)
        };
        let open = weight(OPEN_METRICS);
        if open > 0.0 && open >= weight(CLASSIC) { Self::OpenMetrics } else { Self::Classic }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

const CLASSIC: &str = "text/plain";
const OPEN_METRICS: &str = "application/openmetrics-text";

/// Every metric as text.
#[derive(Debug, Clone)]
pub struct MetricsPage {
    pub(in crate::telemetry) metrics: Arc<Metrics>,
    pub(in crate::telemetry) reader: Reader,
}

impl MetricsPage {
    /// The page as of now.
    #[must_use]
    pub fn text(&self, form: TextForm) -> String {
        let read = self.reader.read();
        text::write(form, read.as_ref(), |door, bucket| self.metrics.exemplars.of(door, bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_preferred() {
        use TextForm::{Classic, OpenMetrics};
        for (accept, form) in [
            ("", Classic),
            ("*/*", Classic),
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", Classic),
            ("text/plain;version=0.0.4", Classic),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", OpenMetrics),
            ("Application/OpenMetrics-Text;version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Classic),
            ("application/openmetrics-text;q=0", Classic),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.7", Classic),
            ("application/openmetrics-text;q=often", Classic),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2",
                OpenMetrics,
            ),
        ] {
            assert_eq!(TextForm::preferred(accept), form, "{accept}");
        }
    }
}
