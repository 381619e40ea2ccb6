//! Enrolment against a real TLS server.

use crate::collector::{Collector, Mood, applicant, site};
use peerlight_agent::{
    clock::Clock,
    credential::Enrolment,
    enrol::{EnrolError, enrol, enrol_beside},
    paths::StateDir,
};
use peerlight_proto::enrolment::SiteAssertion;

fn state() -> (tempfile::TempDir, StateDir) {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path().join("state"));
    (directory, state)
}

#[tokio::test]
async fn enrolment_pins_the_collectors_ca_and_keeps_its_site_and_may_be_repeated() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    let applicant = applicant(&state, Clock::system());
    let asked = collector.token.collector.replace("https://localhost", "https://LOCALHOST") + "/";
    let enrolment = enrol(&applicant, &collector.token, Some(&asked)).await.unwrap();
    assert_eq!(enrolment.site, site());
    assert!(enrolment.ca_pem.as_ref().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(Enrolment::load(&state).unwrap(), Some(enrolment.clone()));
    assert_eq!(enrol(&applicant, &collector.token, None).await.unwrap(), enrolment);
}

#[tokio::test]
async fn a_token_of_another_collector_is_refused_naming_both() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    let applicant = applicant(&state, Clock::system());
    let error =
        enrol(&applicant, &collector.token, Some("https://other.example")).await.unwrap_err().to_string();
    assert!(error.contains(&collector.token.collector) && error.contains("https://other.example"), "{error}");
    assert_eq!(collector.seen.borrow().requests, 0, "nothing was sent");
}

#[tokio::test]
async fn a_collector_with_another_ca_is_not_told_the_secret() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    let mut token = collector.token.clone();
    token.ca_sha256 = "00".repeat(32);
    let error = enrol(&applicant(&state, Clock::system()), &token, None).await.unwrap_err();
    assert!(matches!(error, EnrolError::Exchange(_)), "{error}");
    assert_eq!(collector.seen.borrow().requests, 0, "the handshake failed before the request");
    assert_eq!(Enrolment::load(&state).unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_the_collector_did_not_sign_enrols_nobody() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    for mood in [Mood::Portal, Mood::Forge] {
        collector.set_mood(mood);
        let error = enrol(&applicant(&state, Clock::system()), &collector.token, None).await.unwrap_err();
        assert!(error.to_string().contains("captive portal"), "{mood:?}: {error}");
    }
    assert_eq!(Enrolment::load(&state).unwrap(), None);
}

#[tokio::test]
async fn a_site_that_contradicts_the_registration_is_refused() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    let mut applicant = applicant(&state, Clock::system());
    let mut asserted = site();
    asserted.provider = "Another".to_owned();
    applicant.site = Some(asserted);
    let error = enrol(&applicant, &collector.token, None).await.unwrap_err();
    assert!(matches!(error, EnrolError::Refused(_)), "{error}");
}

#[tokio::test]
async fn nothing_is_handed_over_before_every_uplink_is_enrolled() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    let uplinks = ["London-1".to_owned(), "london-2".to_owned()];
    let asserting = |name: &str| {
        let mut applicant = applicant(&state, Clock::system());
        let nothing = String::new;
        applicant.site = Some(SiteAssertion {
            name: name.to_owned(),
            provider: site().provider,
            location: nothing(),
            prefixes: vec![],
        });
        applicant
    };
    let applicant = asserting("London-1");
    let enrolment = enrol_beside(&applicant, &uplinks, &collector.token, None).await.unwrap();
    assert!(enrolment.is_for("london-1") && !enrolment.is_for("london-2"));
    let mut link = collector.enrol(&state, Clock::system()).await;
    assert!(link.enrolment().unwrap().is_some());
    link.uplinks = uplinks.to_vec();
    assert_eq!((link.enrolment().unwrap(), link.missing().unwrap()), (None, vec!["london-2".to_owned()]));

    // This collector's token is for london-1, whoever asks.
    let error = enrol_beside(&asserting("london-2"), &uplinks, &collector.token, None).await.unwrap_err();
    assert!(error.to_string().contains("for the site `london-1`, not for the uplink `london-2`"), "{error}");
    let other = SiteAssertion { name: "london-2".to_owned(), ..site() };
    Enrolment { site: other.clone(), ..enrolment }.save(&state).unwrap();
    let enrolment = enrol_beside(&applicant, &uplinks, &collector.token, None).await.unwrap();
    assert_eq!((enrolment.site, enrolment.others), (site(), vec![other]));
    assert!(link.enrolment().unwrap().is_some() && link.missing().unwrap().is_empty());

    let elsewhere = Collector::start(Clock::system()).await;
    let error = enrol_beside(&applicant, &uplinks, &elsewhere.token, None).await.unwrap_err().to_string();
    assert!(error.contains(&collector.token.collector) && error.contains("enrolment.json"), "{error}");
}

#[tokio::test]
async fn an_agent_with_a_wrong_clock_enrols_all_the_same() {
    let (_directory, state) = state();
    let collector = Collector::start(Clock::system()).await;
    let slow = Clock::manual(Clock::system().wall().minus(std::time::Duration::from_hours(1)));
    enrol(&applicant(&state, slow), &collector.token, None).await.unwrap();
}
