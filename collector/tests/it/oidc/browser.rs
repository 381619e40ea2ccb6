//! A browser without a screen: it keeps each host's cookies, and goes only where it is told.

use crate::collector::plain_client;
use reqwest::{Certificate, Client, Method};
use std::collections::BTreeMap;
use url::Url;

/// The browser.
pub(super) struct Browser {
    client: Client,
    /// By host and name.
    cookies: BTreeMap<(String, String), String>,
}

/// What it was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where it leads.
    pub(super) location: Option<Url>,
    /// What `Set-Cookie` said.
    pub(super) set: Vec<String>,
    pub(super) text: String,
}

impl Browser {
    pub(super) fn open() -> Self {
        Self { client: plain_client(), cookies: BTreeMap::new() }
    }

    /// One that trusts this authority.
    pub(super) fn trusting(authority: Certificate) -> Self {
        let client = Client::builder().no_proxy().tls_certs_only([authority]);
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, cookies: BTreeMap::new() }
    }

    pub(super) async fn get(&mut self, url: &Url) -> Answer {
        self.ask(Method::GET, url, String::new()).await
    }

    /// Sends a form from a page of the same origin.
    pub(super) async fn post(&mut self, url: &Url, form: &str) -> Answer {
        self.ask(Method::POST, url, form.to_owned()).await
    }

    pub(super) fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(host.to_owned(), name.to_owned())).map(String::as_str)
    }

    pub(super) fn put_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.insert((host.to_owned(), name.to_owned()), value.to_owned());
    }

    async fn ask(&mut self, method: Method, url: &Url, form: String) -> Answer {
        let host = url.host_str().unwrap().to_owned();
        let own = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<String> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        let request = self.client.request(method.clone(), url.clone());
        let mut request = request.header("accept", "text/html").header("cookie", cookies.join("; "));
        if method == Method::POST {
            let origin = url.origin().ascii_serialization();
            let kind = "application/x-www-form-urlencoded";
            request = request.header("origin", origin).header("content-type", kind).body(form);
        }
        let answer = request.send().await.unwrap();
        let text_of = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let set: Vec<String> = answer.headers().get_all("set-cookie").iter().map(text_of).collect();
        for cookie in &set {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let key = (host.clone(), name.to_owned());
            match value {
                "" => drop(self.cookies.remove(&key)),
                value => drop(self.cookies.insert(key, value.to_owned())),
            }
        }
        let location = answer.headers().get("location").map(|to| url.join(to.to_str().unwrap()).unwrap());
        Answer { status: answer.status().as_u16(), location, set, text: answer.text().await.unwrap() }
    }
}
