//! Captive portals: answers that are not the target's own, told by what no target answers and by where they lead. Pure.

use http::{HeaderMap, StatusCode, header};
use peerlight_proto::target::Host;
use url::Url;

/// Why an answer is a captive portal's, if it is. `leads_to` are the domains that the target's own redirects lead to; where
/// nobody knows them, a redirect proves nothing.
pub(super) fn recognise(
    status: StatusCode,
    headers: &HeaderMap,
    host: &Host,
    leads_to: Option<&[&str]>,
) -> Option<String> {
    if status == StatusCode::NETWORK_AUTHENTICATION_REQUIRED {
        return Some("a captive portal answered: 511 Network Authentication Required".to_owned());
    }
    let leads_to = leads_to.filter(|_| status.is_redirection())?;
    let elsewhere = destination(headers, host)?;
    let own = elsewhere == host.as_str() || leads_to.iter().any(|domain| is_within(&elsewhere, domain));
    (!own).then(|| format!("a captive portal answered: {} leads to {elsewhere}", status.as_u16()))
}

/// The host that a redirect leads to.
fn destination(headers: &HeaderMap, host: &Host) -> Option<String> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let base = Url::parse(&format!("https://{host}/")).ok()?;
    base.join(location).ok()?.host_str().map(str::to_owned)
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const OWN: &[&str] = &["office.com", "microsoftonline.com"];

    fn judge(status: u16, location: &str, leads_to: Option<&[&str]>) -> Option<String> {
        let headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_str(location).unwrap())]);
        let host = "outlook.office365.com".parse().unwrap();
        recognise(StatusCode::from_u16(status).unwrap(), &headers, &host, leads_to)
    }

    #[test]
    fn redirects_of_its_own_are_the_targets() {
        for location in [
            "/owa/",
            "https://outlook.office365.com/mail/",
            "//www.office.com/",
            "http://office.com/",
            "https://login.microsoftonline.com/common/oauth2/authorize?x=https://portal.example",
        ] {
            assert_eq!(judge(302, location, Some(OWN)), None, "{location}");
        }
    }

    #[test]
    fn a_redirect_elsewhere_is_a_portals() {
        for (location, to) in [
            ("https://portal.example.net/login?u=outlook.office365.com", "portal.example.net"),
            ("http://10.0.0.1:8080/", "10.0.0.1"),
            ("//notoffice.com/", "notoffice.com"),
            ("https://office.com.evil.example/", "office.com.evil.example"),
        ] {
            let error = judge(307, location, Some(OWN)).unwrap();
            assert_eq!(error, format!("a captive portal answered: 307 leads to {to}"));
        }
        // Only a redirect leads anywhere, and where a stranger's own redirects lead nobody knows.
        assert_eq!(judge(200, "https://portal.example.net/", Some(OWN)), None);
        assert_eq!(judge(302, "https://portal.example.net/", None), None);
        assert_eq!(judge(302, "http://[", Some(OWN)), None);
    }

    #[test]
    fn a_network_that_wants_a_login_is_a_portal_whoever_was_asked() {
        assert!(judge(511, "/", None).is_some());
    }
}
