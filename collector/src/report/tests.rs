//! What a report counts, what it shows beside, and how it looks.

use super::{
    fixture::{AGENT, Evidence, Measured, agent_entry, answer, dropped, presence, registration, row, series},
    *,
};
use crate::{
    admission::Attribution,
    organisation::OrganisationId,
    store::{ClockOffsets, Origin, Presence},
};
use peerlight_proto::{
    measurement::Attribute,
    metric::NetworkMetric,
    series::{Clock, Family, Path, Series, SeriesKey},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp::from_secs(3_600);
const JITTER: Metric = Metric::Jitter(NetworkMetric::TcpConnect);

fn question(by: &[Dimension]) -> Question {
    Question {
        by: by.to_vec(),
        from: Timestamp::from_secs(0),
        to: NOW,
        last: None,
        ..Question::new(OrganisationId::DEFAULT, NOW)
    }
}

fn attributed(row: Measured, attribution: Attribution) -> Measured {
    Measured { origin: Origin { attribution, ..row.origin }, ..row }
}

#[test]
fn verified_counts_declared_where_allowed_and_off_prefix_never() {
    let mut aurora = registration(1, "Aurora", "GB-LND");
    aurora.count_declared = true;
    let borealis = registration(2, "Borealis", "GB-LND");
    let tcp = series(Metric::TcpConnect, "edge");
    let of = |registration, attribution, n: usize| {
        attributed(row(registration, &tcp, &vec![5_000; n], 1), attribution)
    };
    let rows = [
        of(1, Attribution::Verified, 9),
        of(1, Attribution::Declared, 19),
        of(1, Attribution::OffPrefix, 39),
        of(2, Attribution::Declared, 29),
    ];
    let registrations = [aurora, borealis];
    let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
    let report = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    let [aurora, borealis] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((aurora.sent, aurora.verified, aurora.declared), (30, 10, 20));
    assert_eq!((aurora.declared_uncounted, aurora.off_prefix, aurora.lost, aurora.answered), (0, 40, 2, 28));
    assert_eq!((borealis.sent, borealis.declared_uncounted, borealis.agents), (0, 30, 0));
    assert_eq!((borealis.latency_ms, borealis.loss), (Latency::default(), None));
}

#[test]
fn jitter_stands_beside_its_metric_and_is_a_row_only_when_asked_for() {
    let rows = [
        row(1, &series(Metric::TcpConnect, "edge"), &[5_000; 30], 0),
        row(1, &series(JITTER, "edge"), &[200; 29], 0),
    ];
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
    let report = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    assert_eq!(report.rows.len(), 1);
    assert_eq!(report.rows[0].jitter_ms.map(|jitter| (jitter.p50, jitter.p95)), Some((Some(0.2), Some(0.2))));
    let asked = Question { metrics: BTreeSet::from([JITTER]), ..question(&[Dimension::Provider]) };
    let report = answer(&asked, &evidence, NOW);
    assert_eq!(report.rows.iter().map(|row| row.metric).collect::<Vec<_>>(), [JITTER]);
}

#[test]
fn noise_stands_beside_every_metric_of_its_group_and_is_a_row_only_when_asked_for() {
    let noise = series(Metric::AgentNoise, "edge");
    let rows = [
        row(1, &series(Metric::TcpConnect, "edge"), &[5_000; 100], 0),
        row(1, &noise, &[250_000; 100], 0),
        attributed(row(1, &noise, &[9_000_000; 50], 0), Attribution::OffPrefix),
        row(2, &series(Metric::TcpConnect, "edge"), &[5_000; 100], 0),
    ];
    let registrations = [registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "GB-LND")];
    let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
    let report = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    let [aurora, borealis] = report.rows.as_slice() else { panic!("{report:?}") };
    let beside = aurora.agent_noise_ms.unwrap();
    assert_eq!((beside.p50, beside.p99), (Some(250.0), Some(250.0)));
    assert_eq!((beside.busy(), borealis.agent_noise_ms), (Some(250.0), None));
    assert!(
        render::table::render(&report, None).contains("Agents were busy: probes left up to 250.0 ms late.")
    );
    let asked =
        Question { metrics: BTreeSet::from([Metric::AgentNoise]), ..question(&[Dimension::Provider]) };
    let report = answer(&asked, &evidence, NOW);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((row.metric, row.latency_ms.p50, row.agent_noise_ms), (Metric::AgentNoise, Some(250.0), None));
    assert!(asked.query(&crate::registry::Registrations::default()).metrics.contains(&Metric::AgentNoise));
}

