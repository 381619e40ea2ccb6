//! The pages of front doors and of one provider say the numbers of the API's reports.

use super::{
    numbers::{ms, page, report, words_of},
    open,
};
use crate::{
    availability::two_hours, collector::Collector, comparisons, edges, seeded::seeded_collector, yardsticks,
};
use peerlight_collector::report::{
    Report,
    availability::AvailabilityReport,
    compare::Comparison,
    edges::EdgesReport,
    physics::PhysicsReport,
    render::{availability::table::figures_of, comparison::words, figure},
    yardsticks::YardsticksReport,
};

/// The line of a page's list that has these words in it.
fn line<'a>(html: &'a str, list: &str, words: &[&str]) -> &'a str {
    let section = html
        .split("<section")
        .find(|part| part.contains(&format!("id=\"{list}\"")))
        .unwrap_or_else(|| panic!("no {list}"));
    let found = section.split("</tr>").find(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("{words:?} is not in {section}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_front_door_each_slot_and_each_shift_is_one_of_the_report_of_edges() {
    let collector = edges::collector().await;
    let html = page(&collector, "/edges?last=2h&step=5m").await;
    let found: EdgesReport = report(&collector, "edges?last=2h&step=5m").await;
    let mut slots = 0;
    for row in &found.rows {
        let (provider, location) =
            (row.group.provider.as_deref().unwrap(), row.group.location.as_deref().unwrap());
        for door in &row.front_doors {
            let line = words_of(line(&html, "doors", &[provider, location, &door.code]));
            for told in [door.requests.to_string(), figure::percent(door.share), ms(door.connect_p50_ms)] {
                assert!(line.contains(&told), "{told} is not in {line}");
            }
            assert_eq!(line.contains("in no table"), door.city.is_none(), "{line}");
        }
        for shift in &row.shifts {
            let at = peerlight_collector::rfc3339::seconds(shift.at);
            let line = line(&html, "shifts", &[&at, location, &shift.from, &shift.to]);
            assert!(line.contains(&ms(shift.p50_after_ms)), "{shift:?} is not in {line}");
        }
        let drawn = html
            .split("<figure")
            .find(|part| part.contains(&format!("-caption\">{}", row.group.label(&found.question.by))))
            .unwrap();
        for slot in &row.slots {
            let time = peerlight_collector::rfc3339::text(slot.slot);
            let line =
                drawn.split("<tr>").find(|line| line.contains(&format!("datetime=\"{time}\""))).unwrap();
            let told: u64 = line
                .split("<td class=\"n\">")
                .skip(1)
                .map(|cell| cell.split('<').next().unwrap().parse::<u64>().unwrap())
                .sum();
            assert_eq!(told, slot.front_doors.iter().map(|door| door.requests).sum::<u64>(), "{line}");
            slots += 1;
        }
    }
    assert!(slots > 40 && html.contains("class=\"shift\""), "{slots}");
    assert!(html.contains("In no table, so that nobody knows where it is: IAD."), "{html}");
    assert!(html.contains("LIS Lisbon") && html.contains("FRA Frankfurt"), "{html}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_faster_than_light_is_flagged_beside_the_front_doors() {
    let collector = edges::collector().await;
    let html = page(&collector, "/edges?last=2h&step=5m").await;
    let found: PhysicsReport = report(&collector, "physics?last=2h&step=5m").await;
    for row in &found.rows {
        // In one slot two front doors served: it says so in their place.
        let door = row.front_door.as_deref().unwrap_or("not one front door");
        let line = words_of(line(
            &html,
            "physics",
            &[row.group.provider.as_deref().unwrap(), row.group.location.as_deref().unwrap(), door],
        ));
        for told in [row.answered.to_string(), ms(row.latency_ms.min), ms(row.bound_ms)] {
            assert!(line.contains(&told), "{told} is not in {line}");
        }
    }
    assert!(words_of(line(&html, "physics", &["TYO"])).contains("impossible"));
    assert!(words_of(line(&html, "physics", &["SIN"])).contains("detour"));
    assert!(html.contains("Faster than light:</span> Aurora Networks · SG-01"), "{html}");
    let wrong = open(&collector, "/edges?metric=icmp.rtt&provider=Boralis").await;
    assert_eq!(wrong.status(), 422);
    let wrong = wrong.text().await.unwrap();
    assert!(
        wrong.contains("did you mean `Borealis`") && wrong.contains("`metric` is not a parameter"),
        "{wrong}"
    );
    collector.stop().await;
    let none = seeded_collector().await;
    assert!(page(&none, "/edges").await.contains("No front door was named in this span"));
    none.stop().await;
    let empty = Collector::start().await;
    assert!(page(&empty, "/edges").await.contains("No site is registered yet"));
    empty.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_location_of_a_provider_has_the_figures_of_every_report() {
    let collector = seeded_collector().await;
    let html = page(&collector, "/provider?provider=borealis&last=2h").await;
    let query = "last=2h&by=location&metric=tcp.connect&provider=Borealis";
    let found: Report = report(&collector, &format!("latency?{query}")).await;
    let available: AvailabilityReport = report(&collector, &format!("availability?{query}")).await;
    assert_eq!(found.rows.len(), 3);
    for row in &found.rows {
        let location = row.group.location.as_deref().unwrap();
        let line = words_of(line(&html, "places", &[location, "class=\"spark\""]));
        let jitter = row.jitter_ms.and_then(|jitter| jitter.p50);
        let there = available.rows.iter().find(|there| there.group == row.group).unwrap();
        let [_, _, share, outages, ..] = figures_of(there);
        for told in [
            ms(row.latency_ms.p50),
            ms(row.latency_ms.p95),
            ms(row.latency_ms.p99),
            ms(jitter),
            figure::percent(row.loss.unwrap().value),
            figure::percent(row.coverage.unwrap()),
            share,
            outages,
            row.sent.to_string(),
        ] {
            assert!(line.contains(&told), "{told} is not in {line}");
        }
    }
    assert!(html.contains("<h1>Borealis"), "{html}");
    let letter = html.split("href=\"").find(|part| part.starts_with("/api/v1/reports/html?")).unwrap();
    let letter = letter.split('"').next().unwrap().replace("&#38;", "&");
    assert!(letter.contains("provider=Borealis") && !letter.contains("format"), "{letter}");
    let letter = open(&collector, &letter).await;
    assert_eq!(letter.status(), 200);
    // The first by name, where none is named; two are too many.
    assert!(page(&collector, "/provider").await.contains("<h1>Aurora Networks"));
    let two = open(&collector, "/provider?provider=Borealis&provider=Aurora+Networks").await;
    assert!(two.status() == 422 && two.text().await.unwrap().contains("this page is of one"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdicts_beside_a_provider_are_those_of_comparisons() {
    let collector = comparisons::a_week(&comparisons::SITES).await;
    let html = page(&collector, "/provider?provider=Aurora+Networks").await;
    let query = "compare?providers=Aurora+Networks,Borealis&last=7d&metric=tcp.connect";
    let found: Comparison = report(&collector, query).await;
    let [one] = found.metrics.as_slice() else { panic!("{found:?}") };
    assert!(!one.locations.is_empty());
    for place in &one.locations {
        let told = words_of(line(&html, "verdicts", &[&format!(">{}<", place.location)]));
        assert!(told.contains(words(place.judgement.verdict)) && told.contains("Borealis"), "{told}");
        assert!(told.contains(&ms(place.judgement.provider.p50_ms)), "{told}");
        let beside = words_of(line(&html, "places", &[&format!(">{}<", place.location)]));
        assert!(beside.contains(words(place.judgement.verdict)), "{beside}");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_yardsticks_beside_a_provider_are_those_of_the_report() {
    let collector = yardsticks::collector().await;
    let found: YardsticksReport =
        report(&collector, "yardsticks?last=2h&by=location&provider=Aurora+Networks").await;
    let html = page(&collector, "/provider?provider=Aurora+Networks&last=2h").await;
    assert!(!found.rows.is_empty());
    for row in &found.rows {
        let name = row.group.target.as_deref().unwrap();
        let told = words_of(line(
            &html,
            "yardsticks",
            &[
                row.group.location.as_deref().unwrap(),
                name,
                &row.passes.replace('<', "&#60;"),
                &row.samples.to_string(),
            ],
        ));
        assert!(
            told.contains(
                if row.result.is_some_and(|result| serde_json::to_value(result).unwrap() == "pass") {
                    "pass"
                } else {
                    "FAIL"
                }
            ) || row.result.is_none(),
            "{told}"
        );
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_location_is_a_point_of_the_map_and_a_line_of_its_table() {
    let collector = seeded_collector().await;
    let html = page(&collector, "/map?last=2h").await;
    let found: Report = report(&collector, "latency?last=2h&by=location&metric=tcp.connect").await;
    assert_eq!(found.rows.len(), 3);
    for row in &found.rows {
        let location = row.group.location.as_deref().unwrap();
        let told = words_of(line(&html, "locations", &[&format!(">{location}<")]));
        for figure in [
            ms(row.latency_ms.p50),
            ms(row.latency_ms.p95),
            figure::percent(row.loss.unwrap().value),
            row.sent.to_string(),
            "° N".to_owned(),
        ] {
            assert!(told.contains(&figure), "{figure} is not in {told}");
        }
        let point = html
            .split("<circle")
            .find(|point| point.contains(&format!("{location} {}</text>", ms(row.latency_ms.p50))));
        assert!(point.is_some(), "{location} has no label in {html}");
        let title = format!("<title>{location}: p50 {} ms", ms(row.latency_ms.p50));
        assert!(html.contains(&title), "{title} is not in {html}");
    }
    // One of the agents was silent long ago, another lost probes; both are over.
    assert!(html.contains("Paris") && html.contains("10° E"), "{html}");
    collector.stop().await;
    let out = two_hours().await;
    let html = page(&out, "/map?last=3h").await;
    assert!(html.contains("id=\"locations\"") && html.contains("class=\"map\""), "{html}");
    out.stop().await;
    let wrong = Collector::start().await;
    assert!(page(&wrong, "/map").await.contains("No site is registered yet"));
    wrong.stop().await;
}
