//! The dashboard over a run of the lab, as a browser shows it: the figures of every page are the API's, and true within the
//! histogram's error; no page breaks its policy, and axe-core finds nothing serious.

#[path = "dashboard/browsing.rs"]
mod browsing;
#[path = "dashboard/registry.rs"]
mod registry;
#[path = "dashboard/reports.rs"]
mod reports;
#[path = "dashboard/truth.rs"]
mod truth;

use super::stay::Stay;
use browsing::Browsing;
use peerlight_browser::chromium::Chromium;
use peerlight_lab::scenario::Scenario;
use std::io::Write as _;
use truth::Known;

/// Looks at every page of the lab's dashboard, where there is a browser.
pub(super) async fn assert_every_page_is_true(stay: &Stay) {
    let Some(chromium) = Chromium::find() else {
        return skipped("the dashboard in a browser: no Chromium");
    };
    let known = Known::of(&stay.document, Scenario::six_sites().unwrap());
    let (address, token) = stay.dashboard();
    let browsing = Browsing::begin(chromium, address.parse().unwrap(), token).await;
    browsing.assert_it_sees_what_is_wrong().await;
    // The machine has two cores for a browser each.
    tokio::join!(reports::assert_true(&browsing, &known), registry::assert_true(&browsing, &known));
    registry::assert_audit_is_whole(&browsing).await;
    known.assert_enough_was_compared();
}

/// Says what could not be looked at.
fn skipped(what: &str) {
    std::io::stderr().write_all(format!("SKIPPED {what}\n").as_bytes()).unwrap();
}
