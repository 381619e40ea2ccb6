//! The pages about measurements. Each is asked for the run's own span, and of one target, so that its cells are the truth's;
//! the pages that look at whole quarter hours are held against the scenario.

use super::{
    super::panic_with,
    browsing::Browsing,
    truth::{Known, Told},
};
use peerlight_browser::table::Table;
use peerlight_collector::report::{
    Report, ReportRow,
    availability::AvailabilityReport,
    compare::{Comparison, Judgement, Verdict},
    physics::PhysicsReport,
    render::{
        availability::table::figures_of,
        comparison::{because, words},
        figure,
        time_of_day::table::cells,
    },
    series::SeriesReport,
    time_of_day::TimeOfDayReport,
};

const BOTH: [&str; 2] = ["Example Telecom", "Sample Networks"];

/// Every page of reports is the API's and true.
pub(super) async fn assert_true(browsing: &Browsing, known: &Known) {
    overview(browsing, known).await;
    latency(browsing, known).await;
    provider(browsing, known).await;
    map(browsing, known).await;
    series(browsing, known).await;
    compare(browsing).await;
    availability(browsing).await;
    time_of_day(browsing, known).await;
    edges(browsing, known).await;
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure::ms)
}

fn loss_of(row: &ReportRow) -> String {
    figure::percent(row.loss.unwrap().value)
}

/// The names of a row that is of one location, and maybe of one provider.
fn names(row: &ReportRow) -> (&str, &str) {
    (row.group.provider.as_deref().unwrap_or_default(), row.group.location.as_deref().unwrap())
}

/// The only row that begins with these names.
fn only<'a>(table: &'a Table, names: &[&str]) -> &'a [String] {
    let found = table.rows_of(names);
    assert_eq!(found.len(), 1, "{names:?} in {table:#?}");
    found[0]
}

async fn overview(browsing: &Browsing, known: &Known) {
    let of = format!("{}&metric=icmp.rtt&target=teams-media", known.span);
    let grid = browsing.table(&format!("/?{of}"), "grid").await;
    let report: Report = browsing.api(&format!("reports/latency?by=location,provider&{of}")).await;
    assert_eq!(report.rows.len(), 6);
    for row in &report.rows {
        let (provider, location) = names(row);
        let column = grid.columns.iter().position(|column| column == provider).unwrap();
        let cell = &only(&grid, &[location])[column];
        let (p50, p95, loss) = (ms(row.latency_ms.p50), ms(row.latency_ms.p95), loss_of(row));
        let told = format!("{provider} at {location}: p50 {p50} ms, p95 {p95} ms, loss {loss}");
        assert!(cell.starts_with(&told), "{told} is not {cell}");
        let told = Told { p50: &p50, p95: &p95, loss: &loss };
        known.assert_true([provider, location, "teams-media", "icmp.rtt"], &told);
    }
}

/// The figures of a line are those of the row, by their columns' names.
fn assert_line(table: &Table, line: &[String], row: &ReportRow, columns: [&str; 3]) {
    let figure = |column: &str| table.figure(line, column).to_owned();
    let told = [columns[0], columns[1], columns[2], "probes"].map(figure);
    let answered = [ms(row.latency_ms.p50), ms(row.latency_ms.p95), loss_of(row), row.sent.to_string()];
    assert_eq!(told, answered, "{line:?}");
}

async fn latency(browsing: &Browsing, known: &Known) {
    let of = format!("{}&by=provider,location,target&metric=tcp.connect", known.span);
    let table = browsing.table(&format!("/latency?{of}"), "figures").await;
    let report: Report = browsing.api(&format!("reports/latency?{of}")).await;
    assert_eq!((report.rows.len(), table.rows.len()), (18, 18));
    for row in &report.rows {
        let ((provider, location), target) = (names(row), row.group.target.as_deref().unwrap());
        let line = only(&table, &[provider, location, target]);
        assert_line(&table, line, row, ["p50", "p95", "loss"]);
        assert_eq!(table.figure(line, "jitter"), ms(row.jitter_ms.as_ref().and_then(|jitter| jitter.p50)));
        let figure = |column: &str| table.figure(line, column);
        let told = Told { p50: figure("p50"), p95: figure("p95"), loss: figure("loss") };
        known.assert_true([provider, location, target, "tcp.connect"], &told);
    }
}

