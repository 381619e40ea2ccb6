//! HTTPS probes through a proxy.

use super::{
    server::{Asked, Manner, TestProxy},
    through,
};
use crate::probe::{
    attribute, ending, latency,
    servers::{Dns, Https, Say},
    settings, target,
};
use peerlight_agent::{
    probe::{Probe as _, ProbeSettings, Prober, Trust},
    proxy::{Bypass, Proxies},
    sample::{Outcome, Sample},
};
use peerlight_proto::{
    measurement::Ending::{self, Answered, DnsFailed, Lost, Refused, SendFailed, Skipped, Voided},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path},
    target::Target,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::net::TcpListener;

/// What is measured of a probe through a proxy, in this order.
const METRICS: [Metric; 8] = [
    Metric::HttpsDns,
    Metric::HttpsTcp,
    Metric::HttpsProxy,
    Metric::HttpsTls,
    Metric::HttpsTtfb,
    Metric::HttpsTransfer,
    Metric::HttpsLocal,
    Metric::HttpsTotal,
];

/// Nothing may be probed but what is public: that the proxy stands on this machine does not matter.
fn strict(proxies: Proxies) -> ProbeSettings {
    ProbeSettings { allow: Vec::new(), proxies, ..settings() }
}

fn trusting(server: &Https, proxies: Proxies) -> ProbeSettings {
    // A debug build's handshake on a busy machine takes its time.
    let (timeout, deadline) = (Duration::from_secs(5), Duration::from_secs(6));
    let trust = Trust::File(server.authority.path().to_owned());
    ProbeSettings { trust, timeout, deadline, ..strict(proxies) }
}

async fn probe(settings: ProbeSettings, target: &Target, family: Family) -> Option<Sample> {
    let (prober, _strays) = Prober::open(settings).unwrap();
    let sample = prober.probe_through_proxy(target, family).await?;
    assert_eq!(sample.readings.iter().map(|reading| reading.metric).collect::<Vec<_>>(), METRICS);
    assert_eq!((sample.path, sample.family), (Path::Proxy, family));
    Some(sample)
}

fn endings(sample: &Sample) -> [Ending; 8] {
    let endings: Vec<_> = sample.readings.iter().map(|&reading| ending(reading)).collect();
    endings.try_into().unwrap()
}

/// Probes a catalogue host, which this machine could not resolve, through a proxy of this manner.
async fn refused_by(manner: Manner, credentials: &str) -> (TestProxy, Sample) {
    let proxy = TestProxy::start(manner).await;
    let target = target("outlook.office365.com", "https");
    let sample = probe(strict(through(&proxy, credentials)), &target, Family::V4).await.unwrap();
    (proxy, sample)
}

#[tokio::test]
async fn the_phases_through_a_proxy_add_up_and_the_tunnel_has_one_of_its_own() {
    for (protocol, version) in [("http/1.1", HttpVersion::Http1), ("h2", HttpVersion::Http2)] {
        let server = Https::start(protocol, 404, 10_000).await;
        let proxy = TestProxy::leading_to(Some(server.port), Manner::Open).await;
        let target = target("outlook.office365.com", "https");
        let settings = trusting(&server, through(&proxy, ""));
        let sample = probe(settings, &target, Family::V4).await.unwrap();
        // The proxy's address was typed, and the target's name is for the proxy to look up.
        let expected = [Skipped, Answered, Answered, Answered, Answered, Answered, Answered, Answered];
        assert_eq!(endings(&sample), expected, "{sample:?}");
        let (total, phases) = sample.readings.split_last().unwrap();
        let times = phases.iter().map(|reading| match reading.outcome {
            Outcome::Answered { latency, .. } => latency,
            Outcome::Failed(_) => Duration::ZERO,
        });
        assert_eq!(times.sum::<Duration>(), latency(*total), "{sample:?}");
        let tunnel = sample.readings[2];
        latency(tunnel);
        assert_eq!((tunnel.http_version, tunnel.handshake), (None, None));
        if cfg!(target_os = "linux") {
            let clocks = [1, 2, 3, 4, 5].map(|at: usize| sample.readings[at].clock);
            assert_eq!(clocks, [Clock::TcpInfo, Clock::Kernel, Clock::Kernel, Clock::Kernel, Clock::User]);
        }
        assert_eq!((total.http_version, total.handshake), (Some(version), Some(Handshake::Full)));
        assert_eq!(sample.address, None, "where the proxy found the target nobody knows");
        assert_eq!(attribute(&sample, "proxy"), Some(proxy.address.to_string().as_str()));
        assert_eq!(attribute(&sample, "issuer"), Some("CN=Test Authority"));
        assert_eq!((attribute(&sample, "status"), attribute(&sample, "error")), (Some("404"), None));
        assert_eq!(
            proxy.asked(),
            [Asked { to: "outlook.office365.com:443".to_owned(), authorization: None }]
        );
    }
}

