//! HTTPS: one whole exchange over a fresh connection to one chosen address, with the time of each of its phases.

mod front_door;
mod phases;
mod portal;
mod request;
mod tls;
mod watched;

use super::{
    addressing::{Addressing, Choice},
    error::ProbeError,
    exchange::{Exchange, clip, judge, now},
    interception::{BY_ISSUER, BY_PORTAL, INTERCEPTION},
    settings::ProbeSettings,
    stamped, tcp,
};
use crate::{
    catalogue,
    causes::with_causes,
    sample::{Outcome, Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path},
    target::{ProbeKind, Target},
};
use phases::{Phase, Timeline, stamped_first_byte, stamped_handshake};
use request::{Question, ask};
use rustls::HandshakeKind;
use rustls_pki_types::ServerName;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tls::Tls;
use tokio_rustls::client::TlsStream;
use watched::{Notes, Watched};

pub(crate) use tls::verifier;

/// The phases that depend on one another, in order, and their metrics.
const STEPS: [(Phase, Metric); 5] = [
    (Phase::Dns, Metric::HttpsDns),
    (Phase::Tcp, Metric::HttpsTcp),
    (Phase::Tls, Metric::HttpsTls),
    (Phase::Ttfb, Metric::HttpsTtfb),
    (Phase::Transfer, Metric::HttpsTransfer),
];

/// Probes HTTPS.
pub(crate) struct Https {
    tls: Tls,
}

