//! The status for people: one line for each fact.

use super::{Captured, KeyState, Measuring, PushState, Pushed, Status};
use comfy_table::{Table, presets};
use peerlight_proto::{assignment::AssignmentState, duration, time::Timestamp};
use std::{fmt::Write as _, time::Duration};

impl Status {
    /// The status as a table.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (name, value) in self.lines() {
            table.add_row([name.to_owned(), value]);
        }
        table.trim_fmt()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let now = Timestamp::from_micros(self.told_us);
        let ago = |micros: i64| {
            let age = now.since(Timestamp::from_micros(micros)).as_secs();
            format!("{} ago", duration::text(Duration::from_secs(age)))
        };
        let spool = &self.spool;
        let measuring = &self.measuring;
        let mut lines = vec![
            ("agent", format!("{} ({})", self.agent, self.version)),
            ("running", format!("process {}, started {}", self.pid, ago(self.started_us))),
            ("enrolled", self.enrolled_line()),
            ("push", self.push.to_string()),
            ("last acknowledgement", self.last_ack_us.map_or_else(|| "none yet".to_owned(), ago)),
            (
                "last pushed",
                self.last_pushed.map_or_else(|| "nothing yet".to_owned(), |pushed| pushed_line(pushed, ago)),
            ),
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
            ("assignment", assignment_line(&self.assignment)),
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

fn pushed_line(pushed: Pushed, ago: impl Fn(i64) -> String) -> String {
    let Pushed { until_us, bytes, refused } = pushed;
    format!("what was measured until {}, {bytes} bytes, {refused} measurements refused", ago(until_us))
}

fn assignment_line(assignment: &AssignmentState) -> String {
    let held = match assignment.held {
        0 => "none in force".to_owned(),
        set => format!("target set {set} in force"),
    };
    match &assignment.refused {
        None => held,
        Some(refused) => format!("{held}; target set {} is REFUSED: {}", refused.set, refused.reason),
    }
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

impl Measuring {
    /// What should never happen, if it did.
    pub(super) fn losses(&self) -> Option<String> {
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
pub(crate) fn millis(micros: i64) -> String {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Enrolment;
    use peerlight_proto::{assignment::RefusedAssignment, enrolment::SiteAssertion};
    use std::{collections::BTreeMap, net::IpAddr};

    #[test]
    fn the_table_says_what_an_operator_asks_first() {
        let status = Status {
            agent: "0102".to_owned(),
            version: "0.1.0".to_owned(),
            pid: 7,
            started_us: 0,
            told_us: 60_000_000,
            push: PushState::Stopped { reason: "the agent is revoked".to_owned() },
            last_ack_us: Some(30_000_000),
            last_pushed: Some(Pushed { until_us: 20_000_000, bytes: 4_321, refused: 0 }),
            clock_offset_us: Some(-500),
            clock_uncertainty_us: Some(1_250),
            assignment: AssignmentState {
                held: 7,
                refused: Some(RefusedAssignment { set: 8, reason: "port 22 may not be probed".to_owned() }),
            },
            refused_targets: vec!["a.example tcp:22: this port may not be probed".to_owned()],
            observed: BTreeMap::from([("v4".to_owned(), IpAddr::from([192, 0, 2, 1]))]),
            ..Status::default()
        };
        insta::assert_snapshot!(status.table());
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
        let table = Status { measuring, ..Status::default() }.table();
        assert!(
            table.contains("2 intervals could not be spooled, 7 stray replies came too fast to be counted"),
            "{table}"
        );
        assert!(!Status::default().table().contains("not measured"));
    }
}
