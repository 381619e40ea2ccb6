//! Headers as they were captured on the Internet, and as nobody should send them.

use super::*;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

/// Every header that is looked at.
const HEADERS: [&str; 10] = [
    "x-azure-ref",
    "x-msedge-ref",
    "x-firsthopcafeefz",
    "x-feefzinfo",
    "report-to",
    "x-calculatedfetarget",
    "x-feserver",
    "x-ms-ests-server",
    "x-ms-ags-diagnostic",
    "x-ms-routing-request-id",
];

fn read_all(headers: &[(&'static str, &str)]) -> (Option<String>, Option<String>) {
    let header = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    let FrontDoor { entry, region } = read(&headers.iter().map(header).collect());
    (entry, region)
}

fn entry(name: &'static str, value: &str) -> Option<String> {
    read_all(&[(name, value)]).0
}

fn region_of(name: &'static str, value: &str) -> Option<String> {
    read_all(&[(name, value)]).1
}

#[test]
fn nodes_of_both_styles_name_their_place() {
    for (node, code) in [
        ("CO1EDGE0322", "CO"),
        ("BY3EDGE0306", "BY"),
        ("PAOEDGE0418", "PAO"),
        ("HKGEDGE0317", "HKG"),
        ("HK2EDGE0915", "HK"),
        ("AMSEDGE0312", "AMS"),
        ("BOM02EDGE0712", "BOM"),
        ("FRA31EDGE0515", "FRA"),
        ("PNQ241100406036", "PNQ"),
    ] {
        let value =
            format!("Ref A: 0123456789ABCDEF0123456789ABCDEF Ref B: {node} Ref C: 2025-02-11T08:00:00Z");
        assert_eq!(entry("x-msedge-ref", &value).as_deref(), Some(code), "{node}");
    }
}

#[test]
fn a_node_of_another_style_stays_as_it_is() {
    for node in [
        "AMS-EDGE-7",
        "AMS123EDGE0312",
        "AMSTEDGE0312",
        "AEDGE0312",
        "AMSEDGE031",
        "PNQ24110040603",
        "ams241100406036",
    ] {
        let value = format!("Ref A: 0 Ref B: {node} Ref C: 0");
        assert_eq!(entry("x-msedge-ref", &value).as_deref(), Some(node));
    }
}

#[test]
fn the_first_generation_of_azure_references_holds_the_node() {
    for (value, code) in [
        (
            "0NGlUYgAAAADpVziXMDlkTKGriNM0oPwCQVRMMzMxMDAwMTEwMDMxADJkMzA5NmVhLWE3MDgtNDE0Zi1hMjUzLTdjMWI3ZDIxMDU4Ng==",
            "ATL",
        ),
        (
            "0zxV+XAAAAABKMMOjBv2NT4TY6SQVjC0zV1NURURHRTA2MTkANDM3YzgyY2QtMzYwYS00YTU0LTk0YzMtNWZmNzA3NjQ3Nzgz",
            "WST",
        ),
    ] {
        assert_eq!(entry("x-azure-ref", value).as_deref(), Some(code));
    }
}

#[test]
fn the_second_generation_of_azure_references_holds_the_place_or_nothing() {
    for (value, code) in [
        ("20250109T093921Z-15464c697c5vctvchC1FRA2mfc00000000", "FRA"),
        ("20251024T235622Z-185c86b98984jcclhC1AMS7csg00000000", "AMS"),
        ("20260312T224320Z-17fb8dccf88p4vlrhC1IADdvtn0000001fsg000000002t75", "IAD"),
        ("20251101T221137Z-1759895c94bdrrpvhC1CO181yw00000000", "CO"),
        ("20230926T171412Z-81c9dcrw6t2mbaek8smy45twy400000000", "unknown"),
        ("0", "unknown"),
        ("0AAAA", "unknown"),
        ("something else", "unknown"),
    ] {
        assert_eq!(entry("x-azure-ref", value).as_deref(), Some(code), "{value}");
    }
}

#[test]
fn exchange_says_where_a_request_entered_and_where_it_was_answered() {
    for (first_hop, answered) in [("PHX", "PHX"), ("DUB", "CDG"), ("LYH", "LYH"), ("MNZ", "MNZ")] {
        let both = read_all(&[("x-feefzinfo", answered), ("x-firsthopcafeefz", first_hop)]);
        assert_eq!(both, (Some(first_hop.to_owned()), Some(answered.to_owned())));
    }
    let report = r#"{"group":"NelOfficeUpload1","max_age":7200,"endpoints":[{"url":"https://exo.nel.measure.office.net/api/report?TenantId=&FrontEnd=Cafe&DestinationEndpoint=PHX"}],"include_subdomains":true}"#;
    assert_eq!(
        read_all(&[("report-to", report), ("x-firsthopcafeefz", "SJC")]),
        (Some("SJC".to_owned()), Some("PHX".to_owned()))
    );
    let front_end = region_of("x-calculatedfetarget", "PS2PR02CU002.internal.outlook.com");
    assert_eq!(front_end.as_deref(), Some("PS2PR02CU002"));
    assert_eq!(region_of("x-feserver", "BYAPR06CA0042").as_deref(), Some("BYAPR06CA0042"));
}

#[test]
fn the_edge_in_front_of_exchange_is_what_the_request_entered_by() {
    let edge = "Ref A: 0 Ref B: AMSEDGE0312 Ref C: 0";
    let seen = read_all(&[("x-msedge-ref", edge), ("x-firsthopcafeefz", "DUB"), ("x-feefzinfo", "CDG")]);
    assert_eq!(seen, (Some("AMS".to_owned()), Some("CDG".to_owned())));
}

#[test]
fn sign_in_graph_and_azure_name_regions() {
    assert_eq!(region_of("x-ms-ests-server", "2.1.23687.3 - WEULR1 ProdSlices").as_deref(), Some("WEULR1"));
    assert_eq!(region_of("x-ms-ests-server", "2.1.24997.11"), None);
    let graph = r#"{"ServerInfo":{"DataCenter":"UK South","Slice":"E","Ring":"5"}}"#;
    assert_eq!(region_of("x-ms-ags-diagnostic", graph).as_deref(), Some("UK South"));
    let azure = "WESTEUROPE:20260715T161434Z:0a1b2c3d-0000-0000-0000-000000000000";
    assert_eq!(region_of("x-ms-routing-request-id", azure).as_deref(), Some("WESTEUROPE"));
    assert_eq!(read_all(&[("server", "nginx")]), (None, None));
}

#[test]
fn what_is_too_long_or_no_name_is_not_kept() {
    let long = "A".repeat(MAX_NAME + 1);
    assert_eq!(region_of("x-feefzinfo", &long), None);
    assert_eq!(region_of("x-feefzinfo", "<script>"), None);
    let header = format!("Ref A: 0 Ref B: AMSEDGE0312 Ref C: {}", "0".repeat(MAX_HEADER));
    assert_eq!(entry("x-msedge-ref", &header), None);
}

proptest! {
    #[test]
    fn no_header_breaks_the_bounds(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), HEADERS.len())) {
        let pairs = HEADERS.iter().zip(&values);
        let headers = pairs.filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?))
        });
        let FrontDoor { entry, region } = read(&headers.collect());
        for kept in [entry, region].into_iter().flatten() {
            prop_assert!(!kept.is_empty() && kept.len() <= MAX_NAME && kept.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn no_base64_breaks_the_first_generation(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let value = format!("0{}", BASE64_STANDARD.encode(bytes));
        prop_assert!(entry("x-azure-ref", &value).is_some_and(|code| code.len() <= MAX_NAME));
    }
}
