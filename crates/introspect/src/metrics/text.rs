//! Prometheus' text format and OpenMetrics: names, values and labels as lines. Knows no memory.
//!
//! Prometheus' exposition formats, version 0.0.4, and OpenMetrics 1.0.0.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::ValueEnum;

use super::family::{self, Family, Kind};

/// Format of metrics.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Prometheus' text format 0.0.4
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.0
    Openmetrics,
}

impl Format {
    /// Returns the type in HTTP.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Label of a series.
type Label<'a> = (&'static str, &'a str);

/// Values of series, by metric.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<&'static str, Vec<String>>);

impl Samples {
    /// Adds the value of a series. Labels are those of the metric, in order; that of a group can
    /// have the name of another property.
    pub(crate) fn add(&mut self, family: &'static Family, labels: &[Label<'_>], value: f64) {
        debug_assert!(value.is_finite(), "{}", family.name);
        debug_assert!(
            labels.len() == family.labels.len()
                && labels
                    .iter()
                    .zip(family.labels)
                    .all(|((name, _), of)| name == of || *of == family::GROUP),
            "{} {labels:?}",
            family.name
        );
        let mut line = format!("{}{}", family.name, family.kind.suffix());
        for (index, (name, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(line, "{before}{name}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            line.push('}');
        }
        // Never an exponent, and as many digits as identify the number.
        let _ = writeln!(line, " {value}");
        self.0.entry(family.name).or_default().push(line);
    }

    /// Adds the value of a series, if it is known.
    pub(crate) fn add_known(
        &mut self,
        family: &'static Family,
        labels: &[Label<'_>],
        value: Option<f64>,
    ) {
        if let Some(value) = value {
            self.add(family, labels, value);
        }
    }
}

/// Returns the value of a label between quotes.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            c => line.push(c),
        }
    }
    line
}

/// Returns all series, metric by metric.
pub(crate) fn write(samples: &Samples, format: Format) -> Vec<u8> {
    let mut text = String::new();
    for family in family::ALL {
        let Some(lines) = samples.0.get(family.name) else {
            continue;
        };
        // String's writer cannot fail.
        let _ = match format {
            Format::Prometheus => {
                let kind = match family.kind {
                    Kind::Info => Kind::Gauge,
                    kind => kind,
                };
                let name = format!("{}{}", family.name, family.kind.suffix());
                let (help, kind) = (family.help, kind.word());
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
            }
            Format::Openmetrics => {
                let (name, kind) = (family.name, family.kind.word());
                let unit = family.unit();
                let unit = unit.map_or(String::new(), |unit| format!("# UNIT {name} {unit}\n"));
                let help = family.help;
                writeln!(text, "# TYPE {name} {kind}\n{unit}# HELP {name} {help}")
            }
        };
        text.extend(lines.iter().map(String::as_str));
    }
    if format == Format::Openmetrics {
        text.push_str("# EOF\n");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(samples: &Samples) -> [String; 2] {
        [Format::Prometheus, Format::Openmetrics]
            .map(|format| String::from_utf8(write(samples, format)).unwrap())
    }

    #[test]
    fn a_counter_has_its_suffix_where_the_format_wants_it() {
        let mut samples = Samples::default();
        samples.add(&family::LOCK, &[], 0.25);
        samples.add(&family::BUILD, &[("version", "1")], 1.0);
        let [prometheus, openmetrics] = both(&samples);
        let help = family::LOCK.help;
        let name = "introspect_target_lock_seconds";
        let expected = format!(
            "# HELP {name}_total {help}\n# TYPE {name}_total counter\n{name}_total 0.25\n\
             # HELP introspect_build_info Version of the command.\n\
             # TYPE introspect_build_info gauge\nintrospect_build_info{{version=\"1\"}} 1\n"
        );
        assert_eq!(prometheus, expected);
        let expected = format!(
            "# TYPE {name} counter\n# UNIT {name} seconds\n# HELP {name} {help}\n\
             {name}_total 0.25\n# TYPE introspect_build info\n\
             # HELP introspect_build Version of the command.\n\
             introspect_build_info{{version=\"1\"}} 1\n# EOF\n"
        );
        assert_eq!(openmetrics, expected);
    }

    #[test]
    fn labels_are_escaped_and_numbers_are_whole() {
        let mut samples = Samples::default();
        let hostile = "a\\b\"c\nd} 7 # é";
        samples.add(
            &family::GROUP_SWAP,
            &[("container", hostile)],
            (1u64 << 53) as f64,
        );
        samples.add(&family::MEMORY, &[("use", "free"), ("node", "0")], 0.0);
        samples.add_known(&family::UNEXPLAINED, &[], None);
        let [prometheus, _] = both(&samples);
        let line = r#"introspect_group_swap_bytes{container="a\\b\"c\nd} 7 # é"} 9007199254740992"#;
        assert!(prometheus.ends_with(&format!("\n{line}\n")), "{prometheus}");
        assert!(prometheus.contains("\nintrospect_memory_bytes{use=\"free\",node=\"0\"} 0\n"));
        assert!(!prometheus.contains("unexplained"));
    }
}
