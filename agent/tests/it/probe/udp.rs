//! UDP echo against a server that plays tricks.

use super::{TIMEOUT, attribute, ending, latency, only, probe, probe_with, settings, target};
use peerlight_agent::{
    probe::{ProbeSettings, Prober},
    sample::Stray,
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family},
    target::Target,
};
use std::time::Duration;
use tokio::{net::UdpSocket, sync::mpsc};

/// What the server does with a packet.
#[derive(Clone, Copy)]
enum Trick {
    Echo,
    Twice,
    ForeignFirst,
    Silence,
}

/// A server that plays one trick; ends with the test.
async fn server(bind: &str, trick: Trick) -> Target {
    let socket = UdpSocket::bind(bind).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let echo = packet[..length].to_vec();
            match trick {
                Trick::Echo => {}
                Trick::Twice => {
                    socket.send_to(&echo, from).await.unwrap();
                }
                Trick::ForeignFirst => {
                    socket.send_to(b"who are you", from).await.unwrap();
                }
                Trick::Silence => continue,
            }
            socket.send_to(&echo, from).await.unwrap();
        }
    });
    target(&address.ip().to_string(), &format!("udp:{}", address.port()))
}

async fn stray(strays: &mut mpsc::Receiver<Stray>) -> Stray {
    tokio::time::timeout(Duration::from_secs(5), strays.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_echo_is_timed_by_the_kernel_in_both_families() {
    for (bind, family) in [("127.0.0.1:0", Family::V4), ("[::1]:0", Family::V6)] {
        let target = server(bind, Trick::Echo).await;
        let sample = probe(settings(), &target, family).await.unwrap();
        let reading = only(&sample);
        assert!(latency(reading) < TIMEOUT, "{sample:?}");
        assert_eq!(reading.clock, if cfg!(target_os = "linux") { Clock::Kernel } else { Clock::User });
    }
}

#[tokio::test]
async fn a_second_echo_is_a_duplicate_and_anything_else_foreign() {
    for (trick, duplicate) in [(Trick::Twice, true), (Trick::ForeignFirst, false)] {
        let target = server("127.0.0.1:0", trick).await;
        let (prober, mut strays) = Prober::open(settings()).unwrap();
        let sample = probe_with(&prober, &target, Family::V4).await.unwrap();
        latency(only(&sample));
        let expected = Stray { target: target.id(), metric: Metric::UdpRtt, family: Family::V4, duplicate };
        assert_eq!(stray(&mut strays).await, expected);
        assert!(strays.try_recv().is_err());
    }
}

#[tokio::test]
async fn an_echo_after_the_timeout_is_late_and_none_is_lost() {
    // No echo is as fast as that, so each comes after the time-out and before the deadline.
    let hasty = ProbeSettings { timeout: Duration::from_nanos(1), ..settings() };
    for (trick, settings, expected) in
        [(Trick::Echo, hasty, Ending::Late), (Trick::Silence, settings(), Ending::Lost)]
    {
        let target = server("127.0.0.1:0", trick).await;
        let sample = probe(settings, &target, Family::V4).await.unwrap();
        assert_eq!(ending(only(&sample)), expected, "{sample:?}");
    }
}

#[tokio::test]
async fn a_closed_port_refuses() {
    for (bind, family) in [("127.0.0.1:0", Family::V4), ("[::1]:0", Family::V6)] {
        let address = UdpSocket::bind(bind).await.unwrap().local_addr().unwrap();
        let target = target(&address.ip().to_string(), &format!("udp:{}", address.port()));
        let sample = probe(settings(), &target, family).await.unwrap();
        assert_eq!(ending(only(&sample)), Ending::Refused, "{sample:?}");
        assert!(attribute(&sample, "error").unwrap().contains("port unreachable"), "{sample:?}");
    }
}
