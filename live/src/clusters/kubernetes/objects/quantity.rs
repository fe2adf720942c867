//! Amounts as Kubernetes writes them: `500m`, `1.5Gi`, `2e3`.

/// Decimal suffixes and the power of ten that each stands for.
const DECIMAL: [(&str, i32); 9] =
    [("", 0), ("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15)];

/// Binary suffixes and the power of two that each stands for.
const BINARY: [(&str, u32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// An exact amount in billionths of its unit, rounded up as the API server does; `None` where the
/// text is no amount of 0 or more, or a larger one than 128 bits hold.
pub(super) fn nanos(text: &str) -> Option<i128> {
    let number = text.strip_prefix('+').unwrap_or(text);
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (number, suffix) = number.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut mantissa: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        // The only other byte that `find` lets through is a second dot.
        let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
        mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
    }
    let mut ten = 9 - i32::try_from(fraction.len()).ok()?;
    if let Some((_, two)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        mantissa = mantissa.checked_mul(1 << two)?;
    } else {
        ten += power_of_ten(suffix)?;
    }
    scaled(mantissa, ten)
}

fn power_of_ten(suffix: &str) -> Option<i32> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some(*power);
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    match exponent {
        // `E` alone is the suffix exa; `e` alone is nothing.
        "" => suffix.starts_with('E').then_some(18),
        _ => exponent.parse().ok().filter(|power| (-100..=100).contains(power)),
    }
}

/// `mantissa` times 10 to the power of `ten`, rounded up.
fn scaled(mantissa: i128, ten: i32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    match 10_i128.checked_pow(ten.unsigned_abs()) {
        Some(power) if ten >= 0 => mantissa.checked_mul(power),
        Some(power) => Some(mantissa / power + i128::from(mantissa % power > 0)),
        None if ten >= 0 => None,
        None => Some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::nanos;
    use proptest::prelude::*;

    const ONE: i128 = 1_000_000_000;

    #[test]
    fn every_suffix_is_read_exactly() {
        for (text, expected) in [
            ("0", 0),
            ("1", ONE),
            ("500m", ONE / 2),
            ("250u", 250_000),
            ("7n", 7),
            ("1.5", 3 * ONE / 2),
            (".5", ONE / 2),
            ("5.", 5 * ONE),
            ("2k", 2_000 * ONE),
            ("3M", 3_000_000 * ONE),
            ("4G", 4_000_000_000 * ONE),
            ("5T", 5_000_000_000_000 * ONE),
            ("6P", 6_000_000_000_000_000 * ONE),
            ("7E", 7_000_000_000_000_000_000 * ONE),
            ("1Ki", 1024 * ONE),
            ("1.5Gi", 1_610_612_736 * ONE),
            ("129Mi", 135_266_304 * ONE),
            ("2Ei", (2_i128 << 60) * ONE),
            ("12e6", 12_000_000 * ONE),
            ("12E6", 12_000_000 * ONE),
            ("15e-1", 3 * ONE / 2),
            ("+2", 2 * ONE),
            ("0.1000000000000000000000000000000000000000000000", ONE / 10),
        ] {
            assert_eq!(nanos(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn less_than_a_billionth_is_rounded_up() {
        assert_eq!(nanos("0.1n"), Some(1));
        assert_eq!(nanos("1e-60"), Some(1));
        assert_eq!(nanos("1.0000000001"), Some(ONE + 1));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "m", "-1", "1.2.3", "1 Gi", "1gi", "1e", "1e1.5", "0x10", "1E99", "K"]
        {
            assert_eq!(nanos(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_whole_number_of_thousandths_is_what_it_says(milli in 0_u64..u64::MAX) {
            let expected = Some(i128::from(milli) * 1_000_000);
            prop_assert_eq!(nanos(&format!("{milli}m")), expected);
            prop_assert_eq!(nanos(&format!("{}.{:03}", milli / 1000, milli % 1000)), expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.eEmKGi+-]{0,60}") {
            let _ = nanos(&text);
        }
    }
}
