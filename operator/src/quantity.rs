//! Kubernetes quantities: amounts out, texts in. Exact integers of thousandths, no floats.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Thousandths of a unit, for example of a CPU core.
#[must_use]
pub fn from_milli(milli: i64) -> Quantity {
    if milli % 1000 == 0 { Quantity((milli / 1000).to_string()) } else { Quantity(format!("{milli}m")) }
}

/// A whole number, for example of bytes or pods.
#[must_use]
pub fn from_whole(units: i64) -> Quantity {
    Quantity(units.to_string())
}

/// Thousandths of the unit that a quantity means, rounded up; `None` when it is none.
#[must_use]
pub fn parse_milli(text: &str) -> Option<i128> {
    let digits_end =
        text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let (numerator, denominator) = decimal(number)?;
    let (up, down) = factor(suffix)?;
    let top = numerator.checked_mul(up)?.checked_mul(1000)?;
    let bottom = denominator.checked_mul(down)?;
    let quotient = top.div_euclid(bottom);
    Some(if top.rem_euclid(bottom) == 0 { quotient } else { quotient + 1 })
}

/// Whole units, rounded up.
#[must_use]
pub fn parse_whole(text: &str) -> Option<i64> {
    let milli = parse_milli(text)?;
    i64::try_from(milli.div_euclid(1000) + i128::from(milli.rem_euclid(1000) != 0)).ok()
}

fn decimal(number: &str) -> Option<(i128, i128)> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = all.parse().ok()?;
    let denominator = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some((if negative { -value } else { value }, denominator))
}

fn factor(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let ten = 10_i128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (1, ten) } else { (ten, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_that_an_api_server_writes_are_read() {
        for (text, milli) in [
            ("250m", 250),
            ("2", 2_000),
            ("1.5", 1_500),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("100n", 1),
            ("-1", -1_000),
        ] {
            assert_eq!(parse_milli(text), Some(milli), "{text}");
        }
        for text in ["", "m", "1.2.3", "1x", "--1", "1-2"] {
            assert_eq!(parse_milli(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_survives_its_quantity(amount in 0..i64::MAX) {
            prop_assert_eq!(parse_milli(&from_milli(amount).0), Some(i128::from(amount)));
            prop_assert_eq!(parse_whole(&from_whole(amount).0), Some(amount));
        }
    }
}
