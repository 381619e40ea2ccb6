//! What a fleet measures: every agent ten targets by five metrics, six probes a minute. Round trips are log-normal from
//! target to target (5 to 150 ms), with gamma-distributed jitter of 5 %, 0.3 % spikes and 0.1 to 2 % loss. Providers are
//! skewed: the first serve more agents than the last.

use anyhow::Context as _;
use peerlight_collector::{
    admission::{Admitted, Caller, admit},
    organisation::OrganisationId,
    registry::{Registration, RegistrationId},
};
pub(crate) use peerlight_lab::fleet::ASKED;
use peerlight_lab::fleet::{METRICS, TARGETS, series, targets};
use peerlight_proto::{
    batch::{Batch, Health},
    codec::Decoded,
    histogram::Histogram,
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    measurement::{Counters, Measurement, Observed},
    series::Series,
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The first instant that is measured: a UTC midnight.
pub(crate) const BEGIN: Timestamp = Timestamp::from_secs(20_773 * 86_400);
const PROVIDERS: u64 = 12;
const LOCATIONS: u64 = 30;
pub(crate) const SAMPLES: u64 = 6;
const HORIZON: Duration = Duration::from_hours(14 * 24);

/// A fleet of agents.
pub(crate) struct Fleet {
    sites: Vec<Site>,
    random: StdRng,
}

struct Site {
    caller: Caller,
    series: Vec<Series>,
    /// Round trip in microseconds and loss of each series.
    nature: Vec<(f64, f64)>,
    next: u64,
}

/// A histogram as it was generated.
pub(crate) struct Generated<'a> {
    /// Its agent's number.
    pub(crate) agent: u32,
    pub(crate) registration: &'a Registration,
    /// The number of its series among the agent's.
    pub(crate) number: u32,
    pub(crate) series: &'a Series,
    /// The start of its minute.
    pub(crate) start: Timestamp,
    pub(crate) lost: u64,
    pub(crate) histogram: &'a Histogram,
}

impl Generated<'_> {
    /// Adds it to the truth if it is [`ASKED`] for.
    pub(crate) fn add_to(&self, truth: &mut Truth) {
        if self.series.key.metric != ASKED {
            return;
        }
        let (provider, location) = (self.registration.provider.clone(), self.registration.location.clone());
        let sum = truth.entry((provider, location, self.series.target.name.clone())).or_default();
        sum.0 += self.histogram.count() + self.lost;
        sum.1.merge(self.histogram);
    }
}

/// Buckets by provider, location and target of [`ASKED`], added up by brute force.
pub(crate) type Truth = BTreeMap<(String, String, String), (u64, Histogram)>;

impl Fleet {
    /// So many agents, each at a site of its own; the same for the same number.
    pub(crate) fn new(agents: u32) -> anyhow::Result<Self> {
        let mut random = StdRng::seed_from_u64(u64::from(agents));
        let callers: Vec<_> = (0..agents).map(|number| invented(number, &mut random)).collect();
        Self::of(callers, random)
    }

    /// Of these agents.
    pub(crate) fn of(callers: Vec<Caller>, mut random: StdRng) -> anyhow::Result<Self> {
        // As of batches that one decoder has read.
        let targets = targets()?;
        let sites = callers.into_iter().map(|caller| Site::new(caller, &targets, &mut random)).collect();
        Ok(Self { sites, random })
    }

    pub(crate) fn registrations(&self) -> Vec<Registration> {
        self.sites.iter().map(|site| site.caller.registration.clone()).collect()
    }

    /// How many histograms a minute holds.
    pub(crate) fn per_minute(&self) -> u64 {
        (self.sites.len() * TARGETS * METRICS.len()) as u64
    }

