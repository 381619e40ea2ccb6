//! Tokens as honest and as hostile providers make them.

use super::*;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

const NOW: i64 = 1_790_000_000;

/// A provider's key, and what it publishes of it.
struct Signer {
    key: EncodingKey,
    public: Value,
}

fn signer(kid: &str) -> Signer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let public = json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
        "x": part(1..33), "y": part(33..65)});
    Signer { key: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()), public }
}

fn published(keys_of: &[&Signer]) -> Vec<Jwk> {
    let keys_of: Vec<&Value> = keys_of.iter().map(|signer| &signer.public).collect();
    keys(json!({ "keys": keys_of }).as_object().unwrap())
}

fn claims() -> Value {
    json!({"iss": "https://login.example.com", "aud": "peerlight", "sub": "1", "nonce": "n", "exp": NOW + 300,
        "iat": NOW, "groups": ["noc"]})
}

fn token(signer: &Signer, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, claims, &signer.key).unwrap()
}

fn judged(token: &str, keys: &[Jwk]) -> Result<Believed, Disbelief> {
    let now = Timestamp::from_secs(NOW);
    let (issuer, client_id) = ("https://login.example.com", "peerlight");
    believe(token, keys, &Expected { issuer, client_id, nonce: "n", now })
}

#[test]
fn what_a_published_key_signed_for_us_now_is_believed() {
    let (old, new) = (signer("old"), signer("new"));
    let keys = published(&[&old, &new]);
    for kid in [Some("new"), None] {
        let believed = judged(&token(&new, kid, &claims()), &keys).unwrap();
        assert_eq!((believed.subject.as_str(), &believed.claims["groups"]), ("1", &json!(["noc"])));
    }
}

#[test]
fn each_claim_that_is_wrong_or_missing_is_found() {
    let signer = signer("k");
    let keys = published(&[&signer]);
    let cases = [
        ("iss", json!("https://login.example.com/"), Disbelief::Issuer),
        ("iss", Value::Null, Disbelief::Issuer),
        ("aud", json!("another"), Disbelief::Audience),
        ("aud", json!([]), Disbelief::Audience),
        ("aud", json!(["peerlight", "another"]), Disbelief::Audience),
        ("aud", Value::Null, Disbelief::Audience),
        ("azp", json!("another"), Disbelief::Audience),
        ("nonce", json!("m"), Disbelief::Nonce),
        ("nonce", json!(""), Disbelief::Nonce),
        ("nonce", Value::Null, Disbelief::Nonce),
        ("exp", json!(NOW - 60), Disbelief::Expired),
        ("exp", json!("later"), Disbelief::Expired),
        ("exp", Value::Null, Disbelief::Expired),
        ("nbf", json!(NOW + 61), Disbelief::NotYet),
        ("iat", json!(NOW + 61), Disbelief::NotYet),
        ("iat", json!("now"), Disbelief::NotYet),
        ("sub", json!(""), Disbelief::Subject),
        ("sub", json!("a b"), Disbelief::Subject),
        ("sub", json!("x".repeat(256)), Disbelief::Subject),
        ("sub", json!(1), Disbelief::Subject),
    ];
    for (name, value, expected) in cases {
        let mut claims = claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
        let found = judged(&token(&signer, Some("k"), &claims), &keys);
        assert_eq!(found.unwrap_err(), expected, "{name}: {value}");
    }
}

#[test]
fn what_differs_from_the_usual_within_the_rules_is_believed() {
    let signer = signer("k");
    let keys = published(&[&signer]);
    for (name, value) in [
        ("aud", json!(["peerlight"])),
        ("azp", json!("peerlight")),
        ("exp", json!(NOW - 59)),
        ("exp", json!(1_790_000_000.5)),
        ("nbf", json!(NOW + 60)),
    ] {
        let mut claims = claims();
        claims[name] = value;
        assert!(judged(&token(&signer, Some("k"), &claims), &keys).is_ok(), "{claims}");
    }
    let mut for_two = claims();
    for_two["aud"] = json!(["another", "peerlight"]);
    for_two["azp"] = json!("peerlight");
    assert!(judged(&token(&signer, Some("k"), &for_two), &keys).is_ok());
}

#[test]
fn nobody_elses_signature_and_no_other_algorithm_holds() {
    let (ours, other) = (signer("k"), signer("k"));
    let keys = published(&[&ours]);
    let good = token(&ours, Some("k"), &claims());
    assert_eq!(judged(&token(&other, Some("k"), &claims()), &keys), Err(Disbelief::Signature));
    assert_eq!(judged(&token(&ours, Some("unknown"), &claims()), &keys), Err(Disbelief::UnknownKey));
    assert_eq!(judged(&good, &[]), Err(Disbelief::UnknownKey));

    let (_, payload) = good.rsplit_once('.').unwrap().0.split_once('.').unwrap();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for algorithm in ["none", "None", "NONE", ""] {
        let unsigned = format!("{}.{payload}.", part(json!({"alg": algorithm, "kid": "k"})));
        assert!(matches!(judged(&unsigned, &keys), Err(Disbelief::Unreadable(_))), "{algorithm}");
    }
    // The public key as the secret of an HMAC: everybody knows it.
    let secret = EncodingKey::from_secret(ours.public["x"].as_str().unwrap().as_bytes()).unwrap();
    let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
    let forged = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(judged(&forged, &keys), Err(Disbelief::Algorithm(Algorithm::HS256)));
    // A good signature under another algorithm's name.
    let signature = good.rsplit_once('.').unwrap().1;
    for algorithm in ["ES384", "RS256", "EdDSA"] {
        let renamed = format!("{}.{payload}.{signature}", part(json!({"alg": algorithm, "kid": "k"})));
        assert_eq!(judged(&renamed, &keys), Err(Disbelief::UnknownKey), "{algorithm}");
    }
    let changed =
        good.replace(payload, &part(json!({"iss": "https://login.example.com", "aud": "peerlight"})));
    assert_eq!(judged(&changed, &keys), Err(Disbelief::Signature));
    for broken in ["", ".", "..", "a.b.c", &good[..good.len() - 1], &format!("{good}."), &format!("{good}.x")]
    {
        assert!(judged(broken, &keys).is_err(), "{broken}");
    }
}

#[test]
fn keys_that_sign_nothing_are_left_out_and_spoil_no_other() {
    let signer = signer("k");
    let mut for_encryption = signer.public.clone();
    for_encryption["use"] = json!("enc");
    let set = json!({"keys": [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        {"kty": "RSA", "kid": "k"},
        {"kty": "quantum", "kid": "k"},
        7,
        for_encryption,
        {"kty": "EC", "crv": "P-256", "x": "%", "y": "%", "kid": "k"},
        signer.public,
    ]});
    let keys = keys(set.as_object().unwrap());
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(judged(&token(&signer, Some("k"), &claims()), &keys).is_ok());
    assert!(super::keys(json!({"keys": "none"}).as_object().unwrap()).is_empty());
    assert!(super::keys(&Map::new()).is_empty());
}
