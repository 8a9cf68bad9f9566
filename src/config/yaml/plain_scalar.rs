//! Types of plain scalars in YAML: a number, true or false, null, or text.

/// The type of a scalar, with its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) enum PlainScalar {
    /// Null: `key:`, `~` or `null`
    Null,
    Boolean(bool),
    Integer(i128),
    Fraction,
    Text,
}

impl PlainScalar {
    /// The type of a scalar without quotes: YAML 1.2's core schema as serde_yaml reads it, in which `yes` and `007` are text.
    pub(in crate::config) fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Boolean(true),
            "false" | "False" | "FALSE" => return Self::Boolean(false),
            _ => {}
        }
        // By far the most numbers are like this.
        if let Some(number) = short(text.as_bytes()) {
            return Self::Integer(number.into());
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        // No number begins in another way or holds a colon, and most values are none.
        if !digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
            || digits.contains(':')
        {
            return Self::Text;
        }
        let radix = |prefix: &str, radix| {
            let digits = digits.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-']))?;
            i128::from_str_radix(digits, radix).ok()
        };
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = are_digits && digits.len() > 1 && digits.starts_with('0');
        let decimal = || (are_digits && !leading_zero).then(|| digits.parse().ok()).flatten();
        let number =
            decimal().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2));
        match number {
            Some(number) => Self::Integer(if negative { -number } else { number }),
            None if leading_zero => Self::Text,
            None if is_float(digits) => Self::Fraction,
            None => Self::Text,
        }
    }
}

/// A number of a few digits, in the plainest way.
fn short(text: &[u8]) -> Option<u32> {
    let is_plain = match text {
        [first, more @ ..] => more.is_empty() || (*first != b'0' && more.len() < 9),
        [] => false,
    };
    let digit = |number: u32, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'));
    if is_plain { text.iter().try_fold(0, digit) } else { None }
}

fn is_float(text: &str) -> bool {
    // (Rust reads `inf` and `nan` as numbers, YAML does not; but those begin with a letter.)
    matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
        || text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_means_what_serde_yaml_takes_it_for() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "nULL",
            "1",
            "-1",
            "+1",
            "0",
            "-0",
            "007",
            "00",
            "1_0",
            "99999999",
            "999999999",
            "4294967295",
            "4294967296",
            "12345678901",
            "0x10",
            "-0x10",
            "0o17",
            "0b11",
            "0x",
            "0xg",
            "1_000",
            "1.5",
            ".5",
            "5.",
            "1e3",
            "1e999",
            ".inf",
            "-.inf",
            ".nan",
            "inf",
            "nan",
            "true",
            "True",
            "tRUE",
            "yes",
            "on",
            "80-90",
            "30s",
            "192.168.8.14",
            "1.2.3",
            "50%",
            "+",
            "--1",
            "+-1",
            "0x-1",
            "1:30",
            "::1",
        ] {
            let expected =
                match serde_yaml::from_str::<serde_yaml::Value>(&format!("a: {text}")).unwrap().get("a") {
                    Some(serde_yaml::Value::Bool(flag)) => PlainScalar::Boolean(*flag),
                    Some(serde_yaml::Value::Number(number)) if number.is_f64() => PlainScalar::Fraction,
                    Some(serde_yaml::Value::Number(number)) => PlainScalar::Integer(
                        number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)).unwrap(),
                    ),
                    Some(serde_yaml::Value::String(_)) => PlainScalar::Text,
                    Some(serde_yaml::Value::Null) => PlainScalar::Null,
                    other => panic!("{text}: {other:?}"),
                };
            assert_eq!(PlainScalar::of_plain(text), expected, "{text}");
        }
    }
}
