//! After quiet nothing is on: no lease in the store, none that a node knows or vouches for, no dots. Nothing excuses it.

pub(crate) const NAME: &str = "after quiet nothing is on";

/// Counts what is still on of each kind.
pub(crate) fn is_quiet(counts: &[(&str, usize)]) -> Result<(), String> {
    let left: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
}
