use super::*;
use proptest::prelude::*;

/// Provider, location, site, target, front door (empty if unknown), and whether it is bad.
type Told = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

fn judged(told: &[Told]) -> Vec<Judged> {
    told.iter()
        .map(|&(provider, location, site, target, edge, bad)| Judged {
            spot: Spot {
                provider: provider.into(),
                location: location.into(),
                site: site.into(),
                target: target.into(),
            },
            edge: (!edge.is_empty()).then(|| edge.to_owned()),
            bad,
        })
        .collect()
}

/// What is blamed, with how many spots and how the vote went.
fn told(told: &[Told]) -> Vec<String> {
    let causes = causes(&judged(told));
    let votes = |cause: &Cause| cause.votes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    causes.iter().map(|cause| format!("{}: {}; {}", cause.culprit, cause.spots.len(), votes(cause))).collect()
}

/// Two providers at two locations with two sites each, and two targets behind a front door each; bad where `bad` says so.
fn fleet(bad: impl Fn(&str, &str, &str, &str) -> bool) -> Vec<Told> {
    let mut all = Vec::new();
    for (provider, location, sites) in [
        ("Aurora", "GB-LND", ["al1", "al2"]),
        ("Aurora", "FR-IDF", ["ap1", "ap2"]),
        ("Borealis", "GB-LND", ["bl1", "bl2"]),
        ("Borealis", "FR-IDF", ["bp1", "bp2"]),
    ] {
        for site in sites {
            for (target, edge) in [("exchange", "AMS"), ("teams", "LON")] {
                all.push((provider, location, site, target, edge, bad(provider, location, site, target)));
            }
        }
    }
    all
}

#[test]
fn nothing_bad_has_no_cause() {
    assert!(told(&fleet(|_, _, _, _| false)).is_empty());
    assert!(told(&[]).is_empty());
}

#[test]
fn one_site_alone_is_the_sites() {
    assert_eq!(
        told(&fleet(|_, _, site, _| site == "al1")),
        ["site al1 (Aurora at GB-LND): 2; 2 of 2 targets of al1, 0 of 1 other sites of Aurora at GB-LND"]
    );
    assert_eq!(
        told(&[("Aurora", "GB-LND", "al1", "teams", "", true)]),
        [
            "site al1 (Aurora at GB-LND): 1; 1 of 1 targets of al1, none of the other sites of Aurora at GB-LND can be compared with"
        ]
    );
}

#[test]
fn sites_down_together_are_the_providers_in_that_location() {
    assert_eq!(
        told(&fleet(|provider, location, _, _| (provider, location) == ("Aurora", "GB-LND"))),
        [
            "provider Aurora at GB-LND: 4; 2 of 2 sites of Aurora at GB-LND, 0 of 2 sites of other providers at GB-LND"
        ]
    );
}

#[test]
fn a_provider_that_is_bad_towards_one_front_door_alone_is_blamed_for_that_and_no_more() {
    assert_eq!(
        told(&fleet(
            |provider, location, _, target| (provider, location, target) == ("Aurora", "GB-LND", "teams")
        )),
        [
            "provider Aurora at GB-LND: 2; 2 of 2 sites of Aurora at GB-LND, 0 of 2 sites of other providers at GB-LND"
        ]
    );
}

#[test]
fn a_provider_that_is_bad_everywhere_is_one_cause() {
    assert_eq!(
        told(&fleet(|provider, _, _, _| provider == "Borealis")),
        ["provider Borealis: 8; 2 of 2 locations of Borealis, 0 of 4 sites of other providers"]
    );
}

#[test]
fn what_all_providers_find_behind_one_front_door_is_the_front_doors() {
    assert_eq!(
        told(&fleet(|_, _, _, target| target == "teams")),
        ["front door LON: 8; 2 of 2 providers behind front door LON, 0 of 1 other front doors"]
    );
    let scattered: Vec<Told> = fleet(|_, _, _, target| target == "teams")
        .into_iter()
        .map(|(provider, location, site, target, edge, bad)| {
            let edge = if (location, target) == ("FR-IDF", "teams") { "PAR" } else { edge };
            (provider, location, site, target, edge, bad)
        })
        .collect();
    assert_eq!(
        told(&scattered),
        ["target teams: 8; 2 of 2 providers that measure teams, 0 of 1 other targets"]
    );
}

#[test]
fn a_place_where_every_provider_fails_is_the_places_and_everything_is_one_cause() {
    assert_eq!(
        told(&fleet(|_, location, _, _| location == "FR-IDF")),
        ["every provider at FR-IDF: 8; 2 of 2 providers at FR-IDF, 0 of 1 other locations"]
    );
    assert_eq!(told(&fleet(|_, _, _, _| true)), ["everything: 16; 2 of 2 providers, 2 of 2 locations"]);
}

#[test]
fn many_sites_of_one_provider_do_not_outvote_the_other_about_a_front_door() {
    let mut all: Vec<Told> = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"]
        .map(|site| ("Aurora", "GB-LND", site, "teams", "LON", true))
        .into();
    all.push(("Borealis", "GB-LND", "b1", "teams", "LON", false));
    assert_eq!(
        told(&all),
        [
            "provider Aurora at GB-LND: 9; 9 of 9 sites of Aurora at GB-LND, 0 of 1 sites of other providers at GB-LND"
        ]
    );
}

#[test]
fn two_causes_at_once_are_two() {
    let both =
        fleet(|provider, location, site, _| (provider, location) == ("Aurora", "GB-LND") || site == "bp1");
    let found = told(&both);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("provider Aurora at GB-LND: 4"), "{found:?}");
    assert!(found[1].starts_with("site bp1"), "{found:?}");
}

proptest! {
    #[test]
    fn every_bad_spot_has_exactly_one_cause_that_covers_it_and_no_good_one_has_any(bad in proptest::collection::vec(any::<bool>(), 16)) {
        let mut all = judged(&fleet(|_, _, _, _| false));
        for (one, bad) in all.iter_mut().zip(bad) {
            one.bad = bad;
        }
        let causes = causes(&all);
        for one in &all {
            let of: Vec<_> = causes.iter().filter(|cause| cause.spots.contains(&one.spot)).collect();
            prop_assert_eq!(of.len(), usize::from(one.bad));
            for cause in of {
                prop_assert!(cause.culprit.covers(&one.spot, one.edge.as_deref()));
            }
        }
    }
}
