//! Availability by minutes that are written down, through a store that answers as every store does.

use super::*;
use crate::{
    organisation::OrganisationId,
    registry::RegistrationId,
    report::{
        NoLoss,
        fixture::{presence, registration, row, series},
        render::availability::{csv, table},
        silence::Listening,
    },
    store::{Grouping, Presence, Query, slot_of},
};
use peerlight_proto::{id::AgentId, measurement::Counters, metric::Metric, series::Series};
use std::{collections::BTreeMap, time::Duration};

/// A midnight, and four hours of minutes after it.
const START: i64 = 20_773 * 86_400;
const MINUTES: i64 = 240;
const NOW: Timestamp = Timestamp::from_secs(START + MINUTES * 60 + 180);

/// A minute of an agent's probes of a target.
#[derive(Clone)]
struct Seen {
    agent: AgentId,
    registration: i64,
    series: Series,
    start: Timestamp,
    counters: Counters,
}

/// What an agent of a registration saw from `START` on, a minute each: `a`nswered, `u`nanswered, `r`efused, `n`othing sent,
/// `s`ome answered; `-` is silence. The last letter goes on to the end.
fn course(agent: u8, registration: i64, metric: Metric, text: &str) -> Vec<Seen> {
    let last = text.chars().last().unwrap();
    let letters = text.chars().chain(std::iter::repeat(last)).zip(0..MINUTES);
    let seen = letters.filter_map(|(letter, minute)| {
        let mut counters = Counters { scheduled: 6, ..Counters::default() };
        match letter {
            'a' => counters.answered = 6,
            'u' => counters.lost = 6,
            'r' => counters.refused = 6,
            'n' => counters.dns_failed = 6,
            's' => (counters.answered, counters.lost) = (1, 5),
            _ => return None,
        }
        let start = Timestamp::from_secs(START + minute * 60);
        let series = series(metric, "door");
        Some(Seen { agent: AgentId::new([agent; 16]), registration, series, start, counters })
    });
    seen.collect()
}

/// What a store holds, how it is asked, and what it was asked and how many rows it answered.
struct Stored {
    seen: Vec<Seen>,
    minutes_from: Timestamp,
    asked: Vec<(Query, usize)>,
}

impl Stored {
    fn scan(&mut self, query: Query, grouping: &dyn Grouping) -> Vec<Row> {
        let mut rows: BTreeMap<(u32, Timestamp), Counters> = BTreeMap::new();
        for one in &self.seen {
            let measured = row(one.registration, &one.series, &[], 0);
            let wanted = query.metrics.contains(&one.series.key.metric)
                && query
                    .registrations
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&RegistrationId(one.registration)));
            // Where minutes have expired their quarter hour stands for them.
            let finest = if one.start < self.minutes_from { 900 } else { 60 };
            let start = slot_of(one.start, Duration::from_secs(finest));
            if !wanted || !(query.from..query.to).contains(&start) {
                continue;
            }
            let agent = grouping.keeps_agents_apart().then_some(one.agent);
            let Some(group) = grouping.group(&measured.origin, &measured.shape, agent) else { continue };
            let slot = query.step.map_or(query.from, |step| slot_of(start, step));
            rows.entry((group, slot)).or_default().merge(&one.counters);
        }
        self.asked.push((query, rows.len()));
        let of = |((group, slot), counters)| {
            let totals = crate::store::Totals { counters, ..crate::store::Totals::default() };
            Row { group, slot, totals, agents: Arc::new([7].into()) }
        };
        rows.into_iter().map(of).collect()
    }

    fn presence(&self) -> Presences {
        let mut all: BTreeMap<(AgentId, i64, Metric), Presence> = BTreeMap::new();
        for one in &self.seen {
            let key = (one.agent, one.registration, one.series.key.metric);
            let (first, last) = (one.start.as_secs(), one.start.as_secs() + 60);
            let new = Presence {
                agent: one.agent,
                registration: RegistrationId(one.registration),
                ..presence(&one.series, first, last)
            };
            let known = all.entry(key).or_insert(new);
            known.last = known.last.max(Timestamp::from_secs(last));
        }
        all.into_values().collect()
    }

    /// Answers as the API does, part by part.
    fn answer(&mut self, query: &str) -> AvailabilityReport {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        let (asked, errors) = AvailabilityQuestion::read(pairs, OrganisationId::DEFAULT, NOW);
        assert_eq!(errors, [""; 0]);
        let registrations: Registrations =
            vec![registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "GB-LND")]
                .into_iter()
                .collect();
        let presence = self.presence();
        let listening = Listening::to(asked.question(), &registrations, &presence);
        let silences = listening.map(|listening| {
            let rows = self.scan(listening.query(), &listening);
            listening.hear(&rows)
        });
        self.asked.clear();
        let ground = Ground {
            registrations: &registrations,
            agents: &[],
            presence: &presence,
            minutes_from: self.minutes_from,
        };
        let mut observing = Observing::new(asked, ground, silences.unwrap_or_default(), NOW).unwrap();
        for part in observing.parts() {
            let units = observing.units();
            let rows = self.scan(part.clone(), &*units);
            let closer = observing.closer(&rows);
            let asks = closer.asks(&part, &observing);
            let minutes = asks.into_iter().flat_map(|(query, few)| self.scan(query, &*few)).collect();
            observing.take(rows, minutes, &closer);
        }
        observing.finish(NOW)
    }
}

