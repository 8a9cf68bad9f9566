//! Decides what is shown: keys and readings in; rows, selection and what to read next out.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::keys::{Key, Outcome};
use super::model::{Model, Numbers, Server, Service};
use super::sort::Sort;

/// How many services there are at most where each cluster is unfolded at first.
const UNFOLDED_AT_FIRST: usize = 20;
/// How long the names of clusters are together at most that are read in detail at once, in bytes: they are the target of one request.
const LONGEST_NAMES: usize = 2000;

/// What the screen shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// The table
    List,
    /// A server with its connections
    Server {
        /// Its service
        service: String,
        /// Its own name
        server: String,
    },
    /// The warnings, and what differs
    Report,
    /// The keys
    Help,
}

/// A row of the table, as places in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A cluster
    Cluster(usize),
    /// A service of a cluster
    Service(usize, usize),
    /// A server of a service of a cluster
    Server(usize, usize, usize),
    /// The servers of a service that were not read yet
    Unread(usize, usize),
}

/// What a row is about, also where it has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RowName {
    cluster: Option<String>,
    service: Option<String>,
    server: Option<String>,
}

/// What is to be read beside the numbers of all services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The clusters whose servers are on the screen
    pub clusters: Vec<String>,
    /// The server whose connections are on the screen: its service, and its own name
    pub server: Option<(String, String)>,
    /// How many connections fit on the screen
    pub connections: usize,
    /// Whether what differs is on the screen
    pub plan: bool,
}

/// What is shown, and how.
#[derive(Debug)]
pub struct View {
    /// What comes first
    pub sort: Sort,
    /// Whether that comes last
    pub is_reversed: bool,
    /// What a row has to have in its names; empty: all are shown
    pub filter: String,
    /// Whether letters go to the filter
    pub is_typing: bool,
    /// Whether nothing is read
    pub is_paused: bool,
    /// What the screen shows
    pub screen: Screen,
    /// The rows of the table
    pub rows: Vec<Row>,
    /// Which of them is selected
    pub selected: usize,
    /// What that is about
    selected_name: Option<RowName>,
    /// Which of them is the first on the screen
    pub first: usize,
    /// How many lines of another screen than the table are above it
    pub scrolled: usize,
    /// How many rows fit on the screen
    height: usize,
    /// The clusters that were folded, or unfolded
    unfolded: HashMap<Option<String>, bool>,
    /// The services that were folded
    folded: HashSet<String>,
}

impl View {
    /// The table, by name, on a screen on which so many rows fit.
    pub fn new(height: usize) -> Self {
        Self {
            sort: Sort::Name,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            screen: Screen::List,
            rows: Vec::new(),
            selected: 0,
            selected_name: None,
            first: 0,
            scrolled: 0,
            height,
            unfolded: HashMap::new(),
            folded: HashSet::new(),
        }
    }

    /// Shows so many rows from now on.
    pub fn resize(&mut self, height: usize) {
        self.height = height;
        self.scroll();
    }

    /// Takes what was read; the selection stays at what it is about.
    pub fn update(&mut self, model: &Model) {
        self.rows = self.rows_of(model);
        let name = self.selected_name.take();
        let is_selected = |row: &Row| name.is_some() && row_name(model, *row) == name;
        let place = self.rows.iter().position(is_selected);
        self.select(place.unwrap_or(self.selected), model);
    }

    fn scroll(&mut self) {
        let last = self.rows.len().saturating_sub(self.height);
        let lowest = (self.selected + 1).saturating_sub(self.height);
        self.first = self.first.clamp(lowest, self.selected.max(lowest)).min(last);
    }

    /// Whether the services of a cluster are shown.
    pub fn is_unfolded(&self, model: &Model, cluster: &Option<String>) -> bool {
        let at_first = || model.services().nth(UNFOLDED_AT_FIRST).is_none();
        self.unfolded.get(cluster).copied().unwrap_or_else(at_first)
    }

    /// Whether the servers of a service are shown, where it is.
    pub fn is_folded(&self, service: &str) -> bool {
        self.folded.contains(service)
    }

    /// Folds nothing: for a text of all there is.
    pub fn unfold_all(&mut self, model: &Model) {
        self.unfolded = model.clusters.iter().map(|cluster| (cluster.name.clone(), true)).collect();
        self.height = usize::MAX;
        self.update(model);
    }

