//! Who answers: front doors, inspecting middleboxes, captive portals and names that lead astray.

use super::{
    attribute, ending, probe, probe_with,
    servers::{Dns, Https, Reply, Say},
    settings, target,
};
use bytes::Bytes;
use peerlight_agent::{
    probe::{Expectations, ProbeSettings, Prober, Trust},
    sample::Sample,
};
use peerlight_proto::{
    measurement::Ending::{self, Answered, Refused, SendFailed, Skipped},
    series::Family,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const EXCHANGE: &str = "outlook.office365.com";

fn reply(status: u16, headers: &[(&'static str, &str)]) -> Reply {
    let headers = headers.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    Reply { status, headers, body: Bytes::from_static(b"a body") }
}

/// Settings that trust the server, and a DNS server that says that every name leads to it.
async fn towards(server: &Https) -> (ProbeSettings, Dns) {
    let dns = Dns::start(Say::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), Say::NoData).await;
    let settings = ProbeSettings {
        dns_servers: vec![dns.address],
        trust: Trust::File(server.authority.path().to_owned()),
        timeout: Duration::from_secs(5),
        deadline: Duration::from_secs(6),
        ..settings()
    };
    (settings, dns)
}

async fn probe_of(server: &Https, host: &str) -> Sample {
    let (settings, _dns) = towards(server).await;
    let target = target(host, &format!("https:{}", server.port));
    probe(settings, &target, Family::V4).await.unwrap()
}

fn endings(sample: &Sample) -> Vec<Ending> {
    sample.readings.iter().map(|&reading| ending(reading)).collect()
}

#[tokio::test]
async fn the_front_door_and_the_region_are_seen_with_every_answer() {
    let node = "Ref A: 0123456789ABCDEF0123456789ABCDEF Ref B: AMSEDGE0312 Ref C: 2025-02-11T08:00:00Z";
    let cases: [(&[(&'static str, &str)], _, _); 4] = [
        (&[("X-MSEdge-Ref", node), ("X-FEEFZInfo", "CDG")], Some("AMS"), Some("CDG")),
        (&[("X-FirstHopCafeEFZ", "DUB"), ("X-FEEFZInfo", "CDG")], Some("DUB"), Some("CDG")),
        (
            &[
                ("x-azure-ref", "20260312T224320Z-17fb8dccf88p4vlrhC1IADdvtn0000001fsg000000002t75"),
                ("x-ms-ests-server", "2.1.23687.3 - WEULR1 ProdSlices"),
            ],
            Some("IAD"),
            Some("WEULR1"),
        ),
        (&[("server", "nginx")], None, None),
    ];
    for (headers, front_door, region) in cases {
        for protocol in ["http/1.1", "h2"] {
            let server = Https::answering(protocol, reply(400, headers)).await;
            let sample = probe_of(&server, "peerlight.test").await;
            assert_eq!(endings(&sample), [Answered; 7], "{sample:?}");
            assert_eq!(attribute(&sample, "front_door"), front_door);
            assert_eq!(attribute(&sample, "region"), region);
            assert_eq!(attribute(&sample, "interception"), None);
        }
    }
}

#[tokio::test]
async fn a_certificate_of_another_issuer_refuses_before_anything_is_asked_and_is_told_once() {
    let server = Https::answering("h2", reply(200, &[])).await;
    let (mut settings, _dns) = towards(&server).await;
    let target = target("peerlight.test", &format!("https:{}", server.port));
    let host = target.address.clone();
    settings.expected.issuers.insert(host.clone(), "Microsoft Corporation".to_owned());
    let (prober, _strays) = Prober::open(settings.clone()).unwrap();
    for _turn in 0..3 {
        let sample = probe_with(&prober, &target, Family::V4).await.unwrap();
        assert_eq!(
            endings(&sample),
            [Answered, Refused, Refused, Skipped, Skipped, Skipped, Refused],
            "{sample:?}"
        );
        assert_eq!(attribute(&sample, "interception"), Some("certificate issuer"));
        assert_eq!(attribute(&sample, "issuer"), Some("CN=Test Authority"));
        assert_eq!(attribute(&sample, "status"), None);
    }
    assert_eq!(server.requested(), 0);
    let notices = prober.notices().list();
    let expected = format!(
        "peerlight.test https:{} over IPv4: TLS is inspected: the certificate is of CN=Test Authority, not of Microsoft Corporation",
        server.port
    );
    assert_eq!(notices, [expected]);

    settings.expected.issuers.insert(host, "test authority".to_owned());
    let sample = probe(settings, &target, Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [Answered; 7], "{sample:?}");
    assert_eq!((attribute(&sample, "interception"), server.requested()), (None, 1));
}

#[tokio::test]
async fn a_captive_portal_is_never_a_latency() {
    let portal = [("location", "https://portal.example.net/login")];
    for (host, reply) in [("peerlight.test", reply(511, &[])), (EXCHANGE, reply(302, &portal))] {
        for protocol in ["http/1.1", "h2"] {
            let server = Https::answering(protocol, reply.clone()).await;
            let sample = probe_of(&server, host).await;
            assert_eq!(
                endings(&sample),
                [Answered, Refused, Refused, Refused, Skipped, Skipped, Refused],
                "{sample:?}"
            );
            assert_eq!(attribute(&sample, "interception"), Some("captive portal"));
            assert_eq!(attribute(&sample, "status"), Some(reply.status.to_string().as_str()));
            let error = attribute(&sample, "error").unwrap();
            assert!(error.starts_with("a captive portal answered: "), "{error}");
        }
    }
}

#[tokio::test]
async fn redirects_are_neither_followed_nor_summed() {
    for (host, location) in [
        (EXCHANGE, "/owa/"),
        (EXCHANGE, "https://www.office.com/login"),
        // Where a stranger's own redirects lead is not known.
        ("peerlight.test", "https://elsewhere.test/"),
    ] {
        let server = Https::answering("http/1.1", reply(302, &[("location", location)])).await;
        let (settings, dns) = towards(&server).await;
        let target = target(host, &format!("https:{}", server.port));
        let sample = probe(settings, &target, Family::V4).await.unwrap();
        assert_eq!(endings(&sample), [Answered; 7], "{sample:?}");
        assert_eq!(attribute(&sample, "status"), Some("302"));
        assert_eq!((server.requested(), dns.asked()), (1, 1));
    }
}

#[tokio::test]
async fn a_name_that_leads_outside_the_published_ranges_is_flagged_whatever_the_probe() {
    let server = Https::answering("h2", reply(200, &[])).await;
    let (settings, _dns) = towards(&server).await;
    let astray = ProbeSettings { allow: Vec::new(), expected: Expectations::default(), ..settings.clone() };
    let (prober, _strays) = Prober::open(astray).unwrap();
    for kind in ["icmp", "tcp:443", "https"] {
        let sample = probe_with(&prober, &target(EXCHANGE, kind), Family::V4).await.unwrap();
        assert_eq!(attribute(&sample, "interception"), Some("unpublished address"), "{kind}");
        assert!(endings(&sample).contains(&SendFailed));
    }
    let notices = prober.notices().list();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].starts_with("outlook.office365.com leads to 127.0.0.1, outside"), "{notices:?}");

    // What the machine's owner allowed is no surprise.
    let sample =
        probe(settings, &target(EXCHANGE, &format!("https:{}", server.port)), Family::V4).await.unwrap();
    assert_eq!((endings(&sample), attribute(&sample, "interception")), (vec![Answered; 7], None));
}
