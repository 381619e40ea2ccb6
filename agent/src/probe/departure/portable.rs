//! Anywhere: neither. The configuration is refused before it comes to this.

use super::{DepartureError, Interface};
use crate::probe::dscp::Dscp;
use peerlight_proto::series::Family;
use socket2::Socket;
use std::io;

/// Refuses.
pub(super) fn bind_to(_socket: &Socket, interface: &Interface) -> Result<(), DepartureError> {
    Err(DepartureError::Interface { interface: interface.clone(), source: io::ErrorKind::Unsupported.into() })
}

/// Leaves it as it is: no probe leaves that could be attributed by it.
pub(super) fn dial_by(client: reqwest::ClientBuilder, _interface: &Interface) -> reqwest::ClientBuilder {
    client
}

/// Refuses.
pub(super) fn mark(_socket: &Socket, _family: Family, _dscp: Dscp) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
