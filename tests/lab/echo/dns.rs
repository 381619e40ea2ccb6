//! A DNS server that knows the lab's names and says of every other that it does not exist.

use hickory_proto::{
    ProtoError,
    rr::{LowerName, Name, RData, Record, rdata::SOA},
};
use hickory_server::{
    Server,
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use std::{
    io,
    net::{IpAddr, UdpSocket},
    sync::Arc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const TTL_SECONDS: u32 = 60;
const SERIAL: u32 = 1;

/// Answers for `zone` until `shutdown`.
pub fn serve(
    sockets: Vec<UdpSocket>,
    zone: &[(String, Vec<IpAddr>)],
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&Name::root()), vec![Arc::new(root_zone(zone).map_err(io::Error::other)?)]);
    let mut server = Server::new(catalog);
    for socket in sockets {
        server.register_socket(tokio::net::UdpSocket::from_std(socket)?);
    }
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        shutdown.cancelled().await;
        if let Err(error) = server.shutdown_gracefully().await {
            tracing::debug!(%error, "the lab's DNS server ended with an error");
        }
    });
    Ok(())
}

fn root_zone(zone: &[(String, Vec<IpAddr>)]) -> Result<InMemoryZoneHandler, ProtoError> {
    let mut root = InMemoryZoneHandler::empty(Name::root(), ZoneType::Primary, AxfrPolicy::Deny);
    let soa = SOA::new(Name::root(), Name::root(), SERIAL, 3_600, 3_600, 3_600, TTL_SECONDS);
    root.upsert_mut(Record::from_rdata(Name::root(), TTL_SECONDS, RData::SOA(soa)), SERIAL);
    for (name, addresses) in zone {
        let name = Name::from_utf8(format!("{name}."))?;
        for &address in addresses {
            let data = match address {
                IpAddr::V4(address) => RData::A(address.into()),
                IpAddr::V6(address) => RData::AAAA(address.into()),
            };
            root.upsert_mut(Record::from_rdata(name.clone(), TTL_SECONDS, data), SERIAL);
        }
    }
    Ok(root)
}
