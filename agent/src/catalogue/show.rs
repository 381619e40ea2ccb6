//! The catalogue in words: the answer of `catalogue`.

use super::{ENTRIES, ISSUERS, published::Published};
use crate::targets::default_interval;
use comfy_table::{Table, presets};
use peerlight_proto::{duration, target::ProbeKind};

/// Every entry with its reason, and what is known of Microsoft's addresses.
pub fn describe(published: &Published) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "name",
        "service",
        "address",
        "probes",
        "addresses",
        "certificates",
    ]);
    for entry in ENTRIES {
        let listed = entry.address.parse().is_ok_and(|host| published.lists(&host));
        table.add_row([
            entry.name.to_owned(),
            entry.service.to_owned(),
            entry.address.to_owned(),
            entry.probes.iter().map(|probe| with_interval(probe)).collect::<Vec<_>>().join(", "),
            if listed { "published" } else { "any" }.to_owned(),
            if entry.issuers.is_empty() { "–" } else { "public" }.to_owned(),
        ]);
    }
    let lines = table.trim_fmt();
    let (header, rows) = lines.split_once('\n').unwrap_or((&lines, ""));
    // Why it is there stands below each entry.
    let rows = rows.lines().zip(ENTRIES).map(|(row, entry)| format!("{row}\n     {}\n", entry.reason));
    format!(
        "{header}\n{}\nExpects certificates of {}, or of any other public authority.\n\nMicrosoft publishes {} address ranges as of {}:\n{}\n",
        rows.collect::<String>(),
        ISSUERS.join("; "),
        published.ranges(),
        published.dated,
        published.sources.iter().map(|source| format!("- {source}")).collect::<Vec<_>>().join("\n"),
    )
}

fn with_interval(probe: &str) -> String {
    match probe.parse::<ProbeKind>() {
        Ok(kind) => format!("{probe} every {}", duration::text(default_interval(&kind))),
        Err(_none) => probe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_says_what_is_measured_where_and_why() {
        insta::assert_snapshot!(describe(&Published::built_in()));
    }
}
