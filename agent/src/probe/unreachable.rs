//! ICMP's unreachable codes, in words.

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
