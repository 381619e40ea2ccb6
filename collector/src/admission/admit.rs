//! What may be stored, and whose it is: the pure checks between a decoded batch and the store.

use super::{
    attribution::Attribution,
    caller::Caller,
    choose::{Occasion, Unregistered, choose, prefix_of},
    dropped::{self, AdmittedAccount, Loss, Losses},
};
use crate::{
    organisation::OrganisationId,
    registry::{Registration, RegistrationId},
    rfc3339,
};
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;
use peerlight_proto::{
    ack::{Refusal, RefusalCode},
    batch::Batch,
    codec::Decoded,
    id::{AgentId, BatchDigest},
    limits,
    measurement::Measurement,
    problem::ProblemType,
    series::Series,
    time::{Interval, Timestamp},
};
use std::{net::IpAddr, time::Duration};

/// The longest IPv4 prefix that networks take from each other.
const ANNOUNCED_V4: u8 = 24;
/// The longest IPv6 prefix that networks take from each other.
const ANNOUNCED_V6: u8 = 48;

/// A batch that may be stored. Only [`admit`] makes one.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(crate) organisation: OrganisationId,
    pub(crate) digest: BatchDigest,
    /// The collector's clock at admission.
    pub(crate) received: Timestamp,
    /// The batch; its measurements stand in `measurements`, with their attribution.
    pub(crate) batch: Batch,
    pub(crate) measurements: Vec<AdmittedMeasurement>,
    pub(crate) refused: Vec<Refusal>,
    /// The same by whose they are and when they were measured.
    pub(crate) lost: Vec<Loss>,
    /// What the agent says that it dropped.
    pub(crate) dropped: Option<AdmittedAccount>,
    /// Private, so that only this module makes one.
    _seal: Seal,
}

#[derive(Debug, Clone)]
struct Seal;

/// A measurement with the registration that was chosen for it.
#[derive(Debug, Clone)]
pub struct AdmittedMeasurement {
    /// Its place in the batch.
    pub(crate) index: u32,
    pub(crate) measurement: Measurement,
    pub(crate) registration: RegistrationId,
    pub(crate) attribution: Attribution,
    /// As [`crate::store::RowKey`] has it.
    pub(crate) prefix: Option<IpNet>,
}

impl Admitted {
    /// How many measurements may be stored.
    pub fn admitted(&self) -> usize {
        self.measurements.len()
    }

    /// The measurements that were refused, in the order of the batch.
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }
}

/// Why nothing of a batch may be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The batch names another agent than the one that signed.
    #[error("the batch names agent {named}, but agent {signed} signed it")]
    WrongAgent {
        /// Whom the batch names.
        named: AgentId,
        /// Who signed.
        signed: AgentId,
    },
    /// Its intervals are older than the acceptance horizon, so that nobody can tell any more whether they were counted.
    #[error("the batch is too old: this collector takes only intervals that end after {}", rfc3339::seconds(*.0))]
    TooOld(Timestamp),
    /// Nothing is registered that a measurement could count for. The agent keeps it until something is.
    #[error(
        "no registration of `{site}` covers what was measured at {}; register the site again (`peerlight-collector \
         registration add`) or enrol the agent with a token of another (`peerlight-agent enrol`)",
        rfc3339::seconds(*at)
    )]
    RegistrationEnded {
        /// The agent's site.
        site: String,
        /// The start of the first measurement that no registration covers.
        at: Timestamp,
    },
    /// The batch covers more time than one may.
    #[error("the batch covers more than {} s; send it in parts", limits::MAX_BATCH_SPAN.as_secs())]
    TooLong,
}

impl AdmitError {
    /// The problem that the agent is answered with.
    pub const fn problem(&self) -> ProblemType {
        match self {
            Self::WrongAgent { .. } => ProblemType::WrongAgent,
            Self::TooOld(_) => ProblemType::TooOld,
            Self::RegistrationEnded { .. } => ProblemType::RegistrationEnded,
            Self::TooLong => ProblemType::TooMany,
        }
    }
}

