//! How much one agent may store in a day, and how much that is new it may name.
//!
//! The store gives numbers to sessions, series and the networks that they were measured from, and keeps them for ever;
//! measurements fill its disk. What an agent names and measures is therefore counted before anything is stored. Nothing of
//! this is kept on disk: after a restart every agent's day begins anew.

use crate::{
    admission::{Admitted, AdmittedMeasurement, Attribution, Shares},
    config::Limits,
    registry::RegistrationId,
};
use hashbrown::{DefaultHashBuilder, HashMap};
use ipnet::IpNet;
use peerlight_proto::{
    ack::{Refusal, RefusalCode},
    id::AgentId,
    time::Timestamp,
};
use std::{
    hash::{BuildHasher as _, Hash},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long what an agent named counts against it.
const DAY: Duration = Duration::from_hours(24);
/// How long an agent waits at most before it asks again: its older sessions' batches wait with it.
const MOST_WAIT: Duration = Duration::from_mins(15);
/// How many names of all agents together are remembered, four bytes each; beyond, every agent's day begins anew. A fleet of
/// 100,000 agents has a fifth of it.
const MOST_REMEMBERED: usize = 1 << 25;

/// An agent did too much in a day: its batch is taken once that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}; it keeps what it measured until the collector takes it")]
pub struct TooMuch {
    /// Of what.
    pub what: Excess,
    /// How long the batch waits.
    pub wait: Duration,
}

/// What an agent did too much of, and how much it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// It began too many sessions.
    #[error(
        "this agent has begun more than {0} sessions within a day ([limits] sessions_per_day): look for what ends it again \
         and again"
    )]
    Sessions(usize),
    /// It handed over too many measurements.
    #[error(
        "this agent has handed over {0} measurements within a day ([limits] measurements_per_day): look for what makes it \
         measure so much"
    )]
    Measurements(usize),
}

/// What every agent did lately.
#[derive(Debug)]
pub struct Quotas {
    most: Most,
    hasher: DefaultHashBuilder,
    named: Mutex<Named>,
}

#[derive(Debug, Default)]
struct Named {
    agents: HashMap<AgentId, Window>,
    /// How many names are remembered.
    names: usize,
}

/// What one agent may store and name in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most {
    measurements: usize,
    sessions: usize,
    series: usize,
    attributes: usize,
}

/// What one agent did since its day began.
#[derive(Debug)]
struct Window {
    began: Timestamp,
    measurements: usize,
    sessions: Names,
    series: Names,
    attributes: Names,
}

/// Names, by what little of their hashes tells them apart: one in a million is taken for another, which refuses nothing.
#[derive(Debug, Default)]
struct Names(Vec<u32>);

impl Names {
    /// Whether the name is one of at most so many: one that was named before, or there is room for it.
    fn admit(&mut self, name: u32, most: usize) -> bool {
        match self.0.binary_search(&name) {
            Ok(_known) => true,
            Err(place) if self.0.len() < most => {
                self.0.insert(place, name);
                true
            }
            Err(_full) => false,
        }
    }
}

impl Window {
    fn new(began: Timestamp) -> Self {
        Self {
            began,
            measurements: 0,
            sessions: Names::default(),
            series: Names::default(),
            attributes: Names::default(),
        }
    }

    /// Whether it is over, or the clock was set back to before it began.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.began || now.since(self.began) >= DAY
    }

    fn names(&self) -> usize {
        self.sessions.0.len() + self.series.0.len() + self.attributes.0.len()
    }
}

