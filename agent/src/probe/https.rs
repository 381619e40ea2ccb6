//! HTTPS: one whole exchange over a fresh connection to one chosen address, with the time of each of its phases.

mod front_door;
mod phases;
mod portal;
mod progress;
mod request;
mod tls;
mod tunnel;
mod watched;

use super::{
    addressing::{Addressing, Choice},
    error::ProbeError,
    exchange::{clip, now},
    interception::{BY_ISSUER, BY_PORTAL, INTERCEPTION},
    settings::ProbeSettings,
    tcp,
};
use crate::{catalogue, causes::with_causes, proxy::Proxy, sample::Sample};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family, Handshake, HttpVersion},
    target::{Host, ProbeKind, Target},
};
use phases::{Phase, stamped_answer, stamped_handshake};
use progress::Progress;
use request::{Question, ask};
use rustls::HandshakeKind;
use rustls_pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use tls::Tls;
use tokio_rustls::client::TlsStream;
use watched::Watched;

pub(crate) use tls::verifier;

/// By which way a probe goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Straight to its target.
    Straight,
    /// Through a tunnel that this proxy opens.
    Through(&'a Proxy),
}

/// Probes HTTPS.
pub(crate) struct Https {
    tls: Tls,
}

/// Why an exchange went no further.
enum Stop {
    /// The target, or this machine, does not have the family.
    OtherFamily,
    /// It failed in the phase that was under way.
    Failed(Ending, String),
    /// Somebody else answered in the target's place, as shown by this.
    Intercepted(&'static str, String),
}

impl Https {
    /// HTTPS by these settings.
    pub(crate) fn new(settings: &ProbeSettings) -> Result<Self, ProbeError> {
        Ok(Self { tls: Tls::new(&settings.trust)? })
    }

    /// Probes one target.
    pub(crate) async fn probe(
        &self,
        settings: &ProbeSettings,
        addressing: &Addressing,
        (target, family): (&Target, Family),
        way: Way<'_>,
    ) -> Option<Sample> {
        let start = now();
        let mut progress = match way {
            Way::Straight => Progress::new(start, target.address.ip().is_none(), None),
            Way::Through(proxy) => Progress::new(start, proxy.host.ip().is_none(), Some(proxy)),
        };
        let deadline = tokio::time::Instant::from_std(start) + settings.deadline;
        let exchange = self.exchange(&mut progress, settings, addressing, (target, family), way);
        let failure = match tokio::time::timeout_at(deadline, exchange).await {
            Ok(Ok(())) => None,
            Ok(Err(Stop::OtherFamily)) => return None,
            Ok(Err(Stop::Failed(ending, error))) => {
                progress.attributes.push(("error", clip(&error)));
                Some(ending)
            }
            Ok(Err(Stop::Intercepted(by, error))) => {
                progress.intercepted = true;
                progress.attributes.extend([(INTERCEPTION, by.to_owned()), ("error", clip(&error))]);
                Some(Ending::Refused)
            }
            Err(_elapsed) => Some(progress.overdue(settings)),
        };
        Some(Sample {
            family,
            path: progress.path(),
            address: progress.address,
            readings: progress.readings(failure, settings.timeout),
            attributes: progress.attributes,
        })
    }

    async fn exchange(
        &self,
        progress: &mut Progress,
        settings: &ProbeSettings,
        addressing: &Addressing,
        (target, family): (&Target, Family),
        way: Way<'_>,
    ) -> Result<(), Stop> {
        let ProbeKind::Https { port, path } = &target.probe else {
            return Err(Stop::Failed(Ending::SendFailed, format!("{} is not an HTTPS probe", target.probe)));
        };
        let stream = match way {
            Way::Straight => {
                let address = progress.choose(addressing.choose_anew(target, family)).await?;
                progress.address = Some(address);
                progress.connect(settings, SocketAddr::new(address, *port)).await?
            }
            Way::Through(proxy) => {
                let address = progress.choose(addressing.choose_proxy(proxy, target, family)).await?;
                let mut stream = progress.connect(settings, SocketAddr::new(address, proxy.port)).await?;
                progress.tunnel(&mut stream, proxy, (&target.address, *port)).await?;
                stream
            }
        };
        let stream = self.shake_hands(progress, settings, target, stream).await?;
        progress.get(stream, Question { host: &target.address, port: *port, path }).await
    }

