//! axe-core, which finds what people with a screen reader, a keyboard or weak eyes stumble over.

use super::chromium::{Chromium, FrontDoor, Script};
use crate::node::installed;

const PACKAGE: &str = "axe-core@4";

/// axe-core itself, and what runs it and writes what it found into the page; or why there is none.
pub(crate) fn scripts() -> Result<Vec<Script>, String> {
    let file = installed("axe", PACKAGE)?.join("node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(vec![
        Script { name: "axe.js", text: axe },
        Script { name: "axe-run.js", text: include_str!("axe-run.js").to_owned() },
    ])
}

/// It finds nothing on this page, which the door gives its scripts.
pub(crate) async fn finds_nothing(chromium: &Chromium, door: &FrontDoor, path: &str) {
    let visit = chromium.dump(&door.url(path), 60_000).await;
    let result =
        visit.document.split("id=\"axe-result\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let result = result.unwrap_or_else(|| panic!("axe did not end on {path}: {:?}", visit.complaints));
    let (passed, found) = result.split_once('\n').unwrap();
    assert!(passed.ends_with("rules passed") && !passed.starts_with("0 "), "{path}: {passed}");
    assert_eq!(found, "", "{path}");
}
