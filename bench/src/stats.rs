//! Medians, and numbers for people.

/// The middle one. Nothing measured is not a number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Of rounds in which both were measured, the median of the ratios: what disturbed a round disturbed both.
pub(crate) fn median_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}

/// With thousands apart, and no more digits than mean something: `12,300`, `980`, `0.97`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    let digits = (value.abs().log10().floor() as i32 - 2).max(0);
    let unit = 10_f64.powi(digits);
    let whole = format!("{:.0}", (value / unit).round() * unit);
    let mut grouped = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && digit != '-' && (whole.len() - at) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn numbers_have_three_digits_that_mean_something() {
        for (value, said) in [
            (0.967, "0.97"),
            (98.7, "99"),
            (987.0, "987"),
            (1_234.0, "1,230"),
            (1_234_567.0, "1,230,000"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), said);
        }
    }
}
