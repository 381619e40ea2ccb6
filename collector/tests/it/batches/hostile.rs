//! An enrolled but hostile agent: it signs whatever it likes, and spoils at most its own account.

use super::{SITE, acknowledged, batch, push, spoil, watch::Watch};
use crate::{
    agent::Agent,
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_collector::{
    organisation::OrganisationId,
    registry::RegistrationId,
    report::Report,
    store::{Grouping, Origin, Query, Shape, Totals},
};
use peerlight_proto::{
    codec::{decode_ack, encode_batch},
    enrolment::EnrolmentToken,
    id::{AgentId, SeriesId, SessionId},
};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const MUTATIONS: u64 = 5_000;
/// How many mutations pass between two looks at everything that is stored.
const BETWEEN_LOOKS: u64 = 250;

#[tokio::test]
async fn five_thousand_signed_mutations_spoil_at_most_their_agents_own_rows() {
    let collector = Collector::start_with(|config| {
        config.limits.requests_per_minute = 1_000_000;
        config.limits.burst = 1_000_000;
    })
    .await;
    let hostile = Agent::enrolled(&collector, SITE).await;
    let honest = neighbour(&collector).await;
    let mut theirs = batch(honest.id, 0);
    theirs.series[0].key.uplink = "london-2".into();
    acknowledged(&honest, encode_batch(&theirs).unwrap()).await;
    let theirs = stored(&collector).await;
    assert_eq!(theirs.len(), 1);

    let mut random = StdRng::seed_from_u64(9_420);
    let mut watch = Watch::over(&collector);
    let (mut accepted, mut refused, mut written) = (0_u64, 0_u64, 0_u64);
    for sequence in 0..MUTATIONS {
        let mut whole = batch(hostile.id, sequence);
        whole.number.session = SessionId::new([5; 16]);
        whole.measurements.push(whole.measurements[0].clone());
        whole.series.push(whole.series[0].clone());
        let mut inflated = zstd::bulk::decompress(&encode_batch(&whole).unwrap(), 1 << 20).unwrap();
        for _ in 0..random.random_range(1..4) {
            inflated = mutated(&inflated, &mut random);
        }
        let before = ledgered(&collector).await;
        watch.written();
        let answer = hostile.send(&push(&hostile, zstd::bulk::compress(&inflated, 1).unwrap())).await;
        match answer.status.as_u16() {
            200 => {
                accepted += 1;
                let stored = u64::from(!decode_ack(&answer.body).unwrap().duplicate);
                assert_eq!(ledgered(&collector).await.1, before.1 + stored);
            }
            400..=499 => {
                refused += 1;
                // Not a byte is committed, but what upkeep does every quarter of a minute.
                written += u64::from(watch.written());
                assert_eq!(ledgered(&collector).await, before, "{}", answer.problem());
            }
            other => assert_eq!(other, 400, "{}", String::from_utf8_lossy(&answer.body)),
        }
        if sequence % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 {
            look(&collector, &hostile, &theirs).await;
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
    assert!(written < refused / 50, "{written} of {refused} refusals were written through");
    collector.stop().await;
}

/// Batches and ledger entries: what a refusal leaves as it is.
async fn ledgered(collector: &Collector) -> (u64, u64) {
    let health = collector.store.health().await.unwrap();
    (health.log_batches, health.ledger_entries)
}

/// What one agent measured of one shape for a registration.
type Key = (AgentId, RegistrationId, SeriesId);

/// Nothing is merged but time.
#[derive(Default)]
struct Apart(Mutex<Vec<Key>>);

impl Grouping for Apart {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, agent: Option<AgentId>) -> Option<u32> {
        let key = (agent?, origin.registration, shape.id());
        let mut known = self.0.lock().unwrap();
        let at = known.iter().position(|there| *there == key).unwrap_or_else(|| {
            known.push(key);
            known.len() - 1
        });
        u32::try_from(at).ok()
    }

    fn keeps_agents_apart(&self) -> bool {
        true
    }
}

async fn stored(collector: &Collector) -> Vec<(Key, Totals)> {
    let query = Query {
        organisation: OrganisationId::DEFAULT,
        from: NOON.minus(Duration::from_hours(400)),
        to: NOON.plus(Duration::from_hours(1)),
        metrics: [].into(),
        registrations: None,
        step: None,
    };
    let apart = Arc::new(Apart::default());
    let rows = collector.store.scan(query, Arc::<Apart>::clone(&apart)).await.unwrap();
    let known = apart.0.lock().unwrap();
    let mut stored: Vec<_> = rows.into_iter().map(|row| (known[row.group as usize], row.totals)).collect();
    stored.sort_by_key(|(key, _totals)| *key);
    stored
}

/// Every row adds up, is the hostile agent's under its own registration, or is what the other agent sent; and reports say so.
async fn look(collector: &Collector, hostile: &Agent, theirs: &[(Key, Totals)]) {
    let rows = stored(collector).await;
    let (own, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|((agent, ..), _)| *agent == hostile.id);
    assert_eq!(others, theirs);
    for ((_, registration, _), totals) in &own {
        assert_ne!(*registration, theirs[0].0.1);
        assert!(totals.counters.identity_holds(), "{totals:?}");
        assert_eq!(totals.histogram.count(), totals.counters.answered, "{totals:?}");
    }
    let path = "/api/v1/reports/latency?last=13d&by=site";
    let answer = collector.operator(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let report: Report = answer.json().await.unwrap();
    for row in &report.rows {
        let sent = [row.answered, row.retransmitted, row.late, row.lost, row.refused];
        let sent = sent.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part)).unwrap();
        assert_eq!(row.sent, sent, "{row:?}");
        let unsent = [row.skipped, row.voided, row.dns_failed, row.send_failed];
        assert_eq!(
            unsent.iter().try_fold(sent, |sum, part| sum.checked_add(*part)),
            Some(row.scheduled),
            "{row:?}"
        );
        assert!(row.loss.as_ref().is_none_or(|loss| (0.0..=1.0).contains(&loss.value)), "{row:?}");
    }
}

/// An agent at another site of the same provider.
async fn neighbour(collector: &Collector) -> Agent {
    let add = async |path: &str, body: Value| -> Value {
        let response = collector.operator(Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 201);
        response.json().await.unwrap()
    };
    let site = json!({"site": "london-2", "provider": "Example Telecom", "location": "GB-LND",
        "prefixes": ["198.51.100.0/24"], "allow_non_public": true, "count_declared": true,
        "valid_from": "2026-01-01T00:00:00Z"});
    let registration = add("/api/v1/registrations", site).await;
    let issued = add("/api/v1/tokens", json!({"registration": registration["id"]})).await;
    let token: EnrolmentToken = issued["token"].as_str().unwrap().parse().unwrap();
    let agent = Agent::new(collector, &token.response_key);
    assert_eq!(agent.send(&agent.enrolment(&token.secret)).await.status, 201);
    agent
}

/// The message with a bit, a byte or its end changed, or a field: its number, repeated, dropped or set to what may overflow.
fn mutated(message: &[u8], random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..8) {
        _ if message.len() < 2 => vec![random.random(); 2],
        0 => spoil(message, random),
        1 => message[..random.random_range(1..message.len())].to_vec(),
        _ => edited(message, random, 0).unwrap_or_else(|| spoil(message, random)),
    }
}

