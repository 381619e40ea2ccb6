//! A browser at the lab's dashboard, and a client of the API beside it.

use super::{super::panic_with, skipped};
use peerlight_browser::{
    axe,
    chromium::Chromium,
    door::{FAULTY, FrontDoor, Script},
    table::{self, Table, tables},
};
use reqwest::{Client, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{net::SocketAddr, path::Path};

/// Who looks.
pub(super) struct Browsing {
    chromium: Chromium,
    /// The door that puts the test's scripts into the pages.
    door: FrontDoor,
    /// The one that photographs are taken through.
    plain: FrontDoor,
    scripts: Vec<Script>,
    client: Client,
    operators: SocketAddr,
    token: String,
}

impl Browsing {
    /// As whom `token` is of.
    pub(super) async fn begin(chromium: Chromium, operators: SocketAddr, token: String) -> Self {
        // The second of a process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let axe = axe::scripts(Path::new(env!("CARGO_TARGET_TMPDIR")));
        if let Err(why) = &axe {
            skipped(&format!("axe-core: {why}"));
        }
        let scripts: Vec<_> = std::iter::once(table::script()).chain(axe.into_iter().flatten()).collect();
        let door = FrontDoor::with_scripts(operators, token.clone(), scripts.clone()).await;
        let plain = FrontDoor::open(operators, token.clone()).await;
        let client = Client::builder().no_proxy().build().unwrap();
        Self { chromium, door, plain, scripts, client, operators, token }
    }

    /// The same as whoever `token` is of.
    pub(super) async fn admit(&self, token: String) -> Self {
        Self::begin(self.chromium.clone(), self.operators, token).await
    }

    /// What never complains proves nothing.
    pub(super) async fn assert_it_sees_what_is_wrong(&self) {
        let faulty = self.chromium.dump(&self.door.url(FAULTY), 1_000).await;
        assert!(faulty.complaints.len() >= 2, "{:?}", faulty.complaints);
    }

    /// The tables of a page that has no fault; photographed as `of` where somebody asked for that.
    pub(super) async fn tables(&self, path: &str, of: &str) -> Vec<Table> {
        let looks_with_axe = self.scripts.len() > 1;
        let visit =
            self.chromium.dump(&self.door.url(path), if looks_with_axe { 60_000 } else { 1_000 }).await;
        assert!(visit.complaints.is_empty(), "{path}: {:?}", visit.complaints);
        if looks_with_axe {
            assert_eq!(axe::serious(&visit, path), "", "{path}");
        }
        self.chromium.photograph_all(&self.plain, path, &format!("lab-{of}")).await;
        tables(&visit, path)
    }

    /// The only table at a place of a page.
    pub(super) async fn table(&self, path: &str, place: &str) -> Table {
        let tables = self.tables(path, place).await;
        let named: Vec<_> = tables.iter().map(|table| table.place.clone()).collect();
        let found = tables.into_iter().find(|table| table.place == place);
        found.unwrap_or_else(|| panic_with(&format!("no {place} among {named:?} of {path}")))
    }

    /// What the API answers.
    pub(super) async fn api<A: DeserializeOwned>(&self, path: &str) -> A {
        let answer = self.client.get(format!("http://{}/api/v1/{path}", self.operators));
        let answer = answer.bearer_auth(&self.token).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What the API makes of a document.
    pub(super) async fn add(&self, path: &str, document: &Value) -> Value {
        let url = format!("http://{}/api/v1/{path}", self.operators);
        let request = self.client.request(Method::POST, url).bearer_auth(&self.token).json(document);
        request.send().await.unwrap().json().await.unwrap()
    }
}