#[test]
fn what_a_target_that_never_answers_icmp_leaves_unanswered_is_shown_and_no_loss() {
    let (silent, answers) = (series(Metric::IcmpRtt, "edge"), series(Metric::IcmpRtt, "relay"));
    let rows = [row(1, &silent, &[], 100), row(1, &answers, &[5_000; 99], 1)];
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
    let counted = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    assert_eq!(counted.rows[0].loss.map(|loss| loss.value), Some(0.505), "where nothing is known of TCP");
    let silences = silence::Silences::of(RegistrationId(1), &silent);
    let answer = |by| fixture::answer_where(&question(by), &evidence, &silences, NOW);
    let together = answer(&[Dimension::Provider]);
    let [row] = together.rows.as_slice() else { panic!("{together:?}") };
    assert_eq!((row.sent, row.lost, row.icmp_silent, row.no_loss_because), (200, 1, 100, None));
    assert_eq!(row.loss.map(|loss| loss.value), Some(0.01));
    assert_eq!(row.latency_incl_loss_ms.p95, Some(5.0));
    let apart = answer(&[Dimension::Target]);
    let [edge, relay] = apart.rows.as_slice() else { panic!("{apart:?}") };
    assert_eq!((edge.loss, edge.no_loss_because, edge.icmp_silent), (None, Some(NoLoss::IcmpSilent), 100));
    assert_eq!((relay.icmp_silent, relay.no_loss_because, relay.lost), (0, None, 1));
    let table = render::table::render(&apart, None);
    assert!(
        table.contains("icmp silent") && table.contains("Not counted as loss: 100 echo requests"),
        "{table}"
    );
}

#[test]
fn what_went_through_a_proxy_is_never_added_to_what_went_straight() {
    let direct = series(Metric::HttpsTtfb, "edge");
    let proxied = Series { key: SeriesKey { path: Path::Proxy, ..direct.key.clone() }, ..direct.clone() };
    let rows = [row(1, &direct, &[5_000; 100], 0), row(1, &proxied, &[90_000; 50], 2)];
    let (registrations, agents) = ([registration(1, "Aurora", "GB-LND")], [agent_entry(AGENT)]);
    let seen = [presence(&direct, 0, 3_600), presence(&proxied, 0, 1_800)];
    let evidence = Evidence {
        rows: &rows,
        registrations: &registrations,
        agents: &agents,
        presence: &seen,
        ..Evidence::default()
    };
    let report = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    let shown: Vec<_> =
        report.rows.iter().map(|row| (row.group.path, row.sent, row.latency_ms.p50, row.expected)).collect();
    let straight = (Path::Direct, 100, Some(5.0), Some(360));
    assert_eq!(shown, [straight, (Path::Proxy, 52, Some(90.0), Some(180))]);
    assert!(render::table::render(&report, None).contains("proxy   https.ttfb"));
    assert_eq!(report.rows[1].group.label(&[Dimension::Provider]), "Aurora · through the proxy");
}

#[test]
fn an_agent_that_fell_silent_is_a_row_with_no_coverage() {
    let tcp = series(Metric::TcpConnect, "edge");
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let seen = [presence(&tcp, -7_200, -3_600)];
    let evidence = Evidence { registrations: &registrations, presence: &seen, ..Evidence::default() };
    let report = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((row.agents, row.sent, row.coverage, row.expected), (0, 0, Some(0.0), Some(342)));
    assert_eq!(report.measured_until, Some(Timestamp::from_secs(-3_600)));
}

