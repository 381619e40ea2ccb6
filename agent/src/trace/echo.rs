//! ICMP echo packets, as far as a trace needs them. Pure.

use peerlight_proto::series::Family;

/// What follows the cookie, so that whoever captures a packet knows what it is.
const TEXT: &[u8; 16] = b"Peerlight path  ";
/// How long a request is: eight bytes of header, eight of cookie, and the text.
const LENGTH: usize = 32;
/// The longest header of an IPv4 packet.
const MAX_IP_HEADER: usize = 60;

/// One probe's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) family: Family,
    pub(super) identifier: u16,
    pub(super) sequence: u16,
    pub(super) cookie: [u8; 8],
}

impl Echo {
    /// The packet. The kernel overwrites the checksum (and the identifier) where that is its business.
    pub(super) fn request(&self) -> [u8; LENGTH] {
        let mut packet = [0; LENGTH];
        packet[0] = match self.family {
            Family::V4 => 8,
            Family::V6 => 128,
        };
        packet[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        packet[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        packet[8..16].copy_from_slice(&self.cookie);
        packet[16..].copy_from_slice(TEXT);
        let checksum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&checksum);
        packet
    }

    /// Whether `packet` is the reply. Raw sockets of IPv4 deliver the IP header, too.
    pub(super) fn is_reply(&self, packet: &[u8], with_ip_header: bool) -> bool {
        let reply = match self.family {
            Family::V4 => 0,
            Family::V6 => 129,
        };
        let packet = if with_ip_header { without_ip_header(packet) } else { Some(packet) };
        packet.is_some_and(|packet| packet.first() == Some(&reply) && packet.get(8..16) == Some(&self.cookie))
    }

    /// Whether an ICMP error's quotation is of this packet: all raw sockets are told of all errors.
    pub(super) fn is_quoted(&self, quoted: &[u8]) -> bool {
        quoted.get(4..6) == Some(&self.identifier.to_be_bytes())
            && quoted.get(6..8) == Some(&self.sequence.to_be_bytes())
    }
}

fn without_ip_header(packet: &[u8]) -> Option<&[u8]> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(length.min(MAX_IP_HEADER)..)
}

/// The Internet checksum (RFC 1071) of a packet of even length.
fn checksum(packet: &[u8; LENGTH]) -> u16 {
    let words = packet.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Echo =
        Echo { family: Family::V4, identifier: 0x1234, sequence: 7, cookie: *b"\x01\x02cookie" };

    #[test]
    fn a_request_sums_up_to_zero() {
        assert_eq!(checksum(&ECHO.request()), 0);
        let other = Echo { family: Family::V6, identifier: 0xffff, ..ECHO };
        assert_eq!(checksum(&other.request()), 0);
    }

    #[test]
    fn only_the_own_reply_is_one() {
        let mut reply = ECHO.request();
        assert!(!ECHO.is_reply(&reply, false), "a request is none");
        reply[0] = 0;
        assert!(ECHO.is_reply(&reply, false));
        assert!(!Echo { cookie: [0; 8], ..ECHO }.is_reply(&reply, false));
        let with_header = [&[0x45; 20][..], &reply].concat();
        assert!(ECHO.is_reply(&with_header, true));
        for bytes in [&[][..], &[0x4f], &reply[..9]] {
            assert!(!ECHO.is_reply(bytes, true) && !ECHO.is_reply(bytes, false));
        }
    }

    #[test]
    fn only_the_own_quotation_is_ones_own() {
        let quoted = &ECHO.request()[..8];
        assert!(ECHO.is_quoted(quoted));
        assert!(!ECHO.is_quoted(&quoted[..7]));
        assert!(!Echo { sequence: 8, ..ECHO }.is_quoted(quoted));
    }
}
