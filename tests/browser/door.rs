//! The door that a browser enters by: it signs the browser in, and puts a test's scripts into the pages.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use reqwest::Client;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A page of the door's own that breaks the collector's policy and loads what is not there.
pub const FAULTY: &str = "/faulty";

/// Passes requests on to the collector as those of an operator: a headless browser cannot be told a token.
#[derive(Debug)]
pub struct FrontDoor {
    address: SocketAddr,
    renewals: Arc<AtomicUsize>,
}

/// A script of a test's own that the door puts into every page, as a file of the page's origin: the policy holds for it, too.
#[derive(Debug, Clone)]
pub struct Script {
    /// The file's name.
    pub name: &'static str,
    /// What stands in it.
    pub text: String,
}

#[derive(Clone)]
struct Way {
    client: Client,
    to: SocketAddr,
    token: String,
    renewals: Arc<AtomicUsize>,
    scripts: Arc<Vec<Script>>,
}

impl FrontDoor {
    /// To the operators' listener at `to`, as whoever `token` is of.
    pub async fn open(to: SocketAddr, token: String) -> Self {
        Self::with_scripts(to, token, Vec::new()).await
    }

    /// The same with scripts in every page.
    pub async fn with_scripts(to: SocketAddr, token: String, scripts: Vec<Script>) -> Self {
        let renewals = Arc::new(AtomicUsize::new(0));
        let client =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let scripts = Arc::new(scripts);
        let way = Way { client, to, token, renewals: Arc::clone(&renewals), scripts };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass_on).with_state(way);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, renewals }
    }

    /// The address of the collector's `path` through the door.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often the page's script asked for what is new.
    pub fn renewals(&self) -> usize {
        self.renewals.load(Ordering::Relaxed)
    }
}

async fn pass_on(State(way): State<Way>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if path == FAULTY {
        let page = "<!DOCTYPE html><p style=\"color:red\">x</p><script src=\"/assets/none.js\"></script>";
        let policy = ("content-security-policy", "default-src 'none'; script-src 'self'");
        return ([policy, ("content-type", "text/html")], page).into_response();
    }
    if let Some(script) = way.scripts.iter().find(|script| path == format!("/{}", script.name)) {
        return ([("content-type", "text/javascript")], script.text.clone()).into_response();
    }
    if request.headers().contains_key("peerlight-renewal") {
        way.renewals.fetch_add(1, Ordering::Relaxed);
    }
    let asked = way.client.request(request.method().clone(), format!("http://{}{path}", way.to));
    let answer = asked.header("accept", "text/html").bearer_auth(&way.token).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = answer.bytes().await.unwrap().to_vec();
    let is_page = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page && !way.scripts.is_empty() {
        let tags =
            way.scripts.iter().map(|script| format!("<script src=\"/{}\" defer></script>", script.name));
        let page = String::from_utf8(body).unwrap();
        body = page.replace("</head>", &format!("{}</head>", tags.collect::<String>())).into_bytes();
    }
    let mut response = (status, body).into_response();
    *response.headers_mut() = headers;
    response.headers_mut().remove("content-length");
    response
}
