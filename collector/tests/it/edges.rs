//! `report edges` and `report physics`: what agents' answers said of front doors, in every form the same.

use crate::{
    collector::{Collector, NOON},
    forms::{print, text},
    seeded::{add_places, enrolled, measurement, push, series},
};
use peerlight_collector::report::{
    edges::EdgesReport,
    physics::{NoVerdict, PhysicsReport, PhysicsVerdict},
    render::{edges, ndjson, physics},
};
use peerlight_proto::{
    measurement::{Attribute, Measurement},
    metric::Metric,
    time::{Interval, IntervalLength},
};
use std::time::Duration;

/// The front door and the time of a minute.
type Of = fn(u64) -> (&'static str, u64);

const MINUTES: u64 = 60;
const QUERY: &str = "last=2h&step=5m";

/// Connects of an hour, six a minute, of the front door and the time that each minute says.
fn hour(site: usize, of: impl Fn(u64) -> (&'static str, u64)) -> Vec<Measurement> {
    let first = NOON.minus(Duration::from_mins(MINUTES + 1));
    let minute = |minute: u64| {
        let interval = Interval::containing(first.plus(Duration::from_mins(minute)), IntervalLength::MINUTE);
        let (door, us) = of(minute);
        let times = (0..6).map(|step| us + 37 * step);
        let attributes = vec![Attribute { kind: "front_door".into(), value: door.into(), count: 6 }];
        Measurement { attributes, ..measurement(site, 0, interval, times, 0) }
    };
    (0..MINUTES).map(minute).collect()
}

/// A site whose traffic moves from Frankfurt to Lisbon after forty minutes, one that a proxy answers for nearer than Tokyo can be,
/// one that goes far round, and one whose front door nobody knows.
pub(crate) async fn collector() -> Collector {
    let collector = Collector::start().await;
    add_places(
        &collector,
        &[("DE-HE", "Europe/Berlin"), ("US-WA", "America/Los_Angeles"), ("SG-01", "Asia/Singapore")],
    )
    .await;
    let sites: [(&str, &str, Of); 4] = [
        ("Aurora Networks", "DE-HE", |minute| if minute < 40 { ("FRA", 4_800) } else { ("LIS", 43_000) }),
        ("Borealis", "DE-HE", |_| ("IAD", 92_000)),
        ("Aurora Networks", "SG-01", |_| ("TYO", 2_900)),
        ("Borealis", "US-WA", |_| ("SIN", 1_200_000)),
    ];
    for (site, (provider, location, of)) in sites.into_iter().enumerate() {
        let agent = enrolled(&collector, site, provider, location).await;
        push(&agent, 0, vec![series(site, Metric::HttpsTcp, "portal")], hour(site, of)).await;
    }
    collector
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_edge_mix_says_which_front_doors_served_and_when_they_changed() {
    let collector = collector().await;
    let report: EdgesReport =
        serde_json::from_str(&text(&collector, "edges", QUERY, "application/json").await).unwrap();
    let doors: Vec<_> = report
        .rows
        .iter()
        .flat_map(|row| row.front_doors.iter().map(|door| (door.code.as_str(), door.requests)))
        .collect();
    assert_eq!(doors, [("FRA", 240), ("LIS", 120), ("TYO", 360), ("IAD", 360), ("SIN", 360)]);
    let [shift] = report.rows[0].shifts.as_slice() else { panic!("{:?}", report.rows[0]) };
    assert_eq!((shift.from.as_str(), shift.to.as_str()), ("FRA", "LIS"));
    assert_eq!(text(&collector, "edges", QUERY, "text/csv").await, edges::csv::render(&report).unwrap());
    let lines = text(&collector, "edges", QUERY, "application/x-ndjson").await;
    assert_eq!(lines, ndjson::edges(&report).unwrap());
    let printed = print(&collector, "edges", "--last 2h --step 5m").await;
    assert_eq!(printed.trim_end(), edges::table::render(&report, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_faster_than_light_is_no_record_and_a_detour_is_called_one() {
    let collector = collector().await;
    let report: PhysicsReport =
        serde_json::from_str(&text(&collector, "physics", QUERY, "application/json").await).unwrap();
    let of = |door: &str| report.rows.iter().find(|row| row.front_door.as_deref() == Some(door)).unwrap();
    assert_eq!(of("TYO").verdict, Some(PhysicsVerdict::InterceptionOrWrongLocation));
    assert_eq!(of("SIN").verdict, Some(PhysicsVerdict::Detour));
    assert_eq!(of("IAD").no_verdict_because, Some(NoVerdict::UnknownFrontDoor));
    assert_eq!(of("FRA").no_verdict_because, Some(NoVerdict::MayBeNear));
    assert_eq!(text(&collector, "physics", QUERY, "text/csv").await, physics::csv::render(&report).unwrap());
    let lines = text(&collector, "physics", QUERY, "application/x-ndjson").await;
    assert_eq!(lines, ndjson::physics(&report).unwrap());
    let printed = print(&collector, "physics", "--last 2h --step 5m").await;
    assert_eq!(printed.trim_end(), physics::table::render(&report, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    collector.stop().await;
}
