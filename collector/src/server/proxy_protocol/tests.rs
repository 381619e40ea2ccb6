//! Headers as they are, and as they should not be.

use super::*;
use proptest::prelude::*;
use proxy_header::{ProxiedAddress, SslInfo, Tlv};

fn header(fields: Vec<Tlv<'_>>) -> Vec<u8> {
    let address =
        ProxiedAddress::stream("203.0.113.7:4711".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
    let mut bytes = Vec::new();
    ProxyHeader::with_tlvs(Some(address), fields).encode_v2(&mut bytes).unwrap();
    bytes
}

/// What is read of these bytes, and how many are left.
fn read_all(mut bytes: &[u8]) -> (Result<Option<IpAddr>, String>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(read(&mut bytes)).map_err(|error| error.to_string());
    (found, bytes.len())
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

#[test]
fn what_proxies_tell_beside_is_passed_over_and_what_follows_is_left() {
    let fields =
        vec![Tlv::Authority("collector.example.com".into()), Tlv::Ssl(SslInfo::new(true, false, false, 0))];
    let bytes = [header(fields), b"what follows".to_vec()].concat();
    assert_eq!(read_all(&bytes), (Ok(Some(CLIENT)), 12));
}

#[test]
fn what_is_no_header_is_refused_for_its_reason() {
    let plain = header(Vec::new());
    let refused = |bytes: &[u8]| read_all(bytes).0.unwrap_err();
    let changed = |at: usize, byte: u8| {
        let mut bytes = plain.clone();
        bytes[at] = byte;
        refused(&bytes)
    };
    assert_eq!(refused(b"GET / HTTP/1.1\r\n"), "the first bytes are not those of version 2");
    assert_eq!(
        refused(b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n"),
        "the first bytes are not those of version 2"
    );
    for bytes in [&plain[..0], &plain[..15], &plain[..27]] {
        assert!(refused(bytes).starts_with("the connection ended within it"), "{}", bytes.len());
    }
    assert_eq!(changed(12, 0x11), "it is malformed", "a version of its own");
    assert_eq!(changed(12, 0x22), "it is malformed", "a command of its own");
    assert_eq!(changed(13, 0x12), "it is malformed", "datagrams over TCP");
    assert_eq!(changed(15, 11), "it is malformed", "too short for its addresses");
    let padded = header(vec![Tlv::Noop(MAX_REST_BYTES)]);
    assert_eq!(
        refused(&padded),
        format!("it announces {} bytes, more than 2048", padded.len() - FIXED_BYTES)
    );
    let mut overlong = header(vec![Tlv::Noop(9)]);
    overlong[30] = 10;
    assert_eq!(refused(&overlong), "it is malformed", "a field that is longer than the header");
}

#[test]
fn a_proxy_that_speaks_for_itself_or_for_a_path_names_nobody() {
    let mut local = header(Vec::new());
    local[12] = 0x20;
    assert_eq!(read_all(&local), (Ok(None), 0));
    let mut unix = header(Vec::new());
    (unix[13], unix[15]) = (0x31, 216);
    unix.resize(FIXED_BYTES + 216, 0);
    assert_eq!(read_all(&unix), (Ok(None), 0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_on(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = [header(vec![Tlv::UniqueId(vec![7; 16].into())]), tail].concat();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (found, left) = read_all(&bytes);
        if found.is_ok() {
            let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
            prop_assert_eq!(left, bytes.len() - FIXED_BYTES - rest);
        }
    }
}
