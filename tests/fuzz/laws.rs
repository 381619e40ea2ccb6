//! What must hold for any bytes. The fuzz targets search for bytes that break it; an ordinary test replays the corpus.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::FutureExt as _;
use http::{HeaderValue, Request, header, request::Parts};
use http_body_util::Full;
use peerlight_agent::{signature::AgentKey, spool::record::Record};
use peerlight_collector::{
    fuzzing,
    organisation::OrganisationId,
    registry::{
        NewRegistration,
        import::{COLUMNS, Lines, MAX_ROWS},
    },
    report::{MAX_SLOTS, MAX_SPAN, Question},
    signature::RequestSignature,
};
use peerlight_proto::{
    codec::{decode_ack, decode_batch, encode_ack, encode_batch},
    histogram::Histogram,
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    time::Timestamp,
};
use ring::signature::Ed25519KeyPair;
use std::time::Duration;

/// The collector's clock, in laws that need one: 30 s into a minute.
const NOW: Timestamp = Timestamp::from_secs(1_790_000_010);

/// A batch that decodes encodes to bytes that decode to the same batch; nothing panics. The bytes are tried as they are
/// and as the content of a zstd frame, so that a search gets behind the compression.
pub(crate) fn batch(bytes: &[u8]) {
    let framed = zstd::bulk::compress(bytes, 1).expect("compressing memory cannot fail");
    for body in [bytes, &framed] {
        if let Ok(decoded) = decode_batch(body) {
            let encoded = encode_batch(&decoded.batch).expect("what was decoded encodes");
            let again = decode_batch(&encoded).expect("what was encoded decodes");
            assert_eq!(again.batch, decoded.batch);
            assert!(again.refused.is_empty());
        }
    }
}

/// A histogram that decodes encodes to the very same bytes. The first eight bytes choose sum, minimum and maximum, as
/// shares of what the buckets allow is not known to the search.
pub(crate) fn histogram(bytes: &[u8]) {
    let Some((head, body)) = bytes.split_first_chunk::<8>() else { return };
    let number = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (sum, min, max, overflow) = (number(0) * (1 + number(6)), number(2), number(4), 0);
    if let Ok(histogram) = Histogram::decode(body, sum, min, max, overflow) {
        assert_eq!(histogram.encode(), body);
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!(twice.count(), histogram.count().saturating_mul(2));
    }
}

/// An acknowledgement that decodes encodes to bytes that decode to the same one.
pub(crate) fn ack(bytes: &[u8]) {
    if let Ok(ack) = decode_ack(bytes) {
        assert_eq!(decode_ack(&encode_ack(&ack)).expect("what was encoded decodes"), ack);
    }
}

/// A file that reads as a spool's record is that record, byte for byte. A search does not find checksums, so a record is
/// made of the bytes, too: it reads back, and with any one bit flipped or cut short anywhere it does not.
pub(crate) fn spool_record(bytes: &[u8]) {
    if let Ok(record) = Record::parse(bytes) {
        assert_eq!(record.to_file(), bytes);
    }
    let mut rest = bytes;
    let (Some(agent), Some(session), Some(sequence), Some(end), Some(place)) =
        (take(&mut rest), take(&mut rest), take(&mut rest), take(&mut rest), take(&mut rest))
    else {
        return;
    };
    let record = Record {
        number: BatchNumber {
            agent: AgentId::new(agent),
            session: SessionId::new(session),
            sequence: u64::from_le_bytes(sequence),
        },
        newest_end: Timestamp::from_micros(i64::from_le_bytes(end)),
        digest: BatchDigest::of(rest),
        bytes: rest,
    };
    let mut file = record.to_file();
    assert_eq!(Record::parse(&file), Ok(record));
    let place = usize::from(u16::from_le_bytes(place)) % file.len();
    assert!(Record::parse(&file[..place]).is_err());
    file[place] ^= 1 << (place % 8);
    assert!(Record::parse(&file).is_err());
}

/// A head of a request that bears a signature is read, or refused, and believed only by whom it was signed. A search does not
/// find signatures, so what the bytes ask for is signed, too, as an agent does: that is believed, and is no more once one thing
/// that the signature covers is another.
pub(crate) fn signature(bytes: &[u8]) {
    let Some(head) = head(bytes) else { return };
    let key = agent_key();
    let public_key = &key.public_key();
    if let Ok(read) = RequestSignature::read(&head) {
        assert!(read.key_id().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!((16..=128).contains(&read.nonce().len()));
        let end = read.believed_until();
        assert!(end.as_micros() == i64::MAX || !read.is_timely(end.plus(Duration::from_secs(1))));
        if read.verify(public_key).is_ok() {
            assert!(altered(&head).iter().all(|other| !is_believed(other, public_key)));
        }
    }
    let mut request = Request::new(Full::new(bytes::Bytes::copy_from_slice(bytes)));
    *request.method_mut() = head.method.clone();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("https://collector.example.com:8443{path}").parse() else { return };
    *request.uri_mut() = uri;
    let kind = head.headers.get(header::CONTENT_TYPE).cloned();
    request.headers_mut().insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("a/b")));
    request.headers_mut().insert("content-digest", content_digest(bytes));
    // Signing waits for nothing.
    let Some(Ok(())) = key.sign(&mut request, NOW).now_or_never() else { return };
    let signed = request.into_parts().0;
    let Ok(read) = RequestSignature::read(&signed) else { return };
    read.verify(public_key).expect("what an agent signed is believed");
    assert_eq!(read.key_id(), key.agent().to_string());
    assert!(read.is_timely(NOW) && read.covers(bytes).is_ok());
    assert!(read.covers(&[bytes, b"x"].concat()).is_err());
    assert!(altered(&signed).iter().all(|other| !is_believed(other, public_key)));
}

