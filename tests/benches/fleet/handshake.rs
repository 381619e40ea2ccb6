//! What a handshake that resumes a session takes of the collector's side, by the cipher suite that it agrees on.

use anyhow::{Context as _, ensure};
use rcgen::generate_simple_self_signed;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig,
    ServerConnection,
    crypto::{CryptoProvider, aws_lc_rs, ring},
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often each is done.
const TIMES: u32 = 500;

/// The mean time that the server spends on a resumed handshake, and on its ticket for the next one.
pub(super) fn resumed_by(suite: CipherSuite) -> anyhow::Result<Duration> {
    let (client, server) = configured(suite)?;
    let mut spent = Duration::ZERO;
    // The first one brings the ticket.
    for time in 0..=TIMES {
        let took = shake_hands(&client, &server, (time > 0).then_some(HandshakeKind::Resumed))?;
        spent += if time > 0 { took } else { Duration::ZERO };
    }
    Ok(spent / TIMES)
}

/// An agent and a collector that speak nothing but this suite.
fn configured(suite: CipherSuite) -> anyhow::Result<(Arc<ClientConfig>, Arc<ServerConfig>)> {
    let only = |mut provider: CryptoProvider| {
        provider.cipher_suites.retain(|one| one.suite() == suite);
        Arc::new(provider)
    };
    let issued = generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = issued.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let client = ClientConfig::builder_with_provider(only(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConfig::builder_with_provider(only(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    server.ticketer = aws_lc_rs::Ticketer::new()?;
    server.send_tls13_tickets = 1;
    Ok((Arc::new(client), Arc::new(server)))
}

/// One handshake in memory. Returns what the server spent on it.
fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    expected: Option<HandshakeKind>,
) -> anyhow::Result<Duration> {
    let name = ServerName::try_from("localhost")?;
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let begun = Instant::now();
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let mut spent = begun.elapsed();
    while client.wants_write() {
        let (mut asked, mut answer) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut asked)?;
        }
        let begun = Instant::now();
        let mut rest = asked.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest)?;
            server.process_new_packets()?;
        }
        while server.wants_write() {
            server.write_tls(&mut answer)?;
        }
        spent += begun.elapsed();
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest)?;
            client.process_new_packets()?;
        }
    }
    let kind = server.handshake_kind().context("the handshake did not end")?;
    ensure!(expected.is_none_or(|expected| kind == expected), "the handshake was {kind:?}");
    Ok(spent)
}
