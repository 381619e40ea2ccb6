//! Provider links: whoever holds one sees the numbers of one provider, and nothing else, until it expires or is revoked.

use super::{
    Fault, Operator, Registry, RegistryError, Role,
    audit::{self, Change},
    callers::Concerns,
    hash_secret, new_secret, providers, row, rows,
};
use crate::{organisation::OrganisationId, rfc3339};
use peerlight_proto::{duration, time::Timestamp};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use subtle::ConstantTimeEq as _;

/// Every link's secret begins with this, so that scanners find one that leaked.
const PREFIX: &str = "peerlight-provider.";
/// How long a link holds unless told otherwise, and at most.
const DEFAULT_LIFE: Duration = Duration::from_hours(30 * 24);
const MAX_LIFE: Duration = Duration::from_hours(366 * 24);
/// The longest note.
const MAX_NOTE_BYTES: usize = 200;
/// How many links may hold at a time.
const MAX_LINKS: usize = 1_000;

/// A link as lists show it: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProviderLink {
    /// Its number.
    pub id: i64,
    /// Whose numbers it shows.
    pub provider: String,
    /// Whom it is for.
    pub note: String,
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Until when it holds.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// When it was revoked.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
    /// How often a browser was let in by it.
    pub opened: u64,
    /// When last.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_opened: Option<Timestamp>,
}

/// A link to make.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewProviderLink {
    /// The provider, by its name or another one that it has.
    pub provider: String,
    /// Whom it is for.
    pub note: String,
    /// For how long it holds, in seconds; 30 days unless given, at most 366.
    pub life_s: Option<u64>,
}

/// A link just made. Its secret is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedProviderLink {
    /// Where a browser is to go: an address where it is known how the operators' listener is reached (`[alerts] url`), else its path
    /// and query there.
    pub link: String,
    /// The secret in it, which programs send as `Authorization: Bearer`.
    pub token: String,
    /// What lists show of it.
    #[serde(flatten)]
    pub entry: ProviderLink,
}

/// The secret stays out of logs.
impl fmt::Debug for IssuedProviderLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedProviderLink").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl ProviderLink {
    /// Whether it lets anybody in.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

const COLUMNS: &str =
    "id, provider, note, created, created_by, expires, revoked, opened, last_opened, organisation, hash";

