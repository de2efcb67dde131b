//! How values look in a table.

use serde_json::Value;

/// What stands where a line has no such value.
const NOTHING: &str = "–";

/// Microseconds in a millisecond, and in a second.
const MILLI: f64 = 1e3;
const SECOND: f64 = 1e6;

/// A text as it is; a whole number with its thousands divided; another with three digits.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.as_f64().map_or_else(|| NOTHING.to_owned(), number),
    }
}

/// A number of MiB.
pub(super) fn mebibytes(value: &Value) -> String {
    value.as_f64().map_or_else(|| NOTHING.to_owned(), |value| format!("{} MiB", number(value)))
}

/// A number of per cent.
pub(super) fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| NOTHING.to_owned(), |value| format!("{} %", number(value)))
}

/// Microseconds, in the unit that suits them.
pub(super) fn micros(value: &Value) -> String {
    value.as_f64().map_or_else(|| NOTHING.to_owned(), duration)
}

/// Milliseconds, in the unit that suits them.
pub(super) fn millis(value: &Value) -> String {
    value.as_f64().map_or_else(|| NOTHING.to_owned(), |value| duration(value * MILLI))
}

fn duration(micros: f64) -> String {
    match micros {
        micros if micros >= SECOND => format!("{} s", digits(micros / SECOND)),
        micros if micros >= MILLI => format!("{} ms", digits(micros / MILLI)),
        micros => format!("{} µs", digits(micros)),
    }
}

fn number(value: f64) -> String {
    if value.abs() < 1_000.0 {
        return digits(value);
    }
    let whole = format!("{:.0}", value.abs());
    let mut divided = String::with_capacity(whole.len() + whole.len() / 3 + 1);
    if value < 0.0 {
        divided.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            divided.push(',');
        }
        divided.push(digit);
    }
    divided
}

/// Three digits that count, and none of them a zero behind the point.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    match text.split_once('.') {
        Some((whole, behind)) => match behind.trim_end_matches('0') {
            "" => whole.to_owned(),
            behind => format!("{whole}.{behind}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_three_digits_or_divided_thousands() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.5"),
            (2.004, "2"),
            (3.25, "3.25"),
            (31.24, "31.2"),
            (100.4, "100"),
            (999.0, "999"),
            (1_000.0, "1,000"),
            (5_243_360.0, "5,243,360"),
            (-12_345.0, "-12,345"),
        ];
        for (value, text) in cases {
            assert_eq!(plain(&json!(value)), text);
        }
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        for (value, text) in
            [(1.2, "1.2 µs"), (843.26, "843 µs"), (9_764.0, "9.76 ms"), (2e6, "2 s")]
        {
            assert_eq!(micros(&json!(value)), text);
        }
        assert_eq!(millis(&json!(1_820.45)), "1.82 s");
    }

    #[test]
    fn what_a_line_does_not_have_is_a_dash() {
        for cell in [plain, mebibytes, percent, micros, millis] {
            assert_eq!(cell(&Value::Null), NOTHING);
        }
    }
}
