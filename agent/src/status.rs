//! What the agent is doing, for people: written to the state directory every few seconds, printed by `status`.

mod headline;

use crate::{
    aggregate::ClosedInterval, credential::Enrolment, durable, notices::Notices, paths::StateDir,
    spool::Counts,
};
use comfy_table::{Table, presets};
use peerlight_proto::{
    duration, enrolment::SiteAssertion, histogram::Histogram, metric::Metric, time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often it is written.
pub const PERIOD: Duration = Duration::from_secs(3);

/// What the agent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The agent's identity.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// Its process; none once it has shut down.
    pub pid: Option<u32>,
    /// When it started, in microseconds since 1970.
    pub started_us: i64,
    /// When this was written.
    pub written_us: i64,
    /// With which collector it is enrolled, for what.
    pub enrolled: Option<Enrolled>,
    /// Which uplinks it is not enrolled for; nothing is handed over until it is.
    pub not_enrolled_for: Vec<String>,
    /// Why the agent could not enrol itself, if it tried.
    #[serde(default)]
    pub enrolment_problem: Option<String>,
    /// How pushing goes.
    pub push: PushState,
    /// The key that signs, as the collector knows it.
    pub key: Option<KeyState>,
    /// Why the key could not be looked after, if it could not.
    pub key_problem: Option<String>,
    /// When the last batch was acknowledged.
    pub last_ack_us: Option<i64>,
    /// Collector time minus this machine's, in microseconds.
    pub clock_offset_us: Option<i64>,
    /// How far that may be off.
    #[serde(default)]
    pub clock_uncertainty_us: Option<i64>,
    /// The spool.
    pub spool: Counts,
    /// The measuring.
    pub measuring: Measuring,
    /// The public address of each family, as the collector saw it.
    pub observed: BTreeMap<String, IpAddr>,
    /// Why ICMP cannot be sent, if it cannot.
    pub icmp_problem: Option<String>,
    /// Targets that are not probed, or not as often as asked, each with its reason.
    pub refused_targets: Vec<String>,
    /// What is wrong with targets: who answers in their place, where their names lead.
    pub notices: Vec<String>,
    /// Paths that were captured because a target turned bad, or was good again.
    #[serde(default)]
    pub captured: Option<Captured>,
}

/// With which collector the agent is enrolled, for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The collector's address.
    pub collector: String,
    /// The site.
    pub site: String,
    /// The provider.
    pub provider: String,
    /// The location.
    pub location: String,
    /// The sites that are measured beside that one.
    #[serde(default)]
    pub others: Vec<SiteAssertion>,
}

impl From<Enrolment> for Enrolled {
    fn from(enrolment: Enrolment) -> Self {
        Self {
            collector: enrolment.collector,
            site: enrolment.site.name,
            provider: enrolment.site.provider,
            location: enrolment.site.location,
            others: enrolment.others,
        }
    }
}

/// The agent's key. Instants are microseconds since 1970 on the collector's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// How its public half begins: what the collector's `agent show` shows.
    pub key: String,
    /// When its life began.
    pub since_us: i64,
    /// When it expires.
    pub expires_us: i64,
    /// When the agent replaces it.
    pub due_us: i64,
}

impl KeyState {
    fn line(&self, now: Timestamp) -> String {
        let days = |span: Duration| duration::text(Duration::from_secs(span.as_secs() / 3_600 * 3_600));
        let [since, expires, due] = [self.since_us, self.expires_us, self.due_us].map(Timestamp::from_micros);
        let expiry = if now < expires {
            format!("expires in {}, is replaced in {}", days(expires.since(now)), days(due.since(now)))
        } else {
            format!("EXPIRED {} ago", days(now.since(expires)))
        };
        format!("{}, {} old, {expiry}", self.key, days(now.since(since)))
    }
}

/// How pushing goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PushState {
    /// There is no enrolment yet; batches are kept.
    #[default]
    NotEnrolled,
    /// Nothing waits.
    Idle,
    /// Batches are being acknowledged.
    Delivering,
    /// The last attempt failed; the batch is kept and sent again.
    Retrying {
        /// Why.
        reason: String,
    },
    /// The collector turned the agent away; batches are kept.
    Stopped {
        /// Why.
        reason: String,
    },
    /// The agent has shut down; what waits is delivered at its next start.
    Ended,
}

