//! Durations as LiveKit writes them in YAML (Go's notation): `500ms`, `5s`, `1m30s`.

use serde::{Deserialize, Deserializer, Serializer};
use std::time::Duration;

/// Writes a duration in the largest unit that holds it exactly.
pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let milliseconds = duration.as_millis();
    let text = if milliseconds.is_multiple_of(1_000) {
        format!("{}s", milliseconds / 1_000)
    } else {
        format!("{milliseconds}ms")
    };
    serializer.serialize_str(&text)
}

/// Reads a duration.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("{text:?} is not a duration such as \"500ms\", \"5s\" or \"1m30s\""))
    })
}

/// Reads Go's notation; at most ten years, so that no later sum can overflow.
fn parse(text: &str) -> Option<Duration> {
    const SECONDS_MAX: f64 = 315_360_000.0;
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = next;
    }
    (seconds <= SECONDS_MAX).then(|| Duration::from_secs_f64(seconds))
}

/// Reads a duration given on the command line.
///
/// # Errors
/// A sentence for the user.
pub fn from_flag(text: &str) -> Result<Duration, String> {
    parse(text).ok_or_else(|| format!("{text:?} is not a duration such as \"90s\", \"30m\" or \"6h\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_notation_is_read() {
        let cases = [("500ms", 500), ("5s", 5_000), ("1m30s", 90_000), ("1.5s", 1_500), ("6h", 21_600_000)];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "s", "5 s", "5x", "-5s", "1..5s", "999999999h", "5s5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
