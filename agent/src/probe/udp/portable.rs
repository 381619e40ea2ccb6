//! Anywhere: each probe from its own connected socket, by this process's clock. What ICMP says comes as an error of the next
//! call, if at all.

use crate::{
    probe::{
        departure::Departure,
        exchange::{Exchange, now},
        settings::ProbeSettings,
        strays::Strays,
        unreachable,
    },
    sample::Stray,
};
use peerlight_proto::{
    id::TargetId,
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family},
};
use std::{io, net::SocketAddr, time::Instant};
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout_at},
};

const TEXT: &[u8; 24] = b"Peerlight UDP echo probe";
/// The largest packet that is read whole.
const MAX_PACKET: usize = 2_048;

/// Probes one address.
pub(crate) async fn probe(
    settings: &ProbeSettings,
    to: SocketAddr,
    target: TargetId,
    strays: &Strays,
) -> Exchange {
    let deadline = tokio::time::Instant::now() + settings.deadline;
    let family = Family::of(to.ip());
    let stray = Stray { target, metric: Metric::UdpRtt, family, duplicate: false };
    let mut request = [0; 32];
    request[..8].copy_from_slice(&rand::random::<[u8; 8]>());
    request[8..].copy_from_slice(TEXT);
    let began = now();
    let socket = match send(&settings.departure(family), to, &request).await {
        Ok(socket) => socket,
        Err(error) => {
            let error = format!("cannot send from this machine: {error}");
            return Exchange::failed(Clock::User, Ending::SendFailed, error);
        }
    };
    match timeout_at(deadline, answer(&socket, &request, strays, stray)).await {
        Err(_elapsed) => Exchange::lost(Clock::User),
        Ok(Ok(at)) => {
            let strays = strays.clone();
            tokio::spawn(timeout_at(deadline, count_strays(socket, request, strays, stray)));
            Exchange::timed(None, at - began, settings.timeout)
        }
        Ok(Err(error)) => {
            let error = unreachable::explain(&error, family);
            Exchange::failed(Clock::User, Ending::Refused, error)
        }
    }
}

async fn send(departure: &Departure, to: SocketAddr, request: &[u8]) -> io::Result<UdpSocket> {
    let socket = departure.udp()?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    socket.connect(to).await?;
    socket.send(request).await?;
    Ok(socket)
}

/// When the echo came; the caller bounds the time.
async fn answer(socket: &UdpSocket, request: &[u8], strays: &Strays, stray: Stray) -> io::Result<Instant> {
    let mut packet = [0; MAX_PACKET];
    loop {
        let length = socket.recv(&mut packet).await?;
        let at = now();
        if packet.get(..length) == Some(request) {
            return Ok(at);
        }
        strays.report(stray);
    }
}

/// After the echo: keeps the port open for echoes beyond it, until the caller ends it.
async fn count_strays(socket: UdpSocket, request: [u8; 32], strays: Strays, stray: Stray) {
    let mut packet = [0; MAX_PACKET];
    loop {
        match socket.recv(&mut packet).await {
            Ok(length) => {
                let duplicate = packet.get(..length) == Some(&request[..]);
                strays.report(Stray { duplicate, ..stray });
            }
            Err(_icmp) => sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Outcome;

    #[tokio::test]
    async fn an_echo_answers_and_its_copy_is_a_duplicate() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 64];
            let (length, from) = server.recv_from(&mut packet).await.unwrap();
            for answer in [&b"who are you"[..], &packet[..length], &packet[..length]] {
                server.send_to(answer, from).await.unwrap();
            }
        });
        let ((strays, mut reported), target) = (Strays::new(), TargetId::new([1; 16]));
        let exchange = probe(&ProbeSettings::default(), to, target, &strays).await;
        assert!(matches!(exchange.outcome, Outcome::Answered { .. }), "{exchange:?}");
        assert!(!reported.recv().await.unwrap().duplicate);
        assert!(reported.recv().await.unwrap().duplicate);
    }

    // Wine does not tell.
    #[cfg(not(windows))]
    #[tokio::test]
    async fn a_closed_port_refuses() {
        let to = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (strays, _reported) = Strays::new();
        let exchange = probe(&ProbeSettings::default(), to, TargetId::new([1; 16]), &strays).await;
        assert_eq!(exchange.outcome, Outcome::Failed(Ending::Refused));
        assert!(exchange.error.unwrap().contains("port unreachable"));
    }
}
