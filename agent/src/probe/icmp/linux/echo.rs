//! Echo packets of both families as bytes (RFC 792, RFC 4443). Pure.

use peerlight_proto::series::Family;

/// The random bytes that tell our replies from those that anyone else makes up.
pub(super) type Cookie = [u8; 8];

/// What follows the cookie, so that whoever captures a packet knows what it is; 56 bytes in all, as ping(8) sends.
const TEXT: &[u8; 48] = b"Peerlight network latency measurement, ICMP echo";
const HEADER: usize = 8;
/// A whole echo request.
pub(super) const PACKET: usize = HEADER + size_of::<Cookie>() + TEXT.len();

/// An echo request or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo {
    /// Tells processes apart.
    pub(super) identifier: u16,
    /// Tells the requests of a process apart.
    pub(super) sequence: u16,
    /// The first bytes of the payload; none if it was cut off.
    pub(super) cookie: Option<Cookie>,
}

/// The bytes of an echo request.
pub(super) fn request(family: Family, identifier: u16, sequence: u16, cookie: Cookie) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[0] = request_type(family);
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[HEADER..HEADER + 8].copy_from_slice(&cookie);
    packet[HEADER + 8..].copy_from_slice(TEXT);
    if family == Family::V4 {
        // ICMPv6 has the kernel sum up: its checksum covers the addresses, too.
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Reads an echo reply; none if it is anything else.
pub(super) fn reply(family: Family, packet: &[u8]) -> Option<Echo> {
    read(packet, reply_type(family))
}

/// Reads a request of ours that an ICMP error quotes.
pub(super) fn quoted_request(family: Family, packet: &[u8]) -> Option<Echo> {
    read(packet, request_type(family))
}

/// What follows an IPv4 header; raw sockets of that family deliver it, too.
pub(super) fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(length.max(20)..)
}

/// The ICMP type of a reply.
pub(super) const fn reply_type(family: Family) -> u8 {
    match family {
        Family::V4 => 0,
        Family::V6 => 129,
    }
}

const fn request_type(family: Family) -> u8 {
    match family {
        Family::V4 => 8,
        Family::V6 => 128,
    }
}

fn read(packet: &[u8], kind: u8) -> Option<Echo> {
    let (header, payload) = packet.split_first_chunk::<HEADER>()?;
    let [found, 0, _, _, id_high, id_low, sequence_high, sequence_low] = *header else { return None };
    (found == kind).then(|| Echo {
        identifier: u16::from_be_bytes([id_high, id_low]),
        sequence: u16::from_be_bytes([sequence_high, sequence_low]),
        cookie: payload.first_chunk().copied(),
    })
}

/// The internet checksum (RFC 1071) of a packet of even length.
fn checksum(packet: &[u8]) -> u16 {
    let mut sum: u32 =
        packet.as_chunks::<2>().0.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_of_a_whole_request_is_zero() {
        let packet = request(Family::V4, 0xbeef, 7, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(checksum(&packet), 0);
        assert_eq!((packet.len(), packet[0]), (64, 8));
    }

    #[test]
    fn only_replies_are_replies() {
        let mut packet = request(Family::V6, 0xbeef, 7, [9; 8]);
        assert_eq!(reply(Family::V6, &packet), None);
        packet[0] = 129;
        let echo = Echo { identifier: 0xbeef, sequence: 7, cookie: Some([9; 8]) };
        assert_eq!(reply(Family::V6, &packet), Some(echo));
        assert_eq!(reply(Family::V4, &packet), None);
        assert_eq!(reply(Family::V6, &packet[..12]), Some(Echo { cookie: None, ..echo }));
        packet[1] = 1;
        assert_eq!(reply(Family::V6, &packet), None);
    }

    #[test]
    fn an_ipv4_header_may_have_options() {
        let mut packet = vec![0x46];
        packet.resize(24, 0);
        packet.push(42);
        assert_eq!(after_ipv4_header(&packet), Some(&[42][..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let inner = after_ipv4_header(&bytes).unwrap_or_default();
            let read = reply(Family::V4, inner).is_some() || quoted_request(Family::V6, &bytes).is_some();
            prop_assert!(!read || bytes.len() >= HEADER);
        }
    }
}
