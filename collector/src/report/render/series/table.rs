//! Series as tables for people, one for each: a slot a line, and where its times lie.

use crate::{
    report::{
        NoLoss,
        render::{
            figure,
            table::{NONE, plain, with_loss},
        },
        series::{Bin, SeriesReport, SeriesSlot},
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use peerlight_proto::duration;
use std::{fmt::Write as _, time::Duration};

/// What a share of a slot's probes looks like.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
/// How many columns a distribution takes.
const COLUMNS: u32 = 32;

/// The report as tables of at most `width` columns, with a line above that says what they are about and notes below.
pub fn render(report: &SeriesReport, width: Option<u16>) -> String {
    let mut text = format!(
        "Series in ms, {} to {}, slots of {}\n",
        rfc3339::seconds(report.from),
        rfc3339::seconds(report.to),
        duration::text(Duration::from_secs(report.question.step_seconds.unwrap_or(0)))
    );
    if report.series.is_empty() {
        text.push_str("\nNothing was measured in that span. Is an agent enrolled and running? See `peerlight-collector agent list`.\n");
        return text;
    }
    for row in &report.series {
        let range = range(&row.slots);
        let _ = write!(text, "\n{} · {}", row.group.label(&report.question.by), row.metric);
        let _ = match range {
            Some((low, high)) => write!(text, ", {} to {} ms\n\n", figure::ms(low), figure::ms(high)),
            None => write!(text, ", nothing answered\n\n"),
        };
        let mut table = plain(width);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let figures = ["SENT", "LOSS", "P5", "P50", "P95", "P95+LOSS"].map(|title| right(title.to_owned()));
        let ends = [Cell::new("SLOT")].into_iter().chain(figures).chain([Cell::new("TIMES, LOG")]);
        table.set_header(ends);
        for slot in &row.slots {
            let cells = figures_of(slot).map(right).into_iter();
            let times = Cell::new(drawn(&slot.bins, range));
            table.add_row([Cell::new(rfc3339::seconds(slot.slot))].into_iter().chain(cells).chain([times]));
        }
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        text.push_str(&table.trim_fmt());
        text.push('\n');
    }
    text.push_str(
        "\nTIMES: from the least to the greatest of the series, the darker the more of the slot's probes.\n",
    );
    text
}

fn figures_of(slot: &SeriesSlot) -> [String; 6] {
    let ms = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), figure::ms);
    let loss = match (slot.no_loss_because, slot.loss) {
        (Some(NoLoss::IcmpSilent), _) => "icmp silent".to_owned(),
        (None, loss) => loss.map_or_else(|| NONE.to_owned(), |loss| figure::percent(loss.value)),
    };
    let latency = &slot.latency_ms;
    [
        slot.sent.to_string(),
        loss,
        ms(latency.p5),
        ms(latency.p50),
        ms(latency.p95),
        with_loss(latency.p95, slot.latency_incl_loss_ms.p95),
    ]
}

/// From where to where times lie; none where nothing was answered.
pub(crate) fn range(slots: &[SeriesSlot]) -> Option<(f64, f64)> {
    let bins = || slots.iter().flat_map(|slot| &slot.bins);
    let low = bins().map(|bin| bin.from_ms).min_by(f64::total_cmp)?;
    let high = bins().map(|bin| bin.to_ms).max_by(f64::total_cmp)?;
    Some((low.max(0.001), high))
}

/// A distribution on a logarithmic scale.
pub(crate) fn drawn(bins: &[Bin], range: Option<(f64, f64)>) -> String {
    let Some((low, high)) = range.filter(|(low, high)| low < high) else { return String::new() };
    let mut shares = [0.0_f64; COLUMNS as usize];
    let all: u64 = bins.iter().map(|bin| bin.count).sum();
    for bin in bins {
        let middle = (bin.from_ms.max(low) * bin.to_ms).sqrt();
        let place = (middle / low).ln() / (high / low).ln() * f64::from(COLUMNS);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the columns")]
        let column = place.clamp(0.0, f64::from(COLUMNS - 1)) as usize;
        shares[column] += ratio(bin.count, all);
    }
    let shade = |share: f64| match share {
        share if share <= 0.0 => ' ',
        share if share < 0.03 => SHADES[0],
        share if share < 0.1 => SHADES[1],
        share if share < 0.25 => SHADES[2],
        share if share < 0.5 => SHADES[3],
        _ => SHADES[4],
    };
    shares.map(shade).iter().collect::<String>().trim_end().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_darker_where_more_probes_lie() {
        let bin = |from_ms: f64, count| Bin { from_ms, to_ms: from_ms * 1.05, count };
        let text = drawn(&[bin(10.0, 60), bin(20.0, 35), bin(150.0, 5)], Some((10.0, 160.0)));
        assert_eq!(text.chars().filter(|shade| *shade != ' ').collect::<String>(), "█▓░");
        assert_eq!((drawn(&[], Some((1.0, 2.0))), drawn(&[], None)), (String::new(), String::new()));
    }
}
