//! Environment variables in place of the file's scalars, outside the tenants: `TYPINGD_LISTEN_ADDRESS` for
//! `listen.address`.

use toml::{Table, Value};

use super::file::{ConfigError, Environment};

/// What a variable's text becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
}

/// The scalars of each section. Those that lie in lists have no variable.
const SECTIONS: [(&str, &[(&str, Kind)]); 8] = [
    ("listen", &[("address", Kind::Text), ("certificate", Kind::Text), ("key", Kind::Text)]),
    ("operators", &[("address", Kind::Text)]),
    ("keys", &[("pepper", Kind::Text)]),
    (
        "limits",
        &[
            ("connections", Kind::Number),
            ("streams", Kind::Number),
            ("stream_backlog", Kind::Number),
            ("sides", Kind::Number),
            ("listing", Kind::Number),
            ("opened", Kind::Number),
            ("head_timeout_ms", Kind::Number),
            ("body_timeout_ms", Kind::Number),
            ("write_timeout_ms", Kind::Number),
            ("idle_timeout_ms", Kind::Number),
            ("drain_notice_ms", Kind::Number),
            ("drain_timeout_ms", Kind::Number),
            ("failed_authentications_per_minute", Kind::Number),
        ],
    ),
    (
        "policy",
        &[
            ("min_ttl_ms", Kind::Number),
            ("max_ttl_ms", Kind::Number),
            ("max_guard_ms", Kind::Number),
            ("fence_ms", Kind::Number),
        ],
    ),
    ("history", &[("conversations", Kind::Number), ("entries", Kind::Number), ("minutes", Kind::Number)]),
    ("console", &[("enabled", Kind::Flag)]),
    (
        "store",
        &[
            ("cluster", Kind::Flag),
            ("prefix", Kind::Text),
            ("shards", Kind::Number),
            ("when_away", Kind::Text),
        ],
    ),
];

fn variable(section: &str, scalar: &str) -> String {
    format!("TYPINGD_{section}_{scalar}").to_ascii_uppercase()
}

/// Puts the variables that are set in place of the file's values.
pub(super) fn apply(file: &mut Table, environment: &Environment) -> Result<(), ConfigError> {
    for (section, scalars) in SECTIONS {
        for (scalar, kind) in scalars {
            let variable = variable(section, scalar);
            let Some(text) = environment.get(&variable) else { continue };
            let (value, expected) = match kind {
                Kind::Text => (Some(Value::String(text.clone())), "a text"),
                Kind::Number => (text.parse().ok().map(Value::Integer), "a whole number"),
                Kind::Flag => (text.parse().ok().map(Value::Boolean), "`true` or `false`"),
            };
            let value = value.ok_or_else(|| ConfigError {
                line: None,
                key: variable,
                why: format!("expected {expected}"),
            })?;
            let table = file.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(table) = table {
                table.insert((*scalar).to_owned(), value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn every_scalar_outside_the_tenants_has_a_variable() {
        let text = "[listen]\ncertificate = \"c\"\nkey = \"k\"\n[keys]\npepper = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";
        let printed: Table = toml::from_str(&file::print(text, &Environment::new()).unwrap()).unwrap();
        for (section, value) in printed.iter().filter(|(section, _)| *section != "tenants") {
            for (key, value) in value.as_table().unwrap().iter().filter(|(_, value)| !value.is_array()) {
                let kind = match value {
                    Value::String(_) => Kind::Text,
                    Value::Boolean(_) => Kind::Flag,
                    _ => Kind::Number,
                };
                let known = SECTIONS.iter().find(|(name, _)| name == section).map(|(_, scalars)| *scalars);
                let is_known = known.unwrap_or_default().iter().any(|(name, of)| name == key && *of == kind);
                assert!(is_known, "{section}.{key}");
            }
        }
    }

    #[test]
    fn a_variable_stands_in_place_of_the_file() {
        let set = |name: &str, value: &str| Environment::from([(name.to_owned(), value.to_owned())]);
        let text = "[limits]\nstreams = 7\n";
        let config = file::load(text, &set("TYPINGD_LIMITS_STREAMS", "9")).unwrap();
        assert_eq!(config.limits.hub.subscribers, 9);
        let config = file::load(text, &set("TYPINGD_LISTEN_ADDRESS", "127.0.0.1:1")).unwrap();
        assert_eq!(config.server.listen.port(), 1);
        let error = file::load(text, &set("TYPINGD_LIMITS_STREAMS", "many")).unwrap_err();
        assert_eq!(error.to_string(), "TYPINGD_LIMITS_STREAMS: expected a whole number");
        let config = file::load(text, &set("TYPINGD_CONSOLE_ENABLED", "true")).unwrap();
        assert_eq!(config.console, crate::config::Console::Login);
        let error = file::load(text, &set("TYPINGD_CONSOLE_ENABLED", "yes")).unwrap_err();
        assert_eq!(error.to_string(), "TYPINGD_CONSOLE_ENABLED: expected `true` or `false`");
        // What Kubernetes sets for a service of this name is nobody's setting.
        assert!(file::load(text, &set("TYPINGD_PORT", "tcp://10.0.0.1:80")).is_ok());
    }
}
