//! What fuzz targets reach of what is otherwise private. In no shipped build.

use crate::{server, store};
use std::net::IpAddr;

/// What must hold for any bytes that are read as a block of the store: they are refused, or what was read can be written
/// and reads back as it was; nothing panics.
pub fn block(bytes: &[u8]) {
    store::reread_block(bytes);
}

/// Reads a PROXY header at the beginning of `bytes`: whom it speaks for and how long it is; none if there is none.
pub fn proxy_header(bytes: &[u8]) -> Option<(Option<IpAddr>, usize)> {
    server::read_proxy_header(bytes)
}
