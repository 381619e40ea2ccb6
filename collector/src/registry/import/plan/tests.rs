//! What a file asks for, and what is said of one that will not do.

use super::*;
use crate::registry::{ProviderKind, import::file::Lines};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const HEADER: &str =
    "site,provider,location,prefixes,valid_from,valid_to,count_declared,allow_non_public,nested";

fn provider(id: i64, name: &str, alias: &str) -> Provider {
    Provider {
        id,
        name: name.to_owned(),
        kind: ProviderKind::Isp,
        countries: Vec::new(),
        aliases: vec![alias.to_owned()],
        asns: Vec::new(),
        source: None,
        created: NOW,
        ended: None,
    }
}

fn location(id: i64, code: &str) -> Location {
    Location {
        id,
        code: code.to_owned(),
        name: code.to_owned(),
        time_zone: "Europe/London".to_owned(),
        latitude: None,
        longitude: None,
        created: NOW,
        ended: None,
    }
}

/// Two providers, two locations and London, which has been registered since the beginning of time.
fn present() -> Present {
    let london = Registration {
        id: RegistrationId(7),
        organisation: OrganisationId::DEFAULT,
        site: "london-1".to_owned(),
        provider: "Example Telecom".to_owned(),
        location: "GB-LND".to_owned(),
        prefixes: ["192.0.2.0/24", "2001:db8:7::/48"].map(|text| text.parse().unwrap()).to_vec(),
        count_declared: false,
        valid_from: Timestamp::from_secs(0),
        valid_to: None,
    };
    Present {
        providers: vec![provider(1, "Example Telecom", "ExTel"), provider(2, "Sample Networks", "Sample")],
        locations: vec![location(1, "GB-LND"), location(2, "US-WA")],
        registrations: vec![london],
        change: 0,
    }
}

fn planned(rows: &[&str], present: &Present) -> Result<Plan, Vec<String>> {
    let file = [HEADER].iter().chain(rows).copied().collect::<Vec<_>>().join("\n");
    plan(Lines::of(file.as_bytes()).unwrap(), present, OrganisationId::DEFAULT, NOW)
        .map_err(Faults::into_words)
}

fn faults(rows: &[&str]) -> Vec<String> {
    planned(rows, &present()).unwrap_err()
}

#[test]
fn rows_become_registrations_under_the_registrys_own_names() {
    let plan = planned(
        &[
            "leeds-1,EXTEL,gb-lnd,198.51.100.0/24;2001:db8:8::/48,2026-01-01,2027-01-01,yes,yes,",
            "seattle-1,sample networks,US-WA,203.0.113.0/24,,,,yes,",
        ],
        &present(),
    )
    .unwrap();
    assert_eq!((plan.add.len(), plan.unchanged), (2, 0));
    let leeds = &plan.add[0];
    assert_eq!((leeds.provider, leeds.location, leeds.allow_non_public, leeds.nested), (1, 1, true, false));
    let registration = &leeds.registration;
    assert_eq!(
        (registration.provider.as_str(), registration.location.as_str()),
        ("Example Telecom", "GB-LND")
    );
    assert_eq!(registration.prefixes.len(), 2);
    assert!(registration.count_declared && registration.valid_to.is_some());
    assert_eq!(plan.add[1].registration.valid_from, NOW);
}

