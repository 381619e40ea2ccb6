//! What the `signature-input` and `signature` headers of a request say (RFC 9421, §4): structured fields, which the library
//! `sfv` parses. Exactly one signature, of exactly the contract's components, with the contract's parameters.

use super::SignatureError;
use http::HeaderValue;
use peerlight_proto::{
    http::{REQUEST_COMPONENTS, REQUEST_TAG},
    limits::MAX_SIGNATURE_AGE,
    time::Timestamp,
};
use sfv::{BareItem, Dictionary, InnerList, Item, ListEntry, Parameters, Parser};
use std::ops::RangeInclusive;

/// The only algorithm.
pub(super) const ALGORITHM: &str = "ed25519";
/// How long a nonce may be, in characters of base64 or base64url.
const NONCE_LENGTH: RangeInclusive<usize> = 16..=128;

/// A signature as the headers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) nonce: String,
    pub(super) key_id: String,
    pub(super) signature: Vec<u8>,
}

impl Input {
    pub(super) fn read(input: &HeaderValue, signature: &HeaderValue) -> Result<Self, SignatureError> {
        let (label, entry) = only(input)?;
        let ListEntry::InnerList(InnerList { items, params }) = entry else {
            return Err(SignatureError::Malformed("what it covers is not a list".into()));
        };
        if !covers(&items) {
            return Err(SignatureError::Components);
        }
        let (labelled, entry) = only(signature)?;
        if labelled != label {
            return Err(SignatureError::Malformed("the two headers label it differently".into()));
        }
        let ListEntry::Item(Item { bare_item: BareItem::ByteSequence(signature), .. }) = entry else {
            return Err(SignatureError::Malformed("it is not a sequence of bytes".into()));
        };
        Self::check(&params, signature)
    }

    fn check(params: &Parameters, signature: Vec<u8>) -> Result<Self, SignatureError> {
        let instant = |name| params.get(name).and_then(BareItem::as_integer).map(i64::from);
        let created = instant("created").ok_or(SignatureError::Parameter("created"))?;
        let expires = instant("expires")
            .filter(|expires| {
                expires
                    .checked_sub(created)
                    .and_then(|span| u64::try_from(span).ok())
                    .is_some_and(|span| span <= MAX_SIGNATURE_AGE.as_secs())
            })
            .ok_or(SignatureError::Parameter("expires"))?;
        // They are written back as they are, so only texts that need no escaping are taken.
        let nonce = text(params, "nonce")
            .filter(|nonce| {
                NONCE_LENGTH.contains(&nonce.len())
                    && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
            })
            .ok_or(SignatureError::Parameter("nonce"))?;
        let key_id = text(params, "keyid")
            .filter(|key_id| key_id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .ok_or(SignatureError::Parameter("keyid"))?;
        for (name, expected) in [("alg", ALGORITHM), ("tag", REQUEST_TAG)] {
            if text(params, name) != Some(expected) {
                return Err(SignatureError::Parameter(name));
            }
        }
        Ok(Self {
            created: Timestamp::from_secs(created),
            expires: Timestamp::from_secs(expires),
            nonce: nonce.to_owned(),
            key_id: key_id.to_owned(),
            signature,
        })
    }
}

/// The one member of a dictionary.
fn only(header: &HeaderValue) -> Result<(String, ListEntry), SignatureError> {
    let members: Dictionary = Parser::new(header.as_bytes())
        .parse()
        .map_err(|error| SignatureError::Malformed(error.to_string()))?;
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some((label, entry)), None) => Ok((label.as_str().to_owned(), entry)),
        _ => Err(SignatureError::Malformed("there must be exactly one".into())),
    }
}

fn covers(items: &[Item]) -> bool {
    items.len() == REQUEST_COMPONENTS.len()
        && items.iter().zip(REQUEST_COMPONENTS).all(|(item, component)| {
            item.params.is_empty()
                && item.bare_item.as_string().is_some_and(|name| name.as_str() == component)
        })
}

fn text<'a>(params: &'a Parameters, name: &str) -> Option<&'a str> {
    params.get(name).and_then(BareItem::as_string).map(sfv::StringRef::as_str)
}