/// The measuring since the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measuring {
    /// Targets in the schedule, each counted once for each family.
    pub entries: u64,
    /// Turns that were taken.
    pub turns: u64,
    /// Turns that were missed.
    pub skipped: u64,
    /// Turns that were missed too long ago to be accounted for.
    pub forgotten: u64,
    /// Samples that came after their interval was closed.
    pub stale_samples: u64,
    /// Stray replies that came faster than they were counted.
    pub dropped_strays: u64,
    /// Sessions, each ended by a clock step or a suspend.
    pub sessions: u64,
    /// Intervals that could not be written to the spool.
    pub lost_intervals: u64,
    /// How late probes left in the interval that was closed last.
    pub noise: Option<Noise>,
}

/// What was captured since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// How many paths.
    pub count: u64,
    /// When the latest was, in microseconds since 1970 UTC …
    pub taken_us: i64,
    /// … and of what, and why.
    pub latest: String,
}

/// How late an interval's probes left this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// How many there were.
    pub probes: u64,
    /// The median, in microseconds.
    pub p50_us: u64,
    /// The 99th percentile, in microseconds.
    pub p99_us: u64,
}

impl Noise {
    /// Above this 99th percentile the machine is called busy: a tenth of a second is more than most round trips.
    const BUSY_US: u64 = 100_000;

    /// Over all targets; none where nothing left.
    pub fn of(interval: &ClosedInterval) -> Option<Self> {
        let mut all = Histogram::default();
        let noise = interval.rows.iter().filter(|row| row.series.key.metric == Metric::AgentNoise);
        noise.for_each(|row| all.merge(&row.histogram));
        Some(Self { probes: all.count(), p50_us: all.percentile(500)?, p99_us: all.percentile(990)? })
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |micros: u64| millis(i64::try_from(micros).unwrap_or(i64::MAX));
        write!(
            f,
            "half of {} probes left within {} ms, 99 % within {} ms",
            self.probes,
            text(self.p50_us),
            text(self.p99_us)
        )?;
        if self.p99_us > Self::BUSY_US {
            f.write_str(": this machine is too busy to send in time")
        } else {
            Ok(())
        }
    }
}

/// Where all parts of the agent say what they are doing. A cheap shared handle.
#[derive(Debug, Clone, Default)]
pub struct Board {
    status: Arc<Mutex<Status>>,
    notices: Vec<(Option<String>, Notices)>,
}

impl Board {
    /// A board that shows these notices, too, each with its uplink where there are several.
    pub fn showing(notices: Vec<(Option<String>, Notices)>) -> Self {
        Self { notices, ..Self::default() }
    }

    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The status now.
    pub fn get(&self) -> Status {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let named = |(uplink, notices): &(Option<String>, Notices)| {
            let uplink = uplink.as_ref().map(|uplink| format!("{uplink}: ")).unwrap_or_default();
            notices.list().into_iter().map(move |notice| format!("{uplink}{notice}"))
        };
        status.notices = self.notices.iter().flat_map(named).collect();
        status
    }
}

impl Status {
    /// Says that the agent has shut down. That it is not enrolled, or was turned away, holds on.
    pub fn end(&mut self) {
        self.pid = None;
        match self.push {
            PushState::NotEnrolled | PushState::Stopped { .. } => {}
            PushState::Idle | PushState::Delivering | PushState::Retrying { .. } | PushState::Ended => {
                self.push = PushState::Ended;
            }
        }
    }

    /// Writes it for `status` to read.
    pub fn write(&self, state: &StateDir) -> io::Result<()> {
        durable::publish(&state.status(), &serde_json::to_vec_pretty(self)?)
    }

