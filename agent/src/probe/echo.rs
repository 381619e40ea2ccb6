//! Linux: echoes over ICMP and UDP, many in one system call, timed by the kernel's stamps.
//!
//! Requests are sent together, and what came for them is read together, at a look. The kernel's stamps say how long a reply
//! took and whether it came in time, so that nothing need wake this process when it comes. [`looks`] decides when to look,
//! [`flights`] which request something belongs to; [`line`](mod@line) does what they say on one socket.

mod flights;
mod line;
mod looks;
mod mmsg;
mod notes;
mod packet;
mod socket;

use super::{exchange::Exchange, settings::ProbeSettings, stamped::CLOCK, strays::Strays};
use line::Line;
use peerlight_proto::{id::TargetId, metric::Metric, series::Family};
use socket::EchoSocket;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// Where the end of a probe is wanted.
pub(crate) type Landing = Box<dyn FnOnce(Exchange) + Send>;

/// A probe to send.
pub(crate) struct Request {
    /// Of which target.
    pub(crate) target: TargetId,
    /// Where to; the port is 0 for ICMP.
    pub(crate) to: SocketAddr,
    /// Where its end is wanted.
    pub(crate) landing: Landing,
}

/// One family's echoes over one protocol. Without it, what is under way has no end.
pub(crate) struct Echoes {
    shared: Arc<Shared>,
    _looker: AbortOnDropHandle<()>,
}

struct Shared {
    line: Mutex<Line>,
    /// Wakes the looker, which sleeps while there is nothing to see.
    sent: Notify,
}

impl Echoes {
    /// ICMP echoes; needs a tokio runtime.
    pub(crate) fn icmp(settings: &ProbeSettings, family: Family, strays: &Strays) -> io::Result<Self> {
        let socket = EchoSocket::icmp(&settings.departure(family))?;
        Ok(Self::over(Line::new(socket, Metric::IcmpRtt, settings, family, strays)))
    }

    /// UDP echoes; needs a tokio runtime.
    pub(crate) fn udp(settings: &ProbeSettings, family: Family, strays: &Strays) -> io::Result<Self> {
        let socket = EchoSocket::udp(&settings.departure(family))?;
        Ok(Self::over(Line::new(socket, Metric::UdpRtt, settings, family, strays)))
    }

    fn over(line: Line) -> Self {
        let shared = Arc::new(Shared { line: Mutex::new(line), sent: Notify::new() });
        let looker = tokio::spawn(keep_looking(Arc::clone(&shared)));
        Self { shared, _looker: AbortOnDropHandle::new(looker) }
    }

    /// Sends one request and waits for its end.
    pub(crate) async fn probe(&self, target: TargetId, to: SocketAddr) -> Exchange {
        let (landed, end) = oneshot::channel();
        // Whoever asked may have stopped waiting.
        let landing = Box::new(move |exchange| drop(landed.send(exchange)));
        self.send([Request { target, to, landing }]);
        end.await.unwrap_or_else(|_dropped| Exchange::lost(CLOCK))
    }

    /// Sends requests, together.
    pub(crate) fn send(&self, requests: impl IntoIterator<Item = Request>) {
        let mut line = self.shared.line();
        let was_idle = line.wait().is_none();
        line.send(requests);
        drop(line);
        if was_idle {
            self.shared.sent.notify_one();
        }
    }
}

async fn keep_looking(shared: Arc<Shared>) {
    loop {
        let wait = shared.line().wait();
        match wait {
            None => shared.sent.notified().await,
            Some(wait) => {
                tokio::time::sleep(wait).await;
                shared.line().look();
            }
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
