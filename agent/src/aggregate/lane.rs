//! Lanes: the turns of one entry, folded in the order of the schedule.

use super::{OpenInterval, Slot, TurnId};
use crate::{
    sample::{Outcome, Reading, Sample},
    schedule::{Entry, Turn},
};
use peerlight_proto::{
    histogram::{Recorder, micros},
    measurement::Ending,
    metric::Metric,
    series::{Clock, Path},
    target::ProbeKind,
    time::{Interval, IntervalLength, Timestamp},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// A kernel's time cannot be longer than this process waited, give or take this much: then the clocks disagree.
const CLOCK_MARGIN: Duration = Duration::from_millis(2);

/// The turns of one entry that are not folded yet, and what is needed to fold the next.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) entry: Arc<Entry>,
    pending: VecDeque<Pending>,
    template: Template,
    /// The last answered probe of each series.
    neighbours: HashMap<Slot, Neighbour>,
}

#[derive(Debug)]
struct Pending {
    id: TurnId,
    scheduled: Timestamp,
    progress: Progress,
}

/// What became of a turn so far.
#[derive(Debug)]
pub(super) enum Progress {
    /// The probe is under way.
    Open,
    /// It ended; without a sample if there was no address to probe.
    Ended(Option<Sample>),
    /// Nothing is known of it.
    Voided,
}

/// Which series a turn without a sample belongs to.
#[derive(Debug)]
enum Template {
    /// Those of the probe's kind, until a sample tells more.
    OfKind,
    /// Those of the last sample.
    Seen(Vec<(Metric, Path, Clock)>),
    /// None: the target has no address of this family.
    NoAddress,
}

#[derive(Debug, Clone, Copy)]
struct Neighbour {
    scheduled: Timestamp,
    latency_us: u64,
}

impl Lane {
    pub(super) fn new(entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            pending: VecDeque::new(),
            template: Template::OfKind,
            neighbours: HashMap::new(),
        }
    }

    /// Takes over a changed schedule.
    pub(super) fn refresh(&mut self, entry: &Arc<Entry>) {
        if !Arc::ptr_eq(&self.entry, entry) {
            self.entry = Arc::clone(entry);
        }
    }

    pub(super) fn begin(&mut self, id: TurnId, turn: &Turn) {
        self.refresh(&turn.entry);
        self.pending.push_back(Pending { id, scheduled: turn.scheduled, progress: Progress::Open });
    }

    pub(super) fn end(&mut self, id: TurnId, progress: Progress) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.id == id) {
            pending.progress = progress;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Voids the open turns before `end` and names them.
    pub(super) fn void_before(&mut self, end: Timestamp) -> Vec<TurnId> {
        let mut voided = Vec::new();
        for pending in self.pending.iter_mut().take_while(|pending| pending.scheduled < end) {
            if matches!(pending.progress, Progress::Open) {
                pending.progress = Progress::Voided;
                voided.push(pending.id);
            }
        }
        voided
    }

    pub(super) fn forget_neighbours(&mut self) {
        self.neighbours.clear();
    }

    /// Folds the turns at the front that have ended.
    pub(super) fn fold_ready(
        &mut self,
        length: IntervalLength,
        intervals: &mut BTreeMap<Interval, OpenInterval>,
        recorder: &mut Recorder,
    ) {
        while let Some(turn) = self.pending.pop_front_if(|turn| !matches!(turn.progress, Progress::Open)) {
            let interval = Interval::containing(turn.scheduled, length);
            let open = intervals.entry(interval).or_default();
            match turn.progress {
                Progress::Ended(Some(sample)) => self.fold(turn.scheduled, &sample, open, recorder),
                Progress::Ended(None) => self.template = Template::NoAddress,
                Progress::Open | Progress::Voided => {
                    for slot in self.expected_slots() {
                        open.series(slot, &self.entry).count(Ending::Voided);
                    }
                }
            }
        }
    }

    /// The series that a turn without a sample belongs to.
    pub(super) fn expected_slots(&self) -> Vec<Slot> {
        let of_kind: Vec<_>;
        let seen = match &self.template {
            Template::Seen(seen) => seen,
            Template::OfKind => {
                let path = self.entry.path;
                of_kind = metrics_of(&self.entry.target.probe, path)
                    .iter()
                    .map(|metric| (*metric, path, Clock::User))
                    .collect();
                &of_kind
            }
            Template::NoAddress => return Vec::new(),
        };
        seen.iter()
            .flat_map(|&(metric, path, clock)| {
                [Some(metric), metric.jitter()].into_iter().flatten().map(move |metric| (metric, path, clock))
            })
            .map(|(metric, path, clock)| Slot {
                uplink: self.entry.uplink,
                target: self.entry.id,
                family: self.entry.family,
                metric,
                path,
                clock,
                http_version: None,
                handshake: None,
            })
            .collect()
    }

    fn fold(
        &mut self,
        scheduled: Timestamp,
        sample: &Sample,
        open: &mut OpenInterval,
        recorder: &mut Recorder,
    ) {
        let attributes = attributes_of(sample);
        for reading in &sample.readings {
            let slot = self.slot(sample, reading);
            let ending = ending_of(reading.outcome);
            let series = open.series(slot, &self.entry);
            match ending {
                Ok(latency_us) => series.answer(latency_us, recorder),
                Err(failed) => series.count(failed),
            }
            // How a probe left says nothing of whom it met.
            for (kind, value) in attributes.iter().filter(|_| reading.metric != Metric::AgentNoise) {
                series.note(kind, value);
            }
            if let Some(jitter) = reading.metric.jitter() {
                let series = open.series(Slot { metric: jitter, ..slot }, &self.entry);
                match ending.map(|latency_us| self.step_from_neighbour(slot, scheduled, latency_us)) {
                    Ok(Some(step_us)) => series.answer(step_us, recorder),
                    Ok(None) => series.count(Ending::Skipped),
                    Err(failed) => series.count(failed),
                }
            }
        }
        self.template = Template::Seen(
            sample.readings.iter().map(|reading| (reading.metric, sample.path, reading.clock)).collect(),
        );
    }

    /// |x(i) - x(i-1)|, if the turn before this one was answered in the same series. Remembers this one.
    fn step_from_neighbour(&mut self, slot: Slot, scheduled: Timestamp, latency_us: u64) -> Option<u64> {
        let before = self.neighbours.insert(slot, Neighbour { scheduled, latency_us })?;
        (before.scheduled.plus(self.entry.interval) == scheduled)
            .then(|| before.latency_us.abs_diff(latency_us))
    }

    fn slot(&self, sample: &Sample, reading: &Reading) -> Slot {
        Slot {
            uplink: self.entry.uplink,
            target: self.entry.id,
            family: self.entry.family,
            metric: reading.metric,
            path: sample.path,
            clock: reading.clock,
            http_version: reading.http_version,
            handshake: reading.handshake,
        }
    }
}

