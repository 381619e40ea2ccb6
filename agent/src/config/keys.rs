//! Unknown keys: each with its line and the nearest key that is known there.

use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The tables and the keys that each takes. The empty name is the top of the file. A test holds this against the shapes
/// in `raw`.
pub(super) const KNOWN: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "state",
            "site",
            "uplink",
            "collector",
            "proxy",
            "target",
            "probing",
            "resolver",
            "https",
            "spool",
            "limits",
        ],
    ),
    ("site", &["name", "provider", "location", "prefixes"]),
    ("uplink", &["name", "provider", "location", "prefixes", "source_v4", "source_v6", "interface", "dscp"]),
    ("collector", &["url", "trust", "retire_on_removal"]),
    ("proxy", &["use", "url", "username", "password_file", "bypass", "probe"]),
    ("target", &["name", "service", "address", "probes", "interval", "issuer"]),
    (
        "probing",
        &[
            "timeout",
            "deadline",
            "icmp_engine",
            "source_v4",
            "source_v6",
            "interface",
            "dscp",
            "families",
            "interval",
            "capture_paths",
        ],
    ),
    ("resolver", &["servers"]),
    ("https", &["ca_file"]),
    ("spool", &["max_bytes", "max_age"]),
    ("limits", &["allow", "max_packets_per_second"]),
];

/// Keys that people look for and that are not there, each with its table and why.
const REFUSED: &[(&str, &str, &str)] = &[(
    "proxy",
    "pac_url",
    "is not supported: a PAC file is a program, and what was downloaded is never run within the agent; name the proxy that it leads to, with use = \"static\" and url, or on Windows have the system run it, with use = \"system\"",
)];

/// Names every unknown key, or says why the text is not TOML.
pub(super) fn unknown(text: &str) -> Result<Vec<String>, String> {
    let file = DeTable::parse(text).map_err(|error| located(text, &error))?;
    let mut unknown = Vec::new();
    visit(text, "", file.get_ref(), &mut unknown);
    unknown.sort_unstable();
    Ok(unknown.into_iter().map(|(_, problem)| problem).collect())
}

/// An error of the TOML parser with its line.
pub(super) fn located(text: &str, error: &toml::de::Error) -> String {
    match error.span() {
        Some(span) => format!("line {}: {}", line(text, &span), error.message()),
        None => error.message().to_owned(),
    }
}

fn visit(text: &str, name: &str, table: &DeTable<'_>, unknown: &mut Vec<(usize, String)>) {
    let Some((_, known)) = KNOWN.iter().find(|(table, _)| *table == name) else { return };
    for (key, value) in table {
        let (word, at) = (key.get_ref().as_ref(), line(text, &key.span()));
        if let Some((_, _, why)) = REFUSED.iter().find(|(table, key, _)| (*table, *key) == (name, word)) {
            unknown.push((at, format!("line {at}: `{word}` {why}")));
        } else if !known.contains(&word) {
            let place = if name.is_empty() { String::new() } else { format!(" in [{name}]") };
            unknown.push((at, format!("line {at}: `{word}` is not a key{place}{}", advice(word, known))));
        } else if name.is_empty() {
            match value.get_ref() {
                DeValue::Table(inner) => visit(text, word, inner, unknown),
                DeValue::Array(items) => {
                    for inner in items.iter().filter_map(|item| item.get_ref().as_table()) {
                        visit(text, word, inner, unknown);
                    }
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_) => {}
            }
        }
    }
}

fn advice(word: &str, known: &[&str]) -> String {
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)));
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => String::new(),
    }
}

fn line(text: &str, span: &Range<usize>) -> usize {
    1 + text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count()
}