/// Decides what of a batch may be stored, and for which registration each measurement counts.
///
/// `horizon` is how old an interval may be: within it the ledger knows every batch that was ever acknowledged, so that
/// nothing is counted twice.
pub fn admit(
    decoded: Decoded,
    digest: BatchDigest,
    caller: &Caller,
    horizon: Duration,
    now: Timestamp,
) -> Result<Admitted, AdmitError> {
    let Decoded { mut batch, indices, refused: unread } = decoded;
    if batch.number.agent != caller.agent {
        return Err(AdmitError::WrongAgent { named: batch.number.agent, signed: caller.agent });
    }
    let oldest_end = now.minus(horizon);
    if batch.newest_end().is_some_and(|newest| newest <= oldest_end) {
        return Err(AdmitError::TooOld(oldest_end));
    }
    let span = batch.oldest_start().zip(batch.newest_end());
    let mut losses = Losses::new(caller, span, (oldest_end, now));
    let mut refused: Vec<Refusal> = unread.iter().map(|unread| losses.unread(unread)).collect();
    let measured = std::mem::take(&mut batch.measurements);
    let series = first_places(&batch.series);
    let mut seen = HashSet::with_capacity(measured.len());
    let mut measurements = Vec::with_capacity(measured.len());
    for (index, measurement) in indices.into_iter().zip(measured) {
        let key = usize::try_from(measurement.series)
            .ok()
            .and_then(|at| Some((&batch.series.get(at)?.key, *series.get(at)?)));
        let checked = match key {
            None => Err(RefusalCode::Series),
            Some((key, place)) => check_interval(measurement.interval, oldest_end, now).and_then(|()| {
                let chosen = choose(caller, &key.uplink, Occasion::from(&measurement), now);
                if chosen != Err(Unregistered::Foreign) && !seen.insert((place, measurement.interval)) {
                    return Err(RefusalCode::Repeated);
                }
                Ok(chosen)
            }),
        };
        match checked {
            Ok(Ok(registration)) => measurements.push(attribute(index, measurement, registration)),
            Ok(Err(Unregistered::Foreign | Unregistered::Retired)) => {
                refused.push(losses.refused(
                    index,
                    RefusalCode::Uplink,
                    key.map(|(key, _)| key),
                    &measurement,
                ));
            }
            Ok(Err(Unregistered::NotCovered)) => {
                let uplink = key.map(|(key, _)| &*key.uplink).filter(|site| caller.measures_beside(site));
                return Err(AdmitError::RegistrationEnded {
                    site: uplink.unwrap_or(&caller.registration.site).to_owned(),
                    at: measurement.interval.start(),
                });
            }
            Err(code) => refused.push(losses.refused(index, code, key.map(|(key, _)| key), &measurement)),
        }
    }
    if span_of(&measurements) > limits::MAX_BATCH_SPAN {
        return Err(AdmitError::TooLong);
    }
    refused.sort_by_key(|refusal| refusal.index);
    let dropped = batch.health.dropped.take().map(|account| dropped::admit(account, caller, now));
    Ok(Admitted {
        organisation: caller.registration.organisation,
        digest,
        received: now,
        batch,
        measurements,
        refused,
        lost: losses.finish(),
        dropped,
        _seal: Seal,
    })
}

/// Where the series of each entry first stands: a dictionary may name one twice.
fn first_places(series: &[Series]) -> Vec<usize> {
    let mut first = HashMap::with_capacity(series.len());
    (0..).zip(series).map(|(place, series)| *first.entry(&series.key).or_insert(place)).collect()
}

fn check_interval(interval: Interval, oldest_end: Timestamp, now: Timestamp) -> Result<(), RefusalCode> {
    if interval.end() <= oldest_end {
        return Err(RefusalCode::TooOld);
    }
    if interval.end() > now.plus(limits::MAX_FUTURE) {
        return Err(RefusalCode::Future);
    }
    Ok(())
}

/// Verified if the public address that was observed lies in a prefix of the registration, the longest one; declared if
/// none was observed; else off-prefix, by the address's own network (rules, §7).
fn attribute(index: u32, measurement: Measurement, registration: &Registration) -> AdmittedMeasurement {
    let registered = prefix_of(registration, measurement.observed.map(|observed| observed.address));
    let (attribution, prefix) = match (measurement.observed, registered) {
        (None, _) => (Attribution::Declared, None),
        (Some(_), Some(prefix)) => (Attribution::Verified, Some(prefix)),
        (Some(observed), None) => (Attribution::OffPrefix, Some(network_of(observed.address))),
    };
    AdmittedMeasurement { index, measurement, registration: registration.id, attribution, prefix }
}

/// The network that an address off every prefix is shown by: as fine as routes are announced.
fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { ANNOUNCED_V4 } else { ANNOUNCED_V6 };
    IpNet::new_assert(address, length).trunc()
}

fn span_of(measurements: &[AdmittedMeasurement]) -> Duration {
    let starts = measurements.iter().map(|one| one.measurement.interval.start()).min();
    let ends = measurements.iter().map(|one| one.measurement.interval.end()).max();
    starts.zip(ends).map_or(Duration::ZERO, |(start, end)| end.since(start))
}

#[cfg(test)]
mod tests;
