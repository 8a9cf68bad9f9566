//! Draws the screens: what was read, as the view has it, into the cells of a terminal.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::columns::{Column, Columns};
use super::model::{Model, Numbers};
use super::palette::Palette;
use super::row::ShownRow;
use super::screens;
use super::view::{Screen, View};
use crate::escape;
use crate::report::short_number;

/// How many lines of the screen are no rows: two of the head, the names of the columns, and the foot.
pub const LINES_AROUND: u16 = 4;

/// What is shown beside the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Why nothing was read, if so
    pub problem: Option<String>,
    /// The connections of the server on the screen, each as a line
    pub connections: Vec<String>,
    /// What differs, line by line
    pub plan: Vec<String>,
}

/// Draws a screen.
pub fn draw(frame: &mut Frame<'_>, model: &Model, view: &View, beside: &Beside, palette: Palette) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    head(buffer, area, model, view, beside, palette);
    let body =
        Rect { y: area.y.saturating_add(2), height: area.height.saturating_sub(LINES_AROUND - 1), ..area };
    match &view.screen {
        Screen::List => table(buffer, body, model, view, palette),
        Screen::Server { service, server } => {
            let lines = screens::server(model, service, server, &beside.connections);
            text(buffer, body, &lines, view.scrolled);
        }
        Screen::Report => text(buffer, body, &screens::report(model, &beside.plan), view.scrolled),
        Screen::Help => text(buffer, body, &screens::help(), view.scrolled),
    }
    foot(buffer, area, view);
}

/// Writes the head of two lines and all rows as lines of text, `width` cells wide, without spaces at their ends.
pub fn lines(model: &Model, view: &View, width: u16) -> impl Iterator<Item = String> {
    let palette = Palette { is_coloured: false };
    let (area, line) = (Rect::new(0, 0, width, 2), Rect::new(0, 0, width, 1));
    let columns = Columns::new(width);
    let mut buffer = Buffer::empty(area);
    head(&mut buffer, area, model, view, &Beside::default(), palette);
    let mut first: Vec<String> = (0..2).map(|y| text_of(&buffer, y)).collect();
    let mut buffer = Buffer::empty(line);
    names(&mut buffer, line, &columns);
    first.push(text_of(&buffer, 0));
    let rows = view.rows.iter().filter_map(move |row| {
        let shown = ShownRow::of(model, view, *row, palette)?;
        let mut buffer = Buffer::empty(line);
        shown_row(&mut buffer, line, &columns, &shown, palette);
        Some(text_of(&buffer, 0))
    });
    first.into_iter().chain(rows)
}

/// The text of a line of cells. A wide letter has its own cell, and the one behind it.
fn text_of(buffer: &Buffer, y: u16) -> String {
    let mut text = String::new();
    let mut covered = 0;
    for x in 0..buffer.area.width {
        let Some(cell) = buffer.cell((x, y)) else { continue };
        if covered > 0 {
            covered -= 1;
            continue;
        }
        text.push_str(cell.symbol());
        covered = Span::raw(cell.symbol()).width().saturating_sub(1);
    }
    text.truncate(text.trim_end().len());
    text
}

/// Puts a text of others into the cells of a line, from `x` on and at most `width`; `~` where it is longer.
pub(super) fn put(buffer: &mut Buffer, (x, y): (u16, u16), width: u16, text: &str, style: Style) {
    // (More than a line is never looked at.)
    let more = text.char_indices().nth(usize::from(width).saturating_mul(8)).map(|(at, _)| at);
    let (is_cut, end) = (more.is_some(), more.unwrap_or(text.len()));
    let text = escape::text(text.get(..end).unwrap_or_default());
    let inside = buffer.area.right().saturating_sub(x).min(width);
    if inside == 0 || !(buffer.area.top()..buffer.area.bottom()).contains(&y) {
        return;
    }
    if !is_cut && Span::raw(text.as_ref()).width() <= usize::from(inside) {
        buffer.set_stringn(x, y, &text, inside.into(), style);
        return;
    }
    let (behind, _) = buffer.set_stringn(x, y, &text, usize::from(inside - 1), style);
    buffer.set_stringn(behind, y, "~", 1, style);
}

/// The same, at the right end of the cells.
pub(super) fn put_right(buffer: &mut Buffer, (x, y): (u16, u16), width: u16, text: &str, style: Style) {
    let length = u16::try_from(Span::raw(text).width()).unwrap_or(width).min(width);
    put(buffer, (x.saturating_add(width - length), y), length, text, style);
}

/// In sync or why not; the daemon, the host's rates, and when that was.
fn head(buffer: &mut Buffer, area: Rect, model: &Model, view: &View, beside: &Beside, palette: Palette) {
    let place = |line: u16| (area.x, area.y.saturating_add(line));
    let is_daemon = |line: &&String| line.starts_with("daemon:");
    let (text, colour) = match &beside.problem {
        Some(problem) => (format!("nothing can be read: {problem}"), Color::Red),
        None if model.at.is_empty() => ("reading".to_owned(), Color::Yellow),
        None => {
            let until_daemon: Vec<&str> =
                model.report.iter().take_while(|line| !is_daemon(line)).map(String::as_str).collect();
            let text = match until_daemon.is_empty() {
                true if model.in_sync => "in sync".to_owned(),
                true => "not in sync".to_owned(),
                false => until_daemon.join("; "),
            };
            (text, if model.in_sync { Color::Green } else { Color::Red })
        }
    };
    put(buffer, place(0), area.width, &text, palette.colour(colour).add_modifier(Modifier::BOLD));
    if area.height < 2 {
        return;
    }
    let host = match (model.is_stopped, model.host) {
        (true, _) => "not counted: net.ipv4.vs.run_estimation is 0".to_owned(),
        (false, None) => String::new(),
        (false, Some(rates)) => format!(
            "host: {} conn/s, {} in, {} out",
            short_number(rates.connections),
            short_number(rates.incoming_bytes),
            short_number(rates.outgoing_bytes)
        ),
    };
    let paused = if view.is_paused { "paused " } else { "" };
    // The time without the day.
    let at = model.at.get(11..).unwrap_or_default();
    // The time alone, where there is no room for more.
    let (whole, at) = (format!("{host}  {paused}{at}"), format!("{paused}{at}"));
    let fits = Span::raw(whole.as_str()).width() <= area.width.into();
    let right = if fits { whole.trim_start() } else { at.as_str() };
    let length = u16::try_from(Span::raw(right).width()).unwrap_or(area.width).min(area.width);
    put_right(buffer, place(1), area.width, right, Style::new());
    let daemon = model.report.iter().find(is_daemon).map(String::as_str).unwrap_or_default();
    if let Some(left) = area.width.checked_sub(length.saturating_add(2)).filter(|left| *left >= 12) {
        put(buffer, place(1), left, daemon, Style::new());
    }
}

