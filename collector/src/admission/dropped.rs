//! What is missing from a batch, and from all that its agent measured: whose it is, and when. Pure.

use super::{
    caller::Caller,
    choose::{Occasion, choose},
};
use crate::registry::RegistrationId;
use peerlight_proto::{
    ack::{Refusal, RefusalCode},
    codec::Unread,
    drops::{Account, DropEntry, Signed, hour_of},
    measurement::Measurement,
    series::SeriesKey,
    time::Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

/// What was refused of an uplink's hour for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The start of the UTC hour.
    pub(crate) hour: Timestamp,
    /// The uplink; empty where it is none of the agent's.
    pub(crate) uplink: String,
    /// Why.
    pub(crate) code: RefusalCode,
    /// What it is missing from.
    pub(crate) registration: RegistrationId,
    /// Measurements.
    pub(crate) measurements: u64,
    /// Turns of schedules that they say they account for.
    pub(crate) turns: u64,
    /// The start of the earliest.
    pub(crate) first: Timestamp,
    /// The end of the latest.
    pub(crate) last: Timestamp,
}

/// What an agent says that it dropped, each entry with the registration that it is missing from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedAccount {
    /// The collector's word, once it is on disk.
    pub(crate) signed: Signed,
    /// The entries.
    pub(crate) entries: Vec<(RegistrationId, DropEntry)>,
}

/// Admits an agent's account of what it dropped.
pub(super) fn admit(account: Account, caller: &Caller, now: Timestamp) -> AdmittedAccount {
    let signed = account.signed();
    let entries = account.entries.into_iter().map(|entry| {
        let occasion = Occasion { start: entry.first, end: entry.last, observed: None };
        (whose(caller, &entry.uplink, occasion, now), entry)
    });
    AdmittedAccount { entries: entries.collect(), signed }
}

/// The registration that something is missing from: the one that it would have counted for, else the agent's own.
fn whose(caller: &Caller, uplink: &str, occasion: Occasion, now: Timestamp) -> RegistrationId {
    choose(caller, uplink, occasion, now).map_or(caller.registration.id, |registration| registration.id)
}

/// Adds up what is refused of a batch.
#[derive(Debug)]
pub(super) struct Losses<'a> {
    caller: &'a Caller,
    /// What the batch covers as far as it can be read: when something of it was measured that does not say so itself.
    span: (Timestamp, Timestamp),
    /// What any batch may cover: nothing of an agent's making gets an hour of its own beyond.
    taken: (Timestamp, Timestamp),
    shares: Shares,
}

impl<'a> Losses<'a> {
    /// `span` is that of the batch, `taken` from when and until when intervals are taken.
    pub(super) fn new(
        caller: &'a Caller,
        span: Option<(Timestamp, Timestamp)>,
        taken: (Timestamp, Timestamp),
    ) -> Self {
        Self { caller, span: span.unwrap_or((taken.1, taken.1)), taken, shares: Shares::default() }
    }

    /// Counts a measurement that could not be read.
    pub(super) fn unread(&mut self, unread: &Unread) -> Refusal {
        let Unread { refusal, interval, turns } = unread;
        let (start, end) = interval.map_or(self.span, |interval| (interval.start(), interval.end()));
        self.add(refusal.code, "", Occasion { start, end, observed: None }, *turns);
        refusal.clone()
    }

    /// Counts a measurement that was read, and refuses it.
    pub(super) fn refused(
        &mut self,
        index: u32,
        code: RefusalCode,
        key: Option<&SeriesKey>,
        measurement: &Measurement,
    ) -> Refusal {
        let uplink = key.map_or("", |key| &*key.uplink);
        self.add(code, uplink, Occasion::from(measurement), measurement.counters.scheduled);
        Refusal { index, code }
    }

    fn add(&mut self, code: RefusalCode, uplink: &str, occasion: Occasion, turns: u64) {
        let (from, to) = self.taken;
        // What lies ahead of the clock belongs to the last second: a report of the time until now tells of it.
        let first = occasion.start.max(from).min(to.minus(Duration::from_secs(1)));
        let last = occasion.end.min(to).max(first);
        let chosen = choose(self.caller, uplink, Occasion { start: first, end: last, ..occasion }, to);
        // Another's name must not become a row of this agent's.
        let uplink = if chosen.is_ok() { uplink } else { "" };
        let registration = chosen.unwrap_or(&self.caller.registration).id;
        self.shares.add(code, uplink, registration, (first, last), turns);
    }

    /// What was refused, by hour.
    pub(super) fn finish(self) -> Vec<Loss> {
        self.shares.finish()
    }
}

/// What was refused, added up by hour, uplink and reason.
#[derive(Debug, Default)]
pub(crate) struct Shares(BTreeMap<(Timestamp, String, RefusalCode), Loss>);

impl Shares {
    /// Adds a measurement of so many turns, from its start to its end.
    pub(crate) fn add(
        &mut self,
        code: RefusalCode,
        uplink: &str,
        registration: RegistrationId,
        (first, last): (Timestamp, Timestamp),
        turns: u64,
    ) {
        let hour = hour_of(first);
        let share = self.0.entry((hour, uplink.to_owned(), code)).or_insert_with(|| Loss {
            hour,
            uplink: uplink.to_owned(),
            code,
            registration,
            measurements: 0,
            turns: 0,
            first,
            last,
        });
        share.measurements += 1;
        share.turns = share.turns.saturating_add(turns);
        (share.first, share.last) = (share.first.min(first), share.last.max(last));
    }

    /// All of it, in the order of hours.
    pub(crate) fn finish(self) -> Vec<Loss> {
        self.0.into_values().collect()
    }
}
