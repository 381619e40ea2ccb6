//! The registry's lists as files. That of registrations is one that `registration import` takes.

use crate::{
    dashboard::list::{Cell, List, words},
    registry::{Location, Provider, Registration},
    rfc3339,
};

/// Registrations, by the names of an import's columns.
pub(super) fn registrations<'a>(registrations: impl IntoIterator<Item = &'a Registration>) -> List {
    let row = |entry: &Registration| {
        let prefixes: Vec<_> = entry.prefixes.iter().map(ToString::to_string).collect();
        vec![
            Cell::of(&entry.site),
            Cell::of(&entry.provider),
            Cell::of(&entry.location),
            Cell::of(prefixes.join(" ")),
            Cell::of(rfc3339::text(entry.valid_from)),
            Cell::of(entry.valid_to.map(rfc3339::text).unwrap_or_default()),
            Cell::of(entry.count_declared.to_string()),
        ]
    };
    List {
        id: "registrations",
        columns: ["site", "provider", "location", "prefixes", "valid_from", "valid_to", "count_declared"]
            .map(words)
            .into(),
        rows: registrations.into_iter().map(row).collect(),
        ..List::default()
    }
}

/// Providers.
pub(super) fn providers(providers: &[Provider]) -> List {
    let row = |provider: &Provider| {
        let asns: Vec<_> = provider.asns.iter().map(ToString::to_string).collect();
        vec![
            Cell::of(&provider.name),
            Cell::of(provider.kind.to_string()),
            Cell::of(provider.countries.join(" ")),
            Cell::of(asns.join(" ")),
            Cell::of(provider.aliases.join("; ")),
        ]
    };
    List {
        id: "providers",
        columns: ["name", "kind", "countries", "asns", "aliases"].map(words).into(),
        rows: providers.iter().map(row).collect(),
        ..List::default()
    }
}

/// Locations.
pub(super) fn locations(locations: &[Location]) -> List {
    let degrees = |degrees: Option<f64>| Cell::of(degrees.map(|value| value.to_string()).unwrap_or_default());
    let row = |location: &Location| {
        vec![
            Cell::of(&location.code),
            Cell::of(&location.name),
            Cell::of(&location.time_zone),
            degrees(location.latitude),
            degrees(location.longitude),
        ]
    };
    List {
        id: "locations",
        columns: ["code", "name", "time_zone", "latitude", "longitude"].map(words).into(),
        rows: locations.iter().map(row).collect(),
        ..List::default()
    }
}
