//! A real browser: headless Chromium, and a door that signs it in.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use reqwest::Client;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Where the photographs go, if anybody wants to look at them.
const PHOTOGRAPHS: &str = "PEERLIGHT_PHOTOGRAPHS";
/// A page of the door's own that breaks the collector's policy and loads what is not there.
pub(crate) const FAULTY: &str = "/faulty";
/// Colour scheme and width of each photograph; the scheme is Chromium's `preferredColorScheme`.
const SHOTS: [(&str, u32, u32); 4] =
    [("light", 1, 1366), ("dark", 0, 1366), ("light", 1, 390), ("dark", 0, 2560)];

/// The browser on this machine.
#[derive(Clone)]
pub(crate) struct Chromium(PathBuf);

/// What a visit showed.
pub(crate) struct Visit {
    pub document: String,
    /// What the browser wrote to its console: errors of scripts and of the content security policy.
    pub complaints: Vec<String>,
}

impl Chromium {
    pub(crate) fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
        names
            .iter()
            .flat_map(|name| places.iter().map(move |place| place.join(name)))
            .find(|file| file.is_file())
            .map(Self)
    }

    /// The document after `milliseconds` of the page's own time.
    pub(crate) async fn dump(&self, url: &str, milliseconds: u32) -> Visit {
        let (document, log) = self
            .run(
                url,
                vec![
                    format!("--virtual-time-budget={milliseconds}"),
                    "--dump-dom".to_owned(),
                    // Of a telephone: what fits there fits everywhere.
                    "--window-size=390,844".to_owned(),
                ],
            )
            .await;
        let complaints = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        Visit { document, complaints }
    }

    /// Photographs of the page in either scheme, wide and narrow, where somebody asked for them.
    pub(crate) async fn photograph_all(&self, door: &FrontDoor, path: &str, of: &str) {
        let Some(directory) = std::env::var_os(PHOTOGRAPHS).map(PathBuf::from) else { return };
        for (name, scheme, width) in SHOTS {
            let file = directory.join(format!("{of}-{name}-{width}.png"));
            let options = vec![
                format!("--blink-settings=preferredColorScheme={scheme}"),
                // A narrow window is higher, so that a page is seen to its end.
                format!("--window-size={width},{}", if width < 500 { 2_600 } else { 1_500 }),
                format!("--screenshot={}", file.display()),
                "--hide-scrollbars".to_owned(),
            ];
            self.run(&door.url(path), options).await;
            assert!(Path::new(&file).is_file(), "{}", file.display());
        }
    }

    /// The page as it is printed; kept as `{of}.pdf` where somebody asked for photographs.
    pub(crate) async fn print(&self, url: &str, of: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("printed.pdf");
        let options = vec!["--no-pdf-header-footer".to_owned(), format!("--print-to-pdf={}", file.display())];
        self.run(url, options).await;
        if let Some(photographs) = std::env::var_os(PHOTOGRAPHS).map(PathBuf::from) {
            std::fs::copy(&file, photographs.join(format!("{of}.pdf"))).unwrap();
        }
        std::fs::read(file).unwrap()
    }

    async fn run(&self, url: &str, options: Vec<String>) -> (String, String) {
        let (program, url) = (self.0.clone(), url.to_owned());
        let run = move || {
            let profile = tempfile::tempdir().unwrap();
            let output = Command::new(program)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
                .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
                .args(["--enable-logging=stderr", "--timeout=60000", "--disable-dev-shm-usage"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .args(options)
                .arg(url)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            (text(output.stdout), text(output.stderr))
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

/// Passes requests on to the collector as those of an operator: a headless browser cannot be told a token.
pub(crate) struct FrontDoor {
    address: SocketAddr,
    renewals: Arc<AtomicUsize>,
}

/// A script of a test's own that the door puts into every page, as a file of the page's origin: the policy holds for it, too.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub name: &'static str,
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
    pub(crate) async fn open(to: SocketAddr, token: String) -> Self {
        Self::with_scripts(to, token, Vec::new()).await
    }

    /// The same with scripts in every page.
    pub(crate) async fn with_scripts(to: SocketAddr, token: String, scripts: Vec<Script>) -> Self {
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

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often the page's script asked for what is new.
    pub(crate) fn renewals(&self) -> usize {
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
