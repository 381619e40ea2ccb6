//! What is signed, and what is not believed.

use super::*;
use httpsig::prelude::SecretKey;

const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);
const BODY: &[u8] = b"the answer";

fn agent_key() -> AgentKey {
    AgentKey::new(AgentId::new([7; 16]), Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap())
}

fn collector() -> (SecretKey, ResponseKey) {
    let secret = SecretKey::from_bytes(&AlgorithmName::Ed25519, &[5; 32]).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    (secret, ResponseKey::from_hex(&hex::encode(pair.public_key())).unwrap())
}

async fn request() -> Request<Body> {
    let mut request = Request::post("https://collector.example.com:8443/api/v1/batches")
        .header("content-type", "application/octet-stream")
        .header("content-digest", content_digest(b"question"))
        .body(Body::default())
        .unwrap();
    agent_key().sign(&mut request, NOON).await.unwrap();
    request
}

/// What a response's signature says.
struct Terms {
    components: Vec<&'static str>,
    tag: &'static str,
    key_id: &'static str,
    digest_of: &'static [u8],
}

fn terms() -> Terms {
    let components = RESPONSE_COMPONENTS.to_vec();
    Terms { components, tag: RESPONSE_TAG, key_id: COLLECTOR_KEY_ID, digest_of: BODY }
}

async fn response(request: &Request<Body>, terms: Terms) -> Response<Body> {
    let mut response = Response::builder()
        .header("content-type", "text/plain")
        .header("content-digest", content_digest(terms.digest_of))
        .body(Body::default())
        .unwrap();
    let components: Vec<_> =
        terms.components.iter().map(|name| HttpMessageComponentId::try_from(*name).unwrap()).collect();
    let mut params = HttpSignatureParams::try_new(&components).unwrap();
    params.set_alg(&AlgorithmName::Ed25519).set_keyid(terms.key_id).set_tag(terms.tag);
    // Expired long ago: the binding to the request makes it unique, and our clock may be wrong.
    params.set_created(1).set_expires(2);
    response.set_message_signature(&params, &collector().0, Some("sig"), Some(request)).await.unwrap();
    response
}

#[tokio::test]
async fn a_request_bears_exactly_what_the_contract_says_and_never_the_same_nonce() {
    let (first, second) = (request().await, request().await);
    let params = first.get_signature_params().unwrap();
    let params = params.values().next().unwrap();
    let components: Vec<_> = params.covered_components.iter().map(ToString::to_string).collect();
    assert_eq!(components, REQUEST_COMPONENTS.map(|name| format!("\"{name}\"")));
    let created = u64::try_from(NOON.as_secs()).unwrap();
    assert_eq!(params.created, Some(created));
    let lifetime = Duration::from_secs(params.expires.unwrap() - created);
    assert!(lifetime <= peerlight_proto::limits::MAX_SIGNATURE_AGE);
    assert_eq!((params.tag.as_deref(), params.alg.as_deref()), (Some(REQUEST_TAG), Some("ed25519")));
    assert_eq!(params.keyid, Some(AgentId::new([7; 16]).to_string()));
    let public = PublicKey::from_bytes(&AlgorithmName::Ed25519, &agent_key().public_key()).unwrap();
    first.verify_message_signature(&public, None).await.unwrap();
    let nonce = |request: &Request<Body>| {
        request.get_signature_params().unwrap().values().next().unwrap().nonce.clone()
    };
    assert!(nonce(&first).is_some() && nonce(&first) != nonce(&second));
}

#[tokio::test]
async fn only_the_collectors_answer_to_this_very_request_is_believed() {
    let (_, key) = collector();
    let request = request().await;
    let check = |response: Response<Body>| key.verify(&response, BODY, &request);
    assert!(check(response(&request, terms()).await).is_ok());

    let other = self::request().await;
    assert!(
        matches!(check(response(&other, terms()).await), Err(SignatureError::Forged)),
        "another request's"
    );
    assert!(matches!(check(Response::new(Body::default())), Err(SignatureError::Unsigned)));
    let fewer = Terms { components: RESPONSE_COMPONENTS[..3].to_vec(), ..terms() };
    assert!(matches!(check(response(&request, fewer).await), Err(SignatureError::Coverage)), "not bound");
    let tagged = Terms { tag: REQUEST_TAG, ..terms() };
    assert!(
        matches!(check(response(&request, tagged).await), Err(SignatureError::Unsigned)),
        "another purpose"
    );
    let named = Terms { key_id: "agent", ..terms() };
    assert!(matches!(check(response(&request, named).await), Err(SignatureError::Coverage)), "another key");
    let altered = Terms { digest_of: b"another body", ..terms() };
    assert!(matches!(check(response(&request, altered).await), Err(SignatureError::Digest)));
    let mut status = response(&request, terms()).await;
    *status.status_mut() = http::StatusCode::NOT_FOUND;
    assert!(matches!(check(status), Err(SignatureError::Forged)), "another status");
}

#[test]
fn a_private_key_is_never_printed() {
    assert_eq!(
        format!("{:?}", agent_key()),
        format!("AgentKey {{ agent: {:?}, .. }}", AgentId::new([7; 16]))
    );
}
