//! Echo packets as bytes: ICMP of both families (RFC 792, RFC 4443), and UDP. Pure.

use peerlight_proto::series::Family;

/// The random bytes that tell our replies from those that anyone else makes up.
pub(super) type Cookie = [u8; 8];

/// What follows the token, so that whoever captures a packet knows what it is; 56 bytes in all, as ping(8) sends.
const ICMP_TEXT: &[u8; 44] = b"Peerlight network latency measurement (ICMP)";
const UDP_TEXT: &[u8; 20] = b"Peerlight: UDP probe";
const HEADER: usize = 8;
const TOKEN: usize = size_of::<Cookie>() + size_of::<u32>();
/// The longest packet.
pub(super) const LONGEST: usize = HEADER + TOKEN + ICMP_TEXT.len();

/// What the echoes of a socket are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// ICMP echo.
    Icmp {
        /// Of which family.
        family: Family,
        /// Tells sockets apart.
        identifier: u16,
        /// The socket delivers the IPv4 header, too.
        with_ip_header: bool,
    },
    /// UDP echo.
    Udp,
}

/// What names a request: its number on the socket and its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// Which request; an ICMP header bears its lower half as the sequence.
    pub(super) number: u32,
    /// Known only to those that saw the request.
    pub(super) cookie: Cookie,
}

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A reply that names a request of this socket, if it names it rightly.
    Reply(Token),
    /// A reply that names none.
    Foreign,
    /// No reply at all.
    Other,
}

/// How an ICMP error names the request that it quotes. Routers may quote the headers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    /// Whole.
    Token(Token),
    /// By the ICMP sequence.
    Sequence(u16),
    /// By nothing but its destination.
    Nothing,
}

impl Format {
    /// Writes the request of `token` and says how long it is.
    pub(super) fn write(self, token: Token, packet: &mut [u8; LONGEST]) -> usize {
        match self {
            Self::Icmp { family, identifier, .. } => {
                let [number_2, number_3] = low_half(token.number).to_be_bytes();
                let [id_0, id_1] = identifier.to_be_bytes();
                packet[..HEADER].copy_from_slice(&[
                    request_type(family),
                    0,
                    0,
                    0,
                    id_0,
                    id_1,
                    number_2,
                    number_3,
                ]);
                write_payload(token, ICMP_TEXT, &mut packet[HEADER..]);
                if family == Family::V4 {
                    // ICMPv6 has the kernel sum up: its checksum covers the addresses, too.
                    let sum = checksum(packet);
                    packet[2..4].copy_from_slice(&sum.to_be_bytes());
                }
                LONGEST
            }
            Self::Udp => {
                let length = TOKEN + UDP_TEXT.len();
                write_payload(token, UDP_TEXT, &mut packet[..length]);
                length
            }
        }
    }

    /// Reads what came in.
    pub(super) fn read(self, packet: &[u8]) -> Incoming {
        match self {
            Self::Icmp { family, identifier, with_ip_header } => {
                let packet = if with_ip_header { after_ipv4_header(packet) } else { Some(packet) };
                match packet.and_then(|packet| read_icmp(packet, reply_type(family))) {
                    Some((found, _, _)) if found != identifier => Incoming::Other,
                    Some((_, sequence, Some(token))) if low_half(token.number) == sequence => {
                        Incoming::Reply(token)
                    }
                    Some(_) => Incoming::Foreign,
                    None => Incoming::Other,
                }
            }
            Self::Udp => match read_token(packet) {
                Some(token) if packet.get(TOKEN..) == Some(UDP_TEXT) => Incoming::Reply(token),
                Some(_) | None => Incoming::Foreign,
            },
        }
    }

