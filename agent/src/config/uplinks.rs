//! The checks of `[[uplink]]`. Pure.

use super::{
    check::{Problems, check_location, check_prefixes},
    departure, raw,
};
use crate::{
    probe::IcmpEngine,
    uplink::{Uplink, is_same_site},
};
use peerlight_proto::{enrolment::SiteAssertion, limits::MAX_UPLINKS, series::Family};

/// The uplinks, each over those of these families that can leave by it.
pub(super) fn check(
    file: &raw::File,
    families: &[Family],
    engine: IcmpEngine,
    problems: &mut Problems,
) -> Vec<Uplink> {
    if file.uplink.is_empty() {
        return Vec::new();
    }
    if file.site.is_some() {
        problems.add("site", "each [[uplink]] is a site of its own; leave [site] out");
    }
    let probing = &file.probing;
    if probing.source_v4.is_some() || probing.source_v6.is_some() || probing.interface.is_some() {
        problems.add("probing", "each [[uplink]] has its own source_v4, source_v6 and interface");
    }
    if file.uplink.len() > MAX_UPLINKS {
        problems.add("uplink", format!("there are {}; at most {MAX_UPLINKS} may be", file.uplink.len()));
    }
    let mut uplinks: Vec<Uplink> = Vec::new();
    for raw in &file.uplink {
        let uplink = one(raw, families, engine, problems);
        if uplinks.iter().any(|known| is_same_site(known.name(), uplink.name())) {
            problems.add(format!("uplink `{}`", raw.name), "stands there twice");
        }
        uplinks.push(uplink);
    }
    uplinks
}

fn one(raw: &raw::Uplink, families: &[Family], engine: IcmpEngine, problems: &mut Problems) -> Uplink {
    let key = format!("uplink `{}`", raw.name);
    problems.text(&key, &raw.name, false);
    problems.text(format!("{key}.provider"), &raw.provider, true);
    if !raw.location.is_empty() {
        check_location(format!("{key}.location"), &raw.location, problems);
    }
    check_prefixes(&format!("{key}.prefixes"), &raw.prefixes, problems);
    let interface = departure::interface(format!("{key}.interface"), raw.interface.as_ref(), problems);
    let can_leave = |family: &Family| {
        interface.is_some()
            || match family {
                Family::V4 => raw.source_v4.is_some(),
                Family::V6 => raw.source_v6.is_some(),
            }
    };
    let families: Vec<Family> = families.iter().copied().filter(can_leave).collect();
    if families.is_empty() && raw.interface.is_none() {
        problems
            .add(&key, "no family that is probed can leave by it; give it source_v4, source_v6 or interface");
    }
    Uplink {
        site: SiteAssertion {
            name: raw.name.clone(),
            provider: raw.provider.clone(),
            location: raw.location.clone(),
            prefixes: raw.prefixes.clone(),
        },
        families,
        source_v4: raw.source_v4,
        source_v6: raw.source_v6,
        interface,
        dscp: departure::dscp(format!("{key}.dscp"), raw.dscp.as_ref(), engine, problems),
    }
}
