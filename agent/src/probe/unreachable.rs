//! ICMP's unreachable codes, and what sockets say in their place, in words.

use peerlight_proto::series::Family;
use std::io::{self, ErrorKind};

/// What it means that a connected UDP socket failed after sending. Linux says that the connection was refused, Windows that it
/// was reset, when ICMP says that nobody listens on the port.
pub(crate) fn explain(error: &io::Error, family: Family) -> String {
    match (error.kind(), family) {
        (ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset, Family::V4) => describe(3, false),
        (ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset, Family::V6) => describe(4, true),
        _ => error.to_string(),
    }
}

/// What an unreachable code means (RFC 792, RFC 4443).
pub(crate) fn describe(code: u8, v6: bool) -> String {
    let meaning = match (v6, code) {
        (_, 0) => "no route to the network",
        (false, 1) | (true, 3) => "host or address unreachable",
        (false, 2) => "protocol unreachable",
        (false, 3) | (true, 4) => "port unreachable",
        (false, 9 | 10 | 13) | (true, 1) => "administratively prohibited",
        _ => "unreachable",
    };
    format!("ICMP says {meaning} (code {code})")
}
