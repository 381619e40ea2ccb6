//! The screen: all targets in a line each, and below them the chosen one with its smoke, its distribution and its phases.

use super::{
    scene::{Line, Scene},
    smoke::{self, Scale},
};
use crate::oneshot::{
    canvas::Canvas,
    painted::{Colour, Painted},
    render::{histogram, live, phases, text_of_us},
    tally::{Row, Tally},
};
use peerlight_proto::duration;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    symbols::border,
    text::{Line as Text, Span},
    widgets::{Block, Paragraph},
};
use std::time::Duration;

/// The columns left of the smoke: a time, and a gap.
const AXIS: usize = LABEL + 1;
const LABEL: usize = 10;
/// The fewest rows of smoke; what stands below it goes first.
const LEAST_ROWS: usize = 4;
/// The rows that the chosen target needs besides: its figures, the failures, and the axis of time.
const FIXED_ROWS: usize = 3;
const PERCENTILES: [(&str, u32); 4] = [("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990)];
const ASCII_BORDER: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws everything that has room.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene, tally: &Tally, elapsed: Duration, canvas: Canvas) {
    let area = frame.area();
    let canvas = Canvas { width: Some(usize::from(area.width)), ..canvas };
    let listed = u16::try_from(scene.lines().count()).unwrap_or(u16::MAX).min((area.height / 3).max(1));
    let [title, header, list, chosen, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(listed),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    show(frame, title, &[heading(scene, elapsed)], canvas);
    let name_columns = live::name_columns(scene.longest_name(), usize::from(area.width));
    show(frame, header, &[live::header(name_columns)], canvas);
    draw_list(frame, list, scene, tally, name_columns, canvas);
    if let Some(line) = scene.lines().nth(scene.chosen()) {
        draw_chosen(frame, chosen, line, scene, tally, canvas);
    }
    show(frame, keys, &[help(scene, canvas)], canvas);
}

fn show(frame: &mut Frame<'_>, area: Rect, lines: &[Painted], canvas: Canvas) {
    frame
        .render_widget(Paragraph::new(lines.iter().map(|line| text(line, canvas)).collect::<Vec<_>>()), area);
}

fn text(line: &Painted, canvas: Canvas) -> Text<'_> {
    line.pieces()
        .map(|(colour, piece)| {
            let style = colour
                .filter(|_| canvas.colour)
                .map_or_else(Style::new, |colour| Style::new().fg(color(colour)));
            Span::styled(piece, style)
        })
        .collect()
}

const fn color(colour: Colour) -> Color {
    match colour {
        Colour::Red => Color::Red,
        Colour::Green => Color::Green,
        Colour::Yellow => Color::Yellow,
        Colour::Blue => Color::Blue,
        Colour::Magenta => Color::Magenta,
        Colour::Cyan => Color::Cyan,
        Colour::Grey => Color::DarkGray,
    }
}

fn heading(scene: &Scene, elapsed: Duration) -> Painted {
    let targets = scene.targets();
    let noun = if targets == 1 { "target" } else { "targets" };
    let elapsed = duration::text(Duration::from_secs(elapsed.as_secs()));
    Painted::plain(format!(
        "Peerlight: {targets} {noun}, each every {}, for {elapsed}",
        duration::text(scene.interval())
    ))
}

fn help(scene: &Scene, canvas: Canvas) -> Painted {
    let (vertical, horizontal) = (canvas.either("↑↓", "j k"), canvas.either("←→", "- +"));
    let column = duration::text(scene.column());
    Painted::of(Colour::Grey, format!("q quit   {vertical} target   {horizontal} time, {column} a column"))
}

/// As many lines as there is room for, the chosen one among them.
fn draw_list(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &Scene,
    tally: &Tally,
    name_columns: usize,
    canvas: Canvas,
) {
    let height = usize::from(area.height);
    let first = (scene.chosen() + 1).saturating_sub(height);
    let none = Row::default();
    for (place, (number, line)) in scene.lines().enumerate().skip(first).take(height).enumerate() {
        let row = tally.row(&line.key).unwrap_or(&none);
        let drawn = live::line(&line.name, name_columns, row, &line.history, usize::from(area.width), canvas);
        let chosen = if number == scene.chosen() { Modifier::REVERSED } else { Modifier::empty() };
        let area = Rect { y: area.y + u16::try_from(place).unwrap_or(0), height: 1, ..area };
        frame.render_widget(
            Paragraph::new(text(&drawn, canvas)).style(Style::new().add_modifier(chosen)),
            area,
        );
    }
}

fn draw_chosen(frame: &mut Frame<'_>, area: Rect, line: &Line, scene: &Scene, tally: &Tally, canvas: Canvas) {
    let title = format!(" {} {} by the clock {} ", line.name, line.key.metric, line.key.clock);
    let title = canvas.shorten(&title, usize::from(area.width).saturating_sub(4));
    let block =
        Block::bordered().title(title).border_set(if canvas.unicode { border::PLAIN } else { ASCII_BORDER });
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    if height <= FIXED_ROWS || width <= AXIS {
        return;
    }
    let none = Row::default();
    let row = tally.row(&line.key).unwrap_or(&none);
    let mut below = below(line, row, tally, width, Canvas { width: Some(width), ..canvas });
    below.truncate(height.saturating_sub(FIXED_ROWS + LEAST_ROWS));
    let mut lines = vec![figures(row, width, canvas)];
    lines.extend(smoke(line, scene, width - AXIS, height - FIXED_ROWS - below.len(), canvas));
    lines.extend(below);
    show(frame, inner, &lines, canvas);
}

/// The smoke with its axes, in `height` rows and the two of failures and time.
fn smoke(line: &Line, scene: &Scene, width: usize, height: usize, canvas: Canvas) -> Vec<Painted> {
    let columns = line.history.columns(scene.span(), width);
    let left = " ".repeat(width - columns.len());
    let mut lines = Vec::new();
    if let Some(scale) = Scale::of(&columns) {
        for (place, row) in smoke::rows(&columns, scale, height, canvas).iter().enumerate() {
            let is_named = place == 0 || place == height / 2 || place + 1 == height;
            let us = scale.at(height - 1 - place, height);
            let label = if is_named { text_of_us(Some(us), canvas) } else { String::new() };
            let mut drawn = Painted::of(Colour::Grey, format!("{label:>LABEL$} ")).then(None, &left);
            drawn.append(row);
            lines.push(drawn);
        }
    }
    lines.resize_with(height, Painted::default);
    let mut failures = Painted::of(Colour::Grey, format!("{:>LABEL$} ", "failed")).then(None, &left);
    failures.append(&smoke::failures(&columns, histogram::blocks(canvas)));
    lines.push(failures);
    let ago = duration::text(scene.column().saturating_mul(u32::try_from(width).unwrap_or(u32::MAX)));
    let ago = format!("{ago} ago");
    let gap = width.saturating_sub(ago.len());
    lines.push(Painted::of(Colour::Grey, format!("{:AXIS$}{ago}{:>gap$}", "", "now")));
    lines
}

/// As many figures as one line has room for.
fn figures(row: &Row, width: usize, canvas: Canvas) -> Painted {
    let mut figures: Vec<(String, Option<Colour>)> = Vec::new();
    let loss = row.loss_ratio();
    let gone = row.counters.network_lost();
    let loss = loss.map_or_else(
        || format!("no answer, refused {}", row.counters.refused),
        |loss| format!("loss {:.1}% ({gone} of {})", loss * 100.0, gone + row.counters.answered),
    );
    figures.push((loss, (gone > 0).then_some(Colour::Red)));
    for (name, permille) in PERCENTILES {
        figures.push((format!("{name} {}", text_of_us(row.percentile(permille), canvas)), None));
    }
    figures.push((format!("max {}", text_of_us(row.histogram.max_us(), canvas)), None));
    if let Some(jitter) = row.jitter_us() {
        figures.push((format!("jitter {:.3}", jitter / 1e3), None));
    }
    let mut line = Painted::default();
    for (figure, colour) in figures {
        if line.columns() + 2 + figure.chars().count() > width {
            break;
        }
        if line.columns() > 0 {
            line.push(None, "  ");
        }
        line.push(colour, &figure);
    }
    line
}

/// What stands below the smoke, what matters most first: why probes fail, the distribution, the phases.
fn below(line: &Line, row: &Row, tally: &Tally, width: usize, canvas: Canvas) -> Vec<Painted> {
    let of_line = |(subject, family, ..): &(usize, _, &str, u64)| {
        (*subject, *family) == (line.key.subject, line.key.family)
    };
    let cause = tally.errors().filter(of_line).max_by_key(|(.., count)| *count);
    let mut below = Vec::new();
    if let Some((.., cause, count)) = cause {
        let text = format!("{count} {} {cause}", canvas.either("×", "x"));
        below.push(Painted::of(Colour::Red, canvas.shorten(&text, width)));
    }
    if row.histogram.count() > 1 {
        below.push(histogram::framed(&row.histogram, width.saturating_sub(histogram::BESIDE), canvas));
    }
    if let Some(stack) = phases::stack(tally, line.key.subject, line.key.family) {
        below.push(Painted::plain(stack.heading()));
        below.extend(stack.lines(width, canvas));
    }
    below
}
