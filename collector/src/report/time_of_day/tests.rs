//! The time of day, from quarter hours that are written down to what is shown.

use super::*;
use crate::{
    organisation::OrganisationId,
    report::{
        fixture::{AGENT, Measured, presence, registration, row, series},
        render::time_of_day::{csv, table},
        silence::Listening,
    },
    rfc3339,
    store::{Grouping, Presence, Query},
};
use std::collections::BTreeMap;

fn location(code: &str, zone: &str) -> Location {
    Location {
        id: 1,
        code: code.to_owned(),
        name: code.to_owned(),
        time_zone: zone.to_owned(),
        latitude: None,
        longitude: None,
        created: Timestamp::from_secs(0),
        ended: None,
    }
}

/// What was measured in each quarter hour from `from` until `to`: the answered time in ms at an instant, and what was lost.
fn quarters(
    registration: i64,
    metric: Metric,
    span: [&str; 2],
    of: impl Fn(Timestamp) -> (u64, u64),
) -> Vec<Measured> {
    let [from, to] = span.map(|text| rfc3339::parse(text).unwrap().as_secs());
    let of_quarter = |start: i64| {
        let slot = Timestamp::from_secs(start);
        let (ms, lost) = of(slot);
        let answered = if ms == 0 { 0 } else { 10 };
        Measured { slot, ..row(registration, &series(metric, "door"), &vec![ms * 1_000; answered], lost) }
    };
    (from..to).step_by(900).map(of_quarter).collect()
}

/// Answers as the API does, part by part.
fn answer(query: &str, now: &str, locations: &[Location], measured: &[Measured]) -> TimeOfDayReport {
    let now = rfc3339::parse(now).unwrap();
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
    let (asked, errors) = TimeOfDayQuestion::read(pairs, OrganisationId::DEFAULT, now);
    assert_eq!(errors, [""; 0]);
    let registrations: Registrations =
        vec![registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "IN-MH")].into_iter().collect();
    let seen = measured.iter().map(|one| Presence {
        agent: AGENT,
        registration: one.origin.registration,
        shape: Arc::clone(&one.shape),
        ..presence(&series(Metric::TcpConnect, "door"), 0, 1)
    });
    let seen: Presences = seen.collect();
    let scan = |query: &Query, grouping: &dyn Grouping| -> Vec<Row> {
        let mut rows: BTreeMap<(u32, Timestamp), Row> = BTreeMap::new();
        let within = measured.iter().filter(|one| {
            (query.from..query.to).contains(&one.slot) && query.metrics.contains(&one.shape.metric)
        });
        for one in within {
            let Some(group) = grouping.group(&one.origin, &one.shape, None) else { continue };
            let slot = query.step.map_or(query.from, |_quarter| one.slot);
            let new =
                || Row { group, slot, totals: crate::store::Totals::default(), agents: Arc::new([7].into()) };
            rows.entry((group, slot)).or_insert_with(new).totals.merge(&one.totals);
        }
        rows.into_values().collect()
    };
    let silences = Listening::to(asked.question(), &registrations, &seen)
        .map(|listening| listening.hear(&scan(&listening.query(), &listening)));
    let parts = asked.parts(&registrations);
    let mut gathering = Gathering::new(asked, registrations, locations, &seen, silences.unwrap_or_default());
    for part in parts {
        let groups = gathering.groups();
        gathering.take(&scan(&part, &*groups), part.to);
    }
    gathering.finish(now)
}

#[test]
fn an_hour_is_that_of_the_location_and_summer_time_moves_none() {
    // Slow from eight to nine in London, through the night of 2026-03-29 in which clocks go forward.
    let slow = |at: Timestamp| {
        let utc_hour = at.as_secs() / 3_600 % 24;
        let summer = at >= rfc3339::parse("2026-03-29T01:00:00Z").unwrap();
        (if utc_hour == if summer { 7 } else { 8 } { 90 } else { 10 }, 0)
    };
    let measured = quarters(1, Metric::TcpConnect, ["2026-03-26T00:00:00Z", "2026-04-02T00:00:00Z"], slow);
    let london = [location("GB-LND", "Europe/London")];
    let report = answer("last=7d", "2026-04-02T00:00:00Z", &london, &measured);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!(row.time_zone, "Europe/London");
    let of = |hour: u8| row.hours.iter().find(|of| of.hour == hour).unwrap();
    for hour in &row.hours {
        let expected = if hour.hour == 8 { 90.0 } else { 10.0 };
        assert!((hour.latency_ms.p50.unwrap() - expected).abs() < 1.0, "{hour:?}");
    }
    // The hour that did not come has a day less; the one after midnight, which the span ends in, a day more.
    assert_eq!([of(1), of(2), of(0)].map(|of| (of.days_measured, of.sent)), [(6, 240), (7, 280), (8, 320)]);
}