    /// Reads what the agent wrote last.
    pub fn read(state: &StateDir) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(state.status())?)?)
    }

    /// The status as a table, as of `now`.
    pub fn table(&self, now: Timestamp) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (name, value) in self.lines(now) {
            table.add_row([name.to_owned(), value]);
        }
        table.trim_fmt()
    }

    fn lines(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let ago = |micros: i64| {
            let age = now.since(Timestamp::from_micros(micros)).as_secs();
            format!("{} ago", duration::text(Duration::from_secs(age)))
        };
        let running = match self.pid {
            Some(pid) => format!("process {pid}, started {}", ago(self.started_us)),
            None => format!("shut down {}", ago(self.written_us)),
        };
        let spool = &self.spool;
        let measuring = &self.measuring;
        let mut lines = vec![
            ("agent", format!("{} ({})", self.agent, self.version)),
            ("running", running),
            ("as of", ago(self.written_us)),
            ("enrolled", self.enrolled_line()),
            ("push", self.push.to_string()),
            ("last acknowledgement", self.last_ack_us.map_or_else(|| "none yet".to_owned(), ago)),
            ("waiting", format!("{} batches, {} bytes", spool.batches, spool.bytes)),
            (
                "given up",
                format!(
                    "{} dropped, {} corrupt, {} rejected by the collector, {} too large for it and set aside; \
                     {} measurements in all",
                    spool.dropped, spool.corrupt, spool.rejected, spool.too_large, spool.lost_measurements
                ),
            ),
            ("refused measurements", spool.refused_measurements.to_string()),
            (
                "schedule",
                format!(
                    "{} entries, {} turns, {} skipped",
                    measuring.entries, measuring.turns, measuring.skipped
                ),
            ),
        ];
        lines.extend(self.enrolment_problem.as_ref().map(|problem| ("enrolment problem", problem.clone())));
        lines.extend(self.captured.as_ref().map(|Captured { count, taken_us, latest }| {
            let text = format!("{count}, the latest {}: {latest}; see `path --captured`", ago(*taken_us));
            ("captured paths", text)
        }));
        lines.extend(measuring.noise.map(|noise| ("noise", noise.to_string())));
        lines.extend(measuring.losses().map(|losses| ("not measured", losses)));
        lines.extend(self.key.as_ref().map(|key| ("key", key.line(now))));
        lines.extend(self.key_problem.as_ref().map(|problem| ("key problem", problem.clone())));
        if let Some((offset, uncertainty)) = self.clock_offset_us.zip(self.clock_uncertainty_us) {
            let text = format!("{} ms, give or take {} ms", millis(offset), millis(uncertainty));
            lines.push(("clock offset", text));
        }
        for (family, address) in &self.observed {
            lines.push(("observed address", format!("{address} ({family})")));
        }
        if let Some(problem) = &self.icmp_problem {
            lines.push(("ICMP", problem.clone()));
        }
        lines.extend(self.refused_targets.iter().map(|refused| ("refused target", refused.clone())));
        lines.extend(self.notices.iter().map(|notice| ("notice", notice.clone())));
        lines
    }

    fn enrolled_line(&self) -> String {
        if let Some(uplink) = self.not_enrolled_for.first() {
            let all = self.not_enrolled_for.join(", ");
            return format!("not for {all}; run `peerlight-agent enrol --uplink {uplink}`");
        }
        let Some(to) = &self.enrolled else { return "no; run `peerlight-agent enrol`".to_owned() };
        let mut line = format!("{} at {} for {} in {}", to.collector, to.site, to.provider, to.location);
        for other in &to.others {
            // Writing to a String cannot fail.
            let _infallible =
                write!(line, ", at {} for {} in {}", other.name, other.provider, other.location);
        }
        line
    }
}

