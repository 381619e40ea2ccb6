//! Whole HTTPS exchanges and their phases.

use super::{
    attribute, ending, latency, probe,
    servers::{Dns, Https, Say},
    settings, target,
};
use peerlight_agent::{
    probe::{ProbeSettings, Trust},
    sample::{Outcome, Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending::{self, Answered, DnsFailed, Lost, Refused, SendFailed, Skipped, Voided},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::{io::AsyncReadExt as _, net::TcpListener};

fn trusting(server: &Https) -> ProbeSettings {
    // A debug build's handshake on a busy machine takes its time.
    let (timeout, deadline) = (Duration::from_secs(5), Duration::from_secs(6));
    ProbeSettings { trust: Trust::File(server.authority.path().to_owned()), timeout, deadline, ..settings() }
}

fn reading(sample: &Sample, metric: Metric) -> Reading {
    *sample.readings.iter().find(|reading| reading.metric == metric).unwrap()
}

fn endings(sample: &Sample) -> [Ending; 7] {
    let endings: Vec<_> = sample.readings.iter().map(|&reading| ending(reading)).collect();
    endings.try_into().unwrap()
}

#[tokio::test]
async fn phases_add_up_to_the_total_in_both_http_versions() {
    for (protocol, version) in [("http/1.1", HttpVersion::Http1), ("h2", HttpVersion::Http2)] {
        let server = Https::start(protocol, 404, 10_000).await;
        let dns = Dns::start(Say::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), Say::NoData).await;
        let settings = ProbeSettings { dns_servers: vec![dns.address], ..trusting(&server) };
        let target = target("peerlight.test", &format!("https:{}/a?b", server.port));
        let sample = probe(settings, &target, Family::V4).await.unwrap();
        assert_eq!(endings(&sample), [Answered; 7], "{sample:?}");
        let (total, phases) = sample.readings.split_last().unwrap();
        let times = phases.iter().map(|reading| match reading.outcome {
            Outcome::Answered { latency, .. } => latency,
            Outcome::Failed(_) => panic!("{reading:?}"),
        });
        assert_eq!(times.sum::<Duration>(), latency(*total), "{sample:?}");
        // Only the transfer may take no time: the whole answer may come at once.
        for metric in
            [Metric::HttpsDns, Metric::HttpsTcp, Metric::HttpsTls, Metric::HttpsTtfb, Metric::HttpsLocal]
        {
            latency(reading(&sample, metric));
        }
        if cfg!(target_os = "linux") {
            let clocks = [Metric::HttpsTcp, Metric::HttpsTls, Metric::HttpsTtfb, Metric::HttpsTransfer]
                .map(|metric| reading(&sample, metric).clock);
            assert_eq!(clocks, [Clock::TcpInfo, Clock::Kernel, Clock::Kernel, Clock::User]);
        }
        assert_eq!((total.http_version, total.handshake), (Some(version), Some(Handshake::Full)));
        let early = reading(&sample, Metric::HttpsTcp);
        assert_eq!((early.http_version, early.handshake), (None, None));
        assert_eq!(attribute(&sample, "status"), Some("404"));
        assert_eq!(attribute(&sample, "issuer"), Some("CN=Test Authority"));
        assert_eq!(attribute(&sample, "error"), None);
    }
}

#[tokio::test]
async fn a_large_body_is_read_to_its_limit_only() {
    let server = Https::start("http/1.1", 200, 4 << 20).await;
    let target = target("127.0.0.1", &format!("https:{}", server.port));
    let sample = probe(trusting(&server), &target, Family::V4).await.unwrap();
    // Nothing is looked up for an address.
    assert_eq!(endings(&sample), [Skipped, Answered, Answered, Answered, Answered, Answered, Answered]);
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_refuses_and_is_named() {
    let (server, other) = (Https::start("h2", 200, 1).await, Https::start("h2", 200, 1).await);
    let target = target("127.0.0.1", &format!("https:{}", server.port));
    let sample = probe(trusting(&other), &target, Family::V4).await.unwrap();
    assert_eq!(
        endings(&sample),
        [Skipped, Answered, Refused, Skipped, Skipped, Skipped, Refused],
        "{sample:?}"
    );
    assert!(attribute(&sample, "error").unwrap().contains("does not verify"), "{sample:?}");
    assert_eq!(attribute(&sample, "issuer"), Some("CN=Test Authority"));
    assert!(sample.readings.iter().all(|reading| reading.handshake.is_none()));
}

#[tokio::test]
async fn a_certificate_for_another_name_refuses() {
    let server = Https::start("h2", 200, 1).await;
    let dns = Dns::start(Say::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), Say::NoData).await;
    let settings = ProbeSettings { dns_servers: vec![dns.address], ..trusting(&server) };
    let target = target("elsewhere.test", &format!("https:{}", server.port));
    let sample = probe(settings, &target, Family::V4).await.unwrap();
    assert_eq!(ending(reading(&sample, Metric::HttpsTls)), Refused, "{sample:?}");
}

#[tokio::test]
async fn a_server_that_stalls_loses_the_phase_it_stalls_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target("127.0.0.1", &format!("https:{}", listener.local_addr().unwrap().port()));
    let sample = probe(settings(), &target, Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [Skipped, Answered, Lost, Skipped, Skipped, Skipped, Lost], "{sample:?}");
}