/// A page of one provider, whose lines are locations.
async fn lines_of(browsing: &Browsing, known: &Known, page: [&str; 4], columns: [&str; 3]) {
    let [path, place, provider, metric] = page;
    let of =
        format!("{}&provider={}&metric={metric}&target=teams-media", known.span, provider.replace(' ', "+"));
    let table = browsing.table(&format!("{path}?{of}"), place).await;
    let report: Report = browsing.api(&format!("reports/latency?by=location&{of}")).await;
    assert_eq!((report.rows.len(), table.rows.len()), (3, 3));
    for row in &report.rows {
        let (_, location) = names(row);
        let line = only(&table, &[location]);
        assert_line(&table, line, row, columns);
        let [p50, p95, loss] = columns.map(|column| table.figure(line, column));
        known.assert_true([provider, location, "teams-media", metric], &Told { p50, p95, loss });
    }
}

async fn provider(browsing: &Browsing, known: &Known) {
    let columns = ["p50", "p95", "loss"];
    lines_of(browsing, known, ["/provider", "places", BOTH[1], "udp.rtt"], columns).await;
    // Whoever holds that provider's link sees the same, and nobody else.
    let link = serde_json::json!({"provider": BOTH[1], "note": "their peering team"});
    let issued = browsing.add("provider-links", &link).await;
    let visitor = browsing.admit(issued["token"].as_str().unwrap().to_owned()).await;
    lines_of(&visitor, known, ["/provider", "places", BOTH[1], "icmp.rtt"], columns).await;
    let of = format!("{}&by=provider,location&metric=icmp.rtt&target=teams-media", known.span);
    let seen = visitor.table(&format!("/latency?{of}"), "figures").await;
    let own = seen.rows_of(&[BOTH[1]]);
    assert_eq!((own.len(), seen.rows.len()), (3, 3), "{seen:?}");
}

async fn map(browsing: &Browsing, known: &Known) {
    let columns = ["p50, ms", "p95, ms", "loss"];
    lines_of(browsing, known, ["/map", "locations", BOTH[0], "icmp.rtt"], columns).await;
}

async fn series(browsing: &Browsing, known: &Known) {
    let of = format!("{}&by=provider,location&metric=icmp.rtt&target=exchange-online", known.span);
    let tables = browsing.tables(&format!("/series?{of}"), "series").await;
    let whole: Report = browsing.api(&format!("reports/latency?{of}")).await;
    let slotted: SeriesReport = browsing.api(&format!("reports/series?{of}&step=1m")).await;
    assert_eq!((whole.rows.len(), slotted.series.len()), (6, 6));
    for (row, series) in whole.rows.iter().zip(&slotted.series) {
        let (provider, location) = names(row);
        let is_of = |table: &&Table| table.title.starts_with(&format!("{provider} · {location}"));
        let mut of_it = tables.iter().filter(is_of);
        let (slots, figures) = (of_it.next().unwrap(), of_it.next().unwrap());
        assert_line(figures, &figures.rows[0], row, ["p50", "p95", "loss"]);
        let figure = |column: &str| figures.figure(&figures.rows[0], column);
        let told = Told { p50: figure("p50"), p95: figure("p95"), loss: figure("loss") };
        known.assert_true([provider, location, "exchange-online", "icmp.rtt"], &told);
        assert_eq!(slots.rows.len(), series.slots.len());
        for (line, slot) in slots.rows.iter().zip(&series.slots) {
            let loss = slot.loss.map_or_else(|| "–".to_owned(), |loss| figure::percent(loss.value));
            let told = ["p50", "p95", "loss", "probes"].map(|column| slots.figure(line, column).to_owned());
            let latency = &slot.latency_ms;
            assert_eq!(told, [ms(latency.p50), ms(latency.p95), loss, slot.sent.to_string()], "{line:?}");
        }
    }
}

