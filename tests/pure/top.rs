//! `lbd top` without a terminal: whole screens against recorded ones, and keys as a table.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::{env, fs};

use lbd::escape;
use lbd::top::{
    Beside, Key, LINES_AROUND, Model, Outcome, Palette, Screen, Sort, TableReading, View, draw, lines,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;
use serde_json::{Value, json};

fn counters(connections: u64, incoming: u64, outgoing: u64) -> Value {
    json!({
        "connections": connections,
        "incoming_packets": incoming / 100,
        "outgoing_packets": outgoing / 100,
        "incoming_bytes": incoming,
        "outgoing_bytes": outgoing,
    })
}

fn server(name: &str, state: &str, rates: &Value, reason: Option<&str>) -> Value {
    let weight = if state == "serving" { 100 } else { 0 };
    let mut row = json!({
        "server": name, "forward": "nat", "weight": weight, "file_weight": 100, "active": 12, "inactive": 3, "persistent": 0, "state": state,
        "statistics": rates, "rates": rates,
    });
    if let Some(text) = reason {
        row["reason"] =
            json!({ "kind": "check", "text": text, "since": "2026-11-29T09:10:00Z", "until": null });
    }
    row
}

fn service(name: &str, cluster: Option<&str>, servers: Vec<Value>, rates: &Value) -> Value {
    let mut states = serde_json::Map::new();
    for server in &servers {
        let count = states.entry(server["state"].as_str().unwrap()).or_insert(json!(0));
        *count = json!(count.as_u64().unwrap() + 1);
    }
    let active: u64 = servers.iter().map(|server| server["active"].as_u64().unwrap()).sum();
    json!({
        "service": name, "cluster": cluster, "scheduler": "wrr", "missing": false, "active": active, "inactive": 0, "persistent": 0,
        "statistics": rates, "rates": rates, "servers_by_state": states, "servers": servers,
    })
}

fn document(services: Vec<Value>) -> Value {
    json!({
        "version": 1, "at": "2026-11-29T09:15:36Z", "in_sync": true, "counters": "running",
        "report": [
            "in sync: 2 services, 3 servers",
            "2 servers out of service by their checks",
            "daemon: process 4711 since 2026-11-29T08:00:00Z, watching /etc/lbd/desired.yaml",
            "warning: net.ipv4.ip_forward is 0",
        ],
        "totals": { "statistics": counters(1, 2, 3), "rates": counters(1234, 12_345_678, 987_654_321) },
        "services": services,
    })
}

/// Two clusters, and a service of another program.
fn usual() -> Value {
    document(vec![
        service(
            "tcp://10.0.0.13:80",
            Some("web"),
            vec![
                server("192.168.8.14:80", "serving", &counters(600, 6_000_000, 60_000_000), None),
                server("192.168.8.15:80", "serving", &counters(200, 2_000_000, 20_000_000), None),
                server("192.168.8.16:80", "failing", &counters(0, 0, 0), Some("status 500 instead of 200")),
            ],
            &counters(800, 8_000_000, 80_000_000),
        ),
        service(
            "udp://[2001:db8::13]:53",
            Some("dns"),
            vec![
                server("[2001:db8:1::14]:53", "serving", &counters(434, 43_400, 99_000), None),
                server(
                    "[2001:db8:1::15]:53",
                    "draining",
                    &counters(0, 0, 0),
                    Some("left the file; 12 connections"),
                ),
            ],
            &counters(434, 43_400, 99_000),
        ),
        service("tcp://10.0.0.99:25", None, vec![], &counters(0, 0, 0)),
    ])
}

fn model(document: Value) -> Model {
    let mut model = Model::default();
    model.take(serde_json::from_value::<TableReading>(document).unwrap());
    model
}

/// Of a screen of this height.
fn view(model: &Model, height: u16) -> View {
    let mut view = View::new(usize::from(height - LINES_AROUND));
    view.update(model);
    view
}

fn terminal(
    model: &Model,
    view: &View,
    beside: &Beside,
    (width, height): (u16, u16),
    is_coloured: bool,
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, view, beside, Palette { is_coloured })).unwrap();
    terminal
}

