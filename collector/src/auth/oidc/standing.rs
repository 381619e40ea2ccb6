//! Who a person is, and what they may do, by the claims of an ID token that is believed. Pure.

use crate::{
    config::Oidc,
    registry::{Person, Role},
};
use serde_json::{Map, Value};

/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 80;
/// The longest subject (OpenID Connect Core, 2), in bytes.
pub(super) const LONGEST_SUBJECT: usize = 255;

/// Why somebody may do nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Without {
    /// The claim is not there.
    #[error("the provider says nothing of `{0}` in its ID token")]
    Absent(String),
    /// The claim is there with other values.
    #[error("the provider gives no `{0}` that lets anybody in here")]
    Others(String),
    /// The provider leaves the claim out where it would be too long.
    #[error(
        "the provider leaves `{0}` out of its ID token, as Entra ID does with more than 200 groups; let it send \
         those that are assigned to the application, or use app roles"
    )]
    TooMany(String),
}

/// The person of these claims.
pub(super) fn person(issuer: &str, subject: &str, claims: &Map<String, Value>) -> Person {
    let named = ["name", "preferred_username", "email"].into_iter();
    let named =
        named.filter_map(|claim| claims.get(claim)?.as_str()).map(shown).find(|name| !name.is_empty());
    Person {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        name: named.unwrap_or_else(|| shown(subject)),
    }
}

/// A name as it is shown and logged: one line of visible characters, none of which turn the direction of writing.
fn shown(name: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String =
        name.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !turns(*c)).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(LONGEST_NAME).collect()
}

/// What these claims let a person do.
pub(super) fn role(config: &Oidc, claims: &Map<String, Value>) -> Result<Role, Without> {
    let name = &config.claim;
    let Some(claim) = find(name, claims) else {
        // OpenID Connect Core, 5.6.2: claims that stand elsewhere.
        let elsewhere = claims.get("_claim_names").is_some_and(|names| names.get(name).is_some());
        let why = if elsewhere { Without::TooMany } else { Without::Absent };
        return Err(why(name.clone()));
    };
    let values: Vec<&str> = match claim {
        Value::String(value) => vec![value],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let has = |known: &[String]| values.iter().any(|value| known.iter().any(|one| one == value));
    if has(&config.administrators) {
        Ok(Role::Administrator)
    } else if has(&config.readers) {
        Ok(Role::Reader)
    } else {
        Err(Without::Others(name.clone()))
    }
}

/// The claim of this name, or where this JSON pointer leads.
fn find<'a>(name: &str, claims: &'a Map<String, Value>) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let first = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    rest.map_or(Some(first), |rest| first.pointer(&format!("/{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(claim: &str) -> Oidc {
        Oidc {
            name: None,
            issuer: "https://login.example.com".to_owned(),
            client_id: "peerlight".to_owned(),
            client_secret_file: "/secret".into(),
            scopes: Vec::new(),
            claim: claim.to_owned(),
            administrators: vec!["noc".to_owned(), "root".to_owned()],
            readers: vec!["staff".to_owned()],
            url: None,
            ca_file: None,
        }
    }

    fn of(claim: &str, claims: &Value) -> Result<Role, Without> {
        role(&config(claim), claims.as_object().unwrap())
    }

    #[test]
    fn values_of_the_claim_decide_and_the_greater_right_counts() {
        for (claims, expected) in [
            (json!({"groups": ["noc"]}), Ok(Role::Administrator)),
            (json!({"groups": "noc"}), Ok(Role::Administrator)),
            (json!({"groups": ["staff", "others"]}), Ok(Role::Reader)),
            (json!({"groups": ["staff", "root"]}), Ok(Role::Administrator)),
            (json!({"groups": "staff noc"}), Err(Without::Others("groups".into()))),
            (json!({"groups": ["NOC", "noc ", "", 7, null, ["noc"]]}), Err(Without::Others("groups".into()))),
            (json!({"groups": {"noc": true}}), Err(Without::Others("groups".into()))),
            (json!({"groups": null}), Err(Without::Others("groups".into()))),
            (json!({"roles": ["noc"]}), Err(Without::Absent("groups".into()))),
            (
                json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {}}),
                Err(Without::TooMany("groups".into())),
            ),
        ] {
            assert_eq!(of("groups", &claims), expected, "{claims}");
        }
    }

    #[test]
    fn a_claim_within_another_is_found_by_its_pointer_and_a_name_with_dots_is_a_name() {
        let claims =
            json!({"realm_access": {"roles": ["staff"]}, "https://example.com/roles": ["noc"], "a/b": "noc"});
        assert_eq!(of("/realm_access/roles", &claims), Ok(Role::Reader));
        assert_eq!(of("/realm_access/roles/0", &claims), Ok(Role::Reader));
        assert_eq!(of("https://example.com/roles", &claims), Ok(Role::Administrator));
        assert_eq!(of("/a~1b", &claims), Ok(Role::Administrator));
        for nowhere in ["/", "/realm_access", "/realm_access/groups", "realm_access.roles", "//"] {
            assert!(of(nowhere, &claims).is_err(), "{nowhere}");
        }
    }

    #[test]
    fn a_person_is_called_by_the_best_name_there_is_on_one_line() {
        let named = |claims: Value| person("https://i", "sub-1", claims.as_object().unwrap()).name;
        assert_eq!(named(json!({"name": "Ada  Lovelace", "email": "a@example.com"})), "Ada Lovelace");
        assert_eq!(named(json!({"name": " ", "preferred_username": "ada", "email": "a@b"})), "ada");
        assert_eq!(named(json!({"name": 7, "email": "a@b"})), "a@b");
        assert_eq!(named(json!({})), "sub-1");
        assert_eq!(named(json!({"name": "Ada\n\u{202e}ecalevoL"})), "Ada ecalevoL");
        assert_eq!(named(json!({"name": "x".repeat(200)})).len(), 80);
    }
}
