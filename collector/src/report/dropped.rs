//! What is missing from a report because it was dropped: by an agent that had to, or by the collector.
//!
//! Known by site and hour, not by target or metric. Coverage shows the same as a gap; here stands why.

use super::Groups;
use crate::{
    registry::RegistrationId,
    rfc3339,
    store::{Dropped, Presences, dropped::DAMAGED},
};
use peerlight_proto::{drops::DropReason, id::AgentId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt::Write as _, time::Duration};

/// Hours that lie further apart are told apart.
const GAP: Duration = Duration::from_hours(1);

/// What is missing of a site's measurements for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Missing {
    /// The site.
    pub site: String,
    /// Its provider.
    pub provider: String,
    /// Its location, as ISO 3166-2.
    pub location: String,
    /// `agent` where its agent dropped it, else `collector`.
    pub by: String,
    /// Why: `spool_full`, `spool_age`, `corrupt`, `unwritable`, `too_large`, `rejected_too_old`, `rejected` of agents;
    /// `refused_` and the code of the refusal, and `damaged`, of the collector.
    pub reason: String,
    /// The start of the earliest interval.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The end of the latest interval.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Measurements of all targets and metrics, as far as their number is known.
    pub measurements: u64,
    /// Turns of schedules that they accounted for.
    pub turns: u64,
    /// Batches of which nobody knows how many measurements they held.
    pub unread_batches: u64,
}

/// What is missing from the groups' question, of the sites that it asks for. Where it is not known for which registration
/// something was measured, it is missing of the one that its agent measured for last.
pub(super) fn missing(groups: &Groups, dropped: &[Dropped], presence: &Presences) -> Vec<Missing> {
    let mut of_agent: HashMap<AgentId, (Timestamp, RegistrationId)> = HashMap::new();
    if dropped.iter().any(|one| one.registration.is_none()) {
        for present in presence.iter() {
            let latest = of_agent.entry(present.agent).or_insert((present.last, present.registration));
            *latest = (*latest).max((present.last, present.registration));
        }
    }
    let mut all: Vec<Missing> = Vec::new();
    for one in dropped {
        let registration =
            one.registration.or_else(|| of_agent.get(&one.agent?).map(|(_last, registration)| *registration));
        let entry = registration.and_then(|registration| groups.registration(registration));
        let Some(entry) = entry.filter(|entry| groups.question().wants(entry)) else { continue };
        all.push(Missing {
            site: entry.site.clone(),
            provider: entry.provider.clone(),
            location: entry.location.clone(),
            by: if one.by_agent { "agent" } else { "collector" }.to_owned(),
            reason: one.reason.clone(),
            from: one.first,
            to: one.last,
            measurements: one.measurements,
            turns: one.turns,
            unread_batches: one.unread_batches,
        });
    }
    all.sort_by(|a, b| (a.what(), a.from).cmp(&(b.what(), b.from)));
    all.dedup_by(|next, last| {
        let joins = next.what() == last.what() && next.from.since(last.to) <= GAP;
        if joins {
            last.to = last.to.max(next.to);
            last.measurements = last.measurements.saturating_add(next.measurements);
            last.turns = last.turns.saturating_add(next.turns);
            last.unread_batches = last.unread_batches.saturating_add(next.unread_batches);
        }
        joins
    });
    all
}

impl Missing {
    fn what(&self) -> (&str, &str, &str, &str, &str) {
        (&self.site, &self.provider, &self.location, &self.by, &self.reason)
    }

    /// All of it in a sentence, without a full stop.
    pub fn sentence(&self) -> String {
        let mut amount = String::new();
        if self.measurements > 0 || self.unread_batches == 0 {
            let _infallible =
                write!(amount, "{} measurement{}", self.measurements, plural(self.measurements));
        }
        if self.unread_batches > 0 {
            let and = if amount.is_empty() { "" } else { " and " };
            let plural = if self.unread_batches == 1 { "" } else { "es" };
            let _infallible = write!(amount, "{and}{} batch{plural} of unknown content", self.unread_batches);
        }
        format!("site {}: {amount} of {} {}", self.site, span(self.from, self.to), self.fate())
    }

