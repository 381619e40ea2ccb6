//! What may be asked, and what is said of what may not.

use super::*;
use peerlight_proto::metric::NetworkMetric;

const NOW: Timestamp = Timestamp::from_secs(1_795_392_030); // 30 s into a minute

fn parse(query: &str) -> Result<Question, QuestionError> {
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
    let (question, errors) = Question::read(pairs, OrganisationId::DEFAULT, NOW);
    if errors.is_empty() { Ok(question) } else { Err(QuestionError { errors }) }
}

#[test]
fn nothing_asked_is_the_last_hour_by_provider() {
    let question = parse("").unwrap();
    assert_eq!(question, Question::new(OrganisationId::DEFAULT, NOW));
    assert_eq!((question.from.as_secs(), question.to), (NOW.as_secs() - 3_630, NOW));
}

#[test]
fn lists_are_repeated_or_separated_by_commas_but_names_keep_their_commas() {
    let question =
        parse("by=location,provider&by=location&metric=icmp.rtt,tcp.connect&provider=A,+Inc.&provider=B")
            .unwrap();
    assert_eq!(question.by, [Dimension::Location, Dimension::Provider]);
    assert_eq!(question.metrics, BTreeSet::from([Metric::IcmpRtt, Metric::TcpConnect]));
    assert_eq!(question.providers, BTreeSet::from(["A, Inc.".to_owned(), "B".to_owned()]));
}

#[test]
fn a_question_reads_back_what_it_writes() {
    for query in [
        "",
        "last=90m&step=15m&metric=udp.rtt",
        "from=2026-11-01&to=1795392000&site=a%26b&by=site,family&target=x&location=GB",
    ] {
        let question = parse(query).unwrap();
        let parameters = question.parameters();
        let again = Question::read(
            parameters.iter().map(|(name, value)| (*name, value.as_str())),
            OrganisationId::DEFAULT,
            NOW,
        );
        assert_eq!(again, (question, Vec::new()));
    }
}

#[test]
fn a_name_that_is_cut_has_no_space_at_its_end() {
    let question = parse(&format!("site={}+x", "x".repeat(255))).unwrap();
    assert_eq!(question.sites, BTreeSet::from(["x".repeat(255)]));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = parse("last=soon&to=tomorrow&by=city&metric=ping&step=7m&colour=red").unwrap_err();
    insta::assert_snapshot!(error.errors.join("\n"));
    let error = |query| parse(query).unwrap_err().errors.join("\n");
    assert_eq!(error("from=2026-01-02&to=2026-01-01"), "`from` is not before `to`");
    assert_eq!(error("from=2010-01-01"), "the span is longer than 5 years");
    assert_eq!(error("last=1h&last=2h"), "`last` is given more than once");
    assert!(error("last=30d&step=1m").contains("more than 2000 slots"));
    assert!(error("last=6y").contains("longer than 5 years"));
}

#[test]
fn the_store_is_asked_for_jitter_and_noise_beside_a_metric() {
    let query = parse("metric=icmp.rtt,https.total").unwrap().query(&Registrations::default());
    let jitter = Metric::Jitter(NetworkMetric::IcmpRtt);
    assert_eq!(
        query.metrics,
        BTreeSet::from([Metric::IcmpRtt, Metric::HttpsTotal, Metric::AgentNoise, jitter])
    );
    assert_eq!(query.registrations, None);
    let question = parse("").unwrap();
    assert!(question.query(&Registrations::default()).metrics.is_empty());
    assert!(question.wants_metric(Metric::IcmpRtt) && !question.wants_metric(jitter));
}

#[test]
fn filters_choose_registrations_and_name_what_is_not_there() {
    let registration = |id, provider: &str, location: &str| Registration {
        id: RegistrationId(id),
        organisation: OrganisationId::DEFAULT,
        site: format!("site-{id}"),
        provider: provider.to_owned(),
        location: location.to_owned(),
        prefixes: Vec::new(),
        count_declared: false,
        valid_from: Timestamp::from_secs(0),
        valid_to: None,
    };
    let all: Registrations = [
        registration(1, "Aurora", "GB-LND"),
        registration(2, "Aurora", "DE-BE"),
        registration(3, "Borealis", "GB-MAN"),
    ]
    .into_iter()
    .collect();
    let chosen = |query: &str| {
        parse(query)
            .unwrap()
            .query(&all)
            .registrations
            .map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>())
    };
    assert_eq!(chosen("location=gb"), Some(vec![1, 3]));
    assert_eq!(chosen("provider=aurora&location=GB"), Some(vec![1]));
    assert_eq!(chosen("provider=Aurora&provider=Borealis&site=site-3"), Some(vec![3]));
    let question = parse("provider=Arora&location=FR&site=site-2&target=x").unwrap();
    assert_eq!(
        question.unknown_names(&all, &Presences::default()),
        [
            "there is no provider `Arora`; did you mean `Aurora`?",
            "there is no location `FR`; there are DE-BE, GB-LND, GB-MAN",
            "there is no target `x`; there is none yet",
        ]
    );
}
