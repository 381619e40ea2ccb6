//! `/api/v1/sessions`: who is signed in by a browser.

use super::{
    error::ApiError,
    extract::{Path, Query},
    list::List,
};
use crate::{
    app::App,
    auth::{Holder, SessionEntry},
    registry::{Operator, RegistryError},
};
use axum::{Extension, Json, extract::State};
use serde::Deserialize;

/// What may be asked of the list.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// The most entries to answer with.
    pub limit: Option<usize>,
}

/// Lists the open sessions, the latest first; never a cookie.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "registry", params(SessionQuery),
    responses((status = 200, body = List<SessionEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<SessionQuery>,
) -> Result<Json<List<SessionEntry>>, ApiError> {
    Ok(Json(List::new(holding(&app, &operator).await?, query.limit)))
}

/// Ends a session: its browser has to sign in again. Whoever is to stay out has to lose the token, or the rights at the OpenID provider, first.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "registry", params(("id" = u64, Path)),
    responses((status = 200, body = SessionEntry), (status = 404)))]
pub async fn end(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
) -> Result<Json<SessionEntry>, ApiError> {
    let found = holding(&app, &operator).await?.into_iter().find(|session| session.id == id);
    let session = found.ok_or_else(|| ApiError::not_found(format!("there is no open session {id}")))?;
    let noted = session.clone();
    app.ask(move |registry, now| registry.note_session_end(&noted.name, &noted, &operator, now)).await?;
    app.sessions.end(id);
    Ok(Json(session))
}

/// The open sessions that would be let in now: not those of a token or a link that holds no longer.
async fn holding(app: &App, operator: &Operator) -> Result<Vec<SessionEntry>, ApiError> {
    let open = app.sessions.list(operator.organisation, app.clock.now());
    app.ask(move |registry, now| {
        let mut holding = Vec::new();
        for (entry, holder) in open {
            let holds = match holder {
                Holder::Token(token) => registry.bearer(&token, now)?.is_some(),
                Holder::Person(_) => true,
            };
            if holds {
                holding.push(entry);
            }
        }
        Ok::<_, RegistryError>(holding)
    })
    .await
}
