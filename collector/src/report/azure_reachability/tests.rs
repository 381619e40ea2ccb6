use super::*;
use crate::{
    organisation::OrganisationId,
    report::{
        Question,
        fixture::{self, Measured, registration, row},
    },
};
use peerlight_proto::metric::Metric;

/// 2026-09-21T14:13:20Z.
const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const DAY: i64 = 86_400;

fn read(pairs: &[(&'static str, &'static str)]) -> (Question, ProviderLocation, Vec<String>) {
    let (asked, errors) = AzureReachabilityQuestion::read(pairs.to_vec(), OrganisationId::DEFAULT, NOW);
    let (question, place) = asked.into_parts();
    (question, place, errors)
}

#[test]
fn a_location_is_told_in_azures_words() {
    let place = |code| read(&[("location", code)]).1;
    let words = |country: &str, state: Option<&str>| ProviderLocation {
        country: country.to_owned(),
        state: state.map(ToOwned::to_owned),
    };
    assert_eq!(place("US-WA"), words("United States of America", Some("washington")));
    assert_eq!(place("de"), words("Germany", None));
    let question = read(&[("location", "US-WA")]).0;
    assert_eq!((question.from.as_secs() % DAY, NOW.since(question.from).as_secs() / 86_400), (0, 30));
    assert!(read(&[]).2[0].contains("name one location"));
    assert!(read(&[("location", "DE"), ("metric", "tcp.connect,icmp.rtt")]).2[0].contains("room for one"));
}

#[test]
fn the_fastest_day_of_all_has_100_and_days_without_answers_have_1() {
    let (question, place, errors) = read(&[("location", "GB"), ("last", "48h")]);
    assert_eq!(errors, [""; 0]);
    let day = question.from.as_secs();
    let on = |registration, day: i64, values_us: &[u64], lost| Measured {
        slot: Timestamp::from_secs(day),
        ..row(registration, &fixture::series(Metric::TcpConnect, "teams"), values_us, lost)
    };
    let rows = [
        on(1, day, &[10_000; 20], 0),
        on(1, day + DAY, &[20_000; 20], 5),
        on(2, day, &[40_000; 20], 0),
        on(2, day + DAY, &[9_000; 3], 30),
        // Too few to be told of.
        on(2, day + 2 * DAY, &[5_000; 9], 0),
    ];
    let registrations = [registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "GB-MAN")];
    let evidence =
        fixture::Evidence { rows: &rows, registrations: &registrations, ..fixture::Evidence::default() };
    let told = azure_reachability(&fixture::answer(&question, &evidence, NOW), place);
    assert_eq!(told.aggregation_level, AggregationLevel::Country);
    let scores = |item: &ReachabilityItem| {
        let days = item.latencies.iter();
        days.map(|latency| (latency.time_stamp.as_secs() - day, latency.score)).collect::<Vec<_>>()
    };
    let [aurora, borealis] = told.reachability_report.as_slice() else { panic!("{told:?}") };
    assert_eq!((aurora.provider.as_str(), aurora.azure_location.as_str()), ("Aurora", "teams"));
    assert_eq!(scores(aurora), [(DAY, 50), (0, 100)]);
    assert_eq!(scores(borealis), [(DAY, 1), (0, 25)]);
    assert_eq!((borealis.latencies[0].median_ms, borealis.latencies[0].probes), (None, 33));
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["reachabilityReport"][0]["azureLocation"], "teams");
    assert_eq!(json["providerLocation"], serde_json::json!({"country": place_name()}));
}

fn place_name() -> &'static str {
    "United Kingdom of Great Britain and Northern Ireland"
}