#[tokio::test]
async fn the_lookup_of_the_proxys_name_is_the_lookup_that_is_timed() {
    let server = Https::start("h2", 200, 1).await;
    let proxy = TestProxy::leading_to(Some(server.port), Manner::Open).await;
    let dns = Dns::start(Say::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), Say::NoData).await;
    let named: Proxies =
        Proxies::new(format!("proxy.test:{}", proxy.address.port()).parse().unwrap(), Bypass::default());
    let settings = ProbeSettings { dns_servers: vec![dns.address], ..trusting(&server, named) };
    let target = target("outlook.office365.com", "https");
    let sample = probe(settings.clone(), &target, Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [Answered; 8], "{sample:?}");
    assert_eq!(probe(settings.clone(), &target, Family::V6).await, None, "it has no such address");
    let nothing = Dns::start(Say::NoName, Say::NoName).await;
    let settings = ProbeSettings { dns_servers: vec![nothing.address], ..settings };
    let sample = probe(settings, &target, Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [DnsFailed; 8]);
    assert!(attribute(&sample, "error").unwrap().contains("proxy.test does not exist"), "{sample:?}");
}

#[tokio::test]
async fn credentials_are_sent_with_the_first_request_and_a_proxy_that_wants_others_says_so() {
    let server = Https::start("h2", 200, 1).await;
    let wanted = Manner::OpenTo("Basic dXNlcjpwYXNz");
    let proxy = TestProxy::leading_to(Some(server.port), wanted.clone()).await;
    let target = target("outlook.office365.com", "https");
    let settings = trusting(&server, through(&proxy, "user:pass@"));
    let sample = probe(settings, &target, Family::V4).await.unwrap();
    assert_eq!(ending(sample.readings[7]), Answered, "{sample:?}");
    assert_eq!(proxy.asked().len(), 1);
    for (credentials, reason) in [
        ("", "wants to be signed on to (407); it takes Basic: set username and password_file in [proxy]"),
        ("user:hunter2@", "does not accept the credentials given by Basic (407)"),
    ] {
        let (proxy, sample) = refused_by(wanted.clone(), credentials).await;
        let error = attribute(&sample, "error").unwrap();
        assert!(error.contains(reason) && error.contains(&proxy.address.to_string()), "{error}");
        assert!(!format!("{sample:?}").contains("hunter2"));
        assert_eq!(
            endings(&sample),
            [Skipped, Answered, SendFailed, Skipped, Skipped, Skipped, Skipped, SendFailed]
        );
    }
}

#[tokio::test]
async fn whatever_a_proxy_says_instead_of_opening_the_tunnel_is_never_loss() {
    for (manner, reason) in [
        (Manner::Refuse(403), "refuses outlook.office365.com:443: 403 Forbidden"),
        (Manner::Refuse(502), "refuses outlook.office365.com:443: 502 Bad Gateway"),
        (Manner::HangUp, "hung up instead of answering"),
        (Manner::Say(b"\x16\x03\x01\x02 no HTTP at all\r\n\r\n".to_vec()), "did not answer by HTTP"),
        (
            Manner::Say([b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; 40_000]].concat()),
            "at greater length",
        ),
        (Manner::Say(b"HTTP/1.1 200 OK\r\n\r\nwelcome".to_vec()), "before anything was asked"),
        // It never says more than this.
        (Manner::Say(b"HTTP/1.1 200".to_vec()), "did not answer in time"),
        (Manner::Slow(Duration::from_mins(1)), "did not answer in time"),
    ] {
        let (_proxy, sample) = refused_by(manner, "").await;
        let expected = [Skipped, Answered, SendFailed, Skipped, Skipped, Skipped, Skipped, SendFailed];
        assert_eq!(endings(&sample), expected, "{sample:?}");
        assert!(attribute(&sample, "error").unwrap().contains(reason), "{sample:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_sends_nothing() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = Proxies::new(address.to_string().parse().unwrap(), Bypass::default());
    let target = target("outlook.office365.com", "https");
    let sample = probe(strict(gone), &target, Family::V4).await.unwrap();
    assert_eq!(
        endings(&sample),
        [Skipped, SendFailed, Skipped, Skipped, Skipped, Skipped, Skipped, SendFailed]
    );
    let error = attribute(&sample, "error").unwrap();
    assert!(error.contains(&format!("the proxy {address} cannot be reached: refused")), "{error}");
}

#[tokio::test]
async fn a_slow_proxy_takes_its_time_in_the_phase_that_is_its_own() {
    let server = Https::start("h2", 200, 1).await;
    let pause = Duration::from_millis(300);
    let proxy = TestProxy::leading_to(Some(server.port), Manner::Slow(pause)).await;
    let settings = trusting(&server, through(&proxy, ""));
    let sample = probe(settings, &target("outlook.office365.com", "https"), Family::V4).await.unwrap();
    assert!(latency(sample.readings[2]) >= pause, "{sample:?}");
    assert!(latency(sample.readings[1]) < pause, "{sample:?}");
}

#[tokio::test]
async fn what_is_silent_at_the_end_of_the_tunnel_is_lost() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = TestProxy::leading_to(Some(silent.local_addr().unwrap().port()), Manner::Open).await;
    let target = target("outlook.office365.com", "https");
    let sample = probe(strict(through(&proxy, "")), &target, Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [Skipped, Answered, Answered, Lost, Skipped, Skipped, Skipped, Lost]);
}