impl Registry {
    /// Makes a link; its secret is returned and kept nowhere.
    pub fn create_provider_link(
        &self,
        new: &NewProviderLink,
        by: &Operator,
        now: Timestamp,
    ) -> Result<(String, ProviderLink), RegistryError> {
        let secret = format!("{PREFIX}{}", new_secret());
        let entry = self.change_of(Concerns::Nobody, "create a provider link", |transaction| {
            let present = providers::present(transaction, by.organisation)?;
            let (provider, life) = check(new, &present)?;
            let holding = list(transaction, by.organisation)?.iter().filter(|link| link.holds(now)).count();
            if holding >= MAX_LINKS {
                return Err(Fault::conflict(format!("{MAX_LINKS} links hold already; revoke some first")));
            }
            let expires = now.plus(life);
            let note = new.note.trim();
            transaction.execute(
                "INSERT INTO provider_link (organisation, provider, note, hash, created, created_by, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    by.organisation.0,
                    provider,
                    note,
                    hash_secret(&secret),
                    now.as_micros(),
                    by.name,
                    expires.as_micros()
                ],
            )?;
            let entry = ProviderLink {
                id: transaction.last_insert_rowid(),
                provider,
                note: note.to_owned(),
                created: now,
                created_by: by.name.clone(),
                expires,
                revoked: None,
                opened: 0,
                last_opened: None,
            };
            record(transaction, "provider link create", (None, &entry), by, now)?;
            Ok(entry)
        })?;
        Ok((secret, entry))
    }

    /// Who is let in by this secret, an operator's or a link's, if it holds.
    pub fn bearer(&self, secret: &str, now: Timestamp) -> Result<Option<Operator>, RegistryError> {
        if secret.starts_with(PREFIX) {
            Ok(self.link_of(secret, now)?.map(|(visitor, _link)| visitor))
        } else {
            self.operator(secret)
        }
    }

    /// The visitor that this secret lets in, and its link, if it holds.
    pub fn link_of(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Result<Option<(Operator, ProviderLink)>, RegistryError> {
        let hash = hash_secret(secret);
        self.read("look a provider link up", |connection| {
            let found = row(
                connection,
                &format!("SELECT {COLUMNS} FROM provider_link WHERE hash = ?1"),
                params![hash],
                |row| Ok((read(row)?, OrganisationId(row.get(9)?), row.get::<_, [u8; 32]>(10)?)),
            )?;
            // As for operators' tokens: the verdict itself takes the same time.
            let found = found.filter(|(link, _, kept)| bool::from(kept.ct_eq(&hash)) && link.holds(now));
            Ok(found.map(|(link, organisation, _)| (visitor(&link, organisation), link)))
        })
    }

    /// Notes that a browser was let in. The first time stands in the audit.
    pub fn open_provider_link(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Result<Option<Operator>, RegistryError> {
        let Some((visitor, before)) = self.link_of(secret, now)? else { return Ok(None) };
        self.change_of(Concerns::Nobody, "note that a provider link was opened", |transaction| {
            transaction.execute(
                "UPDATE provider_link SET opened = opened + 1, last_opened = ?2 WHERE id = ?1",
                params![before.id, now.as_micros()],
            )?;
            if before.opened == 0 {
                let after = ProviderLink { opened: 1, last_opened: Some(now), ..before.clone() };
                record(transaction, "provider link open", (Some(&before), &after), &visitor, now)?;
            }
            Ok(())
        })?;
        Ok(Some(visitor))
    }

    /// Every link, the latest first.
    pub fn provider_links(&self, organisation: OrganisationId) -> Result<Vec<ProviderLink>, RegistryError> {
        self.read("list the provider links", |connection| list(connection, organisation))
    }

    /// Revokes a link: whoever came in by it is out with the next request.
    pub fn revoke_provider_link(
        &self,
        id: i64,
        by: &Operator,
        now: Timestamp,
    ) -> Result<ProviderLink, RegistryError> {
        self.change_of(Concerns::Nobody, "revoke a provider link", |transaction| {
            let before = row(
                transaction,
                &format!("SELECT {COLUMNS} FROM provider_link WHERE organisation = ?1 AND id = ?2"),
                params![by.organisation.0, id],
                read,
            )?;
            let before = before.ok_or_else(|| Fault::not_found("provider link", &id))?;
            if before.revoked.is_some() {
                return Ok(before);
            }
            transaction.execute(
                "UPDATE provider_link SET revoked = ?2 WHERE id = ?1",
                params![id, now.as_micros()],
            )?;
            let after = ProviderLink { revoked: Some(now), ..before.clone() };
            record(transaction, "provider link revoke", (Some(&before), &after), by, now)?;
            Ok(after)
        })
    }
}

/// Whoever holds a link: a reader who sees one provider alone.
fn visitor(link: &ProviderLink, organisation: OrganisationId) -> Operator {
    Operator {
        organisation,
        name: format!("link {} of {}", link.id, link.provider),
        role: Role::Reader,
        person: None,
        only: Some(link.provider.clone()),
    }
}

fn check(new: &NewProviderLink, present: &[providers::Provider]) -> Result<(String, Duration), Fault> {
    let mut errors = Vec::new();
    let provider = match providers::named(present, &new.provider) {
        Ok(provider) => provider.name.clone(),
        Err(error) => {
            errors.push(error);
            String::new()
        }
    };
    let life = new.life_s.map_or(DEFAULT_LIFE, Duration::from_secs);
    if life.is_zero() || life > MAX_LIFE {
        let (life, most) = (duration::text(life), duration::text(MAX_LIFE));
        errors.push(format!("a life of {life}: a link holds for at most {most}"));
    }
    let note = new.note.trim();
    if note.len() > MAX_NOTE_BYTES || note.chars().any(char::is_control) {
        errors.push(format!("note has control characters or more than {MAX_NOTE_BYTES} bytes"));
    }
    if errors.is_empty() { Ok((provider, life)) } else { Err(Fault::invalid("provider link", errors)) }
}

fn list(connection: &Connection, organisation: OrganisationId) -> Result<Vec<ProviderLink>, Fault> {
    rows(
        connection,
        &format!("SELECT {COLUMNS} FROM provider_link WHERE organisation = ?1 ORDER BY id DESC"),
        params![organisation.0],
        read,
    )
}

fn record(
    connection: &Connection,
    what: &'static str,
    (before, after): (Option<&ProviderLink>, &ProviderLink),
    by: &Operator,
    now: Timestamp,
) -> Result<(), Fault> {
    let object = format!("link {} of {}", after.id, after.provider);
    let change = match before {
        Some(before) => Change::changed(what, &object, before, after),
        None => Change::added(what, &object, after),
    };
    audit::record(connection, by, now, &change)
}

fn read(row: &Row<'_>) -> Result<ProviderLink, Fault> {
    let instant = |micros: Option<i64>| micros.map(Timestamp::from_micros);
    Ok(ProviderLink {
        id: row.get(0)?,
        provider: row.get(1)?,
        note: row.get(2)?,
        created: Timestamp::from_micros(row.get(3)?),
        created_by: row.get(4)?,
        expires: Timestamp::from_micros(row.get(5)?),
        revoked: instant(row.get(6)?),
        opened: u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
        last_opened: instant(row.get(8)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{NewProvider, ProviderKind};

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn registry() -> (tempfile::TempDir, Registry) {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&crate::paths::registry(directory.path())).unwrap();
        let new = NewProvider {
            name: "Aurora Networks".to_owned(),
            kind: ProviderKind::Isp,
            countries: Vec::new(),
            aliases: vec!["AN".to_owned()],
            asns: Vec::new(),
            source: None,
        };
        registry.add_provider(&new, &Operator::local(), NOW).unwrap();
        (directory, registry)
    }

    fn of(provider: &str) -> NewProviderLink {
        NewProviderLink {
            provider: provider.to_owned(),
            note: " their peering team ".to_owned(),
            life_s: Some(3_600),
        }
    }

    #[test]
    fn a_link_lets_in_until_it_expires_or_is_revoked_and_sees_one_provider() {
        let (_directory, registry) = registry();
        let by = Operator::local();
        let (secret, link) = registry.create_provider_link(&of("an"), &by, NOW).unwrap();
        assert_eq!((link.provider.as_str(), link.note.as_str()), ("Aurora Networks", "their peering team"));
        let visitor = registry.bearer(&secret, NOW).unwrap().unwrap();
        assert_eq!((visitor.only.as_deref(), visitor.role), (Some("Aurora Networks"), Role::Reader));
        let late = NOW.plus(Duration::from_hours(1));
        assert_eq!(registry.bearer(&secret, late).unwrap(), None);
        assert_eq!(registry.bearer(&format!("{secret}0"), NOW).unwrap(), None);
        assert_eq!(registry.operator(&secret).unwrap(), None, "it is no operator's");

        assert_eq!(registry.open_provider_link(&secret, NOW).unwrap(), Some(visitor.clone()));
        registry.open_provider_link(&secret, NOW).unwrap();
        assert_eq!(registry.provider_links(by.organisation).unwrap()[0].opened, 2);
        registry.revoke_provider_link(link.id, &by, NOW).unwrap();
        assert_eq!(registry.bearer(&secret, NOW).unwrap(), None);
        assert_eq!(registry.open_provider_link(&secret, NOW).unwrap(), None);
        let told: Vec<_> = registry
            .audit(by.organisation, 10)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.what, entry.who))
            .collect();
        let own = |what: &str, who: &str| (what.to_owned(), who.to_owned());
        assert_eq!(
            told[..3],
            [
                own("provider link revoke", "local"),
                own("provider link open", "link 1 of Aurora Networks"),
                own("provider link create", "local")
            ]
        );
    }

    #[test]
    fn the_file_holds_no_secret() {
        let (directory, registry) = registry();
        let (secret, _) = registry.create_provider_link(&of("AN"), &Operator::local(), NOW).unwrap();
        drop(registry);
        let bare = secret.strip_prefix(PREFIX).unwrap().as_bytes().to_vec();
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(bare.len()).any(|window| window == bare));
        }
    }

    #[test]
    fn what_is_wrong_with_a_link_is_said_at_once() {
        let (_directory, registry) = registry();
        let new =
            NewProviderLink { provider: "Aurora".into(), note: "a\nb".into(), life_s: Some(367 * 86_400) };
        let error = registry.create_provider_link(&new, &Operator::local(), NOW).unwrap_err();
        let RegistryError::Invalid { errors, .. } = error else { panic!("{error}") };
        assert_eq!(errors.len(), 3, "{errors:?}");
        let missing = registry.revoke_provider_link(7, &Operator::local(), NOW).unwrap_err();
        assert!(matches!(missing, RegistryError::NotFound { .. }), "{missing}");
    }
}