#[test]
fn slots_are_aligned_to_the_step_and_cut_to_the_span() {
    let tcp = series(Metric::TcpConnect, "edge");
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let seen = [presence(&tcp, 0, 3_600)];
    let slotted = Measured { slot: Timestamp::from_secs(900), ..row(1, &tcp, &[5_000; 60], 30) };
    let rows = [slotted];
    let evidence =
        Evidence { rows: &rows, registrations: &registrations, presence: &seen, ..Evidence::default() };
    let asked = Question {
        from: Timestamp::from_secs(1_200),
        to: Timestamp::from_secs(2_700),
        step: Some(Duration::from_mins(15)),
        ..question(&[Dimension::Provider])
    };
    let report = answer(&asked, &evidence, NOW);
    let slots: Vec<_> =
        report.rows.iter().map(|row| (row.slot.map(Timestamp::as_secs), row.expected, row.sent)).collect();
    assert_eq!(slots, [(Some(900), Some(60), 90), (Some(1_800), Some(90), 0)]);
}

#[test]
fn a_target_has_one_name_and_filters_choose_it() {
    let (a, b) = (series(Metric::TcpConnect, "edge"), series(Metric::TcpConnect, "other"));
    let mut renamed = a.clone();
    std::sync::Arc::make_mut(&mut renamed.target).name = "a-new-name".to_owned();
    let rows = [row(1, &a, &[1_000; 10], 0), row(1, &renamed, &[1_000; 10], 0), row(1, &b, &[1_000; 10], 0)];
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
    let report = answer(&question(&[Dimension::Target]), &evidence, NOW);
    let named: Vec<_> = report.rows.iter().map(|row| (row.group.name(Dimension::Target), row.sent)).collect();
    assert_eq!(named, [("a-new-name", 20), ("other", 10)]);
    let asked = Question {
        targets: BTreeSet::from(["EDGE.example.com".to_owned()]),
        ..question(&[Dimension::Target])
    };
    assert_eq!(answer(&asked, &evidence, NOW).rows.len(), 1);
}

#[test]
fn the_largest_clock_offset_of_either_sign_is_shown() {
    let tcp = series(Metric::TcpConnect, "edge");
    let off = |registration, attribution, min_us, max_us| {
        let mut row = attributed(row(registration, &tcp, &[1_000; 10], 0), attribution);
        row.totals.clock_offsets = Some(ClockOffsets { min_us, max_us });
        row
    };
    let rows = [
        off(1, Attribution::Verified, -2_500, 0),
        off(1, Attribution::Verified, 1_000, 2_000),
        off(1, Attribution::OffPrefix, 9_000, 9_000),
        row(2, &tcp, &[1_000; 10], 0),
    ];
    let registrations = [registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "GB-LND")];
    // What the agent knows by now says nothing of the span.
    let agents = [AgentEntry { clock_offset_us: Some(77_000), ..agent_entry(AGENT) }];
    let evidence =
        Evidence { rows: &rows, registrations: &registrations, agents: &agents, ..Evidence::default() };
    let report = answer(&question(&[Dimension::Provider]), &evidence, NOW);
    assert_eq!(report.rows[0].max_clock_offset_ms, Some(-2.5), "of what is counted");
    assert_eq!(report.rows[1].max_clock_offset_ms, None);
}

proptest! {
    #[test]
    fn rows_of_any_grouping_add_up_to_the_same(
        parts in prop::collection::vec((1_i64..5, 0_u8..2, 0_u8..3, prop::collection::vec(1_u64..100_000, 0..20), 0_u64..5), 1..30),
        by in prop::sample::subsequence(Dimension::ALL.to_vec(), 1..6),
    ) {
        let registrations: Vec<_> = (1..5_u8).map(|id| {
            let mut entry = registration(i64::from(id), ["Aurora", "Borealis"][usize::from(id % 2)], ["GB-LND", "DE-BE"][usize::from(id / 2 % 2)]);
            entry.count_declared = id % 2 == 0;
            entry
        }).collect();
        let rows: Vec<_> = parts.iter().map(|(id, family, attribution, values, lost)| {
            let base = series(Metric::TcpConnect, "edge");
            let family = [Family::V4, Family::V6][usize::from(*family)];
            let clock = [Clock::Kernel, Clock::User][values.len() % 2];
            let made = row(*id, &Series { key: SeriesKey { family, clock, ..base.key }, ..base }, values, *lost);
            attributed(made, [Attribution::Verified, Attribution::Declared, Attribution::OffPrefix][usize::from(*attribution)])
        }).collect();
        let mut backwards = rows.clone();
        backwards.reverse();
        let of = |by: &[Dimension], rows: &[Measured]| {
            let evidence = Evidence { rows, registrations: &registrations, ..Evidence::default() };
            answer(&question(by), &evidence, NOW)
        };
        let report = of(&by, &rows);
        prop_assert_eq!(&report, &of(&by, &backwards));
        let total = |report: &Report| report.rows.iter().fold([0; 8], |sum, row| {
            prop_assert_row(row);
            let counts = [row.sent, row.answered, row.lost, row.scheduled, row.verified, row.declared, row.declared_uncounted, row.off_prefix];
            std::array::from_fn(|i| sum[i] + counts[i])
        });
        prop_assert_eq!(total(&report), total(&of(&[Dimension::Provider], &rows)));
    }
}