#[test]
fn a_row_that_says_what_is_registered_changes_nothing() {
    let unchanged = |row: &str| planned(&[row], &present()).map(|plan| (plan.add.len(), plan.unchanged));
    assert_eq!(unchanged("London-1,extel,GB-LND,2001:db8:7::/48 192.0.2.0/24,,,,yes,"), Ok((0, 1)));
    assert_eq!(
        unchanged("london-1,extel,GB-LND,192.0.2.0/24;2001:db8:7::/48,1970-01-01,,no,yes,"),
        Ok((0, 1))
    );
    for other in [
        "london-1,extel,US-WA,192.0.2.0/24;2001:db8:7::/48,,,,yes,",
        "london-1,extel,GB-LND,192.0.2.0/24,,,,yes,",
        "london-1,extel,GB-LND,192.0.2.0/24;2001:db8:7::/48,,2030-01-01,,yes,",
        "london-1,extel,GB-LND,192.0.2.0/24;2001:db8:7::/48,1971-01-01,,,yes,",
        "london-1,extel,GB-LND,192.0.2.0/24;2001:db8:7::/48,,,yes,yes,",
    ] {
        let errors = unchanged(other).unwrap_err();
        assert!(
            errors[0].contains("`london-1` is already registered through Example Telecom (registration 7)"),
            "{errors:?}"
        );
    }
    let twice = "london-1,extel,GB-LND,192.0.2.0/24;2001:db8:7::/48,,,,yes,";
    assert_eq!(faults(&[twice, twice]), ["line 3: it says the same as line 2"]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_by_line() {
    insta::assert_snapshot!(
        faults(&[
            "leeds-1,Exampel Telecom,GB-LDN,198.51.100.1/24,,,,,",
            "york-1,Example Telecom,GB-LND,203.0.113.0/24,2027-01-01,2026-01-01,maybe,yes,",
            "hull-1,Example Telecom,GB-LND,203.0.113.0/24,2027-01-01,2026-01-01,,yes,",
            "bath-1,Sample Networks,GB-LND,192.0.2.128/25,,,,yes,",
            "deal-1,Example Telecom,GB-LND,192.0.0.0/16,,,,yes,",
            "a-1,Example Telecom,GB-LND,198.18.0.0/24,,,,yes,",
            "A-1,Sample Networks,GB-LND,198.18.0.0/25,,,,yes,",
            "b-1,Example Telecom,GB-LND,198.19.0.0/25 198.19.0.0/24,,,,yes,",
            ",Example Telecom,GB-LND,,,,,,",
        ])
        .join("\n")
    );
}

#[test]
fn what_follows_in_time_or_is_meant_to_be_nested_stands_beside_the_rest() {
    let plan = planned(
        &[
            "leeds-1,Example Telecom,GB-LND,198.51.100.0/24,2026-01-01,2026-06-01,,yes,",
            "leeds-1,Sample Networks,GB-LND,198.51.100.0/24,2026-06-01,,,yes,",
            "york-1,Example Telecom,GB-LND,192.0.2.64/26,,,,yes,yes",
        ],
        &present(),
    );
    assert_eq!(plan.unwrap().add.len(), 3);
    let overlapping = faults(&[
        "leeds-1,Example Telecom,GB-LND,198.51.100.0/24,2026-01-01,2026-06-02,,yes,",
        "york-1,Sample Networks,GB-LND,198.51.100.0/24,2026-06-01,,,yes,",
    ]);
    assert_eq!(
        overlapping,
        [
            "line 3: 198.51.100.0/24 of site `york-1` through Sample Networks overlaps 198.51.100.0/24 of site `leeds-1` \
             through Example Telecom (line 2): a prefix belongs to one provider at a time"
        ]
    );
}

#[test]
fn faults_beyond_the_first_hundred_are_counted() {
    let rows = ["x,Nobody,XX,none,,,,,"; 1_000];
    let errors = faults(&rows);
    assert_eq!(errors.len(), crate::registry::import::faults::MAX_TOLD + 1);
    // Provider, location, prefix, and from the second row on the site.
    assert_eq!(errors.last().unwrap(), &format!("and {} more", 4 * 1_000 - 1 - 100));
}

#[test]
fn what_a_row_costs_is_what_it_meets_and_not_what_there_is() {
    let mut occupied = Occupied::by(&[]);
    let validity = Validity { from: NOW, to: None };
    for row in 0..20_000_u32 {
        let [_, a, b, c] = row.to_be_bytes();
        let prefixes = [format!("{}.{b}.{c}.0/24", 20 + a).parse().unwrap()];
        let site = row.to_string();
        let candidate = Candidate { site: &site, provider: "P", prefixes: &prefixes, validity, nested: true };
        assert_eq!(occupied.conflicts(&candidate), Ok(Vec::new()));
        occupied.take(u64::from(row), &candidate);
    }
    assert_eq!(occupied.looks(), 0);
    let wide = ["20.0.0.0/8".parse().unwrap()];
    let around = Candidate { site: "wide", provider: "P", prefixes: &wide, validity, nested: true };
    assert_eq!(occupied.conflicts(&around), Ok(Vec::new()));
    assert_eq!(occupied.looks(), 2 * 20_000, "each prefix and its one span");
}

#[test]
fn a_file_whose_prefixes_lie_within_one_another_without_end_is_refused() {
    let present = present();
    let mut planner = Planner::new(&present, OrganisationId::DEFAULT, NOW);
    planner.occupied.look_at_most(1_000);
    let mut rows = vec![HEADER.to_owned()];
    rows.extend((0..100).map(|row| format!("site-{row},Example Telecom,GB-LND,20.0.{row}.0/24,,,,yes,yes")));
    // Sites around them all, one after another in time.
    rows.extend((0..9).map(|year| {
        format!("wide-{year},Example Telecom,GB-LND,20.0.0.0/8,203{year}-01-01,203{year}-12-01,,yes,yes")
    }));
    let file = rows.join("\n");
    let refused = Lines::of(file.as_bytes()).unwrap().find(|line| planner.line(line.clone()).is_err());
    // Each looks at a hundred prefixes with a span each, and at those before it.
    assert_eq!(refused.unwrap().number, 101 + 5);
    assert_eq!(planner.faults.into_words(), [format!("line 106: {TooNested}")]);
}
