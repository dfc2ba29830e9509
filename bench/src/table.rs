//! A table in Markdown.

use std::fmt;

pub(crate) struct Table {
    columns: usize,
    lines: Vec<String>,
}

impl Table {
    /// The first column is text, all others are numbers.
    pub(crate) fn new(head: &[&str]) -> Self {
        let line = |cells: &[&str]| format!("| {} |", cells.join(" | "));
        let ruler: Vec<&str> = (0..head.len()).map(|at| if at == 0 { "---" } else { "---:" }).collect();
        Self { columns: head.len(), lines: vec![line(head), line(&ruler)] }
    }

    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.as_ref().to_owned()).collect();
        assert_eq!(cells.len(), self.columns, "a row has as many cells as the head");
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
