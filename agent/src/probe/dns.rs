//! DNS lookup time: one question to the DNS servers, with no cache of ours in between.

use super::{
    exchange::{Exchange, now},
    resolver::{Found, Freshness, Resolver},
    settings::ProbeSettings,
};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
    target::Host,
};
use std::net::IpAddr;

/// Times one lookup of the records of `family`. Every answer counts, also that there is none; what was answered is said
/// beside, as an address or by its code.
pub(crate) async fn probe(
    settings: &ProbeSettings,
    resolver: &Resolver,
    name: &Host,
    family: Family,
) -> (Exchange, Option<IpAddr>, Option<String>) {
    if name.ip().is_some() {
        let error = "a DNS probe needs a name, not an address";
        return (Exchange::failed(Clock::User, Ending::SendFailed, error), None, None);
    }
    let began = now();
    let lookup = resolver.lookup(name.as_str(), family, Freshness::Timed);
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
