//! A packet with another sender: what a host, a load balancer or a forger sends that answers in another's place.

use super::packet::Packet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// What tells the two senders apart: a bit of the address's last octet.
const BIT: u8 = 0x40;

/// In whose name an address is disguised; of that, the address.
pub fn other(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() ^ u32::from(BIT)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() ^ u128::from(BIT)).into(),
    }
}

/// The same packet from the [`other`] address, with its checksums put right; none if it is no IP packet.
pub fn disguise(packet: &[u8]) -> Option<Vec<u8>> {
    let read = Packet::read(packet)?;
    let mut disguised = packet.to_vec();
    let (last, payload, protocol) = match read.source {
        IpAddr::V4(_) => (15, usize::from(packet[0] & 0xf) * 4, packet[9]),
        IpAddr::V6(_) => (23, 40, packet[6]),
    };
    let before = u16::from_be_bytes([packet[last - 1], packet[last]]);
    let after = before ^ u16::from(BIT);
    disguised[last] ^= BIT;
    let is_v4 = read.source.is_ipv4();
    if is_v4 {
        update(disguised.get_mut(10..12)?, before, after);
    }
    // The addresses are in the sums of what they carry, too; not in that of ICMP for IPv4.
    let sum = match protocol {
        TCP => Some(16),
        // Without a checksum there is none to put right.
        UDP if packet.get(payload + 6..payload + 8)? != [0, 0] => Some(6),
        ICMPV6 if !is_v4 => Some(2),
        _ => None,
    };
    if let Some(at) = sum {
        let field = disguised.get_mut(payload + at..payload + at + 2)?;
        update(field, before, after);
        if protocol == UDP && *field == [0, 0] {
            field.copy_from_slice(&[0xff, 0xff]);
        }
    }
    Some(disguised)
}

/// Updates a checksum in which one word became another (RFC 1624, equation 3).
fn update(field: &mut [u8], before: u16, after: u16) {
    let [high, low] = field else { return };
    let sum = u32::from(!u16::from_be_bytes([*high, *low])) + u32::from(!before) + u32::from(after);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [_, _, new_high, new_low] = (!sum).to_be_bytes();
    (*high, *low) = (new_high, new_low);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::refusal::{checksum, refuse};

    fn v4(protocol: u8, payload: &[u8], sum_at: Option<usize>) -> Vec<u8> {
        let mut packet =
            vec![0x45, 0, 0, 20 + u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0, 64, protocol];
        packet.extend([0, 0, 198, 18, 0, 11, 198, 18, 1, 10]);
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum);
        packet.extend(payload);
        if let Some(at) = sum_at {
            let sum = checksum(&[&pseudo(&packet), &packet[20..]]);
            packet[20 + at..22 + at].copy_from_slice(&sum);
        }
        packet
    }

    /// The pseudo-header of an IPv4 packet (RFC 768).
    fn pseudo(packet: &[u8]) -> Vec<u8> {
        let length = u8::try_from(packet.len() - 20).unwrap();
        [&packet[12..20], &[0, packet[9], 0, length]].concat()
    }

    #[test]
    fn a_disguised_packet_has_right_checksums_and_is_itself_when_disguised_again() {
        let datagram = [0, 7, 0x9c, 0x40, 0, 12, 0, 0, b'a', b'b', b'c', b'd'];
        let mut segment = [0_u8; 20];
        segment[..4].copy_from_slice(&[0, 80, 0x9c, 0x40]);
        segment[12..14].copy_from_slice(&[0x50, 0x12]);
        for (protocol, payload, sum_at) in
            [(UDP, &datagram[..], Some(6)), (TCP, &segment[..], Some(16)), (1, &datagram[..], None)]
        {
            let packet = v4(protocol, payload, sum_at);
            let disguised = disguise(&packet).unwrap();
            let (was, is) = (Packet::read(&packet).unwrap(), Packet::read(&disguised).unwrap());
            assert_eq!((is.source, is.destination), (other(was.source), was.destination));
            assert_eq!(checksum(&[&disguised[..20]]), [0, 0], "of the header");
            if sum_at.is_some() {
                assert_eq!(checksum(&[&pseudo(&disguised), &disguised[20..]]), [0, 0], "of {protocol}");
            }
            assert_eq!(disguise(&disguised), Some(packet));
        }
    }

    #[test]
    fn icmp_over_ipv6_has_its_checksum_put_right() {
        let mut request = vec![0x60, 0, 0, 0, 0, 8, ICMPV6, 64];
        let (from, to): (Ipv6Addr, Ipv6Addr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        request.extend(from.octets());
        request.extend(to.octets());
        request.extend([128, 0, 0, 0, 0, 1, 0, 1]);
        let message = refuse(&request).unwrap();
        let disguised = disguise(&message).unwrap();
        let length = u8::try_from(disguised.len() - 40).unwrap();
        let pseudo = [&disguised[8..40], &[0, 0, 0, length, 0, 0, 0, ICMPV6]].concat();
        assert_eq!(checksum(&[&pseudo, &disguised[40..]]), [0, 0]);
        assert_ne!(disguised, message);
    }
}