/// The letters of a screen, line by line. What a wide letter covers is none.
fn screen(model: &Model, view: &View, beside: &Beside, size: (u16, u16)) -> String {
    let terminal = terminal(model, view, beside, size, true);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..size.1 {
        let mut line = String::new();
        let mut x = 0;
        while x < size.0 {
            let letter = buffer[(x, y)].symbol();
            line.push_str(letter);
            x += u16::try_from(Span::raw(letter).width().max(1)).unwrap();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Compares with the recorded screen; `LBD_RECORD=1` records it.
fn compare(name: &str, screen: &str) {
    let path = Path::new("tests/data/top").join(format!("{name}.txt"));
    if env::var_os("LBD_RECORD").is_some() {
        fs::write(&path, screen).unwrap();
    }
    assert_eq!(screen, fs::read_to_string(&path).unwrap(), "{}", path.display());
}

fn press(view: &mut View, model: &Model, keys: &[Key]) {
    for key in keys {
        assert_eq!(view.key(*key, model), Outcome::GoOn, "{key:?}");
    }
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(Key::Letter).collect()
}

#[test]
fn the_usual_screens_are_as_recorded() {
    let model = model(usual());
    for (name, size) in [("80x24", (80, 24)), ("40x12", (40, 12)), ("140x24", (140, 24)), ("20x5", (20, 5))] {
        compare(name, &screen(&model, &view(&model, size.1), &Beside::default(), size));
    }
    // Whatever the size, nothing panics.
    for width in (1..130).step_by(3) {
        for height in [1, 2, 3, 4, 5, 19] {
            let mut view = View::new(usize::from(height).saturating_sub(usize::from(LINES_AROUND)));
            view.update(&model);
            screen(&model, &view, &Beside::default(), (width, height));
        }
    }
}

#[test]
fn a_server_the_report_and_the_keys_have_their_screens() {
    let model = model(usual());
    let mut of = view(&model, 24);
    let beside = Beside {
        problem: None,
        connections: vec![
            "192.0.2.7:51234 -> tcp://10.0.0.13:80 -> 192.168.8.16:80  ESTABLISHED, 14m 57s".into(),
        ],
        plan: vec!["add server 192.168.8.17:80 to tcp://10.0.0.13:80".into()],
    };
    // The third server of the cluster web.
    press(
        &mut of,
        &model,
        &[&typed("/500")[..], &[Key::Escape], &typed("sss"), &[Key::Down; 2], &[Key::Enter]].concat(),
    );
    let Screen::Server { service, server } = of.screen.clone() else { panic!("{:?}", of.screen) };
    assert_eq!((service.as_str(), server.as_str()), ("tcp://10.0.0.13:80", "192.168.8.16:80"));
    let wanted = of.wanted(&model);
    assert_eq!((wanted.clusters, wanted.server), (vec!["web".to_owned()], Some((service, server))));
    compare("server", &screen(&model, &of, &beside, (80, 24)));
    press(&mut of, &model, &[Key::Escape, Key::Letter('w')]);
    assert!(of.wanted(&model).plan);
    compare("report", &screen(&model, &of, &beside, (80, 24)));
    press(&mut of, &model, &[Key::Escape, Key::Letter('?')]);
    compare("help", &screen(&model, &of, &beside, (80, 24)));
    press(&mut of, &model, &[Key::Escape]);
    assert_eq!(of.screen, Screen::List);
}

#[test]
fn states_without_numbers_are_as_recorded() {
    let mut stopped = usual();
    stopped["counters"] = json!("stopped");
    stopped["in_sync"] = json!(false);
    stopped["report"] =
        json!(["not in sync: 1 to add", "refused: 3 of 3 servers would go", "daemon: not running"]);
    for service in stopped["services"].as_array_mut().unwrap() {
        service.as_object_mut().unwrap().remove("rates");
        service["servers"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|server| drop(server.as_object_mut().unwrap().remove("rates")));
    }
    let stopped = model(stopped);
    compare("stopped", &screen(&stopped, &view(&stopped, 24), &Beside::default(), (80, 24)));
    let empty = model(document(Vec::new()));
    compare("empty", &screen(&empty, &view(&empty, 12), &Beside::default(), (80, 12)));
    let (nothing, problem) = (Model::default(), Some("/run/lbd/lbd.sock: no daemon answers\u{1b}[2J".into()));
    let beside = Beside { problem, ..Beside::default() };
    compare("unreadable", &screen(&nothing, &view(&nothing, 12), &beside, (80, 12)));
    compare("first", &screen(&nothing, &view(&nothing, 12), &Beside::default(), (80, 12)));
}

#[test]
fn hostile_names_move_no_cursor_and_no_column() {
    let evil = [
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "负载均衡器负载均衡器负载均衡器负载均衡器",
        "a\u{202e}b\nc\td",
        "e\u{301}\u{301}🦀👨‍👩‍👧",
        "",
    ];
    let mut services = Vec::new();
    for (at, name) in evil.iter().enumerate() {
        let rates = counters(7, 8000, 9000);
        let servers = vec![server(name, name, &rates, Some(name))];
        services.push(service(&format!("tcp://10.0.0.{at}:80{name}"), Some(name), servers, &rates));
    }
    let mut document = document(services);
    document["report"] = json!(evil);
    document["at"] = json!("负载均衡器");
    let model = model(document);
    for (name, size) in [("hostile", (80, 24)), ("hostile_wide", (140, 24))] {
        let shown = screen(&model, &view(&model, size.1), &Beside::default(), size);
        assert!(shown.chars().all(|letter| letter == '\n' || !escape::is_harmful(letter)), "{shown:?}");
        compare(name, &shown);
    }
    for line in lines(&model, &view(&model, 24), 140) {
        assert!(!line.chars().any(escape::is_harmful), "{line:?}");
    }
}

#[test]
fn without_colours_no_cell_has_one_and_the_selection_is_seen() {
    let model = model(usual());
    for is_coloured in [false, true] {
        let terminal = terminal(&model, &view(&model, 24), &Beside::default(), (80, 24), is_coloured);
        let cells = &terminal.backend().buffer().content;
        assert_eq!(cells.iter().any(|cell| cell.fg != Color::Reset), is_coloured);
        // 16 colours.
        assert!(cells.iter().all(|cell| !matches!(cell.fg, Color::Rgb(..) | Color::Indexed(_))));
        assert_eq!(cells.iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED)).count(), 80);
    }
}

#[test]
fn the_text_of_once_has_all_rows() {
    let model = model(usual());
    let mut view = View::new(0);
    view.unfold_all(&model);
    let text: String = lines(&model, &view, 140).map(|line| line + "\n").collect();
    compare("once", &text);
}

/// The names at the begin of the rows on a screen that has room for all.
fn rows(model: &Model, view: &View) -> Vec<String> {
    let shown = lines(model, view, 40).skip(3).map(|line| {
        let end = line.find("  ").filter(|end| *end > 6).unwrap_or(line.len());
        line[..end].trim().trim_start_matches(['+', '-', ' ']).split(' ').next().unwrap().to_owned()
    });
    shown.collect()
}

#[test]
fn keys_sort_filter_fold_and_pause() {
    let model = model(usual());
    let clusters = |view: &View| -> Vec<String> {
        let names = rows(&model, view);
        names.into_iter().filter(|name| ["dns", "web", "(other"].contains(&name.as_str())).collect()
    };
    // (Keys, clusters in their order, rows, the selected one, how they are sorted)
    let table: [(&str, &[&str], usize, usize, Sort); 12] = [
        ("", &["dns", "web", "(other"], 11, 0, Sort::Name),
        ("r", &["(other", "web", "dns"], 11, 0, Sort::Name),
        ("s", &["web", "dns", "(other"], 11, 0, Sort::Connections),
        ("ss", &["web", "dns", "(other"], 11, 0, Sort::Bytes),
        ("sss", &["web", "dns", "(other"], 11, 0, Sort::Failing),
        ("ssss", &["dns", "web", "(other"], 11, 0, Sort::Name),
        ("jjk", &["dns", "web", "(other"], 11, 1, Sort::Name),
        ("G", &["dns", "web", "(other"], 11, 10, Sort::Name),
        ("Gg", &["dns", "web", "(other"], 11, 0, Sort::Name),
        (" ", &["dns", "web", "(other"], 8, 0, Sort::Name),
        ("j ", &["dns", "web", "(other"], 9, 1, Sort::Name),
        ("/fail", &["web"], 5, 0, Sort::Name),
    ];
    for (keys, expected, count, selected, sort) in table {
        let mut view = view(&model, 24);
        press(&mut view, &model, &typed(keys));
        let seen = (clusters(&view), view.rows.len(), view.selected, view.sort);
        assert_eq!(
            seen,
            (expected.iter().map(|name| (*name).to_owned()).collect(), count, selected, sort),
            "{keys}"
        );
    }
    let mut view = view(&model, 24);
    press(&mut view, &model, &[&typed("/web")[..], &[Key::Enter, Key::Letter('p')]].concat());
    assert_eq!(
        (view.filter.as_str(), view.is_typing, view.is_paused, view.rows.len()),
        ("web", false, true, 5)
    );
    press(&mut view, &model, &[Key::Letter('p'), Key::Escape]);
    assert_eq!((view.filter.as_str(), view.is_paused, view.rows.len()), ("", false, 11));
    // A letter of the filter is no key; Ctrl-C is.
    press(&mut view, &model, &typed("/q"));
    assert_eq!(view.filter, "q");
    assert_eq!(view.key(Key::Interrupt, &model), Outcome::End);
    press(&mut view, &model, &[Key::Escape]);
    assert_eq!(view.key(Key::Letter('q'), &model), Outcome::End);
    // To the left from a server: to its service, which folds, then to its cluster, which folds.
    press(&mut view, &model, &[&typed("jj")[..], &[Key::Left, Key::Left, Key::Left, Key::Left]].concat());
    assert_eq!((view.selected, view.rows.len()), (0, 8));
}

#[test]
fn the_selection_stays_at_its_server_when_rows_move() {
    let mut model = model(usual());
    let mut view = view(&model, 24);
    press(&mut view, &model, &typed("jjjjjj"));
    let before = rows(&model, &view)[view.selected].clone();
    let mut moved = usual();
    moved["services"].as_array_mut().unwrap().retain(|service| service["cluster"] != "dns");
    model.take(serde_json::from_value(moved).unwrap());
    view.update(&model);
    assert_eq!((view.selected, rows(&model, &view)[view.selected].clone()), (2, before));
}

#[test]
fn of_ten_thousand_services_only_those_on_the_screen_are_read_in_detail() {
    let rates = counters(5, 600, 700);
    let services = (0..10_000).map(|number| {
        let mut row = service(
            &format!("tcp://10.{}.{}.1:80", number / 256, number % 256),
            Some(&format!("cluster-{number:05}")),
            vec![server("192.168.8.14:80", "serving", &rates, None)],
            &rates,
        );
        row.as_object_mut().unwrap().remove("servers");
        row
    });
    let mut model = model(document(services.collect()));
    let mut view = view(&model, 24);
    assert_eq!((view.rows.len(), view.wanted(&model).clusters), (10_000, Vec::<String>::new()));
    press(&mut view, &model, &[Key::End, Key::Up, Key::Enter]);
    assert_eq!(view.wanted(&model).clusters, ["cluster-09998"]);
    compare("many", &screen(&model, &view, &Beside::default(), (80, 24)));
    let detail = json!({
        "version": 1, "at": "", "in_sync": true, "counters": "running",
        "services": [service("tcp://10.39.14.1:80", Some("cluster-09998"), vec![server("192.168.8.14:80", "serving", &rates, None)], &rates)],
    });
    model.take_servers(serde_json::from_value(detail).unwrap());
    view.update(&model);
    press(&mut view, &model, &[Key::Down, Key::Down]);
    compare("many_read", &screen(&model, &view, &Beside::default(), (80, 24)));
    // Unfolded, and no longer on the screen.
    press(&mut view, &model, &[Key::Home]);
    assert_eq!(view.wanted(&model).clusters, Vec::<String>::new());
}