    /// What every agent pushes of a minute, admitted five seconds after its end. Adds what is [`ASKED`] to the truth, and
    /// shows everything to `see`.
    pub(crate) fn minute(
        &mut self,
        minute: u32,
        truth: &mut Truth,
        see: impl FnMut(&Generated<'_>),
    ) -> anyhow::Result<Vec<Admitted>> {
        let start = BEGIN.plus(Duration::from_mins(u64::from(minute)));
        self.interval(Interval::containing(start, IntervalLength::MINUTE), truth, see)
    }

    /// The same of any interval.
    pub(crate) fn interval(
        &mut self,
        interval: Interval,
        truth: &mut Truth,
        mut see: impl FnMut(&Generated<'_>),
    ) -> anyhow::Result<Vec<Admitted>> {
        let (start, now) = (interval.start(), interval.end().plus(Duration::from_secs(5)));
        let mut admitted = Vec::with_capacity(self.sites.len());
        for (agent, site) in (0..).zip(&mut self.sites) {
            let mut measurements = Vec::with_capacity(site.series.len());
            // Within what is registered: what comes from elsewhere is nobody's figure.
            let address = site.caller.registration.prefixes.first().context("no prefix")?.addr();
            for (index, (series, &(base, loss))) in (0_u32..).zip(site.series.iter().zip(&site.nature)) {
                let mut histogram = Histogram::default();
                let mut lost = 0;
                for _sample in 0..SAMPLES {
                    if self.random.random_bool(loss) {
                        lost += 1;
                    } else {
                        histogram.record(round_trip(&mut self.random, base));
                    }
                }
                let answered = SAMPLES - lost;
                let (registration, number) = (&site.caller.registration, index);
                let generated =
                    Generated { agent, registration, number, series, start, lost, histogram: &histogram };
                generated.add_to(truth);
                see(&generated);
                measurements.push(Measurement {
                    series: index,
                    interval,
                    counters: Counters { scheduled: SAMPLES, answered, lost, ..Counters::default() },
                    histogram,
                    attributes: Vec::new(),
                    observed: Some(Observed { address, age_seconds: 1 }),
                });
            }
            admitted.push(site.admit(measurements, now)?);
        }
        Ok(admitted)
    }
}

/// An agent at a site of its own, which no registry knows.
fn invented(number: u32, random: &mut StdRng) -> Caller {
    // The square of a uniform number: the first providers serve more.
    let skewed = random.random::<f64>().powi(2);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below the number of providers"
    )]
    let provider = (skewed * PROVIDERS as f64) as u64;
    let registration = Registration {
        id: RegistrationId(i64::from(number) + 1),
        organisation: OrganisationId::DEFAULT,
        site: format!("site-{number:06}"),
        provider: format!("provider-{provider:02}"),
        location: format!("US-{:02}", random.random_range(0..LOCATIONS)),
        prefixes: vec!["192.0.2.0/24".parse().unwrap_or_default()],
        count_declared: false,
        valid_from: Timestamp::from_secs(0),
        valid_to: None,
    };
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Caller { agent: AgentId::new(id), registration, others: Vec::new(), uplinks: Vec::new() }
}

impl Site {
    fn new(caller: Caller, targets: &[Arc<Target>], random: &mut StdRng) -> Self {
        // All metrics of a target are of one path.
        let nature = (0..TARGETS)
            .map(|_target| (log_normal(random), random.random_range(0.001..0.02)))
            .flat_map(|path| [path; METRICS.len()])
            .collect();
        let series = series(&caller.registration.site, targets);
        Self { caller, series, nature, next: 0 }
    }

    fn admit(&mut self, measurements: Vec<Measurement>, now: Timestamp) -> anyhow::Result<Admitted> {
        let number = BatchNumber {
            agent: self.caller.agent,
            session: SessionId::new(*self.caller.agent.as_bytes()),
            sequence: self.next,
        };
        self.next += 1;
        let digest = BatchDigest::of(format!("{number:?}").as_bytes());
        let indices = (0..u32::try_from(measurements.len())?).collect();
        let batch = Batch {
            number,
            created: now,
            clock_offset_us: None,
            agent_version: String::new(),
            part: None,
            health: Health::default(),
            series: self.series.clone(),
            measurements,
        };
        let decoded = Decoded { batch, indices, refused: Vec::new() };
        admit(decoded, digest, &self.caller, HORIZON, now).context("the workload was not admitted")
    }
}

/// A round trip between 5 and 150 ms, in microseconds: the median is 27 ms.
fn log_normal(random: &mut StdRng) -> f64 {
    let (u, v) = (random.random_range(f64::MIN_POSITIVE..1.0), random.random::<f64>());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    (27_400.0 * (0.85 * normal).exp()).clamp(5_000.0, 150_000.0)
}

/// One round trip of a path: its base, jitter of a gamma distribution of shape 2, and now and then a spike.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and below a minute")]
fn round_trip(random: &mut StdRng, base: f64) -> u64 {
    let gamma =
        -(random.random_range(f64::MIN_POSITIVE..1.0) * random.random_range(f64::MIN_POSITIVE..1.0)).ln();
    let spike = if random.random_bool(0.003) { random.random_range(1.0..4.0) * base } else { 0.0 };
    (base + JITTER * base * gamma / 2.0 + spike) as u64
}

/// The mean of the jitter, as a share of the round trip.
const JITTER: f64 = 0.02;