    fn rows_of(&self, model: &Model) -> Vec<Row> {
        let filter = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&filter);
        let clusters = self.sorted(&model.clusters, |cluster| &cluster.numbers);
        let mut rows = Vec::new();
        for at in clusters {
            let Some(cluster) = model.clusters.get(at) else { continue };
            let is_whole = filter.is_empty() || cluster.name.as_deref().is_some_and(has);
            let is_wanted = |service: &Service| {
                let servers = model.servers(&service.name).unwrap_or_default();
                is_whole
                    || has(&service.name)
                    || service.servers_by_state.keys().any(|state| has(state))
                    || servers.iter().any(|server| has(&server.name))
            };
            let services = self.sorted(&cluster.services, |(_, numbers)| numbers);
            let wanted: Vec<(usize, &Service)> = services
                .into_iter()
                .filter_map(|at| Some((at, &cluster.services.get(at)?.0)))
                .filter(|(_, service)| is_wanted(service))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            rows.push(Row::Cluster(at));
            if !self.is_unfolded(model, &cluster.name) {
                continue;
            }
            for (place, service) in wanted {
                rows.push(Row::Service(at, place));
                if self.is_folded(&service.name) {
                    continue;
                }
                match model.servers(&service.name) {
                    Some(servers) => {
                        let sorted = self.sorted_servers(servers);
                        rows.extend(sorted.into_iter().map(|server| Row::Server(at, place, server)));
                    }
                    // Those of other programs have no cluster to read them by.
                    None if cluster.name.is_some() => rows.push(Row::Unread(at, place)),
                    None => {}
                }
            }
        }
        rows
    }

    fn sorted_servers(&self, servers: &[Server]) -> Vec<usize> {
        let numbers: Vec<Numbers> = servers.iter().map(Numbers::of_server).collect();
        self.sorted(&numbers, |numbers| numbers)
    }

    /// The places of entries in their order; by name they are sorted already.
    fn sorted<'a, T>(&self, entries: &'a [T], numbers: impl Fn(&'a T) -> &'a Numbers) -> Vec<usize> {
        let mut places: Vec<(usize, &T)> = entries.iter().enumerate().collect();
        match self.sort {
            Sort::Name => {}
            Sort::Connections => places.sort_by_key(|(_, of)| Reverse(numbers(of).connections())),
            Sort::Bytes => places.sort_by_key(|(_, of)| Reverse(numbers(of).bytes())),
            Sort::Failing => places.sort_by_key(|(_, of)| Reverse(numbers(of).bad)),
        }
        if self.is_reversed {
            places.reverse();
        }
        places.into_iter().map(|(place, _)| place).collect()
    }

    /// What to read for this screen.
    pub fn wanted(&self, model: &Model) -> Wanted {
        let connections = self.height;
        match &self.screen {
            Screen::Server { service, server } => {
                let of = model.services().find(|(of, _)| of.name == *service);
                let clusters = of.and_then(|(service, _)| service.cluster.clone()).into_iter().collect();
                let server = Some((service.clone(), server.clone()));
                Wanted { clusters, server, connections, plan: false }
            }
            Screen::Report => Wanted { plan: true, ..Wanted::default() },
            Screen::List | Screen::Help => {
                let mut clusters: Vec<String> = Vec::new();
                let mut length = 0;
                for row in self.rows.iter().skip(self.first).take(self.height) {
                    let (Row::Service(cluster, _) | Row::Server(cluster, ..) | Row::Unread(cluster, _)) =
                        *row
                    else {
                        continue;
                    };
                    let name = model.clusters.get(cluster).and_then(|cluster| cluster.name.as_ref());
                    if let Some(name) = name.filter(|name| !clusters.contains(name)) {
                        length += name.len() + "cluster=&".len();
                        if length > LONGEST_NAMES && !clusters.is_empty() {
                            break;
                        }
                        clusters.push(name.clone());
                    }
                }
                Wanted { clusters, ..Wanted::default() }
            }
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, model: &Model) -> Outcome {
        if key == Key::Interrupt {
            return Outcome::End;
        }
        if self.is_typing {
            return self.type_filter(key, model);
        }
        match (&self.screen, key) {
            (_, Key::Letter('q')) => return Outcome::End,
            (_, Key::Letter('p')) => {
                self.is_paused = !self.is_paused;
                return Outcome::GoOn;
            }
            (Screen::List, Key::Letter('?')) => return self.open(Screen::Help),
            (Screen::List, Key::Letter('w')) => return self.open(Screen::Report),
            (Screen::List, _) => {}
            (_, Key::Escape | Key::Left | Key::Letter('?' | 'w' | 'd') | Key::Backspace) => {
                return self.open(Screen::List);
            }
            (_, Key::Up | Key::Letter('k')) => self.scrolled = self.scrolled.saturating_sub(1),
            (_, Key::Down | Key::Letter('j')) => self.scrolled = self.scrolled.saturating_add(1),
            (_, Key::PageUp) => self.scrolled = self.scrolled.saturating_sub(self.height),
            (_, Key::PageDown) => self.scrolled = self.scrolled.saturating_add(self.height),
            (_, Key::Home) => self.scrolled = 0,
            (_, Key::End | Key::Enter | Key::Right | Key::Interrupt | Key::Letter(_)) => {}
        }
        if self.screen != Screen::List {
            return Outcome::GoOn;
        }
        match key {
            Key::Up | Key::Letter('k') => self.select(self.selected.saturating_sub(1), model),
            Key::Down | Key::Letter('j') => self.select(self.selected + 1, model),
            Key::PageUp => self.select(self.selected.saturating_sub(self.height), model),
            Key::PageDown => self.select(self.selected + self.height, model),
            Key::Home | Key::Letter('g') => self.select(0, model),
            Key::End | Key::Letter('G') => self.select(usize::MAX, model),
            Key::Enter | Key::Letter(' ') => self.enter(model, None),
            Key::Right => self.enter(model, Some(true)),
            Key::Left => self.enter(model, Some(false)),
            Key::Letter('d') => match self.rows.get(self.selected) {
                Some(Row::Server(..)) => self.enter(model, None),
                Some(_) | None => Outcome::GoOn,
            },
            Key::Letter('s') => {
                self.sort = self.sort.next();
                self.rearrange(model)
            }
            Key::Letter('r') => {
                self.is_reversed = !self.is_reversed;
                self.rearrange(model)
            }
            Key::Letter('/') => {
                self.is_typing = true;
                Outcome::GoOn
            }
            Key::Escape if !self.filter.is_empty() => {
                self.filter.clear();
                self.rearrange(model)
            }
            Key::Escape | Key::Backspace | Key::Interrupt | Key::Letter(_) => Outcome::GoOn,
        }
    }

    /// Sorts or filters anew, and shows the first rows.
    fn rearrange(&mut self, model: &Model) -> Outcome {
        self.rows = self.rows_of(model);
        self.select(0, model);
        Outcome::GoOn
    }

    fn open(&mut self, screen: Screen) -> Outcome {
        (self.screen, self.scrolled) = (screen, 0);
        Outcome::GoOn
    }

    fn select(&mut self, row: usize, model: &Model) -> Outcome {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        self.selected_name = self.rows.get(self.selected).and_then(|row| row_name(model, *row));
        self.scroll();
        Outcome::GoOn
    }

    fn type_filter(&mut self, key: Key, model: &Model) -> Outcome {
        match key {
            Key::Letter(letter) => self.filter.push(letter),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => {
                self.is_typing = false;
                return Outcome::GoOn;
            }
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Up
            | Key::Down
            | Key::PageUp
            | Key::PageDown
            | Key::Home
            | Key::End
            | Key::Left
            | Key::Right
            | Key::Interrupt => {
                return Outcome::GoOn;
            }
        }
        self.rearrange(model)
    }

    /// Folds or unfolds what is selected, or changes what it is; opens a server. Folding what is folded goes to what it is part of.
    fn enter(&mut self, model: &Model, unfold: Option<bool>) -> Outcome {
        let Some(row) = self.rows.get(self.selected).copied() else { return Outcome::GoOn };
        let Some(RowName { cluster, service, server }) = row_name(model, row) else { return Outcome::GoOn };
        match (service, server) {
            (Some(service), Some(server)) if unfold != Some(false) => {
                return self.open(Screen::Server { service, server });
            }
            (Some(service), None) if matches!(row, Row::Service(..)) => {
                let is_folded = self.is_folded(&service);
                if unfold == Some(false) && is_folded {
                    return self.select_parent(model, |row| matches!(row, Row::Cluster(_)));
                }
                match unfold.unwrap_or(is_folded) {
                    true => drop(self.folded.remove(&service)),
                    false => drop(self.folded.insert(service)),
                }
            }
            (Some(_), _) => return self.select_parent(model, |row| matches!(row, Row::Service(..))),
            (None, _) => {
                let unfold = unfold.unwrap_or(!self.is_unfolded(model, &cluster));
                self.unfolded.insert(cluster, unfold);
            }
        }
        self.update(model);
        Outcome::GoOn
    }

    fn select_parent(&mut self, model: &Model, is_parent: impl Fn(&Row) -> bool) -> Outcome {
        let above = self.rows.iter().take(self.selected).rposition(is_parent);
        self.select(above.unwrap_or(self.selected), model)
    }
}

fn row_name(model: &Model, row: Row) -> Option<RowName> {
    let (Row::Cluster(cluster)
    | Row::Service(cluster, _)
    | Row::Server(cluster, ..)
    | Row::Unread(cluster, _)) = row;
    let of = model.clusters.get(cluster)?;
    let service = |place: usize| of.services.get(place).map(|(service, _)| service.name.clone());
    let (service, server) = match row {
        Row::Cluster(_) => (None, None),
        Row::Service(_, place) | Row::Unread(_, place) => (Some(service(place)?), None),
        Row::Server(_, place, at) => {
            let service = service(place)?;
            let server = model.servers(&service)?.get(at)?.name.clone();
            (Some(service), Some(server))
        }
    };
    Some(RowName { cluster: of.name.clone(), service, server })
}
