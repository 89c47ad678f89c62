//! Prometheus' text format (version 0.0.4): a head for each metric, and a line for each of its values.

use std::fmt::{Display, Write as _};

/// What a metric counts.
#[derive(Debug, Clone, Copy)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct MetricsText(String);

impl MetricsText {
    /// Begins a metric. Its lines follow.
    pub fn begin(&mut self, name: &str, kind: MetricKind, help: &str) {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds a line. Values of labels are written as they are: codes, ids and words, which need no escapes.
    pub fn push(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let sign = if at == 0 { '{' } else { ',' };
            self.write(format_args!("{sign}{label}=\"{text}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{end} {value}\n"));
    }

    /// A metric with one value.
    pub fn single(&mut self, name: &str, kind: MetricKind, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.push(name, &[], value);
    }

    pub fn into_string(self) -> String {
        self.0
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_text_has_a_head_and_a_line_for_each_value() {
        let mut text = MetricsText::default();
        text.single("up", MetricKind::Gauge, "Whether it runs.", 1);
        text.begin("hits_total", MetricKind::Counter, "Hits.");
        text.push("hits_total", &[("part", &"api"), ("status", &200)], 7);
        assert_eq!(
            text.into_string(),
            "# HELP up Whether it runs.\n# TYPE up gauge\nup 1\n\
             # HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total{part=\"api\",status=\"200\"} 7\n"
        );
    }
}
