//! Amounts of money for people. Integers all the way.

use crate::language::Lang;

/// `1.234,56 €` or `EUR 1,234.56`.
pub(super) fn cents(cents: i64, currency: &str, lang: Lang) -> String {
    decimal(cents, 2, currency, lang)
}

/// Unit prices: as many digits after the point as needed, two at least.
pub(super) fn micro_euro(micro: i64, lang: Lang) -> String {
    let mut digits = 6;
    let mut amount = micro;
    while digits > 2 && amount % 10 == 0 {
        amount /= 10;
        digits -= 1;
    }
    decimal(amount, digits, "EUR", lang)
}

fn decimal(amount: i64, digits: u32, currency: &str, lang: Lang) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let unit = 10_u64.pow(digits);
    let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    let rest = format!("{rest:0width$}", width = digits as usize);
    match lang {
        Lang::De => {
            let currency = if currency == "EUR" { "€" } else { currency };
            format!("{sign}{},{rest} {currency}", grouped(whole, '.'))
        }
        Lang::En => format!("{currency} {sign}{}.{rest}", grouped(whole, ',')),
    }
}

fn grouped(whole: u64, separator: char) -> String {
    let digits = whole.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_the_language_wants_it() {
        assert_eq!(cents(123_456, "EUR", Lang::De), "1.234,56 €");
        assert_eq!(cents(123_456, "EUR", Lang::En), "EUR 1,234.56");
        assert_eq!(cents(-5, "EUR", Lang::De), "-0,05 €");
        assert_eq!(cents(-100_000_000, "EUR", Lang::En), "EUR -1,000,000.00");
        assert_eq!(cents(0, "EUR", Lang::De), "0,00 €");
        assert_eq!(cents(i64::MIN, "EUR", Lang::En), "EUR -92,233,720,368,547,758.08");
    }

    #[test]
    fn unit_prices_keep_every_digit_that_says_something() {
        assert_eq!(micro_euro(12_000, Lang::De), "0,012 €");
        assert_eq!(micro_euro(1_500_000, Lang::De), "1,50 €");
        assert_eq!(micro_euro(1, Lang::En), "EUR 0.000001");
    }
}