/// What holds in every row.
fn prop_assert_row(row: &ReportRow) {
    assert_eq!(row.sent, row.verified + row.declared);
    assert_eq!(row.sent, row.answered + row.retransmitted + row.late + row.lost + row.refused);
    assert_eq!(row.answered, row.clocks.kernel + row.clocks.tcp_info + row.clocks.user);
}

/// Two providers at two locations, with all that a report can show.
fn full() -> Report {
    let (tcp, jitter) = (series(Metric::TcpConnect, "edge"), series(JITTER, "edge"));
    let times = |base: u64| (0..200).map(|i| base + i * i / 4).collect::<Vec<_>>();
    let mut refused = row(3, &tcp, &[], 0);
    (refused.totals.counters.scheduled, refused.totals.counters.refused) = (5, 5);
    let mut off_clock = row(1, &tcp, &times(8_000), 3);
    off_clock.totals.clock_offsets = Some(ClockOffsets::of(1_250));
    let mut astray = row(3, &tcp, &[14_000; 15], 0);
    astray.totals.attributes =
        [("front_door", "AMS", 9), ("front_door", "FRA", 6), ("resolver", "distant front door", 6)]
            .map(|(kind, value, count)| Attribute { kind: kind.into(), value: value.into(), count })
            .to_vec();
    let rows = [
        off_clock,
        row(1, &jitter, &[340; 199], 0),
        row(1, &series(Metric::AgentNoise, "edge"), &[180; 203], 0),
        row(2, &tcp, &times(21_000), 0),
        attributed(row(2, &tcp, &[9_000; 12], 0), Attribution::OffPrefix),
        astray,
        refused,
    ];
    let registrations = [
        registration(1, "Aurora", "GB-LND"),
        registration(2, "Borealis", "GB-LND"),
        registration(3, "Borealis", "DE-BE"),
    ];
    let seen: Vec<_> =
        (1..=3).map(|id| Presence { registration: RegistrationId(id), ..presence(&tcp, 0, 3_600) }).collect();
    let agents = [agent_entry(AGENT)];
    let missing =
        [dropped(2, Timestamp::from_secs(0), "spool_full", 12), dropped(3, NOW, "refused_future", 1)];
    let evidence = Evidence {
        rows: &rows,
        registrations: &registrations,
        agents: &agents,
        presence: &seen,
        dropped: &missing,
    };
    answer(&question(&[Dimension::Provider, Dimension::Location]), &evidence, NOW)
}

#[test]
fn a_report_in_every_format_is_as_it_was_read_and_approved() {
    let report = full();
    insta::assert_snapshot!("table", render::table::render(&report, None));
    insta::assert_snapshot!("wide", render::table::render_wide(&report));
    insta::assert_snapshot!("csv", render::csv::render(&report).unwrap());
    insta::assert_snapshot!("json", render::json::render(&report).unwrap());
    let widest = render::table::render(&report, None).lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(150), "{widest:?} columns");
}

/// How many figures the JSON of a row holds, its names among them.
fn leaves(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(fields) => fields.values().map(leaves).sum(),
        serde_json::Value::Array(items) => items.iter().map(leaves).sum(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 1,
    }
}

