//! Linux: `SO_BINDTODEVICE`, `IP_TOS` and `IPV6_TCLASS`.

use super::{DepartureError, Interface};
use crate::probe::dscp::Dscp;
use peerlight_proto::series::Family;
use socket2::Socket;
use std::io;

/// Has everything go through `interface`. A socket that is bound to none needs no privilege for it.
pub(super) fn bind_to(socket: &Socket, interface: &Interface) -> Result<(), DepartureError> {
    let name = interface.clone();
    socket.bind_device(Some(interface.as_str().as_bytes())).map_err(|source| match source.raw_os_error() {
        Some(libc::ENODEV) => DepartureError::NoInterface(name),
        Some(libc::EPERM) => DepartureError::NotPermitted(name),
        _ => DepartureError::Interface { interface: name, source },
    })
}

/// Has a client connect by `interface`.
pub(super) fn dial_by(client: reqwest::ClientBuilder, interface: &Interface) -> reqwest::ClientBuilder {
    client.interface(interface.as_str())
}

/// Marks what is sent.
pub(super) fn mark(socket: &Socket, family: Family, dscp: Dscp) -> io::Result<()> {
    let byte = dscp.as_header_byte().into();
    match family {
        Family::V4 => socket.set_tos_v4(byte),
        Family::V6 => socket.set_tclass_v6(byte),
    }
}