#[test]
fn the_hour_that_comes_twice_is_one_hour_of_one_day() {
    let span = ["2026-10-24T23:00:00Z", "2026-10-26T00:00:00Z"];
    let measured = quarters(1, Metric::TcpConnect, span, |_| (10, 0));
    let london = [location("GB-LND", "Europe/London")];
    let report = answer("last=25h", "2026-10-26T00:00:00Z", &london, &measured);
    let hours = &report.rows[0].hours;
    let sent: Vec<_> = hours.iter().map(|of| (of.days_measured, of.sent)).collect();
    assert_eq!((sent.len(), sent[0], sent[1], sent[2]), (24, (1, 40), (1, 80), (1, 40)));
}

#[test]
fn weekdays_and_weekends_are_told_apart_by_the_locations_own_calendar() {
    // 2026-06-05 is a Friday; in India Saturday is a weekday.
    let span = ["2026-06-01T00:00:00Z", "2026-06-15T00:00:00Z"];
    let mut measured = quarters(1, Metric::TcpConnect, span, |_| (10, 0));
    measured.extend(quarters(2, Metric::TcpConnect, span, |_| (10, 0)));
    let places = [location("GB-LND", "Europe/London"), location("IN-MH", "Asia/Kolkata")];
    let report = answer("last=14d&days=apart", "2026-06-15T00:00:00Z", &places, &measured);
    let noon = report.rows.iter().map(|row| {
        (
            row.group.location.as_deref().unwrap(),
            row.days,
            row.hours.iter().find(|of| of.hour == 12).unwrap().days_measured,
        )
    });
    assert_eq!(
        noon.collect::<Vec<_>>(),
        [
            ("GB-LND", Days::Weekdays, 10),
            ("GB-LND", Days::Weekends, 4),
            ("IN-MH", Days::Weekdays, 12),
            ("IN-MH", Days::Weekends, 2)
        ]
    );
    let only = answer("last=14d&days=weekends", "2026-06-15T00:00:00Z", &places, &measured);
    assert_eq!(
        only.rows.as_slice(),
        report.rows.iter().filter(|row| row.days == Days::Weekends).cloned().collect::<Vec<_>>()
    );
}

#[test]
fn table_and_csv_are_as_they_were_read_and_approved() {
    let evening = |at: Timestamp| {
        let (day, hour) = (at.as_secs() / 86_400, at.as_secs() / 3_600 % 24);
        match hour {
            19 => (60 + day.unsigned_abs() % 5, 3),
            3 => (10, 0),
            _ => (20, 0),
        }
    };
    let span = ["2026-06-01T00:00:00Z", "2026-06-29T00:00:00Z"];
    let mut measured = quarters(1, Metric::TcpConnect, span, evening);
    measured.extend(quarters(1, Metric::IcmpRtt, span, |_| (0, 10)));
    let london = [location("GB-LND", "Europe/London")];
    let report = answer("metric=tcp.connect,icmp.rtt", "2026-06-29T00:00:00Z", &london, &measured);
    let [icmp, tcp] = report.rows.as_slice() else { panic!("{report:?}") };
    let shift = tcp.busy_quiet.unwrap();
    assert_eq!((shift.busy_hour, shift.quiet_hour, shift.days), (20, 4, 14));
    assert!(shift.difference_ms.is_some_and(|shift| shift.low > 49.0 && shift.high < 55.0), "{shift:?}");
    assert!(icmp.hours.iter().all(|of| of.loss.is_none() && of.no_loss_because == Some(NoLoss::IcmpSilent)));
    assert_eq!(icmp.busy_quiet, None);
    insta::assert_snapshot!("table", table::render(&report, None));
    let text = csv::render(&report).unwrap();
    insta::assert_snapshot!(
        "csv",
        text.lines().filter(|line| !line.contains("icmp.rtt")).collect::<Vec<_>>().join("\n")
    );
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&tcp.hours[20]).unwrap());
}