impl Measuring {
    /// What should never happen, if it did.
    fn losses(&self) -> Option<String> {
        let losses = [
            (self.lost_intervals, "intervals could not be spooled"),
            (self.stale_samples, "samples came after their interval was closed"),
            (self.dropped_strays, "stray replies came too fast to be counted"),
            (self.forgotten, "turns were missed too long ago to be accounted for"),
        ];
        let told = losses.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = told.map(|(count, what)| format!("{count} {what}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// Microseconds as milliseconds with three places.
fn millis(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let magnitude = micros.unsigned_abs();
    format!("{sign}{}.{:03}", magnitude / 1_000, magnitude % 1_000)
}

impl std::fmt::Display for PushState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotEnrolled => f.write_str("not enrolled: batches are kept"),
            Self::Idle => f.write_str("idle: everything is delivered"),
            Self::Delivering => f.write_str("delivering"),
            Self::Retrying { reason } => write!(f, "retrying: {reason}"),
            Self::Stopped { reason } => write!(f, "stopped, batches are kept: {reason}"),
            Self::Ended => f.write_str("ended: what waits is delivered at the next start"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_an_operator_asks_first() {
        let status = Status {
            agent: "0102".to_owned(),
            version: "0.1.0".to_owned(),
            pid: Some(7),
            started_us: 0,
            written_us: 58_000_000,
            push: PushState::Stopped { reason: "the agent is revoked".to_owned() },
            last_ack_us: Some(30_000_000),
            clock_offset_us: Some(-500),
            clock_uncertainty_us: Some(1_250),
            refused_targets: vec!["a.example tcp:22: this port may not be probed".to_owned()],
            observed: BTreeMap::from([("v4".to_owned(), IpAddr::from([192, 0, 2, 1]))]),
            ..Status::default()
        };
        insta::assert_snapshot!(status.table(Timestamp::from_secs(60)));
    }

    #[test]
    fn the_key_is_shown_with_its_age_and_what_becomes_of_it() {
        let hours = |hours: i64| hours * 3_600_000_000;
        let key = KeyState {
            key: "0011223344556677".to_owned(),
            since_us: 0,
            expires_us: hours(90 * 24),
            due_us: hours(61 * 24),
        };
        let line = |hour| key.line(Timestamp::from_micros(hours(hour) + 59_000_000));
        assert_eq!(line(24 * 24), "0011223344556677, 24d old, expires in 65d23h, is replaced in 36d23h");
        assert_eq!(line(62 * 24), "0011223344556677, 62d old, expires in 27d23h, is replaced in 0s");
        assert_eq!(line(91 * 24), "0011223344556677, 91d old, EXPIRED 1d ago");
    }

    #[test]
    fn every_site_is_named_and_whatever_is_not_enrolled_yet() {
        let site = |name: &str| SiteAssertion {
            name: name.to_owned(),
            provider: format!("{name} telecom"),
            location: "GB-LND".to_owned(),
            prefixes: Vec::new(),
        };
        let enrolment = Enrolment {
            collector: "https://collector.example.com".to_owned(),
            ca_pem: None,
            response_key: String::new(),
            site: site("a"),
            others: vec![site("b")],
        };
        let mut status = Status { enrolled: Some(enrolment.into()), ..Status::default() };
        assert_eq!(
            status.enrolled_line(),
            "https://collector.example.com at a for a telecom in GB-LND, at b for b telecom in GB-LND"
        );
        status.not_enrolled_for = vec!["c".to_owned(), "d".to_owned()];
        assert_eq!(status.enrolled_line(), "not for c, d; run `peerlight-agent enrol --uplink c`");
    }

    #[test]
    fn every_loss_is_told() {
        let measuring = Measuring { lost_intervals: 2, dropped_strays: 7, ..Measuring::default() };
        let table = Status { measuring, ..Status::default() }.table(Timestamp::default());
        assert!(
            table.contains("2 intervals could not be spooled, 7 stray replies came too fast to be counted"),
            "{table}"
        );
        assert!(!Status::default().table(Timestamp::default()).contains("not measured"));
    }

    #[test]
    fn an_agent_that_has_shut_down_claims_nothing_of_its_deliveries() {
        let after = |push| {
            let mut status = Status { push, pid: Some(1), ..Status::default() };
            status.end();
            (status.pid, status.push)
        };
        for push in [PushState::Idle, PushState::Delivering, PushState::Retrying { reason: "x".to_owned() }] {
            assert_eq!(after(push), (None, PushState::Ended));
        }
        let stopped = PushState::Stopped { reason: "revoked".to_owned() };
        assert_eq!(after(stopped.clone()), (None, stopped));
        assert_eq!(after(PushState::NotEnrolled), (None, PushState::NotEnrolled));
    }

    #[test]
    fn what_is_written_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path());
        let status = Status { push: PushState::Retrying { reason: "x".to_owned() }, ..Status::default() };
        status.write(&state).unwrap();
        assert_eq!(Status::read(&state).unwrap(), status);
    }
}
