//! The ICMP message by which a router refuses a packet: "administratively prohibited" (RFC 1812 §5.2.7.1, RFC 4443 §3.1).

use super::packet::{Packet, Signal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const HOPS: u8 = 64;
/// Type and code in each family.
const PROHIBITED_V4: [u8; 2] = [3, 13];
const PROHIBITED_V6: [u8; 2] = [1, 1];
/// No more of a packet is quoted, so that the message fits every path (RFC 1812 §4.3.2.3).
const MAX_QUOTE: usize = 512;

/// What comes back when `packet` is refused: a packet to its sender that quotes it, in the name of its destination. None
/// where nothing may come back: for what starts no exchange, ICMP errors above all.
pub fn refuse(packet: &[u8]) -> Option<Vec<u8>> {
    let read = Packet::read(packet)?;
    match read.signal()? {
        Signal::EchoRequest { .. } | Signal::Datagram { .. } | Signal::Query { .. } | Signal::Syn { .. } => {}
        Signal::EchoReply { .. } | Signal::SynAck { .. } | Signal::Reset { .. } => return None,
    }
    let quote = &packet[..packet.len().min(MAX_QUOTE)];
    match (read.destination, read.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => v4(from, to, quote),
        (IpAddr::V6(from), IpAddr::V6(to)) => v6(from, to, quote),
        _ => None,
    }
}

fn v4(from: Ipv4Addr, to: Ipv4Addr, quote: &[u8]) -> Option<Vec<u8>> {
    let message = message(PROHIBITED_V4, quote, &[]);
    let length = u16::try_from(20 + message.len()).ok()?;
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0, 0, HOPS, ICMP, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum);
    Some([header, message].concat())
}

fn v6(from: Ipv6Addr, to: Ipv6Addr, quote: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(8 + quote.len()).ok()?;
    let addresses = [from.octets(), to.octets()].concat();
    let [high, low] = length.to_be_bytes();
    let pseudo = [&addresses[..], &[0, 0, high, low, 0, 0, 0, ICMPV6]].concat();
    let message = message(PROHIBITED_V6, quote, &pseudo);
    Some([&[0x60, 0, 0, 0, high, low, ICMPV6, HOPS], &addresses[..], &message].concat())
}

/// The ICMP message; `pseudo` is what its checksum covers besides.
fn message([kind, code]: [u8; 2], quote: &[u8], pseudo: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(quote);
    let sum = checksum(&[pseudo, &message]);
    message[2..4].copy_from_slice(&sum);
    message
}

/// The Internet checksum (RFC 1071) of parts of which all but the last have an even length.
pub(super) fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or_default()])))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(kind: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, ICMP, 0, 0, 198, 18, 1, 10, 198, 18, 0, 11];
        packet.extend([kind, 0, 0, 0, 0x12, 0x34, 0, 7, b'x']);
        packet
    }

    #[test]
    fn a_refusal_goes_back_to_the_sender_and_quotes_what_it_refuses() {
        let request = echo(8);
        let refusal = refuse(&request).unwrap();
        let packet = Packet::read(&refusal).unwrap();
        assert_eq!(packet.source, IpAddr::from([198, 18, 0, 11]));
        assert_eq!(packet.destination, IpAddr::from([198, 18, 1, 10]));
        assert_eq!(packet.quoted(), Packet::read(&request));
        assert_eq!(checksum(&[&refusal[..20]]), [0, 0], "the header's checksum is right");
        assert_eq!(checksum(&[&refusal[20..]]), [0, 0], "the message's is, too");
    }

    #[test]
    fn an_answer_is_never_refused() {
        assert_eq!(refuse(&echo(0)), None);
        assert_eq!(refuse(&refuse(&echo(8)).unwrap()), None);
    }
}