fn stored(courses: impl IntoIterator<Item = Vec<Seen>>) -> Stored {
    let seen = courses.into_iter().flatten().collect();
    Stored { seen, minutes_from: Timestamp::from_secs(0), asked: Vec::new() }
}

fn tcp(agent: u8, registration: i64, text: &str) -> Vec<Seen> {
    course(agent, registration, Metric::TcpConnect, text)
}

fn minute(of: Timestamp) -> i64 {
    (of.as_secs() - START) / 60
}

fn only(report: &AvailabilityReport) -> &AvailabilityRow {
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    row
}

#[test]
fn an_outage_is_told_to_the_minute_from_a_sleeping_agent_and_from_a_lossy_line() {
    // Twenty answered, nine lost, one lossy, thirty silent, then answered.
    let text = format!("{}{}s{}a", "a".repeat(20), "u".repeat(9), "-".repeat(30));
    let report = stored([tcp(1, 1, &text)]).answer("last=4h");
    let row = only(&report);
    let [outage] = row.outages.as_slice() else { panic!("{row:?}") };
    assert_eq!((minute(outage.from), minute(outage.to), outage.unanswered), (20, 29, 54));
    assert_eq!((outage.resolution_seconds, outage.start_known, outage.end_known), (60, true, true));
    let [gap] = row.gaps.as_slice() else { panic!("{row:?}") };
    assert_eq!((gap.kind, minute(gap.from), minute(gap.to)), (GapKind::Silent, 30, 60));
    let AgentTimes { answered, outage, silent, .. } = row.seconds;
    assert_eq!((answered / 60, outage / 60, silent / 60), (201, 9, 30));
    let availability = row.availability.unwrap();
    assert!((availability.value - 201.0 / 210.0).abs() < 1e-6, "{availability:?}");
    assert!(row.coverage.is_some_and(|coverage| (coverage - 0.875).abs() < 0.01), "{:?}", row.coverage);
}

#[test]
fn what_is_not_sent_or_refused_is_neither_answered_nor_an_outage() {
    let text = format!("{}{}{}a", "a".repeat(7), "n".repeat(5), "r".repeat(4));
    let report = stored([tcp(1, 1, &text)]).answer("last=4h");
    let row = only(&report);
    let AgentTimes { outage, refused, not_measuring, .. } = row.seconds;
    assert_eq!((outage, refused / 60, not_measuring / 60, row.outage_count), (0, 4, 5, 0));
    assert_eq!(row.availability.map(|share| share.value), Some(1.0));
    assert_eq!(row.gaps.iter().map(|gap| gap.kind).collect::<Vec<_>>(), [GapKind::NotMeasuring]);
}