#[tokio::test]
async fn what_this_machine_was_too_busy_to_take_is_voided() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target("127.0.0.1", &format!("https:{}", listener.local_addr().unwrap().port()));
    let settings = settings();
    // The connection is there at once, but nobody here runs until its deadline is over.
    let hog = async { std::thread::sleep(settings.deadline + Duration::from_millis(50)) };
    let (sample, ()) = tokio::join!(probe(settings.clone(), &target, Family::V4), hog);
    let sample = sample.unwrap();
    assert_eq!(
        endings(&sample),
        [Skipped, Answered, Voided, Skipped, Skipped, Skipped, Voided],
        "{sample:?}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target("127.0.0.1", &format!("https:{}", listener.local_addr().unwrap().port()));
    let hang_up = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _hello = stream.read(&mut [0; 64]).await;
    };
    let (sample, ()) = tokio::join!(probe(settings(), &target, Family::V4), hang_up);
    let sample = sample.unwrap();
    assert_eq!(
        endings(&sample),
        [Skipped, Answered, Refused, Skipped, Skipped, Skipped, Refused],
        "{sample:?}"
    );
}

#[tokio::test]
async fn a_closed_port_refuses_the_connect() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let sample = probe(settings(), &target("127.0.0.1", &format!("https:{port}")), Family::V4).await.unwrap();
    assert_eq!(
        endings(&sample),
        [Skipped, Refused, Skipped, Skipped, Skipped, Skipped, Refused],
        "{sample:?}"
    );
}

#[tokio::test]
async fn a_port_outside_the_ceilings_is_not_connected_to() {
    let settings = ProbeSettings { allow: Vec::new(), ..settings() };
    let sample = probe(settings, &target("1.1.1.1", "https:8443"), Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [Skipped, SendFailed, Skipped, Skipped, Skipped, Skipped, SendFailed]);
}

#[tokio::test]
async fn a_lookup_without_an_answer_fails_all() {
    let dns = Dns::start(Say::Nothing, Say::Nothing).await;
    let settings = ProbeSettings { dns_servers: vec![dns.address], ..settings() };
    let sample = probe(settings, &target("peerlight.test", "https"), Family::V4).await.unwrap();
    assert_eq!(endings(&sample), [DnsFailed; 7]);
}

#[test]
fn a_file_without_certificates_is_no_trust() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let trust = Trust::File(file.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let error = peerlight_agent::probe::Prober::open(ProbeSettings { trust, ..settings() }).err().unwrap();
    assert!(error.to_string().ends_with("it holds no certificate"), "{error}");
}
