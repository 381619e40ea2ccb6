//! A namespace's link to the relay: a TUN device with its addresses and routes.

use super::namespace::{Namespace, NamespaceError};
use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::{
    Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::address::{AddressAttribute, AddressFlags},
};
use std::{fs, io, net::IpAddr};
use tun_rs::{DeviceBuilder, SyncDevice};

/// The device's name in each namespace.
const DEVICE: &str = "lab0";
const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";

/// What a namespace is set up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressing {
    /// The addresses of its device, each with the network that it names as its own.
    pub addresses: Vec<IpNet>,
    /// What is reached through the device.
    pub routes: Vec<IpNet>,
}

/// Makes the device in `namespace`, sets it up, and opens ICMP sockets to everybody there. The device goes when it is
/// dropped.
pub fn create(namespace: &Namespace, addressing: &Addressing) -> Result<SyncDevice, NamespaceError> {
    namespace.within(|| {
        let device = DeviceBuilder::new()
            .name(DEVICE)
            .inherit_enable_state()
            .build_sync()
            .map_err(NamespaceError::at("make a TUN device"))?;
        device.set_nonblocking(true).map_err(NamespaceError::at("make the TUN device non-blocking"))?;
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(NamespaceError::at("start a runtime"))?
            .block_on(set_up(addressing))?;
        open_ping_sockets()?;
        Ok(device)
    })
}

async fn set_up(addressing: &Addressing) -> Result<(), NamespaceError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(NamespaceError::at("open a netlink socket"))?;
    tokio::spawn(connection);
    let loopback = index(&handle, "lo").await?;
    let device = index(&handle, DEVICE).await?;
    for link in [loopback, device] {
        handle
            .link()
            .change(LinkUnspec::new_with_index(link).up().build())
            .execute()
            .await
            .map_err(netlink("bring a link up"))?;
    }
    for address in &addressing.addresses {
        let mut request = handle.address().add(device, address.addr(), address.prefix_len());
        // There is nobody to have it already, and until that is found out nothing could be bound to it.
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        request.execute().await.map_err(netlink("add an address"))?;
    }
    for route in &addressing.routes {
        let message = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(route.network(), route.prefix_len())
            .map_err(|error| NamespaceError::at("describe a route")(io::Error::other(error)))?
            .output_interface(device)
            .build();
        handle.route().add(message).execute().await.map_err(netlink("add a route"))?;
    }
    Ok(())
}

async fn index(handle: &Handle, name: &str) -> Result<u32, NamespaceError> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await.map_err(netlink("look a link up"))?;
    link.map(|link| link.header.index)
        .ok_or_else(|| NamespaceError::at("find a link")(io::Error::other(name.to_owned())))
}

fn netlink(operation: &'static str) -> impl FnOnce(rtnetlink::Error) -> NamespaceError {
    move |error| NamespaceError { operation, source: io::Error::other(error) }
}

/// Agents in the namespace shall need no rights for ICMP echo, as on an ordinary machine.
fn open_ping_sockets() -> Result<(), NamespaceError> {
    // In a user namespace only its own groups can be named, and the lab's is 0.
    fs::write(PING_GROUPS, "0 2147483647")
        .or_else(|_unmapped| fs::write(PING_GROUPS, "0 0"))
        .map_err(NamespaceError::at("open ICMP sockets (net.ipv4.ping_group_range)"))
}
