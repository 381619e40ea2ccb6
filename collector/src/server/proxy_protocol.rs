//! The header of the PROXY protocol, version 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt): whom a proxy speaks for.
//!
//! Read byte for byte, so that TLS finds its own first byte untouched, and never beyond the bound.

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use std::{io, net::IpAddr};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The most that may follow: two addresses, and what clouds and TLS-terminating proxies tell beside.
const MAX_REST_BYTES: usize = 2 << 10;

/// Why a connection's first bytes are no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// The connection ended, or broke.
    #[error("the connection ended within it: {0}")]
    Read(#[from] io::Error),
    /// It begins with something else.
    #[error("the first bytes are not those of version 2")]
    Foreign,
    /// It is longer than the bound.
    #[error("it announces {0} bytes, more than {MAX_REST_BYTES}")]
    TooLong(usize),
    /// It contradicts itself or the protocol.
    #[error("it is malformed")]
    Malformed,
}

/// Reads a header; returns the address that the proxy speaks for, none if it speaks for itself (`LOCAL`) or does not say.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, HeaderError> {
    let mut header = vec![0; FIXED_BYTES];
    stream.read_exact(&mut header).await?;
    if !header.starts_with(SIGNATURE) {
        return Err(HeaderError::Foreign);
    }
    let rest = usize::from(u16::from_be_bytes([header[FIXED_BYTES - 2], header[FIXED_BYTES - 1]]));
    if rest > MAX_REST_BYTES {
        return Err(HeaderError::TooLong(rest));
    }
    header.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    source(&header)
}

fn source(header: &[u8]) -> Result<Option<IpAddr>, HeaderError> {
    let config = ParseConfig { include_tlvs: true, allow_v1: false, allow_v2: true };
    let (header, _length) = ProxyHeader::parse(header, config).map_err(|_reason| HeaderError::Malformed)?;
    if header.tlvs().any(|field| field.is_err()) {
        return Err(HeaderError::Malformed);
    }
    match header.proxied_address() {
        None => Ok(None),
        Some(address) if address.protocol == Protocol::Stream => Ok(Some(address.source.ip().to_canonical())),
        Some(_datagram) => Err(HeaderError::Malformed),
    }
}

#[cfg(test)]
mod tests;
