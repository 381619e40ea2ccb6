//! The known path: a namespace for the tools, one for the targets, the lab's relay between them, and the wire's stamps at
//! the tools' end.

use crate::{
    course::{Measure, address},
    wire::{Flight, Wire},
};
use ipnet::{IpNet, Ipv4Net};
use peerlight_lab::{
    echo::{authority::Authority, https},
    network::{
        link::{self, Addressing},
        namespace::{Namespace, NamespaceError},
        path::Path,
        relay::{Relay, SiteLink},
        tap::Taps,
    },
    scenario::Conditions,
};
use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tempfile::NamedTempFile;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The port that takes connections.
pub(crate) const TCP_PORT: u16 = 80;
/// The port that answers HTTPS.
pub(crate) const HTTPS_PORT: u16 = 443;
/// How many targets share a certificate: with many more names it would be larger than any that there is.
const NAMES: usize = 20;
/// The networks for tests of networks (RFC 2544): the tools live in the first half, the targets in the second.
const TOOLS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16);
const TARGETS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 0, 0), 16);

/// The path, as long as it lives.
pub(crate) struct KnownPath {
    tools: Namespace,
    core: Namespace,
    wire: Arc<Mutex<Wire>>,
    ca: NamedTempFile,
    _taps: Taps,
    _relay: Relay,
}

impl KnownPath {
    /// Builds it to so many targets, with `delay` for a round trip.
    pub(crate) fn build(targets: u16, delay: Duration) -> anyhow::Result<Self> {
        let (tools, core) = (Namespace::create()?, Namespace::create()?);
        let conditions = Conditions { delay, ..Conditions::default() };
        let device = link::create(
            &tools,
            &Addressing {
                addresses: vec![IpNet::new_assert(Ipv4Addr::new(198, 18, 0, 10).into(), 16)],
                routes: vec![TARGETS.into()],
            },
        )?;
        let core_device = link::create(
            &core,
            &Addressing {
                addresses: (0..targets).map(|target| IpNet::from(address(target))).collect(),
                routes: vec![TOOLS.into()],
            },
        )?;
        let site = SiteLink {
            device,
            prefixes: vec![TOOLS.into()],
            outbound: Path::outbound(conditions, 1),
            inbound: Path::inbound(conditions, 2),
        };
        let relay = Relay::start(core_device, vec![site], Vec::new())
            .map_err(NamespaceError::at("start the relay"))?;
        let wire = Arc::new(Mutex::new(Wire::default()));
        let taps = Taps::start(std::slice::from_ref(&tools), Arc::clone(&wire))?;
        tools.within(|| {
            // As systemd sets it on most systems: echoes need no privilege.
            fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")
                .map_err(NamespaceError::at("let everybody send ICMP echoes"))
        })?;
        accept(&core)?;
        let ca = NamedTempFile::new()?;
        fs::write(ca.path(), serve(&core, targets)?)?;
        // The account without privileges reads it, too.
        fs::set_permissions(ca.path(), fs::Permissions::from_mode(0o644))?;
        Ok(Self { tools, core, wire, ca, _taps: taps, _relay: relay })
    }

    /// The PEM file with the certificate of the authority that the HTTPS servers' own is from.
    pub(crate) fn ca(&self) -> &std::path::Path {
        self.ca.path()
    }

    /// Starts a tool at its end of the path.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Child, NamespaceError> {
        self.within(|| command.spawn().map_err(NamespaceError::at("start a tool")))
    }

    /// Starts a tool where the targets are: no path is between them.
    pub(crate) fn spawn_beside_targets(&self, command: &mut Command) -> Result<Child, NamespaceError> {
        self.core.within(|| command.spawn().map_err(NamespaceError::at("start a tool")))
    }

    /// Does `work` at the tools' end of the path.
    pub(crate) fn within<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, NamespaceError> + Send,
    ) -> Result<T, NamespaceError> {
        self.tools.within(work)
    }

    /// Forgets what the wire carried so far.
    pub(crate) fn forget(&self) {
        *self.wire() = Wire::default();
    }

    /// What the wire carried: each target's probes in the order in which they were sent.
    pub(crate) fn flights(&self, measure: Measure) -> HashMap<IpAddr, Vec<Flight>> {
        self.wire().flights(measure)
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts and closes connections at every target, for as long as the process lives.
fn accept(core: &Namespace) -> Result<(), NamespaceError> {
    let listener = core.within(|| {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, TCP_PORT))
            .map_err(NamespaceError::at("bind the targets' port"))
    })?;
    thread::spawn(move || listener.incoming().for_each(drop));
    Ok(())
}

/// Answers HTTPS at the targets, for as long as the process lives; returns the authority's certificate. Without session
/// tickets, so that what follows the request on the wire is its answer.
fn serve(core: &Namespace, targets: u16) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (authority, addresses) = (Authority::create()?, (0..targets).map(address).collect::<Vec<_>>());
    for addresses in addresses.chunks(NAMES) {
        let mut tls = authority.server_config(addresses.iter().map(ToString::to_string).collect())?;
        tls.send_tls13_tickets = 0;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let server = https::Server { tls: Arc::new(tls), delay: Duration::ZERO, hold: None };
        for &address in addresses {
            let listener = core.within(|| {
                let bind = || {
                    let listener = TcpListener::bind((address, HTTPS_PORT))?;
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                };
                bind().map_err(NamespaceError::at("bind the HTTPS port"))
            })?;
            let _within = runtime.enter();
            https::serve(listener, server.clone(), &TaskTracker::new(), &CancellationToken::new())?;
        }
    }
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(authority.pem())
}