#[test]
fn csv_and_the_wide_table_hold_every_figure_of_a_row() {
    let report = full();
    let row =
        report.rows.iter().find(|row| row.agent_noise_ms.is_some() && row.latency_interval_ms.p95.is_some());
    // What was seen is one column: the front doors. This row has seen nothing.
    let figures = leaves(&serde_json::to_value(row.unwrap()).unwrap()) + 1;
    let csv = render::csv::render(&report).unwrap();
    let header = csv.lines().next().unwrap().split(',');
    let (of_dropped, of_row): (Vec<_>, Vec<_>) = header.partition(|name| name.starts_with("dropped_"));
    // Why there is no loss stands where there is none.
    assert_eq!((of_row.len(), of_dropped.len()), (figures + 1, 4), "{csv}");
    let wide = render::table::render_wide(&report);
    let header = wide.lines().find(|line| line.starts_with("PROVIDER")).unwrap();
    // Loss, p50 and p95 bear the two ends of their intervals in brackets.
    let columns = header.split("  ").filter(|title| !title.trim().is_empty()).count();
    assert_eq!(columns, figures - 6, "{header}");
}

/// The last four columns of each row of the report as CSV.
fn dropped_columns(asked: &Question) -> Vec<Vec<String>> {
    let tcp = series(Metric::TcpConnect, "edge");
    let rows = [0, 1_800].map(|slot| {
        [1, 2].map(|site| Measured { slot: Timestamp::from_secs(slot), ..row(site, &tcp, &[5_000; 9], 0) })
    });
    let registrations = [registration(1, "Aurora", "GB-LND"), registration(2, "Aurora", "DE-BE")];
    let first_half = |dropped: Dropped| Dropped { last: Timestamp::from_secs(1_800), ..dropped };
    let hour = Timestamp::from_secs(0);
    let missing = [
        first_half(dropped(1, hour, "spool_full", 12)),
        Dropped { unread_batches: 2, ..dropped(1, hour, "corrupt", 0) },
        dropped(2, hour, "refused_future", 1),
    ];
    let evidence = Evidence {
        rows: rows.as_flattened(),
        registrations: &registrations,
        dropped: &missing,
        ..Evidence::default()
    };
    let csv = render::csv::render(&answer(asked, &evidence, NOW)).unwrap();
    let records = csv::Reader::from_reader(csv.as_bytes()).into_records();
    let last = |record: csv::StringRecord| {
        (record.len() - 4..record.len()).map(|at| record[at].to_owned()).collect()
    };
    records.map(|record| last(record.unwrap())).collect()
}

#[test]
fn each_row_of_csv_says_what_was_dropped_of_its_places_and_slot() {
    let one_row = [["13", "78", "2", "corrupt, refused_future, spool_full"]];
    assert_eq!(dropped_columns(&question(&[Dimension::Target])), one_row, "known by no target");
    assert_eq!(dropped_columns(&question(&[Dimension::Provider])), one_row);
    let by_location = question(&[Dimension::Location]);
    let (berlin, london) = (["1", "6", "0", "refused_future"], ["12", "72", "2", "corrupt, spool_full"]);
    assert_eq!(dropped_columns(&by_location), [berlin, london]);
    let slotted = Question { step: Some(Duration::from_mins(30)), ..by_location };
    assert_eq!(dropped_columns(&slotted), [berlin, berlin, london, ["0", "0", "2", "corrupt"]]);
}

#[test]
fn an_empty_report_says_what_to_do() {
    let report = answer(&question(&[Dimension::Provider]), &Evidence::default(), NOW);
    insta::assert_snapshot!(render::table::render(&report, None));
}

#[test]
fn json_reads_back() {
    let report = full();
    let json = render::json::render(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn a_name_is_never_a_formula_in_a_spreadsheet() {
    let rows = [row(1, &series(Metric::TcpConnect, "edge"), &[1_000], 0)];
    let registrations = [registration(1, "=HYPERLINK(\"x\")", "GB-LND")];
    let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
    let csv = render::csv::render(&answer(&question(&[Dimension::Provider]), &evidence, NOW)).unwrap();
    assert!(csv.lines().nth(1).unwrap().starts_with("\"'=HYPERLINK"), "{csv}");
}