async fn compare(browsing: &Browsing) {
    let of = "providers=Example+Telecom&providers=Sample+Networks&metric=icmp.rtt&target=teams-media&last=7d";
    let tables = browsing.tables(&format!("/compare?{of}"), "compare").await;
    let found: Comparison =
        browsing.api(&format!("reports/compare?{}", of.replace("&providers=", ","))).await;
    let [one] = found.metrics.as_slice() else { panic_with(&format!("{found:?}")) };
    let table = tables.iter().find(|table| table.place == "differences").unwrap();
    let assert_judged = |place: &str, judgement: &Judgement| {
        let line = only(table, &[place]);
        let because = because(judgement).unwrap_or_default();
        assert!(line[1].contains(words(judgement.verdict)) && line[1].ends_with(&because), "{line:?}");
        let figure = |column: &str| table.figure(line, column).to_owned();
        let told =
            [figure("p50 Example Telecom"), figure("p50 Sample Networks"), figure("days"), figure("cells")];
        let [provider, against] = [&judgement.provider, &judgement.against].map(|side| ms(side.p50_ms));
        assert_eq!(told, [provider, against, judgement.days.to_string(), judgement.cells.to_string()]);
    };
    assert_judged("all", &one.overall);
    assert_eq!(one.locations.len(), 3, "{found:?}");
    for place in &one.locations {
        assert_judged(&place.location, &place.judgement);
        assert_eq!(place.judgement.verdict, Verdict::InsufficientData, "one quarter hour is no verdict");
    }
}

async fn availability(browsing: &Browsing) {
    let of = "last=1h&by=provider,location&metric=icmp.rtt&target=teams-media";
    let table = browsing.table(&format!("/availability?{of}"), "lines").await;
    let report: AvailabilityReport = browsing.api(&format!("reports/availability?{of}")).await;
    assert_eq!((report.rows.len(), table.rows.len()), (6, 6));
    for row in &report.rows {
        let (provider, location) = (row.group.provider.as_deref(), row.group.location.as_deref());
        let line = only(&table, &[provider.unwrap(), location.unwrap()]);
        let [agents, covered, available, outages, ..] = figures_of(row);
        let told = ["agents", "covered", "available", "outages"].map(|column| {
            let at = table.columns.iter().position(|name| name == column).unwrap();
            line[at].clone()
        });
        assert_eq!(told, [agents, covered, available, outages]);
        assert_eq!(told[0], "1", "{line:?}");
    }
}

async fn time_of_day(browsing: &Browsing, known: &Known) {
    let of = "last=7d&metric=icmp.rtt&target=teams-media";
    let tables = browsing.tables(&format!("/time-of-day?{of}"), "time-of-day").await;
    let report: TimeOfDayReport = browsing.api(&format!("reports/time-of-day?{of}")).await;
    assert_eq!(report.rows.len(), 6);
    for row in &report.rows {
        let (provider, location) =
            (row.group.provider.as_deref().unwrap(), row.group.location.as_deref().unwrap());
        let title = format!("{provider} · {location}");
        let table = tables.iter().find(|table| table.title.starts_with(&title)).unwrap();
        let mut measured = 0;
        for (line, hour) in table.rows.iter().zip(&row.hours) {
            assert_eq!(line, &cells(hour));
            if hour.latency_ms.p50.is_some() {
                measured += 1;
                known.assert_possible(provider, location, table.figure(line, "p50"));
            }
        }
        assert!((1..=2).contains(&measured), "{table:?}");
    }
}

async fn edges(browsing: &Browsing, known: &Known) {
    let tables = browsing.tables(&format!("/edges?{}", known.span), "edges").await;
    let report: PhysicsReport = browsing.api(&format!("reports/physics?{}", known.span)).await;
    // The lab's servers name no front door, so that there is nothing to tell of any.
    let [table] = tables.as_slice() else { panic_with(&format!("{tables:?}")) };
    assert_eq!((table.place.as_str(), table.rows.len(), report.rows.len()), ("physics", 12, 12));
    for row in &report.rows {
        let group = [&row.group.provider, &row.group.location, &row.group.target];
        let [provider, location, target] = group.map(|name| name.as_deref().unwrap());
        let line = only(table, &[provider, location, target]);
        let told = ["front door", "connects", "min, ms", "p5, ms"].map(|column| table.figure(line, column));
        let (min, p5) = (ms(row.latency_ms.min), ms(row.latency_ms.p5));
        assert_eq!(told, ["–", &row.answered.to_string(), &min, &p5]);
        known.assert_possible(provider, location, told[2]);
        known.assert_possible(provider, location, told[3]);
    }
}
