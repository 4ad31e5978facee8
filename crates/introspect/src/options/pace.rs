//! Parsers of `--interval` and `--budget`: how often something is read, and what it may cost.

use std::time::Duration;

/// Parses a time between two readings.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
    match allowed.contains(&time) {
        true => Ok(time),
        false => Err("it must be between 100ms and 1h".to_owned()),
    }
}

/// Parses a part of one CPU in percent, and returns thousandths.
pub(crate) fn budget(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let wrong = || "it must be a percentage between 0.1 and 100, such as 5%".to_owned();
    let percent = number.parse::<f64>().map_err(|_| wrong())?;
    match (0.1..=100.0).contains(&percent) {
        true => Ok((percent * 10.0).round() as u32),
        false => Err(wrong()),
    }
}
