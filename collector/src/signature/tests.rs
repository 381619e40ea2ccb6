//! Beside the library that agents sign and verify by: what it signs is believed, and it believes what is signed here.

use super::*;
use aws_lc_rs::signature::KeyPair as _;
use futures::FutureExt as _;
use http::Request;
use http_body_util::Empty;
use httpsig::prelude::{
    AlgorithmName, HttpSigResult, HttpSignatureParams, SigningKey, message_component::HttpMessageComponentId,
};
use httpsig_hyper::{MessageSignatureReq as _, MessageSignatureRes as _};
use peerlight_proto::http::{REQUEST_TAG, RESPONSE_COMPONENTS, RESPONSE_TAG};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000;

struct AgentKey(Ed25519KeyPair);

impl SigningKey for AgentKey {
    fn sign(&self, data: &[u8]) -> HttpSigResult<Vec<u8>> {
        Ok(self.0.sign(data).as_ref().to_vec())
    }

    fn key_id(&self) -> String {
        "0123456789abcdef".to_owned()
    }

    fn alg(&self) -> AlgorithmName {
        AlgorithmName::Ed25519
    }
}

fn agent() -> AgentKey {
    AgentKey(Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap())
}

fn public(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().unwrap()
}

/// Nothing here waits.
fn ready<F: Future>(future: F) -> F::Output {
    future.now_or_never().unwrap()
}

/// A request that the library signed.
fn signed(method: &str, uri: &str, content_type: &str) -> Request<Empty<bytes::Bytes>> {
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest([])));
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", content_type)
        .header("content-digest", digest)
        .body(Empty::new())
        .unwrap();
    let components: Vec<_> =
        REQUEST_COMPONENTS.map(|name| HttpMessageComponentId::try_from(name).unwrap()).to_vec();
    let mut params = HttpSignatureParams::try_new(&components).unwrap();
    let created = u64::try_from(NOW).unwrap();
    params.set_created(created).set_expires(created + 60).set_random_nonce();
    params.set_key_info(&agent()).set_tag(REQUEST_TAG);
    ready(request.set_message_signature(&params, &agent(), Some("sig1"))).unwrap();
    request
}

/// The same as HTTP/1 brings it: the authority in a header of its own.
fn as_http1(parts: &Parts) -> Parts {
    let mut request = Request::new(());
    request.headers_mut().clone_from(&parts.headers);
    let host = HeaderValue::try_from(parts.uri.authority().unwrap().as_str()).unwrap();
    request.headers_mut().insert(header::HOST, host);
    let (mut head, ()) = request.into_parts();
    head.method = parts.method.clone();
    head.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    head
}

proptest! {
    #[test]
    fn what_the_library_signs_is_believed_and_nothing_else(
        method in "GET|POST|PUT|DELETE",
        authority in "[a-zA-Z0-9.-]{1,20}(:[1-9][0-9]{0,3})?",
        path in "/[a-z0-9/._~%-]{0,30}",
        query in prop::option::of("[a-z0-9=&+%-]{0,20}"),
        content_type in "[a-z]{1,10}/[a-z.+-]{1,20}",
        other in "[a-z0-9]{1,8}",
    ) {
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let (parts, _body) = signed(&method, &format!("https://{authority}{target}"), &content_type).into_parts();
        let key = public(&agent().0);
        for head in [as_http1(&parts), parts.clone()] {
            let read = RequestSignature::read(&head).unwrap();
            prop_assert_eq!(read.verify(&key), Ok(()));
            prop_assert!(read.is_timely(Timestamp::from_secs(NOW)) && read.covers(b"") == Ok(read.digest));
            prop_assert_eq!(read.verify(&[2; 32]), Err(SignatureError::Wrong));
        }
        let spoilt = |spoil: &dyn Fn(&mut Parts)| {
            let mut head = parts.clone();
            spoil(&mut head);
            RequestSignature::read(&head).and_then(|read| read.verify(&key))
        };
        let uri = |text: String| text.parse::<http::Uri>().unwrap();
        let elsewhere = uri(format!("https://{other}.{authority}{target}"));
        let below = uri(format!("https://{authority}/{other}{target}"));
        let asked = uri(format!("https://{authority}{path}?{other}!"));
        let typed = HeaderValue::try_from(format!("{content_type}{other}")).unwrap();
        let spoils: [&dyn Fn(&mut Parts); 5] = [
            &|head| head.method = http::Method::PATCH,
            &|head| head.uri = elsewhere.clone(),
            &|head| head.uri = below.clone(),
            &|head| head.uri = asked.clone(),
            &|head| drop(head.headers.insert("content-type", typed.clone())),
        ];
        for (number, spoil) in spoils.into_iter().enumerate() {
            prop_assert_eq!(spoilt(spoil), Err(SignatureError::Wrong), "{}", number);
        }
    }

    #[test]
    fn headers_of_any_text_are_refused_without_panic(input in "\\PC{0,80}", signature in "\\PC{0,80}") {
        let (mut parts, _body) = signed("GET", "https://a/", "a/b").into_parts();
        let (Ok(input), Ok(signature)) = (HeaderValue::try_from(input), HeaderValue::try_from(signature)) else {
            return Ok(());
        };
        let before = parts.headers.insert(SIGNATURE_INPUT, input).unwrap();
        prop_assert!(RequestSignature::read(&parts).is_err());
        parts.headers.insert(SIGNATURE_INPUT, before);
        parts.headers.insert(SIGNATURE, signature);
        prop_assert!(RequestSignature::read(&parts).is_err());
    }

    #[test]
    fn the_library_believes_what_is_signed_here(
        status in 200_u16..600,
        content_type in prop::option::of("[a-z]{1,10}/[a-z.+-]{1,20}"),
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let request = signed("POST", "https://collector.example/api/v1/batches", "a/b");
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        if let Some(text) = content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::try_from(text).unwrap());
        }
        let signer = ResponseSigner::new(&[3; 32]).unwrap();
        let bound_to = request.headers()[SIGNATURE].clone();
        let answer = ready(signer.sign(response, &bound_to, Timestamp::from_secs(NOW)));

        let (head, _body) = answer.into_parts();
        let answer = http::Response::from_parts(head, Empty::<bytes::Bytes>::new());
        let signatures = answer.extract_signatures(Some(&request)).unwrap();
        prop_assert_eq!(signatures.len(), 1);
        let (base, made) = signatures.into_values().next().unwrap();
        let params = made.signature_params();
        let covered: Vec<_> =
            RESPONSE_COMPONENTS.map(|name| HttpMessageComponentId::try_from(name).unwrap()).to_vec();
        prop_assert_eq!(&params.covered_components, &covered);
        prop_assert_eq!((params.tag.as_deref(), params.keyid.as_deref()), (Some(RESPONSE_TAG), Some(RESPONSE_KEY_ID)));
        let signature = STANDARD.decode(made.signature().to_string()).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, public(&signer.key));
        prop_assert!(key.verify(&base.as_bytes(), &signature).is_ok());
    }
}
