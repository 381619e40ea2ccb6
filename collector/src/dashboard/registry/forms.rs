//! What the registry's forms hold: texts as they were typed, and what they ask of the registry.

use crate::{
    registry::{NewLocation, NewProvider, NewRegistration, ProviderKind, RegistryError},
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use serde::Deserialize;

/// A provider to add.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProviderForm {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) countries: String,
    pub(super) aliases: String,
    pub(super) asns: String,
}

/// A location to add.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LocationForm {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) time_zone: String,
    pub(super) latitude: String,
    pub(super) longitude: String,
}

/// A registration to add, or to check.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RegistrationForm {
    pub(super) site: String,
    pub(super) provider: String,
    pub(super) location: String,
    pub(super) prefixes: String,
    pub(super) valid_from: String,
    pub(super) valid_to: String,
    pub(super) count_declared: bool,
    pub(super) nested: bool,
    pub(super) allow_non_public: bool,
    /// `check` or `add`.
    pub(super) action: String,
}

/// When a registration is to end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndForm {
    at: String,
}

/// What a token is to enrol for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct TokenForm {
    pub(super) registration: i64,
}

/// The parts of a text that commas, or lines and spaces too, separate.
fn parts(text: &str, at_spaces: bool) -> Vec<String> {
    let separates = |letter: char| letter == ',' || letter == '\n' || (at_spaces && letter.is_whitespace());
    text.split(separates).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn optional(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl ProviderForm {
    /// The provider, or what no provider has.
    pub(super) fn read(&self) -> Result<NewProvider, Vec<String>> {
        let mut errors = Vec::new();
        let kind =
            self.kind.parse::<ProviderKind>().map_err(|error| errors.push(format!("kind: {error}"))).ok();
        let mut asns: Vec<u32> = Vec::new();
        for text in parts(&self.asns, true) {
            match text.trim_start_matches(['A', 'S', 'a', 's']).parse() {
                Ok(number) => asns.push(number),
                Err(_) => errors
                    .push(format!("autonomous systems: `{text}` is not a number; write 64500 or AS64500")),
            }
        }
        match kind.filter(|_| errors.is_empty()) {
            Some(kind) => Ok(NewProvider {
                name: self.name.clone(),
                kind,
                countries: parts(&self.countries, true),
                aliases: parts(&self.aliases, false),
                asns,
                source: None,
            }),
            None => Err(errors),
        }
    }
}

impl LocationForm {
    /// The location, or what is no number.
    pub(super) fn read(&self) -> Result<NewLocation, Vec<String>> {
        let mut errors = Vec::new();
        let mut degrees = |what: &str, text: &str| {
            let text = optional(text)?;
            let wrong = |_| errors.push(format!("{what}: `{text}` is not a number of degrees; write 51.5"));
            text.parse::<f64>().map_err(wrong).ok()
        };
        let (latitude, longitude) =
            (degrees("latitude", &self.latitude), degrees("longitude", &self.longitude));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(NewLocation {
            code: self.code.trim().to_owned(),
            name: optional(&self.name),
            time_zone: optional(&self.time_zone),
            latitude,
            longitude,
        })
    }
}

impl RegistrationForm {
    /// The registration; the registry says what is wrong with it.
    pub(super) fn read(&self) -> NewRegistration {
        NewRegistration {
            site: self.site.clone(),
            provider: self.provider.clone(),
            location: self.location.clone(),
            prefixes: parts(&self.prefixes, true),
            count_declared: self.count_declared,
            allow_non_public: self.allow_non_public,
            nested: self.nested,
            valid_from: optional(&self.valid_from),
            valid_to: optional(&self.valid_to),
        }
    }
}

impl EndForm {
    /// The instant; now unless given.
    pub(super) fn read(&self, now: Timestamp) -> Result<Timestamp, RegistryError> {
        let Some(text) = optional(&self.at) else { return Ok(now) };
        rfc3339::parse(&text).map_err(|error| RegistryError::Invalid {
            what: "end of the registration",
            errors: vec![error.to_string()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_what_the_registry_knows() {
        let form = ProviderForm {
            name: "Example Telecom".to_owned(),
            kind: "ISP".to_owned(),
            countries: "GB, DE".to_owned(),
            aliases: "Example Tel, ET".to_owned(),
            asns: "AS64500 64501".to_owned(),
        };
        let new = form.read().unwrap();
        assert_eq!(
            (new.countries, new.aliases),
            (vec!["GB".into(), "DE".into()], vec!["Example Tel".into(), "ET".into()])
        );
        assert_eq!(new.asns, [64_500, 64_501]);
        let wrong = ProviderForm { kind: "telco".to_owned(), asns: "sixty".to_owned(), ..form };
        assert_eq!(wrong.read().unwrap_err().len(), 2);
        let registration = RegistrationForm {
            prefixes: "192.0.2.0/25\r\n192.0.2.128/25".to_owned(),
            ..RegistrationForm::default()
        };
        assert_eq!(registration.read().prefixes, ["192.0.2.0/25", "192.0.2.128/25"]);
        assert!(LocationForm { latitude: "north".to_owned(), ..LocationForm::default() }.read().is_err());
    }
}
