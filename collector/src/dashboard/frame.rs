//! What every page has around it: its name, the way to the other pages, and what it loads.

use super::assets;
use crate::{
    api::error::ApiError,
    auth::OPEN_TO_VISITORS,
    registry::{Operator, Role},
};
use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;

/// The pages, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Overview,
    Alerts,
    Provider,
    Map,
    Latency,
    Compare,
    Series,
    Availability,
    TimeOfDay,
    Edges,
    Sites,
    Targets,
    Registry,
    Audit,
}

impl View {
    const ALL: [Self; 14] = [
        Self::Overview,
        Self::Alerts,
        Self::Provider,
        Self::Map,
        Self::Latency,
        Self::Compare,
        Self::Series,
        Self::Availability,
        Self::TimeOfDay,
        Self::Edges,
        Self::Sites,
        Self::Targets,
        Self::Registry,
        Self::Audit,
    ];

    /// Where it is.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Alerts => "/alerts",
            Self::Provider => "/provider",
            Self::Map => "/map",
            Self::Latency => "/latency",
            Self::Compare => "/compare",
            Self::Series => "/series",
            Self::Availability => "/availability",
            Self::TimeOfDay => "/time-of-day",
            Self::Edges => "/edges",
            Self::Sites => "/sites",
            Self::Targets => "/targets",
            Self::Registry => "/registry",
            Self::Audit => "/audit",
        }
    }

    /// Whether somebody may look at it: operators at all, visitors of a provider's link at what tells of that one.
    fn is_open_to(self, operator: &Operator) -> bool {
        operator.only.is_none() || OPEN_TO_VISITORS.contains(&self.path())
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Alerts => "Alerts",
            Self::Provider => "Provider",
            Self::Map => "Map",
            Self::Latency => "Latency",
            Self::Compare => "Compare",
            Self::Series => "Series",
            Self::Availability => "Availability",
            Self::TimeOfDay => "Time of day",
            Self::Edges => "Edges",
            Self::Sites => "Sites",
            Self::Targets => "Targets",
            Self::Registry => "Registry",
            Self::Audit => "Audit",
        }
    }

    /// What of a question means the same on that page.
    const fn keeps(self) -> &'static [&'static str] {
        match self {
            Self::Overview | Self::Map | Self::Latency | Self::Series | Self::Availability => {
                &["last", "from", "to", "metric", "provider", "location", "site", "target"]
            }
            Self::Edges => &["last", "from", "to", "provider", "location", "site", "target"],
            // Both take days, whatever span is looked at elsewhere.
            Self::TimeOfDay => &["metric", "provider", "location", "site", "target"],
            Self::Compare => &["metric", "location", "target"],
            Self::Provider => &["last", "from", "to", "metric", "provider", "location", "target"],
            Self::Alerts => &["provider", "location", "site"],
            Self::Sites | Self::Targets | Self::Registry | Self::Audit => &[],
        }
    }
}

/// A link of the navigation.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) current: bool,
}

/// What stands around a page.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) css: String,
    pub(crate) icon: String,
    pub(crate) scripts: [String; 2],
    pub(crate) nav: Vec<Link>,
    pub(crate) operator: String,
    pub(crate) reads_only: bool,
}

impl Frame {
    /// Of a page: the links beside it keep what of its question they understand.
    pub(crate) fn new(view: View, title: String, operator: &Operator, parameters: &[(&str, String)]) -> Self {
        let link = |to: View| {
            let kept = parameters.iter().filter(|(name, _)| to.keeps().contains(name));
            Link { label: to.label(), href: address(to.path(), kept), current: to == view }
        };
        Self {
            title,
            css: assets::STYLE.path(),
            icon: assets::ICON.path(),
            scripts: [assets::LIVE.path(), assets::CHARTS.path()],
            nav: View::ALL.into_iter().filter(|view| view.is_open_to(operator)).map(link).collect(),
            operator: operator.shown().to_owned(),
            reads_only: operator.role == Role::Reader,
        }
    }
}

/// Where the API answers the same question in this form.
pub(crate) fn export(path: &str, parameters: &[(&'static str, String)], format: &str) -> String {
    address(path, parameters.iter().chain(&[("format", format.to_owned())]))
}

/// The address of a path with these parameters.
pub(crate) fn address<'a, S: AsRef<str> + 'a, V: AsRef<str> + 'a>(
    path: &str,
    parameters: impl IntoIterator<Item = &'a (S, V)>,
) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters.into_iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
        .finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A page as an answer.
pub(crate) fn answer(status: StatusCode, page: &impl Template) -> Result<Response, ApiError> {
    match page.render() {
        Ok(html) => Ok((status, Html(html)).into_response()),
        Err(error) => {
            tracing::error!(%error, "the page could not be rendered");
            Err(ApiError::internal())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_beside_a_page_keep_what_they_understand_of_its_question() {
        let asked = [("last", "6h".to_owned()), ("provider", "A & B".to_owned()), ("step", "1m".to_owned())];
        let frame = Frame::new(View::Series, String::new(), &Operator::local(), &asked);
        let href = |label: &str| frame.nav.iter().find(|link| link.label == label).unwrap().href.clone();
        assert_eq!(href("Availability"), "/availability?last=6h&provider=A+%26+B");
        assert_eq!(href("Time of day"), "/time-of-day?provider=A+%26+B");
        assert_eq!((href("Compare"), href("Audit")), ("/compare".to_owned(), "/audit".to_owned()));
        let current: Vec<_> = frame.nav.iter().filter(|link| link.current).map(|link| link.label).collect();
        assert_eq!(current, ["Series"]);
    }
}