#[test]
fn an_outage_says_how_many_agents_it_hit_of_those_that_measured() {
    let dark = format!("{}{}a", "a".repeat(60), "u".repeat(30));
    let longer = format!("{}{}a", "a".repeat(70), "u".repeat(40));
    let asleep = format!("{}{}a", "a".repeat(50), "-".repeat(80));
    let courses = [tcp(1, 1, &dark), tcp(2, 1, &longer), tcp(3, 1, "a"), tcp(4, 1, &asleep), tcp(5, 2, "a")];
    let report = stored(courses).answer("last=4h");
    let [aurora, borealis] = report.rows.as_slice() else { panic!("{report:?}") };
    let [outage] = aurora.outages.as_slice() else { panic!("{aurora:?}") };
    assert_eq!((minute(outage.from), minute(outage.to)), (60, 110));
    assert_eq!((outage.agents_affected, outage.agents_measuring, aurora.agents), (2, 3, 4));
    assert_eq!((borealis.outage_count, borealis.gap_count), (0, 0));
}

#[test]
fn an_outage_that_lasts_says_so_and_whole_quarter_hours_are_not_read_by_the_minute() {
    // Of two agents one is cut off: the other's minutes tell nothing more.
    let mut stored = stored([tcp(1, 1, &format!("{}u", "a".repeat(95))), tcp(2, 1, "a")]);
    let report = stored.answer("last=4h");
    let [outage] = report.rows[0].outages.as_slice() else { panic!("{report:?}") };
    assert_eq!((minute(outage.from), minute(outage.to)), (95, MINUTES));
    assert_eq!((outage.ongoing, outage.start_known, outage.end_known), (true, true, false));
    assert_eq!(outage.resolution_seconds, 60);
    let minutes = stored.asked.iter().filter(|(query, _)| query.step == Some(Duration::from_mins(1)));
    let minutes: Vec<_> =
        minutes.map(|(query, rows)| (minute(query.from), minute(query.to), *rows)).collect();
    assert_eq!(minutes, [(90, 105, 15)]);
}

#[test]
fn where_minutes_have_expired_an_outage_is_known_to_a_quarter_hour() {
    let text = format!("{}{}a", "a".repeat(55), "u".repeat(40));
    let mut stored = stored([tcp(1, 1, &text)]);
    stored.minutes_from = NOW;
    let report = stored.answer("last=4h");
    let [outage] = only(&report).outages.as_slice() else { panic!("{report:?}") };
    assert_eq!((minute(outage.from), minute(outage.to), outage.resolution_seconds), (60, 90, 900));
    assert!(table::render(&report, None).contains("known to a quarter hour"));
}

#[test]
fn a_target_that_never_answers_icmp_while_tcp_works_is_silent_and_not_out() {
    let icmp = |agent, registration, text: &str| course(agent, registration, Metric::IcmpRtt, text);
    let report = stored([icmp(1, 1, "u"), tcp(1, 1, "a"), icmp(2, 2, "u"), tcp(2, 2, "u")]).answer("last=4h");
    let [silent, works, out, out_too] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((silent.metric, silent.availability, silent.outage_count), (Metric::IcmpRtt, None, 0));
    assert_eq!((silent.no_availability_because, silent.icmp_silent_agents), (Some(NoLoss::IcmpSilent), 1));
    assert_eq!((silent.seconds.icmp_silent / 60, silent.seconds.outage), (240, 0));
    assert_eq!(works.availability.map(|share| share.value), Some(1.0));
    // Where TCP does not work either nothing is excused.
    assert_eq!((out.outage_count, out_too.outage_count, out.no_availability_because), (1, 1, None));
    let shown = table::render(&report, None);
    assert!(shown.contains("icmp silent") && !shown.contains("Outage: Aurora"), "{shown}");
}

#[test]
fn table_and_csv_are_as_they_were_read_and_approved() {
    let dark = format!("{}{}{}{}a", "a".repeat(20), "u".repeat(9), "a".repeat(31), "-".repeat(40));
    let icmp = course(1, 1, Metric::IcmpRtt, "u");
    let report =
        stored([tcp(1, 1, &dark), tcp(2, 1, &format!("aa{}a", "u".repeat(28))), icmp, tcp(3, 2, "a")])
            .answer("last=4h");
    insta::assert_snapshot!("table", table::render(&report, None));
    insta::assert_snapshot!("csv", csv::render(&report).unwrap());
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&report.rows[0]).unwrap());
}

#[test]
fn nothing_measured_says_what_to_do() {
    let report = stored([]).answer("last=4h");
    assert!(table::render(&report, None).contains("agent list"));
}
