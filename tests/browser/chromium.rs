//! Headless Chromium: a page's document once its scripts ran, its photograph, and the page on paper.

use crate::door::FrontDoor;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the photographs go, if anybody wants to look at them.
const PHOTOGRAPHS: &str = "PEERLIGHT_PHOTOGRAPHS";
/// Colour scheme and width of each photograph; the scheme is Chromium's `preferredColorScheme`.
const SHOTS: [(&str, u32, u32); 4] =
    [("light", 1, 1366), ("dark", 0, 1366), ("light", 1, 390), ("dark", 0, 2560)];

/// The browser on this machine.
#[derive(Debug, Clone)]
pub struct Chromium(PathBuf);

/// What a visit showed.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The document as it stood at the end.
    pub document: String,
    /// What the browser wrote to its console: errors of scripts and of the content security policy.
    pub complaints: Vec<String>,
}

impl Visit {
    /// What a script of the test left in the element of this name.
    pub fn left(&self, id: &str) -> Option<String> {
        let (_, rest) = self.document.split_once(&format!("id=\"{id}\""))?;
        let (text, _) = rest.split_once('>')?.1.split_once("</")?;
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}");
        Some(text.replace("&amp;", "&"))
    }
}

impl Chromium {
    /// The first that the path has; none where there is none.
    pub fn find() -> Option<Self> {
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
    pub async fn dump(&self, url: &str, milliseconds: u32) -> Visit {
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
    pub async fn photograph_all(&self, door: &FrontDoor, path: &str, of: &str) {
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
    pub async fn print(&self, url: &str, of: &str) -> Vec<u8> {
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