/// The latency in microseconds, or how the probe failed.
fn ending_of(outcome: Outcome) -> Result<u64, Ending> {
    match outcome {
        Outcome::Answered { latency, user_latency } if latency > user_latency + CLOCK_MARGIN => {
            Err(Ending::Voided)
        }
        Outcome::Answered { latency, .. } => Ok(micros(latency)),
        // A failure that claims to be an answer has no latency: nothing is known of it.
        Outcome::Failed(Ending::Answered) => Err(Ending::Voided),
        Outcome::Failed(ending) => Err(ending),
    }
}

fn attributes_of(sample: &Sample) -> Vec<(&'static str, String)> {
    let mut attributes = sample.attributes.clone();
    if let Some(address) = sample.address
        && !attributes.iter().any(|(kind, _)| *kind == "address")
    {
        attributes.push(("address", address.to_string()));
    }
    attributes
}

/// The metrics of a probe, and of how it left.
fn metrics_of(probe: &ProbeKind, path: Path) -> &'static [Metric] {
    match probe {
        ProbeKind::Icmp => &[Metric::IcmpRtt, Metric::AgentNoise],
        ProbeKind::Tcp { .. } => &[Metric::TcpConnect, Metric::AgentNoise],
        ProbeKind::Https { .. } if path == Path::Proxy => &[
            Metric::HttpsDns,
            Metric::HttpsTcp,
            Metric::HttpsProxy,
            Metric::HttpsTls,
            Metric::HttpsTtfb,
            Metric::HttpsTransfer,
            Metric::HttpsLocal,
            Metric::HttpsTotal,
            Metric::AgentNoise,
        ],
        ProbeKind::Https { .. } => &[
            Metric::HttpsDns,
            Metric::HttpsTcp,
            Metric::HttpsTls,
            Metric::HttpsTtfb,
            Metric::HttpsTransfer,
            Metric::HttpsLocal,
            Metric::HttpsTotal,
            Metric::AgentNoise,
        ],
        ProbeKind::Dns => &[Metric::DnsQuery, Metric::DnsLookup, Metric::AgentNoise],
        ProbeKind::Udp { .. } => &[Metric::UdpRtt, Metric::AgentNoise],
    }
}