/// An exchange as far as it has come.
struct Progress {
    timeline: Timeline,
    /// The phases that a better clock than this process's timed, and their nanoseconds by it.
    stamped: Vec<(Phase, Clock, i64)>,
    /// The phase that is under way.
    phase: Phase,
    notes: Notes,
    /// For how long the connection was there unknown.
    held_up: Duration,
    looked_up: bool,
    address: Option<IpAddr>,
    handshake: Option<Handshake>,
    http_version: Option<HttpVersion>,
    /// Somebody else answered: what was timed of the connection is theirs.
    intercepted: bool,
    attributes: Vec<(&'static str, String)>,
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
        target: &Target,
        family: Family,
    ) -> Option<Sample> {
        let start = now();
        let mut progress = Progress {
            timeline: Timeline::new(start),
            stamped: Vec::new(),
            phase: Phase::Dns,
            notes: Notes::default(),
            held_up: Duration::ZERO,
            looked_up: target.address.ip().is_none(),
            address: None,
            handshake: None,
            http_version: None,
            intercepted: false,
            attributes: Vec::new(),
        };
        let deadline = tokio::time::Instant::from_std(start) + settings.deadline;
        let exchange = self.exchange(&mut progress, settings, addressing, target, family);
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
            // Without an answer from DNS nothing was sent to the target, so nothing was lost.
            Err(_elapsed) if progress.phase == Phase::Dns => Some(Ending::DnsFailed),
            Err(_elapsed) if progress.is_held_up(settings) => {
                progress
                    .attributes
                    .push(("error", "this machine was too busy to take answers in time".to_owned()));
                Some(Ending::Voided)
            }
            Err(_elapsed) => Some(Ending::Lost),
        };
        Some(Sample {
            family,
            path: Path::Direct,
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
        target: &Target,
        family: Family,
    ) -> Result<(), Stop> {
        let ProbeKind::Https { port, path } = &target.probe else {
            return Err(Stop::Failed(Ending::SendFailed, format!("{} is not an HTTPS probe", target.probe)));
        };
        let address = progress.choose(addressing, target, family).await?;
        let stream = progress.connect(settings, SocketAddr::new(address, *port)).await?;
        let stream = Watched::new(stream, progress.notes.clone());
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
    /// Whether this machine left the network less than the time-out: then what is missing was not lost by it.
    fn is_held_up(&self, settings: &ProbeSettings) -> bool {
        self.held_up + self.notes.held_up() > settings.deadline.saturating_sub(settings.timeout)
    }

    async fn choose(
        &mut self,
        addressing: &Addressing,
        target: &Target,
        family: Family,
    ) -> Result<IpAddr, Stop> {
        let choice = addressing.choose_anew(target, family).await;
        self.timeline.mark(if self.looked_up { Phase::Dns } else { Phase::Local }, now());
        match choice {
            Choice::At(address) => {
                self.address = Some(address);
                Ok(address)
            }
            Choice::OtherFamily => Err(Stop::OtherFamily),
            Choice::Failed { ending, address, error } => {
                self.address = address;
                if address.is_some() {
                    self.phase = Phase::Tcp;
                }
                Err(Stop::Failed(ending, error))
            }
        }
    }

    async fn connect(
        &mut self,
        settings: &ProbeSettings,
        to: SocketAddr,
    ) -> Result<tokio::net::TcpStream, Stop> {
        self.phase = Phase::Tcp;
        let connected = tcp::connect(settings.source(Family::of(to.ip())), to)
            .await
            .map_err(|error| Stop::Failed(error.ending(), error.to_string()))?;
        self.timeline.mark(Phase::Local, connected.began);
        self.timeline.mark(Phase::Tcp, connected.done);
        self.held_up = connected.held_up();
        if connected.facts.is_some_and(|facts| facts.retransmitted) {
            return Err(Stop::Failed(Ending::Retransmitted, "the SYN was sent again".to_owned()));
        }
        self.stamp(Phase::Tcp, Clock::TcpInfo, connected.round_trip_nanos());
        Ok(connected.stream)
    }

    async fn get(&mut self, stream: TlsStream<Watched>, question: Question<'_>) -> Result<(), Stop> {
        self.phase = Phase::Ttfb;
        let refused = |error: request::RequestError| Stop::Failed(Ending::Refused, with_causes(&error));
        let version = self.http_version.unwrap_or(HttpVersion::Http1);
        let mut answer = ask(stream, version, question, &self.notes).await.map_err(refused)?;
        let passages = self.notes.take();
        self.timeline.mark_first_byte(&passages, answer.head.map_or_else(now, |head| head.at));
        self.stamp(Phase::Ttfb, Clock::Kernel, stamped_first_byte(&passages, answer.head));
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

    fn stamp(&mut self, phase: Phase, clock: Clock, nanos: Option<i64>) {
        self.stamped.extend(nanos.map(|nanos| (phase, clock, nanos)));
    }

    /// What a phase that was gone through took.
    fn timed(&self, phase: Phase, timeout: Duration) -> Exchange {
        let user = self.timeline.spent(phase);
        let stamped = self.stamped.iter().find(|&&(of, _, _)| of == phase);
        let mut exchange = Exchange::timed(stamped.map(|&(_, clock, nanos)| (clock, nanos)), user, timeout);
        // The clocks may disagree a little; the phases shall add up all the same.
        if let Outcome::Answered { latency, user_latency } = &mut exchange.outcome {
            *latency = (*latency).min(*user_latency);
        }
        exchange
    }

    /// A reading for every metric of the kind, whatever happened.
    fn readings(&self, failure: Option<Ending>, timeout: Duration) -> Vec<Reading> {
        let failed_at = STEPS.iter().position(|&(phase, _)| phase == self.phase).unwrap_or(0);
        let mut readings = Vec::with_capacity(STEPS.len() + 2);
        let mut waited = Duration::ZERO;
        for (step, &(phase, metric)) in STEPS.iter().enumerate() {
            let (clock, outcome) = match failure {
                Some(Ending::DnsFailed) => (clock_of(phase), Outcome::Failed(Ending::DnsFailed)),
                Some(ending) if step == failed_at => (clock_of(phase), Outcome::Failed(ending)),
                Some(_) if step > failed_at => (clock_of(phase), Outcome::Failed(Ending::Skipped)),
                // Whoever answered the handshake or the request also answered the connect.
                Some(ending) if self.intercepted && phase != Phase::Dns => {
                    (clock_of(phase), Outcome::Failed(ending))
                }
                _ if phase == Phase::Dns && !self.looked_up => {
                    (clock_of(phase), Outcome::Failed(Ending::Skipped))
                }
                Some(_) | None => {
                    let exchange = self.timed(phase, timeout);
                    (exchange.clock, exchange.outcome)
                }
            };
            waited += latency(outcome).unwrap_or_else(|| self.timeline.spent(phase));
            readings.push(self.reading(metric, clock, outcome));
        }
        let (local, total) = match failure {
            Some(Ending::DnsFailed) => {
                (Outcome::Failed(Ending::DnsFailed), Outcome::Failed(Ending::DnsFailed))
            }
            Some(ending) => (Outcome::Failed(Ending::Skipped), Outcome::Failed(ending)),
            None => {
                // Whatever no phase of the network took was this machine's own, and so the phases add up.
                let total = self.timeline.total();
                (spent(total.saturating_sub(waited), timeout), spent(total, timeout))
            }
        };
        readings.push(self.reading(Metric::HttpsLocal, Clock::User, local));
        readings.push(self.reading(Metric::HttpsTotal, Clock::User, total));
        readings
    }

    /// Only what was answered bears what was agreed on; lookup and connect come before any agreement.
    fn reading(&self, metric: Metric, clock: Clock, outcome: Outcome) -> Reading {
        let answered = matches!(outcome, Outcome::Answered { .. });
        let agreed = answered && !matches!(metric, Metric::HttpsDns | Metric::HttpsTcp);
        let version = agreed && metric != Metric::HttpsTls;
        Reading {
            metric,
            clock,
            outcome,
            http_version: self.http_version.filter(|_| version),
            handshake: self.handshake.filter(|_| agreed),
        }
    }
}

/// The clock that a phase is timed by, or would have been.
const fn clock_of(phase: Phase) -> Clock {
    match phase {
        Phase::Dns | Phase::Transfer | Phase::Local => Clock::User,
        Phase::Tcp => tcp::CLOCK,
        Phase::Tls | Phase::Ttfb => stamped::CLOCK,
    }
}

const fn latency(outcome: Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Answered { latency, .. } => Some(latency),
        Outcome::Failed(_) => None,
    }
}

fn spent(time: Duration, timeout: Duration) -> Outcome {
    judge(time, time, timeout)
}