    fn fate(&self) -> String {
        if self.by == "collector" {
            let code = self.reason.strip_prefix("refused_").unwrap_or(&self.reason);
            return if self.reason == DAMAGED {
                "set aside by the collector: damaged on its disk".to_owned()
            } else {
                format!("refused by the collector: {}", code.replace('_', " "))
            };
        }
        match DropReason::from_name(&self.reason) {
            DropReason::SpoolFull => "dropped by its agent: spool full",
            DropReason::SpoolAge => "dropped by its agent: the collector was away for too long",
            DropReason::Corrupt => "set aside by its agent: damaged on its disk",
            DropReason::Unwritable => "dropped by its agent: its disk did not take them",
            DropReason::TooLarge => "set aside by its agent: too large for the collector",
            DropReason::RejectedTooOld => "dropped by its agent: too old for the collector",
            DropReason::Rejected => "dropped by its agent: rejected by the collector",
            DropReason::Other => "dropped by its agent",
        }
        .to_owned()
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `2026-11-30 09:00 to 10:00 UTC`, to the minute, outwards.
fn span(from: Timestamp, to: Timestamp) -> String {
    let ceiling = Timestamp::from_secs(to.as_secs().saturating_add(59).div_euclid(60).saturating_mul(60));
    let (from, to) = (rfc3339::text(from), rfc3339::text(ceiling));
    let parts = |text: &str| {
        let (day, time) = text.split_once('T').unwrap_or((text, ""));
        (day.to_owned(), time.get(..5).unwrap_or(time).to_owned())
    };
    let ((day, start), (last_day, end)) = (parts(&from), parts(&to));
    let last_day = if day == last_day { String::new() } else { format!("{last_day} ") };
    format!("{day} {start} to {last_day}{end} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organisation::OrganisationId,
        report::{
            Question,
            fixture::{self, presence, registration, series},
        },
        store::Presence,
    };
    use peerlight_proto::metric::Metric;

    const NINE: i64 = 1_790_000_000 / 86_400 * 86_400 + 9 * 3_600;

    fn dropped(registration: i64, hour: i64, reason: &str, measurements: u64) -> Dropped {
        fixture::dropped(registration, Timestamp::from_secs(NINE + hour * 3_600), reason, measurements)
    }

    fn sentences(question: Question, dropped: &[Dropped]) -> Vec<String> {
        let registrations = vec![registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "DE-BE")];
        let groups = Groups::new(question, registrations.into_iter().collect(), &Presences::default());
        // The last registration that the agent measured for is the first one.
        let measured = |registration, last| Presence {
            agent: AgentId::new([7; 16]),
            registration: RegistrationId(registration),
            ..presence(&series(Metric::IcmpRtt, "door"), NINE, last)
        };
        let present = Presences::from_iter([measured(1, NINE + 7_200), measured(2, NINE + 3_600)]);
        missing(&groups, dropped, &present).iter().map(Missing::sentence).collect()
    }

    fn question() -> Question {
        Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(NINE))
    }

    #[test]
    fn each_reason_of_a_site_is_a_sentence_and_hours_that_follow_each_other_are_one() {
        let damaged = Dropped {
            registration: None,
            agent: Some(AgentId::new([7; 16])),
            unread_batches: 2,
            ..dropped(0, 0, DAMAGED, 0)
        };
        let unknown = Dropped { agent: Some(AgentId::new([8; 16])), ..damaged.clone() };
        let corrupt = Dropped { unread_batches: 1, ..dropped(1, 9, "corrupt", 0) };
        let found = sentences(
            question(),
            &[
                dropped(1, 0, "spool_full", 10),
                dropped(1, 1, "spool_full", 2),
                dropped(1, 20, "spool_full", 1),
                dropped(2, 0, "refused_unknown_metric", 5),
                damaged,
                unknown,
                corrupt,
            ],
        );
        assert_eq!(
            found,
            [
                "site site-1: 1 batch of unknown content of 2026-09-21 18:00 to 19:00 UTC set aside by its agent: damaged on its disk",
                "site site-1: 12 measurements of 2026-09-21 09:00 to 11:00 UTC dropped by its agent: spool full",
                "site site-1: 1 measurement of 2026-09-22 05:00 to 06:00 UTC dropped by its agent: spool full",
                "site site-1: 2 batches of unknown content of 2026-09-21 09:00 to 10:00 UTC set aside by the collector: damaged on its disk",
                "site site-2: 5 measurements of 2026-09-21 09:00 to 10:00 UTC refused by the collector: unknown metric",
            ]
        );
    }

    #[test]
    fn what_is_missing_of_other_sites_is_not_told() {
        let mut asked = question();
        asked.providers.insert("borealis".to_owned());
        let both = [dropped(1, 0, "spool_full", 10), dropped(2, 0, "spool_age", 3)];
        let found = sentences(asked, &both);
        assert_eq!(
            found,
            [
                "site site-2: 3 measurements of 2026-09-21 09:00 to 10:00 UTC dropped by its agent: the collector was away for too long"
            ]
        );
        assert!(sentences(question(), &[]).is_empty());
    }
}
