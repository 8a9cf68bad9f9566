//! Writes metrics in one of the two text formats, and decides which of them a reader wants.

use std::{fmt, io};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{prometheus_text, text as openmetrics_text};
use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Version 0.0.4 of Prometheus: what every reader understands, and the only one that the textfile collector of node_exporter takes
    Prometheus,
    /// OpenMetrics 1.0
    OpenMetrics,
}

impl Format {
    /// The one that an HTTP header `Accept` prefers; OpenMetrics only where it is named.
    pub fn of_accept(accept: &str) -> Self {
        let mut openmetrics = 0;
        let mut prometheus = 0;
        for range in accept.split(',') {
            let mut words = range.split(';').map(str::trim);
            let kind = words.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut is_known) = (1_000, true);
            for (name, value) in words.filter_map(|word| word.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = thousandths(value),
                    "version" => is_known = matches!(value, "1.0.0" | "0.0.4"),
                    _ => {}
                }
            }
            let best = match kind.as_str() {
                "application/openmetrics-text" if is_known => &mut openmetrics,
                "text/plain" | "text/*" | "*/*" => &mut prometheus,
                _ => continue,
            };
            *best = weight.max(*best);
        }
        if openmetrics > 0 && openmetrics >= prometheus { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The header `Content-Type` of a text in it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A quality value of HTTP (`0.75`) in thousandths; 0 where it is none.
fn thousandths(value: &str) -> u32 {
    let value: f32 = value.parse().unwrap_or_default();
    // Not a number is 0, and so is less; more is 1.
    (value.clamp(0.0, 1.0) * 1_000.0) as u32
}

/// Writes what is exported as a text, piece by piece.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut dyn io::Write, exported: impl Collector, format: Format) -> io::Result<()> {
    let mut registry = Registry::with_prefix("lbd");
    registry.register_collector(Box::new(exported));
    let mut text = TextWriter { out, result: Ok(()) };
    let written = match format {
        Format::Prometheus => prometheus_text::encode(&mut text, &registry),
        Format::OpenMetrics => openmetrics_text::encode(&mut text, &registry),
    };
    text.result.and(written.map_err(io::Error::other))
}

/// A writer of texts over one of bytes, which knows why it has failed.
struct TextWriter<'a> {
    out: &'a mut dyn io::Write,
    result: io::Result<()>,
}

impl fmt::Write for TextWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.write_all(text.as_bytes()).map_err(|error| {
            self.result = Err(error);
            fmt::Error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_name_it_and_do_not_like_another_one_better() {
        use Format::{OpenMetrics, Prometheus};
        // The first is that of Prometheus 2.42.
        for (accept, format) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            ("application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", OpenMetrics),
            ("Application/OpenMetrics-Text", OpenMetrics),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.6", Prometheus),
            ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=nan", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("*/*", Prometheus),
            ("", Prometheus),
            (";;,=;q==", Prometheus),
        ] {
            assert_eq!(Format::of_accept(accept), format, "{accept}");
        }
    }
}