/// The message with one field edited, here or in a message within it; none if it holds no field.
fn edited(message: &[u8], random: &mut StdRng, depth: u32) -> Option<Vec<u8>> {
    let fields = fields(message)?;
    let chosen = random.random_range(0..fields.len().max(1));
    let (tag, wire_type, bytes) = *fields.get(chosen)?;
    let mut value = Vec::new();
    let times = match random.random_range(0..10) {
        0 => 0,
        1 => random.random_range(2..5),
        _ => 1,
    };
    encode_key(tag, wire_type, &mut value);
    match wire_type {
        WireType::Varint => encode_varint(number(random), &mut value),
        WireType::LengthDelimited if !bytes.is_empty() && times == 1 => {
            let inner = if depth < 3 { edited(bytes, random, depth + 1) } else { None };
            let inner = inner.unwrap_or_else(|| spoil(bytes, random));
            encode_varint(inner.len() as u64, &mut value);
            value.extend(inner);
        }
        WireType::LengthDelimited => {
            encode_varint(bytes.len() as u64, &mut value);
            value.extend(bytes);
        }
        WireType::SixtyFourBit | WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup => {
            return None;
        }
    }
    let mut written = Vec::new();
    for (at, (tag, wire_type, bytes)) in fields.into_iter().enumerate() {
        if at == chosen {
            written.extend(value.repeat(times));
            continue;
        }
        encode_key(tag, wire_type, &mut written);
        if wire_type == WireType::LengthDelimited {
            encode_varint(bytes.len() as u64, &mut written);
        }
        written.extend(bytes);
    }
    Some(written)
}

/// Small, in the order of real ones, or at the edge of what adds up.
fn number(random: &mut StdRng) -> u64 {
    match random.random_range(0..3) {
        0 => random.random_range(0..8),
        1 => u64::MAX >> random.random_range(0..64),
        _ => random.random(),
    }
}

/// The fields of a message with their values' bytes; none if these bytes are no message.
fn fields(message: &[u8]) -> Option<Vec<(u32, WireType, &[u8])>> {
    let (mut rest, mut fields) = (message, Vec::new());
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let mut value = rest;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).ok()?;
        value = &value[..value.len() - rest.len()];
        if wire_type == WireType::LengthDelimited {
            decode_varint(&mut value).ok()?;
        }
        fields.push((tag, wire_type, value));
    }
    Some(fields)
}
