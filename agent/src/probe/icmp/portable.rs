//! Anywhere: surge-ping, by this process's clock. It reads its clock only after sending, so the time is taken here; it
//! tells neither duplicates nor foreign replies; and without an identifier of its own on Linux it needs sequence numbers
//! that no other probe in flight uses.

use crate::probe::{
    departure::{Departure, DepartureError},
    exchange::{Exchange, now},
    settings::ProbeSettings,
};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};

const PAYLOAD: &[u8; 56] = b"Peerlight network latency measurement, ICMP echo probes.";

/// One family's client: dropping any clone of it ends it, so there is one, for as long as there are probes.
pub(crate) struct Endpoint {
    client: Client,
    /// Identifier and sequence of the next request.
    next: AtomicU32,
}

impl Endpoint {
    /// Opens a datagram socket, or a raw one where only that is permitted.
    pub(super) fn open(departure: &Departure) -> io::Result<Self> {
        if let Some(dscp) = departure.dscp {
            // surge-ping keeps its socket to itself.
            let source = io::Error::other("the portable ICMP engine cannot mark packets");
            return Err(DepartureError::Mark { dscp, source }.into());
        }
        // Says in its own words what cannot be bound to, which surge-ping would not.
        departure.udp()?;
        let kind = match departure.family {
            Family::V4 => ICMP::V4,
            Family::V6 => ICMP::V6,
        };
        // Always bound: surge-ping's reader asks for the socket's address, which unbound sockets lack on Windows.
        let mut config = Config::builder().kind(kind).bind(SocketAddr::new(departure.source_or_any(), 0));
        if let Some(interface) = &departure.interface {
            config = config.interface(interface.as_str());
        }
        let config = config.build();
        Ok(Self { client: Client::new(&config)?, next: AtomicU32::new(rand::random()) })
    }

    /// Probes one address.
    pub(crate) async fn probe(&self, settings: &ProbeSettings, to: IpAddr) -> Exchange {
        let [identifier_high, identifier_low, high, low] =
            self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let identifier = PingIdentifier(u16::from_be_bytes([identifier_high, identifier_low]));
        let mut pinger = self.client.pinger(to, identifier).await;
        pinger.timeout(settings.deadline);
        let began = now();
        let answer = pinger.ping(PingSequence(u16::from_be_bytes([high, low])), PAYLOAD).await;
        let took = began.elapsed();
        match answer {
            Ok((packet, _biased)) if is_reply(&packet) => Exchange::timed(None, took, settings.timeout),
            Ok(_error) => Exchange::failed(Clock::User, Ending::Refused, "an ICMP error came back"),
            Err(SurgeError::Timeout { .. }) => Exchange::lost(Clock::User),
            Err(error) => Exchange::failed(
                Clock::User,
                Ending::SendFailed,
                format!("cannot send from this machine: {error}"),
            ),
        }
    }
}

fn is_reply(packet: &IcmpPacket) -> bool {
    match packet {
        IcmpPacket::V4(packet) => packet.get_icmp_type().0 == 0,
        IcmpPacket::V6(packet) => packet.get_icmpv6_type().0 == 129,
    }
}
