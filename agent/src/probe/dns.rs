//! DNS: one query to the DNS server, timed by the kernel where it tells, and beside it one whole resolution by the DNS
//! servers, with no cache of ours in between, timed by this process.

mod query;
mod question;

use super::{
    exchange::{Exchange, clip, now},
    resolver::{Found, Freshness, Resolver},
    settings::ProbeSettings,
    stamped,
    strays::Strays,
};
use crate::sample::{Sample, Stray};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Path},
    target::Target,
};
use std::net::IpAddr;

/// How a resolution ended, with the first address and the code of the answer.
type Lookup = (Exchange, Option<IpAddr>, Option<String>);

/// Sends one query and has the name resolved, both at once, for the records of `family`. Every answer counts, also that
/// there is none; what was answered is said beside, as an address or by its code.
pub(crate) async fn probe(
    settings: &ProbeSettings,
    resolver: &Resolver,
    target: &Target,
    family: Family,
    strays: &Strays,
) -> Sample {
    if target.address.ip().is_some() {
        return failed(family, Ending::SendFailed, "a DNS probe needs a name, not an address");
    }
    let name = target.address.as_str();
    let stray = Stray { target: target.id(), metric: Metric::DnsQuery, family, duplicate: false };
    let (query, lookup) = tokio::join!(
        query::send(settings, resolver.server(), name, strays, stray),
        look_up(settings, resolver, name, family)
    );
    let (raw, answer) = query;
    let (resolution, address, status) = lookup;
    let mut attributes = Vec::new();
    let truncated = answer.as_ref().is_some_and(|answer| answer.truncated);
    attributes.extend(status.or(answer.map(|answer| answer.status)).map(|status| ("status", status)));
    if truncated {
        attributes.push(("status", "TRUNCATED".to_owned()));
    }
    let mut errors: Vec<_> = [&raw, &resolution].iter().filter_map(|end| end.error.clone()).collect();
    errors.dedup();
    attributes.extend(errors.into_iter().map(|error| ("error", error)));
    let readings = vec![raw.reading(Metric::DnsQuery), resolution.reading(Metric::DnsLookup)];
    Sample { family, path: Path::Direct, address, readings, attributes }
}

/// A probe that ended before anything was sent.
pub(crate) fn failed(family: Family, ending: Ending, error: &str) -> Sample {
    let readings = [(Metric::DnsQuery, stamped::CLOCK), (Metric::DnsLookup, Clock::User)]
        .map(|(metric, clock)| Exchange::failed(clock, ending, error).reading(metric))
        .into();
    let attributes = vec![("error", clip(error))];
    Sample { family, path: Path::Direct, address: None, readings, attributes }
}

async fn look_up(settings: &ProbeSettings, resolver: &Resolver, name: &str, family: Family) -> Lookup {
    let began = now();
    let lookup = resolver.lookup(name, family, Freshness::Timed);
    let found = tokio::time::timeout(settings.deadline, lookup).await;
    let took = began.elapsed();
    let exchange = Exchange::timed(None, took, settings.timeout);
    match found {
        Ok(Found::Addresses(addresses)) => (exchange, addresses.first().copied(), Some("NOERROR".to_owned())),
        Ok(Found::NoData) => (exchange, None, Some("NODATA".to_owned())),
        Ok(Found::NoName) => (exchange, None, Some("NXDOMAIN".to_owned())),
        Ok(Found::Code(code)) => (exchange, None, Some(code)),
        Ok(Found::Nothing(error)) if took < settings.deadline => {
            (Exchange::failed(Clock::User, Ending::Lost, error), None, None)
        }
        Ok(Found::Nothing(_)) | Err(_) => (Exchange::lost(Clock::User), None, None),
    }
}