    async fn shake_hands(
        &self,
        progress: &mut Progress,
        settings: &ProbeSettings,
        target: &Target,
        stream: Watched,
    ) -> Result<TlsStream<Watched>, Stop> {
        progress.phase = Phase::Tls;
        let unsendable = |error: String| Stop::Failed(Ending::SendFailed, error);
        let (connector, witness) = self
            .tls
            .connector(settings.expected.issuers(&target.address, &settings.trust))
            .map_err(unsendable)?;
        let name = ServerName::try_from(target.address.as_str().to_owned())
            .map_err(|error| unsendable(error.to_string()))?;
        let shaken = connector.connect(name, stream).await;
        let passages = progress.notes.take();
        progress.timeline.mark_handshake(&passages, now());
        progress.stamp(Phase::Tls, Clock::Kernel, stamped_handshake(&passages));
        progress.attributes.extend(witness.issuer().map(|issuer| ("issuer", issuer.to_owned())));
        let stream = shaken.map_err(|error| Stop::Failed(Ending::Refused, tls::describe(&error)))?;
        if let Some(inspection) = witness.inspection() {
            return Err(Stop::Intercepted(BY_ISSUER, inspection));
        }
        let (_, connection) = stream.get_ref();
        progress.handshake = connection.handshake_kind().map(|kind| match kind {
            HandshakeKind::Full => Handshake::Full,
            HandshakeKind::FullWithHelloRetryRequest => Handshake::FullWithRetry,
            HandshakeKind::Resumed => Handshake::Resumed,
        });
        let http2 = connection.alpn_protocol() == Some(b"h2");
        progress.http_version = Some(if http2 { HttpVersion::Http2 } else { HttpVersion::Http1 });
        Ok(stream)
    }
}

impl Progress {
    async fn choose(&mut self, choosing: impl Future<Output = Choice>) -> Result<IpAddr, Stop> {
        let choice = choosing.await;
        self.timeline.mark(if self.looked_up { Phase::Dns } else { Phase::Local }, now());
        match choice {
            Choice::At(address) => Ok(address),
            Choice::OtherFamily => Err(Stop::OtherFamily),
            Choice::Failed { ending, address, error } => {
                self.address = address;
                if ending != Ending::DnsFailed {
                    self.phase = Phase::Tcp;
                }
                Err(Stop::Failed(ending, error))
            }
        }
    }

    async fn connect(&mut self, settings: &ProbeSettings, to: SocketAddr) -> Result<Watched, Stop> {
        self.phase = Phase::Tcp;
        let connected =
            tcp::connect(&settings.departure(Family::of(to.ip())), to).await.map_err(|error| {
                match &self.proxy {
                    None => Stop::Failed(error.ending(), error.to_string()),
                    // Nothing was sent to the target.
                    Some(proxy) => Stop::Failed(
                        Ending::SendFailed,
                        format!("the proxy {proxy} cannot be reached: {error}"),
                    ),
                }
            })?;
        self.timeline.mark(Phase::Local, connected.began);
        self.timeline.mark(Phase::Tcp, connected.done);
        self.held_up = connected.held_up();
        if connected.facts.is_some_and(|facts| facts.retransmitted) {
            return Err(Stop::Failed(Ending::Retransmitted, "the SYN was sent again".to_owned()));
        }
        self.stamp(Phase::Tcp, Clock::TcpInfo, connected.round_trip_nanos());
        Ok(Watched::new(connected.stream, self.notes.clone()))
    }

    /// Has the proxy lead on. Whatever it says instead, it said nothing of the target.
    async fn tunnel(
        &mut self,
        stream: &mut Watched,
        proxy: &Proxy,
        (host, port): (&Host, u16),
    ) -> Result<(), Stop> {
        self.phase = Phase::Proxy;
        let opened = tunnel::open(stream, proxy, host, port).await;
        let (passages, head) = (self.notes.take(), self.notes.last_in());
        self.timeline.mark_answer(Phase::Proxy, &passages, head.map_or_else(now, |head| head.at));
        self.stamp(Phase::Proxy, Clock::Kernel, stamped_answer(&passages, head));
        opened.map_err(|error| Stop::Failed(Ending::SendFailed, format!("the proxy {proxy} {error}")))
    }

    async fn get(&mut self, stream: TlsStream<Watched>, question: Question<'_>) -> Result<(), Stop> {
        self.phase = Phase::Ttfb;
        let refused = |error: request::RequestError| Stop::Failed(Ending::Refused, with_causes(&error));
        let version = self.http_version.unwrap_or(HttpVersion::Http1);
        let mut answer = ask(stream, version, question, &self.notes).await.map_err(refused)?;
        let passages = self.notes.take();
        self.timeline.mark_answer(Phase::Ttfb, &passages, answer.head.map_or_else(now, |head| head.at));
        self.stamp(Phase::Ttfb, Clock::Kernel, stamped_answer(&passages, answer.head));
        self.attributes.push(("status", answer.status.as_u16().to_string()));
        let leads_to = catalogue::entry_of(question.host).map(|entry| entry.leads_to);
        if let Some(error) = portal::recognise(answer.status, &answer.headers, question.host, leads_to) {
            return Err(Stop::Intercepted(BY_PORTAL, error));
        }
        let front_door::FrontDoor { entry, region } = front_door::read(&answer.headers);
        self.attributes.extend(entry.map(|entry| ("front_door", entry)));
        self.attributes.extend(region.map(|region| ("region", region)));
        self.phase = Phase::Transfer;
        answer.read_body().await.map_err(refused)?;
        // By this process's clock: read late, an answer's first and last byte lie closer together than they came.
        self.timeline.mark(Phase::Transfer, self.notes.last_in().map_or_else(now, |last| last.at));
        self.timeline.mark(Phase::Local, now());
        Ok(())
    }
}