    /// Reads what an ICMP error quotes of a request, from its ICMP header or behind its UDP header; none if it is not ours.
    pub(super) fn read_quoted(self, packet: &[u8]) -> Option<Quote> {
        match self {
            Self::Icmp { family, identifier, .. } => {
                let (found, sequence, token) = read_icmp(packet, request_type(family))?;
                let quote = token.map_or(Quote::Sequence(sequence), Quote::Token);
                (found == identifier).then_some(quote)
            }
            Self::Udp => Some(read_token(packet).map_or(Quote::Nothing, Quote::Token)),
        }
    }
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

/// The half of a number that the ICMP header has room for.
pub(super) const fn low_half(number: u32) -> u16 {
    let [_, _, high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn write_payload(token: Token, text: &[u8], payload: &mut [u8]) {
    payload[..8].copy_from_slice(&token.cookie);
    payload[8..TOKEN].copy_from_slice(&token.number.to_be_bytes());
    payload[TOKEN..].copy_from_slice(text);
}

fn read_token(payload: &[u8]) -> Option<Token> {
    let (&cookie, rest) = payload.split_first_chunk()?;
    Some(Token { cookie, number: u32::from_be_bytes(*rest.first_chunk()?) })
}

/// What follows an IPv4 header; raw sockets of that family deliver it, too.
fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(length.max(20)..)
}

/// Identifier, sequence and token of an echo packet of type `kind`.
fn read_icmp(packet: &[u8], kind: u8) -> Option<(u16, u16, Option<Token>)> {
    let (header, payload) = packet.split_first_chunk::<HEADER>()?;
    let [found, 0, _, _, id_high, id_low, sequence_high, sequence_low] = *header else { return None };
    (found == kind).then(|| {
        let sequence = u16::from_be_bytes([sequence_high, sequence_low]);
        (u16::from_be_bytes([id_high, id_low]), sequence, read_token(payload))
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

    const TOKEN_7: Token = Token { number: 0x0001_0007, cookie: [9; 8] };

    fn icmp(family: Family) -> Format {
        Format::Icmp { family, identifier: 0xbeef, with_ip_header: false }
    }

    fn written(format: Format) -> Vec<u8> {
        let mut packet = [0xff; LONGEST];
        let length = format.write(TOKEN_7, &mut packet);
        packet[..length].to_vec()
    }

    #[test]
    fn the_checksum_of_a_whole_request_is_zero() {
        let packet = written(icmp(Family::V4));
        assert_eq!(checksum(&packet), 0);
        assert_eq!((packet.len(), packet[0], &packet[6..8]), (64, 8, &[0, 7][..]));
    }

    #[test]
    fn only_replies_to_this_socket_are_replies() {
        let format = icmp(Family::V6);
        let mut packet = written(format);
        assert_eq!(format.read(&packet), Incoming::Other);
        packet[0] = 129;
        assert_eq!(format.read(&packet), Incoming::Reply(TOKEN_7));
        assert_eq!(icmp(Family::V4).read(&packet), Incoming::Other);
        assert_eq!(format.read(&packet[..12]), Incoming::Foreign);
        packet[7] = 8;
        assert_eq!(format.read(&packet), Incoming::Foreign, "the sequence contradicts the token");
        packet[5] = 0;
        assert_eq!(format.read(&packet), Incoming::Other);
    }

    #[test]
    fn an_echo_over_udp_is_the_request_itself() {
        let mut packet = written(Format::Udp);
        assert_eq!(Format::Udp.read(&packet), Incoming::Reply(TOKEN_7));
        assert_eq!(Format::Udp.read(&packet[..31]), Incoming::Foreign);
        packet.push(0);
        assert_eq!(Format::Udp.read(&packet), Incoming::Foreign);
    }

    #[test]
    fn an_error_names_the_request_as_far_as_it_quotes_it() {
        let packet = written(icmp(Family::V4));
        let quoted = |length: usize| icmp(Family::V4).read_quoted(&packet[..length]);
        assert_eq!(quoted(64), Some(Quote::Token(TOKEN_7)));
        assert_eq!(quoted(8), Some(Quote::Sequence(7)));
        assert_eq!(quoted(7), None);
        assert_eq!(Format::Udp.read_quoted(&written(Format::Udp)), Some(Quote::Token(TOKEN_7)));
        assert_eq!(Format::Udp.read_quoted(&[]), Some(Quote::Nothing));
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
        fn no_bytes_make_reading_fail(bytes in prop::collection::vec(any::<u8>(), 0..100), raw in any::<bool>()) {
            let format = Format::Icmp { family: Family::V4, identifier: 0, with_ip_header: raw };
            let read = matches!(format.read(&bytes), Incoming::Reply(_)) || format.read_quoted(&bytes).is_some();
            prop_assert!(!read || bytes.len() >= HEADER);
        }
    }
}