fn agent_key() -> AgentKey {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any 32 bytes are a seed");
    AgentKey::new(AgentId::new([9; 16]), pair)
}

fn is_believed(head: &Parts, public_key: &[u8; 32]) -> bool {
    RequestSignature::read(head).is_ok_and(|read| read.verify(public_key).is_ok())
}

fn content_digest(body: &[u8]) -> HeaderValue {
    let digest = STANDARD.encode(BatchDigest::of(body).as_bytes());
    HeaderValue::try_from(format!("sha-256=:{digest}:")).expect("a digest is a header")
}

/// The head of a request that the bytes are, as a server takes it.
fn head(bytes: &[u8]) -> Option<Parts> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    if !parsed.parse(bytes).ok()?.is_complete() {
        return None;
    }
    let mut request = Request::builder().method(parsed.method?).uri(parsed.path?);
    for header in parsed.headers.iter() {
        request = request.header(header.name, header.value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// The head with one thing changed that a signature covers: method, path, query, authority, content type or digest.
fn altered(head: &Parts) -> Vec<Parts> {
    let mut altered = Vec::new();
    let mut other = |change: &dyn Fn(&mut Parts)| {
        let mut changed = head.clone();
        change(&mut changed);
        altered.push(changed);
    };
    let method = format!("{}X", head.method);
    other(&|head| head.method = method.parse().expect("a longer method is one, too"));
    let uri = |authority: &str, path: &str| format!("https://{authority}{path}").parse::<http::Uri>();
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
    let named = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    if let Some(authority) = authority.or(named) {
        let (path, query) = (head.uri.path(), head.uri.query());
        let whole = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let variants = [
            uri(&authority, &format!("{path}x?{}", query.unwrap_or_default())),
            uri(&authority, &format!("{path}?{}x", query.unwrap_or_default())),
            uri(&format!("x{authority}"), whole),
        ];
        for variant in variants.into_iter().flatten() {
            other(&|head| head.uri = variant.clone());
        }
    }
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = HeaderValue::from_bytes(&[kind, b"x"].concat()).expect("a longer value is one, too");
    other(&|head| drop(head.headers.insert(header::CONTENT_TYPE, kind.clone())));
    other(&|head| drop(head.headers.insert("content-digest", content_digest(b"other"))));
    altered
}

/// A file of registrations is read row by row and within its bounds; what a row says, written as a file, reads the same.
pub(crate) fn import(bytes: &[u8]) {
    let lines = match Lines::of(bytes) {
        Ok(lines) => lines,
        Err(faults) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| fault.len() < 1_000));
            return;
        }
    };
    let (mut rows, mut before) = (0, 1);
    for line in lines {
        rows += 1;
        assert!(rows <= MAX_ROWS + 1 && line.number > before, "{line:?}");
        before = line.number;
        match line.row {
            Ok(row) => assert_eq!(reread(&row), Some(row)),
            Err(faults) => assert!((1..=COLUMNS.len() + 1).contains(&faults.len())),
        }
    }
}

/// A row, once it was written to a file and read again.
fn reread(row: &NewRegistration) -> Option<NewRegistration> {
    let flag = |flag: bool| if flag { "yes" } else { "" };
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(COLUMNS).expect("memory takes all");
    file.write_record([
        &row.site,
        &row.provider,
        &row.location,
        &row.prefixes.join(";"),
        row.valid_from.as_deref().unwrap_or_default(),
        row.valid_to.as_deref().unwrap_or_default(),
        flag(row.count_declared),
        flag(row.allow_non_public),
        flag(row.nested),
    ])
    .expect("memory takes all");
    let file = file.into_inner().expect("memory takes all");
    Lines::of(&file).ok()?.next()?.row.ok()
}

/// A question that nothing is wrong with is within its bounds, and the parameters that it writes ask it again; what is wrong
/// with another is said in few words.
pub(crate) fn question(bytes: &[u8]) {
    let read = |parameters: &[(String, String)]| {
        let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Question::read(parameters, OrganisationId::DEFAULT, NOW)
    };
    let asked: Vec<(String, String)> = url::form_urlencoded::parse(bytes).into_owned().collect();
    let (question, errors) = read(&asked);
    assert!(errors.len() <= 64 && errors.iter().all(|error| error.len() < 2_000));
    if !errors.is_empty() {
        return;
    }
    let span = question.to.since(question.from);
    assert!(question.from <= question.to && span <= MAX_SPAN + Duration::from_mins(1));
    assert!(question.step.is_none_or(|step| span.as_secs() / step.as_secs() <= MAX_SLOTS));
    let written: Vec<(String, String)> =
        question.parameters().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(read(&written), (question, Vec::new()));
}

/// A header of the PROXY protocol is read to its end and no further.
pub(crate) fn proxy_header(bytes: &[u8]) {
    if let Some((source, length)) = fuzzing::proxy_header(bytes) {
        assert!((16..=16 + 2_048).contains(&length));
        assert!(source.is_none_or(|source| source.to_canonical() == source));
        assert_eq!(fuzzing::proxy_header(&bytes[..length]), Some((source, length)));
        assert_eq!(fuzzing::proxy_header(&[&bytes[..length], b"GET /"].concat()), Some((source, length)));
        assert_eq!(fuzzing::proxy_header(&bytes[..length - 1]), None);
    }
}

/// See [`fuzzing::block`].
pub(crate) fn block(bytes: &[u8]) {
    fuzzing::block(bytes);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
