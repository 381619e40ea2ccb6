//! Which keys there are: an unknown one is an error that names the nearest.

/// How like a known key an unknown one must be before it is suggested (Jaro-Winkler).
const SIMILAR: f64 = 0.75;

/// Every section and its keys.
const SECTIONS: [(&str, &[&str]); 7] = [
    ("agents", &["listen", "url", "names", "trusted_proxies", "proxy_protocol"]),
    ("operators", &["listen", "hosts", "tls", "oidc", "slow_page"]),
    ("store", &["directory"]),
    ("retention", &["minute", "quarter_hour", "day", "acceptance_horizon"]),
    (
        "limits",
        &[
            "requests_per_minute",
            "burst",
            "measurements_per_day",
            "sessions_per_day",
            "series_per_day",
            "attributes_per_day",
            "attempts_per_minute",
            "pushes",
            "connections",
        ],
    ),
    ("keys", &["lifetime", "grace"]),
    ("alerts", &["every", "delay", "url", "webhook", "alertmanager", "email"]),
];

/// The tables within `[operators]`, by their full names.
const OF_OPERATORS: [(&str, &str, &[&str]); 2] = [
    ("tls", "operators.tls", &["certificate", "key"]),
    (
        "oidc",
        "operators.oidc",
        &[
            "name",
            "issuer",
            "client_id",
            "client_secret_file",
            "scopes",
            "claim",
            "administrators",
            "readers",
            "url",
            "ca_file",
        ],
    ),
];

/// A sentence for each key of the file that means nothing.
pub(super) fn unknown(table: &toml::Table) -> Vec<String> {
    let sections: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    let mut errors = Vec::new();
    for (name, value) in table {
        let Some((section, keys)) = SECTIONS.iter().find(|(known, _)| known == name) else {
            errors.push(sentence("section", name, &sections));
            continue;
        };
        let Some(entries) = value.as_table() else { continue };
        errors.extend(strangers(section, entries, keys));
        for (within, full, keys) in OF_OPERATORS.into_iter().filter(|_| name == "operators") {
            if let Some(entries) = entries.get(within).and_then(toml::Value::as_table) {
                errors.extend(strangers(full, entries, keys));
            }
        }
    }
    errors
}

fn strangers<'a>(
    section: &'a str,
    entries: &'a toml::Table,
    keys: &'a [&'a str],
) -> impl Iterator<Item = String> + 'a {
    entries
        .keys()
        .filter(|key| !keys.contains(&key.as_str()))
        .map(move |key| format!("[{section}] {}", sentence("key", key, keys)))
}

fn sentence(what: &str, unknown: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|key| (strsim::jaro_winkler(unknown, key), key))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, key)) => format!("unknown {what} `{unknown}`; did you mean `{key}`?"),
        None => format!("unknown {what} `{unknown}`; there are: {}", known.join(", ")),
    }
}