#[tokio::test]
async fn an_inspecting_proxy_is_known_by_its_certificate_and_its_own_times_stand() {
    let server = Https::start("h2", 200, 1).await;
    let proxy = TestProxy::leading_to(Some(server.port), Manner::Open).await;
    let mut settings = trusting(&server, through(&proxy, ""));
    settings.expected.issuers.insert("outlook.office365.com".parse().unwrap(), "DigiCert Inc".to_owned());
    let sample = probe(settings, &target("outlook.office365.com", "https"), Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [Skipped, Answered, Answered, Refused, Skipped, Skipped, Skipped, Refused]);
    assert_eq!(attribute(&sample, "interception"), Some("certificate issuer"));
    assert_eq!(server.requested(), 0, "nothing was asked of it");
}

#[tokio::test]
async fn no_proxy_carries_a_probe_beyond_the_ceilings() {
    let proxy = TestProxy::start(Manner::Open).await;
    for (address, probe_text, reason) in
        [("10.0.0.1", "https", "not public unicast"), ("intranet.example.com", "https:8443", "port 8443")]
    {
        let target = target(address, probe_text);
        let sample = probe(strict(through(&proxy, "")), &target, Family::V4).await.unwrap();
        assert_eq!(
            endings(&sample),
            [Skipped, SendFailed, Skipped, Skipped, Skipped, Skipped, Skipped, SendFailed]
        );
        assert!(attribute(&sample, "error").unwrap().contains(reason), "{sample:?}");
    }
    assert_eq!(proxy.asked(), []);
    let (prober, _strays) = Prober::open(strict(through(&proxy, ""))).unwrap();
    let target = target("outlook.office365.com", "https");
    let mut skipped = 0;
    for _turn in 0..4 {
        let sample = prober.probe_through_proxy(&target, Family::V4).await.unwrap();
        skipped += u32::from(ending(sample.readings[7]) == Skipped);
    }
    assert_eq!(skipped, 3, "a name is probed every 30 s at most");
}

#[tokio::test]
async fn a_machine_that_was_too_busy_blames_no_proxy() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = silent.local_addr().unwrap().to_string().parse().unwrap();
    let settings = strict(Proxies::new(proxy, Bypass::default()));
    let hog = async { std::thread::sleep(settings.deadline + Duration::from_millis(50)) };
    let target = target("outlook.office365.com", "https");
    let (sample, ()) = tokio::join!(probe(settings.clone(), &target, Family::V4), hog);
    let sample = sample.unwrap();
    let expected = [Skipped, Answered, Voided, Skipped, Skipped, Skipped, Skipped, Voided];
    assert_eq!(endings(&sample), expected, "{sample:?}");
}

#[tokio::test]
async fn only_https_goes_through_a_proxy_and_only_where_it_is_not_bypassed() {
    let proxy = TestProxy::start(Manner::Open).await;
    let address = proxy.address.to_string().parse().unwrap();
    let bypassing = Proxies::new(address, Bypass::parse("office365.com"));
    let (prober, _strays) = Prober::open(strict(bypassing)).unwrap();
    for (address, kind) in [("outlook.office365.com", "https"), ("example.com", "tcp:443")] {
        assert_eq!(prober.probe_through_proxy(&target(address, kind), Family::V4).await, None, "{address}");
    }
}
