//! Where a secret's text comes from: the file itself, an environment variable, or a file of its own.

use std::fs;

use blake3::Hash;
use typingd_providers::Secret;

use super::file::Environment;

/// Before a digest that `typingd keys new` printed.
pub(crate) const HASHED: &str = "blake3:";

/// The text of a secret, as configured.
///
/// # Errors
/// Why it cannot be had; never a piece of it.
pub(super) fn text(configured: &str, environment: &Environment) -> Result<String, String> {
    let text = if let Some(name) = configured.strip_prefix("env:") {
        environment.get(name).cloned().ok_or_else(|| format!("the environment variable {name} is not set"))?
    } else if let Some(path) = configured.strip_prefix("file:") {
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {}", error.kind()))?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        configured.to_owned()
    };
    if text.is_empty() { Err("expected a secret, which is not empty".to_owned()) } else { Ok(text) }
}

/// A credential that callers will show. A digest is only worth something under the pepper it was made with.
///
/// # Errors
/// Why it cannot be had; never a piece of it.
pub(super) fn credential(
    configured: &str,
    environment: &Environment,
    has_pepper: bool,
) -> Result<Secret, String> {
    let text = text(configured, environment)?;
    let Some(digest) = text.strip_prefix(HASHED) else { return Ok(Secret::Clear(text)) };
    if !has_pepper {
        return Err("a hashed credential needs `keys.pepper`, the one it was made with".to_owned());
    }
    Hash::from_hex(digest)
        .map(Secret::Hashed)
        .map_err(|_| "expected 64 hexadecimal digits after `blake3:`".to_owned())
}

/// A key of 32 bytes, written as 64 hexadecimal digits.
///
/// # Errors
/// Why it cannot be had; never a piece of it.
pub(super) fn key(configured: &str, environment: &Environment) -> Result<[u8; 32], String> {
    let text = text(configured, environment)?;
    Hash::from_hex(&text).map(Into::into).map_err(|_| "expected a key of 64 hexadecimal digits".to_owned())
}