impl Quotas {
    /// Quotas within these limits.
    pub fn new(limits: &Limits) -> Self {
        let most = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            most: Most {
                measurements: most(limits.measurements_per_day),
                sessions: most(limits.sessions_per_day),
                series: most(limits.series_per_day),
                attributes: most(limits.attributes_per_day),
            },
            hasher: DefaultHashBuilder::default(),
            named: Mutex::default(),
        }
    }

    /// What of a batch its agent may store: measurements whose series, or network, is one too many are refused, attributes
    /// whose value is one too many are left out. Says how many of those there were.
    ///
    /// # Errors
    /// The batch waits: its session is one too many, or its agent has handed over enough. A batch that is begun is taken
    /// whole, so that one of any size is taken in the end.
    pub fn within(&self, mut admitted: Admitted) -> Result<(Admitted, u64), TooMuch> {
        let (number, now) = (admitted.batch.number, admitted.received);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.names > MOST_REMEMBERED {
            *named = Named::default();
        }
        let Named { agents, names } = &mut *named;
        let window = agents.entry(number.agent).or_insert_with(|| Window::new(now));
        *names -= window.names();
        if window.is_over(now) {
            *window = Window::new(now);
        }
        let left_out = if !window.sessions.admit(self.short(&number.session), self.most.sessions) {
            Err(Excess::Sessions(self.most.sessions))
        } else if window.measurements >= self.most.measurements {
            Err(Excess::Measurements(self.most.measurements))
        } else {
            let left_out = self.hold(window, &mut admitted);
            window.measurements += admitted.admitted();
            Ok(left_out)
        };
        *names += window.names();
        let wait = DAY.saturating_sub(now.since(window.began)).min(MOST_WAIT);
        left_out.map(|left_out| (admitted, left_out)).map_err(|what| TooMuch { what, wait })
    }

    /// Forgets the agents whose day is over.
    pub fn forget_old(&self, now: Timestamp) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let Named { agents, names } = &mut *named;
        agents.retain(|_agent, window| {
            let is_over = window.is_over(now);
            if is_over {
                *names -= window.names();
            }
            !is_over
        });
    }

    /// Takes out of a batch what is too much; returns how many attributes were left out.
    fn hold(&self, window: &mut Window, admitted: &mut Admitted) -> u64 {
        let series: Vec<bool> = admitted
            .batch
            .series
            .iter()
            .map(|series| window.series.admit(self.short(&series.key), self.most.series))
            .collect();
        let mut origins = Origins { last: None };
        let mut left_out = 0;
        let batch = &admitted.batch;
        let refused = &mut admitted.refused;
        let mut lost = Shares::default();
        admitted.measurements.retain_mut(|one| {
            let at = one.measurement.series as usize;
            let uplink = batch.series.get(at).map_or("", |series| &*series.key.uplink);
            let admit = series.get(at).copied().unwrap_or(false)
                && origins
                    .admit(one, uplink, |origin| window.series.admit(self.short(origin), self.most.series));
            if !admit {
                let (code, interval) = (RefusalCode::TooManySeries, one.measurement.interval);
                let span = (interval.start(), interval.end());
                lost.add(code, uplink, one.registration, span, one.measurement.counters.scheduled);
                refused.push(Refusal { index: one.index, code });
                return false;
            }
            let before = one.measurement.attributes.len();
            one.measurement.attributes.retain(|attribute| {
                let name = self.short(&(&attribute.kind, &attribute.value));
                window.attributes.admit(name, self.most.attributes)
            });
            left_out += (before - one.measurement.attributes.len()) as u64;
            true
        });
        admitted.refused.sort_by_key(|refusal| refusal.index);
        admitted.lost.extend(lost.finish());
        left_out
    }

    fn short(&self, name: &impl Hash) -> u32 {
        u32::try_from(self.hasher.hash_one(name) >> 32).unwrap_or_default()
    }
}

/// Where measurements come from: what the store gives a number to, beside sessions and series.
type Origin<'a> = (RegistrationId, Attribution, Option<IpNet>, &'a str);

/// Mostly, one is as the one before.
struct Origins<'a> {
    last: Option<(Origin<'a>, bool)>,
}

impl<'a> Origins<'a> {
    fn admit(
        &mut self,
        measurement: &AdmittedMeasurement,
        uplink: &'a str,
        admit: impl FnOnce(&Origin<'a>) -> bool,
    ) -> bool {
        let origin = (measurement.registration, measurement.attribution, measurement.prefix, uplink);
        match self.last {
            Some((last, verdict)) if last == origin => verdict,
            _ => {
                let verdict = admit(&origin);
                self.last = Some((origin, verdict));
                verdict
            }
        }
    }
}

#[cfg(test)]
mod tests;
