//! The caller's span: `traceparent` of W3C Trace Context.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// `00-` + 32 + `-` + 16 + `-` + 2
const VERSION_00: usize = 55;
/// Later versions may say more; nobody needs to say this much.
const LONGEST: usize = 512;

/// The caller's trace and span. Its sampled flag is not kept: a caller cannot silence the record of its own decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: TraceId,
    pub span: SpanId,
}

impl TraceParent {
    /// Reads a `traceparent` header; `None` when it is malformed, over-long, or names no span.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let bytes = header.as_bytes();
        let version = hex::<1>(bytes.get(..2)?)?;
        let shape_fits = match (version, bytes.get(VERSION_00)) {
            ([0xff], _) => false,
            ([0], more) => more.is_none(),
            (_, more) => more.is_none_or(|b| *b == b'-') && bytes.len() <= LONGEST,
        };
        let dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !shape_fits || !dashes {
            return None;
        }
        let trace = TraceId::from_bytes(hex(bytes.get(3..35)?)?);
        let span = SpanId::from_bytes(hex(bytes.get(36..52)?)?);
        hex::<1>(bytes.get(53..VERSION_00)?)?;
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span })
    }

    /// Makes a `tracing` span that was not entered yet a child of the caller's span.
    pub fn adopt(self, span: &tracing::Span) {
        let remote = SpanContext::new(self.trace, self.span, TraceFlags::SAMPLED, true, TraceState::NONE);
        // Without an endpoint no span can have a parent, which is no error.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

/// Lower-case hex of exactly `N` bytes.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let parent = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((parent.trace.to_string(), parent.span.to_string()), (TRACE.to_owned(), SPAN.to_owned()));
    }

    #[test]
    fn an_unsampled_parent_is_a_parent() {
        assert_eq!(TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00")), TraceParent::parse(&format!("00-{TRACE}-{SPAN}-01")));
    }

    #[test]
    fn a_later_version_may_say_more_after_a_dash() {
        for more in ["", "-", "-what-the-future-holds"] {
            assert!(TraceParent::parse(&format!("cc-{TRACE}-{SPAN}-01{more}")).is_some(), "{more}");
        }
        assert_eq!(TraceParent::parse(&format!("cc-{TRACE}-{SPAN}-01.more")), None);
        assert_eq!(TraceParent::parse(&format!("cc-{TRACE}-{SPAN}-01-{}", "x".repeat(500))), None);
    }

    #[test]
    fn what_is_malformed_names_no_parent() {
        let zeros = "0".repeat(32);
        for header in [
            String::new(),
            "-".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}é-{SPAN}-01", &TRACE[..30]),
        ] {
            assert_eq!(TraceParent::parse(&header), None, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn every_well_formed_parent_keeps_its_ids(trace in 1u128.., span in 1u64.., flags: u8, version in 0u8..0xff) {
            let parent = TraceParent::parse(&format!("{version:02x}-{trace:032x}-{span:016x}-{flags:02x}"));
            prop_assert_eq!(parent, Some(TraceParent { trace: trace.into(), span: span.into() }));
        }

        #[test]
        fn one_wrong_character_makes_version_00_no_parent(at in 0usize..55, wrong in "[^0-9a-f-]") {
            let mut header: Vec<char> = format!("00-{TRACE}-{SPAN}-01").chars().collect();
            header[at] = wrong.chars().next().unwrap();
            prop_assert_eq!(TraceParent::parse(&header.into_iter().collect::<String>()), None);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", near in "[0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-.{0,4}") {
            let _ = TraceParent::parse(&text);
            let _ = TraceParent::parse(&near);
        }
    }
}
