//! `/api/v1/reports/prometheus`: measurements as Prometheus and its kin fetch them.

use super::{ReportError, Snapshot, made};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::Operator,
    report::{
        QuestionError,
        exposition::{ExpositionQuestion, exposition},
        render::prometheus::{native, text, text::Times},
    },
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};
use serde::Deserialize;
use std::sync::Arc;

/// What may be asked; [`ExpositionQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PrometheusQuery {
    /// What samples are labelled by: provider (unless given), location, site, target, prefix, family.
    pub by: Option<Vec<String>>,
    /// Only these metrics. May be separated by commas.
    pub metric: Option<Vec<String>>,
    /// Only these providers.
    pub provider: Option<Vec<String>>,
    /// Only these locations; a country's code means all in it.
    pub location: Option<Vec<String>>,
    /// Only these sites.
    pub site: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
    /// The length of the window: `1m` (unless given) to `1h`, whole minutes that divide a day. Prometheus shows no sample that is
    /// older than five minutes, so that it wants `1m`.
    pub step: Option<String>,
    /// `native`: native histograms in protobuf; `summary`: text with percentiles; `vmrange`: text with histograms as
    /// `VictoriaMetrics` knows them. As `Accept` says unless given: `native` or `summary`.
    pub format: Option<String>,
}

/// The window in protobuf.
#[derive(Debug, utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
struct MetricFamilies(#[expect(dead_code, reason = "describes bytes, and is none")] Vec<u8>);

/// In which form the window is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Native,
    Text(Times),
}

impl Form {
    /// What is asked for, by parameter before header.
    fn asked(parameters: &[(String, String)], headers: &HeaderMap) -> Result<Self, String> {
        let given = parameters.iter().find(|(name, _)| name == "format");
        match given.map(|(_, value)| value.as_str()) {
            Some("native") => Ok(Self::Native),
            Some("summary") => Ok(Self::Text(Times::Summary)),
            Some("vmrange") => Ok(Self::Text(Times::Ranges)),
            Some(_) => Err("format: write native, summary or vmrange".to_owned()),
            None => {
                let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
                let takes_protobuf =
                    accepted.is_some_and(|accepted| accepted.contains("io.prometheus.client.MetricFamily"));
                Ok(if takes_protobuf { Self::Native } else { Self::Text(Times::Summary) })
            }
        }
    }
}

/// What was measured in the newest whole window, two minutes after its end, as native histograms or text. Each sample bears the
/// window's end, so that whoever asks at least once in a window has each of them once. What arrives later is in reports alone.
#[utoipa::path(get, path = "/api/v1/reports/prometheus", tag = "reports", params(PrometheusQuery), responses(
    (status = 200, content((MetricFamilies = "application/vnd.google.protobuf"), (String = "text/plain"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn prometheus(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, sight, now) = (operator.organisation, operator.sight(), app.clock.now());
    let asked = parameters.iter().filter(|(name, _)| name != "format");
    let asked = asked.map(|(name, value)| (name.as_str(), value.as_str()));
    let (question, mut errors) = ExpositionQuestion::read(asked, organisation, now);
    let form = Form::asked(&parameters, &headers).map_err(|error| errors.push(error)).ok();
    let snapshot = app.ask(move |registry, now| Snapshot::take(registry, &sight, now)).await?;
    let presence = app.store.presence(organisation).await?;
    let question = question.into_question();
    let Some(form) = form.filter(|_| errors.is_empty()) else {
        errors.extend(question.unknown_names(&snapshot.registrations, &presence));
        return Err(QuestionError { errors }.into());
    };
    let ground = (Arc::new(snapshot), Arc::new(presence));
    let window = made(
        app.store.as_ref(),
        ground,
        question,
        |_groups| None,
        move |groups, evidence| exposition(groups, evidence, now),
    )
    .await?;
    // Of a fleet it is long; the runtime's threads have sockets to serve.
    let (kind, body) = tokio::task::spawn_blocking(move || match form {
        Form::Native => (native::MEDIA_TYPE, native::render(&window)),
        Form::Text(times) => (text::MEDIA_TYPE, text::render(&window, times).into_bytes()),
    })
    .await
    .map_err(ReportError::from)?;
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_has_native_histograms_where_it_takes_them_and_whoever_names_a_form_has_that() {
        // What Prometheus 2.42 sends, with native histograms and without.
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
            application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let plain = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let of = |format: Option<&str>, accept: &str| {
            let parameters: Vec<_> =
                format.map(|value| ("format".to_owned(), value.to_owned())).into_iter().collect();
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Form::asked(&parameters, &headers)
        };
        assert_eq!(of(None, native), Ok(Form::Native));
        assert_eq!(of(None, plain), Ok(Form::Text(Times::Summary)));
        assert_eq!(of(Some("vmrange"), native), Ok(Form::Text(Times::Ranges)));
        assert_eq!(of(Some("native"), plain), Ok(Form::Native));
        assert!(of(Some("json"), native).is_err());
    }
}
