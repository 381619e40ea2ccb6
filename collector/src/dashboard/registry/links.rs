//! Links for providers: made and revoked on the page of the registry.

use super::{Filled, changed, done, refused, render};
use crate::{
    api::{
        error::ApiError,
        extract::{Form, Path},
        provider_links::issued,
    },
    app::App,
    registry::{NewProviderLink, Operator, ProviderLink, RegistryError},
    rfc3339,
};
use axum::{Extension, extract::State, response::Response};
use peerlight_proto::time::Timestamp;
use serde::Deserialize;

/// The form's fields, as they were typed.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct LinkForm {
    #[serde(default)]
    pub(super) provider: String,
    #[serde(default)]
    pub(super) note: String,
    #[serde(default)]
    pub(super) life: String,
}

/// A link as the page lists it.
pub(super) struct LinkRow {
    pub(super) id: i64,
    pub(super) provider: String,
    pub(super) note: String,
    pub(super) made: String,
    pub(super) by: String,
    pub(super) expires: String,
    pub(super) opened: String,
}

impl LinkForm {
    fn read(&self) -> Result<NewProviderLink, RegistryError> {
        let life = self.life.trim();
        let life = (!life.is_empty()).then(|| humantime::parse_duration(life)).transpose();
        let life = life.map_err(|error| RegistryError::Invalid {
            what: "link",
            errors: vec![format!("holds for: write a length of time such as 30d: {error}")],
        })?;
        Ok(NewProviderLink {
            provider: self.provider.clone(),
            note: self.note.clone(),
            life_s: life.map(|life| life.as_secs()),
        })
    }
}

/// The links that hold.
pub(super) fn rows(links: Vec<ProviderLink>, now: Timestamp) -> Vec<LinkRow> {
    let holding = links.into_iter().filter(|link| link.holds(now));
    holding
        .map(|link| LinkRow {
            id: link.id,
            opened: match link.last_opened {
                Some(last) => format!("{} times, last {}", link.opened, rfc3339::seconds(last)),
                None => "never".to_owned(),
            },
            made: rfc3339::seconds(link.created),
            by: link.created_by,
            expires: rfc3339::seconds(link.expires),
            provider: link.provider,
            note: link.note,
        })
        .collect()
}

/// Makes a link; it is on this page and nowhere else.
pub(super) async fn create(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Form(form): Form<LinkForm>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let made = match form.read() {
        Ok(new) => changed(&app, move |app, now| app.registry.create_provider_link(&new, &by, now)).await?,
        Err(error) => Err(error),
    };
    match made {
        Ok((secret, entry)) => {
            let link = Some(issued(&app, secret, entry));
            render(&app, &operator, Filled { link, ..Filled::default() }).await
        }
        Err(error) => {
            refused(&app, &operator, Filled { link_form: form, ..Filled::default() }, "links", error).await
        }
    }
}

/// Revokes a link.
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let revoked = changed(&app, move |app, now| app.registry.revoke_provider_link(id, &by, now));
    match revoked.await? {
        Ok(_) => Ok(done("revoked", "links")),
        Err(error) => refused(&app, &operator, Filled::default(), "links", error).await,
    }
}
