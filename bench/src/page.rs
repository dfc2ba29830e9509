//! A page with parts that are replaced.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

pub(crate) struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    pub(crate) fn open(path: &str) -> Result<Self> {
        let path = PathBuf::from(path);
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { path, text })
    }

    /// Puts a text between `<!-- NAME -->` and `<!-- /NAME -->`.
    pub(crate) fn replace(&mut self, name: &str, text: &str) -> Result<()> {
        let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
        let place = || format!("{} has no place for {name}", self.path.display());
        let from = self.text.find(&begin).with_context(place)? + begin.len();
        let to = from + self.text[from..].find(&end).with_context(place)?;
        self.text.replace_range(from..to, &format!("\n{}\n", text.trim_end()));
        Ok(())
    }

    pub(crate) fn save(&self) -> Result<()> {
        fs::write(&self.path, &self.text)
            .with_context(|| format!("{} cannot be written", self.path.display()))
    }
}