fn foot(buffer: &mut Buffer, area: Rect, view: &View) {
    let Some(y) = area.bottom().checked_sub(1).filter(|_| area.height >= LINES_AROUND) else { return };
    let order = if view.is_reversed { ", reversed" } else { "" };
    let text = match &view.screen {
        _ if view.is_typing => format!("/{}_  Enter: done, Esc: no filter", view.filter),
        Screen::List => {
            let filter = match view.filter.is_empty() {
                true => String::new(),
                false => format!(", only /{}", view.filter),
            };
            let pause = if view.is_paused { "p goes on" } else { "p pause" };
            format!(
                "? help  q quit  s {}{order}{filter}  / filter  {pause}  w why  Enter fold",
                view.sort.as_str()
            )
        }
        Screen::Server { .. } | Screen::Report | Screen::Help => "Esc back  arrows scroll  q quit".to_owned(),
    };
    put(buffer, (area.x, y), area.width, &text, Style::new().add_modifier(Modifier::DIM));
}

/// Lines of a text, from one of them on.
fn text(buffer: &mut Buffer, area: Rect, lines: &[String], scrolled: usize) {
    // The last line stays on the screen.
    let scrolled = scrolled.min(lines.len().saturating_sub(1));
    for (y, line) in (area.top()..area.bottom()).zip(lines.iter().skip(scrolled)) {
        put(buffer, (area.x, y), area.width, line, Style::new());
    }
}

fn table(buffer: &mut Buffer, area: Rect, model: &Model, view: &View, palette: Palette) {
    let columns = Columns::new(area.width);
    names(buffer, area, &columns);
    let rows = Rect { y: area.y.saturating_add(1), height: area.height.saturating_sub(1), ..area };
    if view.rows.is_empty() && !model.at.is_empty() {
        let text = if view.filter.is_empty() {
            "there are no virtual services"
        } else {
            "nothing has this in its names"
        };
        put(buffer, (rows.x, rows.y), rows.width, text, Style::new());
    }
    let shown = view.rows.iter().enumerate().skip(view.first);
    for (y, (at, row)) in (rows.top()..rows.bottom()).zip(shown) {
        let Some(row) = ShownRow::of(model, view, *row, palette) else { continue };
        let line = Rect { y, height: 1, ..rows };
        shown_row(buffer, line, &columns, &row, palette);
        if at == view.selected {
            buffer.set_style(line, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// The names of the columns.
fn names(buffer: &mut Buffer, area: Rect, columns: &Columns) {
    let style = Style::new().add_modifier(Modifier::UNDERLINED);
    if area.height == 0 {
        return;
    }
    for (column, x, width) in columns.iter() {
        let place = (area.x.saturating_add(x), area.y);
        match column.is_number() {
            true => put_right(buffer, place, width, column.name(), style),
            false => put(buffer, place, width, column.name(), style),
        }
    }
}

fn shown_row(buffer: &mut Buffer, line: Rect, columns: &Columns, row: &ShownRow<'_>, palette: Palette) {
    let Numbers { rates, active, .. } = row.numbers;
    // (What is not counted is not zero.)
    let rate = |number: fn(&crate::model::Counters) -> u64| {
        rates.as_ref().map_or_else(|| "-".to_owned(), |rates| short_number(number(rates)))
    };
    for (column, x, width) in columns.iter() {
        let place = (line.x.saturating_add(x), line.y);
        match column {
            Column::Name => put(buffer, place, width, &row.name, row.name_style),
            Column::State => put(buffer, place, width, &row.state, row.state_style),
            Column::Weight => put_right(buffer, place, width, &row.weight, Style::new()),
            Column::Connections => {
                put_right(buffer, place, width, &rate(|rates| rates.connections), Style::new())
            }
            Column::Incoming => {
                put_right(buffer, place, width, &rate(|rates| rates.incoming_bytes), Style::new())
            }
            Column::Outgoing => {
                put_right(buffer, place, width, &rate(|rates| rates.outgoing_bytes), Style::new())
            }
            Column::Active => put_right(buffer, place, width, &short_number(active), Style::new()),
            Column::Share => put(buffer, place, width, &bar(row.share, width), palette.colour(Color::Blue)),
            Column::Reason => put(buffer, place, width, row.reason, row.state_style),
        }
    }
}

/// A bar of a share in thousandths.
fn bar(share: u64, width: u16) -> String {
    let length = share.min(1000).saturating_mul(width.into()).div_ceil(1000);
    "|".repeat(usize::try_from(length).unwrap_or_default())
}
