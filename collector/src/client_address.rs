//! Where a request came from: the connection's peer, or what a trusted proxy says, in the connection's PROXY header or in
//! `Forwarded` (RFC 7239). Nobody else's word is taken.

use http::{HeaderMap, header};
use ipnet::IpNet;
use std::net::IpAddr;

/// The other end of the connection; every request carries it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whom it speaks for: itself, or who stands in its PROXY header; none if the header does not say.
    pub source: Option<IpAddr>,
}

impl Peer {
    /// One that speaks for itself.
    pub fn direct(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, source: Some(address) }
    }
}

/// Where a request came from; handlers find it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client; none behind a trusted proxy that does not say.
    pub client: Option<IpAddr>,
}

impl ClientAddress {
    /// The address of a request from `peer` with these headers.
    pub fn of(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let Peer { address: peer, source } = peer;
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        // A proxy that speaks the PROXY protocol does not look into requests: what they say is its client's word.
        if !source.as_ref().is_some_and(is_trusted) {
            return Self { peer, client: source };
        }
        // Each proxy appends whom it heard from: from the last entry back, the first that is no trusted proxy.
        let mut entries: Vec<Option<IpAddr>> = Vec::new();
        for value in headers.get_all(header::FORWARDED) {
            match value.to_str() {
                Ok(text) => entries.extend(text.split(',').map(forwarded_for)),
                Err(_opaque) => entries.push(None),
            }
        }
        let client =
            entries.into_iter().rev().find(|entry| !entry.as_ref().is_some_and(is_trusted)).flatten();
        Self { peer, client }
    }

    /// The best there is to limit by.
    pub fn nearest(self) -> IpAddr {
        self.client.unwrap_or(self.peer)
    }
}

/// The address in an element's `for` parameter, with or without a port.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })?;
    let address = match node.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        None => node.split(':').next()?.parse().ok()?,
    };
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(header::FORWARDED, http::HeaderValue::from_static(value));
        }
        let trusted = ["192.0.2.0/24".parse().unwrap()];
        ClientAddress::of(Peer::direct(peer.parse().unwrap()), &headers, &trusted).client
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let says = ["for=203.0.113.7"];
        assert_eq!(client("198.51.100.1", &says), Some("198.51.100.1".parse().unwrap()));
        assert_eq!(client("192.0.2.1", &says), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(client("::ffff:192.0.2.1", &says), Some("203.0.113.7".parse().unwrap()));
    }

    #[test]
    fn what_the_client_wrote_before_its_proxy_is_not_believed() {
        let forged = ["for=10.0.0.1, for=203.0.113.7;proto=https, for=192.0.2.9"];
        assert_eq!(client("192.0.2.1", &forged), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(client("192.0.2.1", &["for=10.0.0.1", "for=_hidden"]), None);
        assert_eq!(client("192.0.2.1", &[]), None);
    }

    #[test]
    fn what_stands_in_a_proxy_header_is_the_client_unless_it_is_a_proxy_too() {
        let client = |source: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.append(header::FORWARDED, http::HeaderValue::from_static("for=203.0.113.7"));
            let source = source.map(|text| text.parse().unwrap());
            let peer = Peer { address: "192.0.2.1".parse().unwrap(), source };
            ClientAddress::of(peer, &headers, &["192.0.2.0/24".parse().unwrap()])
        };
        assert_eq!(client(Some("198.51.100.1")).client, Some("198.51.100.1".parse().unwrap()));
        assert_eq!(client(Some("192.0.2.9")).client, Some("203.0.113.7".parse().unwrap()));
        let silent = client(None);
        assert_eq!((silent.client, silent.nearest()), (None, "192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn ports_quotes_and_brackets_are_read() {
        assert_eq!(
            client("192.0.2.1", &["For=\"[2001:db8::7]:4711\""]),
            Some("2001:db8::7".parse().unwrap())
        );
        assert_eq!(
            client("192.0.2.1", &["proto=https;for=\"203.0.113.7:80\""]),
            Some("203.0.113.7".parse().unwrap())
        );
    }
}
