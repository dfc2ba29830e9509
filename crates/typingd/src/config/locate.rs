//! Finding the line on which a key of a TOML text stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, counted from 1, on which the value at `path` stands (as in `tenants[0].kaleyra[1].sid`), or of what is
/// nearest above it.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut span: Option<Range<usize>> = None;
    let mut here: Option<&Spanned<DeValue<'_>>> = None;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        let found = match (here.map(Spanned::get_ref), step.strip_suffix(']')) {
            (None, None) => table.get_ref().get(step),
            (Some(DeValue::Table(table)), None) => table.get(step),
            (Some(DeValue::Array(array)), Some(index)) => {
                index.parse::<usize>().ok().and_then(|index| array.get(index))
            }
            _ => None,
        };
        let Some(found) = found else { break };
        span = Some(found.span());
        here = Some(found);
    }
    span.map(|span| line_at(text, span.start))
}

/// The line of a byte, counted from 1.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count() + 1
}
