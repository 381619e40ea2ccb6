//! Packets: reads from the headers of IP packets what the relay and the truth need, and nothing more.

use super::query::{self, Query};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// An IP packet's addresses and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Who shall get it.
    pub destination: IpAddr,
    protocol: u8,
    payload: &'a [u8],
}

/// What a packet has to do with a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// An ICMP echo request.
    EchoRequest {
        /// Its identifier.
        id: u16,
        /// Its sequence number.
        sequence: u16,
    },
    /// An ICMP echo reply.
    EchoReply {
        /// Its identifier.
        id: u16,
        /// Its sequence number.
        sequence: u16,
    },
    /// A UDP datagram.
    Datagram {
        /// The sender's port.
        from: u16,
        /// The receiver's port.
        to: u16,
        /// A hash of what it carries.
        payload: u64,
    },
    /// A DNS query of letters of both cases, or its answer.
    Query {
        /// The sender's port.
        from: u16,
        /// The receiver's port.
        to: u16,
        /// What is asked.
        query: Query,
    },
    /// A TCP SYN.
    Syn {
        /// The sender's port.
        from: u16,
        /// The receiver's port.
        to: u16,
        /// The initial sequence number.
        sequence: u32,
    },
    /// A TCP SYN-ACK.
    SynAck {
        /// The sender's port.
        from: u16,
        /// The receiver's port.
        to: u16,
        /// The sequence number of the SYN that it answers.
        answers: u32,
    },
    /// A TCP RST that answers a SYN.
    Reset {
        /// The sender's port.
        from: u16,
        /// The receiver's port.
        to: u16,
        /// The sequence number of the SYN that it answers.
        answers: u32,
    },
}

/// A TCP segment that carries data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The sender's port.
    pub from: u16,
    /// The receiver's port.
    pub to: u16,
    /// The number of its first byte.
    pub sequence: u32,
}

impl<'a> Packet<'a> {
    /// Reads a packet's IP header; none if it is not one, or a fragment, or has IPv6 extension headers.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::read_v4(bytes),
            6 => Self::read_v6(bytes),
            _ => None,
        }
    }

    fn read_v4(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<20>()?;
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        let (start, end) =
            (usize::from(header[0] & 0xf) * 4, usize::from(u16::from_be_bytes([header[2], header[3]])));
        let address =
            |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
        let packet = Self {
            source: address(12),
            destination: address(16),
            protocol: header[9],
            payload: bytes.get(start..end)?,
        };
        (start >= 20 && !fragment).then_some(packet)
    }

    fn read_v6(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<40>()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let address = |at: usize| {
            let octets: [u8; 16] = header[at..at + 16].try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        };
        Some(Self {
            source: address(8)?,
            destination: address(24)?,
            protocol: header[6],
            payload: bytes.get(40..40 + length)?,
        })
    }

    /// What it has to do with a probe, if anything.
    pub fn signal(&self) -> Option<Signal> {
        match self.protocol {
            ICMP | ICMPV6 => self.echo(),
            UDP => {
                let (&[f0, f1, t0, t1, ..], payload) = self.payload.split_first_chunk::<8>()?;
                let (from, to) = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([t0, t1]));
                if [from, to].contains(&query::PORT)
                    && let Some(query) = Query::read(payload)
                {
                    return Some(Signal::Query { from, to, query });
                }
                let mut hasher = DefaultHasher::new();
                payload.hash(&mut hasher);
                Some(Signal::Datagram { from, to, payload: hasher.finish() })
            }
            TCP => self.handshake(),
            _ => None,
        }
    }

    /// The packet that it says cannot be delivered, if it is an ICMP message to that effect and quotes it whole.
    pub fn quoted(&self) -> Option<Self> {
        let (header, quote) = self.payload.split_first_chunk::<8>()?;
        match (self.protocol, header[0]) {
            (ICMP, 3) | (ICMPV6, 1) => Self::read(quote),
            _ => None,
        }
    }

    fn echo(&self) -> Option<Signal> {
        let &[kind, code, _, _, i0, i1, s0, s1] = self.payload.first_chunk()?;
        let (id, sequence) = (u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1]));
        match (self.protocol, kind, code) {
            (ICMP, 8, 0) | (ICMPV6, 128, 0) => Some(Signal::EchoRequest { id, sequence }),
            (ICMP, 0, 0) | (ICMPV6, 129, 0) => Some(Signal::EchoReply { id, sequence }),
            _ => None,
        }
    }

    /// The TCP segment with data that it is, if it is one.
    pub fn segment(&self) -> Option<Segment> {
        let header = self.payload.first_chunk::<20>().filter(|_| self.protocol == TCP)?;
        let data = self.payload.get(usize::from(header[12] >> 4) * 4..)?;
        let (from, to) =
            (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
        let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        (!data.is_empty()).then_some(Segment { from, to, sequence })
    }

    fn handshake(&self) -> Option<Signal> {
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        let header = self.payload.first_chunk::<20>()?;
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (from, to) =
            (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
        let answers = word(8).wrapping_sub(1);
        match header[13] & (SYN | RST | ACK) {
            SYN => Some(Signal::Syn { from, to, sequence: word(4) }),
            flags if flags == SYN | ACK => Some(Signal::SynAck { from, to, answers }),
            flags if flags == RST | ACK => Some(Signal::Reset { from, to, answers }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet =
            vec![0x45, 0, 0, 20 + u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([198, 18, 1, 10, 198, 18, 0, 11]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn an_echo_request_is_read_with_its_addresses() {
        let bytes = v4(ICMP, &[8, 0, 0, 0, 0x12, 0x34, 0, 7, b'x']);
        let packet = Packet::read(&bytes).unwrap();
        assert_eq!(packet.source, IpAddr::from([198, 18, 1, 10]));
        assert_eq!(packet.destination, IpAddr::from([198, 18, 0, 11]));
        assert_eq!(packet.signal(), Some(Signal::EchoRequest { id: 0x1234, sequence: 7 }));
    }

    #[test]
    fn a_syn_ack_names_the_syn_that_it_answers() {
        let mut segment = [0_u8; 20];
        segment[..4].copy_from_slice(&[0, 80, 0x9c, 0x40]);
        segment[8..12].copy_from_slice(&1_000_u32.to_be_bytes());
        segment[13] = 0x12;
        let bytes = v4(TCP, &segment);
        let signal = Packet::read(&bytes).unwrap().signal();
        assert_eq!(signal, Some(Signal::SynAck { from: 80, to: 40_000, answers: 999 }));
    }

    #[test]
    fn a_datagram_over_ipv6_is_told_by_its_payload() {
        let datagram = |payload: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 8 + u8::try_from(payload.len()).unwrap(), UDP, 64];
            packet.extend(Ipv6Addr::LOCALHOST.octets());
            packet.extend(Ipv6Addr::UNSPECIFIED.octets());
            packet.extend([0, 1, 0, 2, 0, 0, 0, 0]);
            packet.extend(payload);
            Packet::read(&packet).unwrap().signal().unwrap()
        };
        assert_eq!(datagram(b"one"), datagram(b"one"));
        assert_ne!(datagram(b"one"), datagram(b"two"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(packet) = Packet::read(&bytes) {
                let _ = packet.signal();
            }
        }
    }
}
