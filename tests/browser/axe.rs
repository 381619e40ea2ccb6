//! axe-core, which finds what people with a screen reader, a keyboard or weak eyes stumble over.

use crate::{
    chromium::{Chromium, Visit},
    door::{FrontDoor, Script},
    node::installed,
};
use std::path::Path;

const PACKAGE: &str = "axe-core@4";

/// axe-core itself, and what runs it and writes what it found into the page; or why there is none. It stays below `directory`.
pub fn scripts(directory: &Path) -> Result<Vec<Script>, String> {
    let file = installed(directory, "axe", PACKAGE)?.join("node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(vec![
        Script { name: "axe.js", text: axe },
        Script { name: "axe-run.js", text: include_str!("axe-run.js").to_owned() },
    ])
}

/// What is seriously wrong with a page that was visited with [`scripts`]; nothing if the text is empty. Panics unless axe-core
/// came to an end and looked at something.
pub fn serious(visit: &Visit, page: &str) -> String {
    let result = visit.left("axe-result");
    let result = result.unwrap_or_else(|| panic!("axe did not end on {page}: {:?}", visit.complaints));
    let (passed, found) = result.split_once('\n').unwrap();
    assert!(passed.ends_with("rules passed") && !passed.starts_with("0 "), "{page}: {passed}");
    found.to_owned()
}

/// It finds nothing on this page, which the door gives its scripts.
pub async fn finds_nothing(chromium: &Chromium, door: &FrontDoor, path: &str) {
    let visit = chromium.dump(&door.url(path), 60_000).await;
    assert_eq!(serious(&visit, path), "", "{path}");
}
