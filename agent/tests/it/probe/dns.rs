//! DNS lookups as probes, and names as targets of other probes.

use super::{
    DEADLINE, attribute, ending, latency, only, probe, probe_with,
    servers::{Dns, Say},
    settings, target,
};
use hickory_proto::op::{Message, OpCode};
use peerlight_agent::{
    probe::{ProbeSettings, Prober},
    sample::{Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::net::{TcpListener, UdpSocket};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn asking(dns: &Dns) -> ProbeSettings {
    ProbeSettings { dns_servers: vec![dns.address], ..settings() }
}

/// The query and the resolution.
fn both(sample: &Sample) -> [Reading; 2] {
    sample.readings.clone().try_into().unwrap()
}

/// What times the query.
fn query_clock() -> Clock {
    if cfg!(target_os = "linux") { Clock::Kernel } else { Clock::User }
}

#[tokio::test]
async fn every_answer_is_an_answer_and_says_which() {
    for (say, status) in [
        (Say::Addresses(vec![V4]), "NOERROR"),
        (Say::NoData, "NODATA"),
        (Say::NoName, "NXDOMAIN"),
        (Say::ServFail, "SERVFAIL"),
    ] {
        let dns = Dns::start(say, Say::NoData).await;
        let sample = probe(asking(&dns), &target("peerlight.test", "dns"), Family::V4).await.unwrap();
        let [query, lookup] = both(&sample);
        latency(query);
        latency(lookup);
        assert_eq!((query.clock, lookup.clock), (query_clock(), Clock::User));
        assert_eq!(attribute(&sample, "status"), Some(status));
    }
}

#[tokio::test]
async fn each_family_asks_for_its_own_records() {
    let dns = Dns::start(Say::NoData, Say::Addresses(vec![V6])).await;
    let sample = probe(asking(&dns), &target("peerlight.test", "dns"), Family::V6).await.unwrap();
    assert_eq!((attribute(&sample, "status"), sample.address), (Some("NOERROR"), Some(V6)));
}

#[tokio::test]
async fn no_answer_is_lost_by_the_deadline() {
    let dns = Dns::start(Say::Nothing, Say::Nothing).await;
    let start = tokio::time::Instant::now();
    let sample = probe(asking(&dns), &target("peerlight.test", "dns"), Family::V4).await.unwrap();
    assert_eq!(both(&sample).map(ending), [Ending::Lost; 2], "{sample:?}");
    assert!(start.elapsed() < DEADLINE * 2);
}

/// A server that answers each query with what `answers` makes of it.
async fn server(answers: impl Fn(Message) -> Vec<Vec<u8>> + Send + 'static) -> ProbeSettings {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let settings = ProbeSettings { dns_servers: vec![socket.local_addr().unwrap()], ..settings() };
    tokio::spawn(async move {
        let mut packet = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let asked = Message::from_vec(&packet[..length]).unwrap();
            let mut answer = Message::response(asked.metadata.id, OpCode::Query);
            answer.add_query(asked.queries[0].clone());
            for answer in answers(answer) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    settings
}

#[tokio::test]
async fn only_the_answer_to_the_very_question_counts_and_what_else_comes_is_told_apart() {
    let settings = server(|right| {
        let mut other_id = right.clone();
        other_id.metadata.id ^= 1;
        let right = right.to_vec().unwrap();
        // Letters of the other case: whoever did not see the question does not know them.
        let mut other_case = right.clone();
        let letters = other_case[12..].iter_mut().filter(|byte| byte.is_ascii_alphabetic());
        letters.for_each(|byte| *byte ^= 0x20);
        vec![b"no DNS".to_vec(), other_id.to_vec().unwrap(), other_case, right.clone(), right]
    })
    .await;
    let (prober, mut strays) = Prober::open(settings).unwrap();
    let target = target("peerlight.test", "dns");
    let sample = probe_with(&prober, &target, Family::V4).await.unwrap();
    latency(both(&sample)[0]);
    let mut duplicates = Vec::new();
    while duplicates.len() < 4 {
        let stray = tokio::time::timeout(DEADLINE, strays.recv()).await.unwrap().unwrap();
        assert_eq!((stray.metric, stray.target), (Metric::DnsQuery, target.id()));
        duplicates.push(stray.duplicate);
    }
    assert_eq!(duplicates, [false, false, false, true]);
}

#[tokio::test]
async fn an_answer_that_was_cut_is_an_answer_and_says_so() {
    let settings = server(|mut answer| {
        answer.metadata.truncation = true;
        vec![answer.to_vec().unwrap()]
    })
    .await;
    let sample = probe(settings, &target("peerlight.test", "dns"), Family::V4).await.unwrap();
    latency(both(&sample)[0]);
    assert!(sample.attributes.contains(&("status", "TRUNCATED".to_owned())), "{sample:?}");
}

#[tokio::test]
async fn a_server_that_does_not_listen_refuses_the_query() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = ProbeSettings { dns_servers: vec![nobody], ..settings() };
    let sample = probe(settings, &target("peerlight.test", "dns"), Family::V4).await.unwrap();
    assert_eq!(ending(both(&sample)[0]), Ending::Refused, "{sample:?}");
    assert!(attribute(&sample, "error").unwrap().starts_with("DNS server 127.0.0.1:"), "{sample:?}");
}

#[tokio::test]
async fn every_dns_probe_asks_the_server() {
    let dns = Dns::start(Say::Addresses(vec![V4]), Say::NoData).await;
    let (prober, _strays) = Prober::open(asking(&dns)).unwrap();
    for _ in 0..3 {
        let before = dns.asked();
        probe_with(&prober, &target("peerlight.test", "dns"), Family::V4).await.unwrap();
        assert!(dns.asked() > before);
    }
}

#[tokio::test]
async fn other_probes_keep_answers_for_their_time() {
    let dns = Dns::start(Say::Addresses(vec![V4]), Say::NoData).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target("peerlight.test", &format!("tcp:{}", listener.local_addr().unwrap().port()));
    let (prober, _strays) = Prober::open(asking(&dns)).unwrap();
    let mut asked = None;
    for _ in 0..3 {
        let sample = probe_with(&prober, &target, Family::V4).await.unwrap();
        latency(only(&sample));
        assert_eq!(*asked.get_or_insert(dns.asked()), dns.asked());
        assert_eq!((sample.address, attribute(&sample, "address")), (Some(V4), Some("127.0.0.1")));
    }
}

#[tokio::test]
async fn a_family_that_a_name_lacks_is_not_measured() {
    for missing in [Say::NoData, Say::NoName] {
        let dns = Dns::start(Say::Addresses(vec![V4]), missing).await;
        for kind in ["icmp", "tcp:443", "udp:3478", "https"] {
            assert_eq!(probe(asking(&dns), &target("peerlight.test", kind), Family::V6).await, None);
        }
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_fails_every_metric() {
    for (say, reason) in [
        (Say::NoName, "does not exist"),
        (Say::NoData, "has no address"),
        (Say::ServFail, "SERVFAIL"),
        (Say::Nothing, "no answer from DNS"),
    ] {
        let dns = Dns::start(say.clone(), say.clone()).await;
        for kind in ["icmp", "tcp:443", "udp:3478", "https"] {
            let sample = probe(asking(&dns), &target("peerlight.test", kind), Family::V4).await.unwrap();
            assert!(sample.readings.iter().all(|&r| ending(r) == Ending::DnsFailed), "{sample:?}");
            // The deadline of a whole HTTPS exchange needs no words.
            let error = attribute(&sample, "error");
            assert!(error.is_none_or(|error| error.contains(reason)) && (error.is_some() || kind == "https"));
            assert_eq!(sample.address, None);
        }
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let inside = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let dns = Dns::start(Say::Addresses(vec![inside]), Say::NoData).await;
    let sample = probe(asking(&dns), &target("peerlight.test", "tcp:443"), Family::V4).await.unwrap();
    assert_eq!(ending(only(&sample)), Ending::SendFailed);
    assert!(attribute(&sample, "error").unwrap().starts_with("10.0.0.1 is not public unicast"), "{sample:?}");
}

#[tokio::test]
async fn an_address_has_no_dns_lookup() {
    let sample = probe(settings(), &target("127.0.0.1", "dns"), Family::V4).await.unwrap();
    assert_eq!(both(&sample).map(ending), [Ending::SendFailed; 2]);
    assert_eq!(both(&sample).map(|reading| reading.clock), [query_clock(), Clock::User]);
}
