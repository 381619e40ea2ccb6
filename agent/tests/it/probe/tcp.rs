//! TCP connects.

use super::{attribute, ending, latency, only, probe, settings, target};
use peerlight_agent::probe::ProbeSettings;
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_connect_is_timed_by_the_kernel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sample = probe(settings(), &target("127.0.0.1", &format!("tcp:{port}")), Family::V4).await.unwrap();
    let reading = only(&sample);
    assert!(latency(reading).as_millis() < 100, "{sample:?}");
    assert_eq!(reading.clock, if cfg!(target_os = "linux") { Clock::TcpInfo } else { Clock::User });
    assert_eq!((sample.address, sample.attributes), (Some(Ipv4Addr::LOCALHOST.into()), vec![]));
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let port = {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let sample = probe(settings(), &target("::1", &format!("tcp:{port}")), Family::V6).await.unwrap();
    assert_eq!(ending(only(&sample)), Ending::Refused, "{sample:?}");
    assert!(attribute(&sample, "error").unwrap().contains("refused"), "{sample:?}");
}

#[tokio::test]
async fn the_connect_comes_from_the_source_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let source = Ipv4Addr::new(127, 7, 8, 9);
    let settings = ProbeSettings { source_v4: Some(source), ..settings() };
    let target = target("127.0.0.1", &format!("tcp:{port}"));
    let (sample, accepted) = tokio::join!(probe(settings, &target, Family::V4), listener.accept());
    latency(only(&sample.unwrap()));
    assert_eq!(accepted.unwrap().1.ip(), source);
}

#[tokio::test]
async fn a_source_that_this_machine_lacks_is_a_failure_to_send() {
    let settings = ProbeSettings { source_v4: Some(Ipv4Addr::new(192, 0, 2, 77)), ..settings() };
    let sample = probe(settings, &target("127.0.0.1", "tcp:443"), Family::V4).await.unwrap();
    assert_eq!(ending(only(&sample)), Ending::SendFailed, "{sample:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_syn_that_nobody_answers_is_lost() {
    // A listener whose queue is full drops SYNs, as a lossy path does.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _queued = tokio::net::TcpStream::connect(address).await.unwrap();
    let target = target("127.0.0.1", &format!("tcp:{}", address.port()));
    let sample = probe(settings(), &target, Family::V4).await.unwrap();
    assert_eq!(ending(only(&sample)), Ending::Lost, "{sample:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_syn_that_is_sent_again_is_not_an_answer_in_time() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let queued = tokio::net::TcpStream::connect(address).await.unwrap();
    let second = std::time::Duration::from_secs(1);
    let settings = ProbeSettings { timeout: 4 * second, deadline: 5 * second, ..settings() };
    let target = target("127.0.0.1", &format!("tcp:{}", address.port()));
    let accept = async {
        // By now the first SYN was dropped; the queue is free for the second, which comes after a second.
        tokio::time::timeout(second / 2, std::future::pending::<()>()).await.unwrap_err();
        let accepted = listener.accept().unwrap();
        drop(queued);
        accepted
    };
    let (sample, _accepted) = tokio::join!(probe(settings, &target, Family::V4), accept);
    assert_eq!(ending(only(&sample.unwrap())), Ending::Retransmitted);
}
