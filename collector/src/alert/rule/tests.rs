use super::*;
use std::time::Duration;

fn spot() -> Spot {
    Spot {
        provider: "Aurora".into(),
        location: "GB-LND".into(),
        site: "leeds-1".into(),
        target: "teams".into(),
    }
}

#[test]
fn the_defaults_can_be_used_and_survive_being_written_down() {
    let rules = defaults();
    assert_eq!(faults(&rules), [""; 0]);
    let text = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Rule>>(&text).unwrap(), rules);
    assert!(text.contains(r#""window":"5m","for":"5m""#), "{text}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let base = defaults().swap_remove(0);
    let wrong = [
        Rule { name: "two words".into(), metrics: BTreeSet::new(), min_samples: 0, ..base.clone() },
        Rule { window: Duration::from_mins(7), lasting: Duration::from_hours(25), ..base.clone() },
        Rule { threshold: 5.0, clear: 6.0, percentile: Some(Percentile::P50), ..base.clone() },
        Rule { kind: RuleKind::Percentile, threshold: 0.0, ..base.clone() },
        Rule {
            kind: RuleKind::Percentile,
            percentile: Some(Percentile::P99),
            threshold: 9.0,
            clear: 10.0,
            ..base.clone()
        },
        Rule { kind: RuleKind::Coverage, threshold: 0.9, clear: 0.8, ..base.clone() },
        Rule { kind: RuleKind::Silence, metrics: [Metric::AgentNoise].into(), ..base },
    ];
    insta::assert_snapshot!(faults(&wrong).join("\n"));
}

#[test]
fn a_scope_is_read_as_reports_read_filters() {
    let scope = |locations: &[&str], sites: &[&str]| Scope {
        locations: locations.iter().map(|&name| name.into()).collect(),
        sites: sites.iter().map(|&name| name.into()).collect(),
        ..Scope::default()
    };
    assert!(Scope::default().holds(&spot()));
    assert!(scope(&["gb"], &["LEEDS-1"]).holds(&spot()));
    assert!(!scope(&["GB-LDS"], &[]).holds(&spot()));
    assert!(!scope(&["GB"], &["leeds-2"]).holds(&spot()));
    assert_eq!(scope(&["GB", "IE"], &["a"]).to_string(), "location GB or IE, site a");
    assert_eq!(Scope::default().to_string(), "everywhere");
}

#[test]
fn between_the_thresholds_nothing_is_judged() {
    let loss = defaults().swap_remove(0);
    assert_eq!(
        [0.051, 0.05, 0.03, 0.02].map(|value| loss.judge(value)),
        [Judgement::Bad, Judgement::Between, Judgement::Between, Judgement::Good]
    );
    let coverage = defaults().swap_remove(3);
    assert_eq!(
        [0.79, 0.8, 0.89, 0.9].map(|value| coverage.judge(value)),
        [Judgement::Bad, Judgement::Between, Judgement::Between, Judgement::Good]
    );
}
