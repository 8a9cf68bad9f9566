//! Finds what the cells of a row show: its name, its state, its numbers and its share.

use ratatui::style::{Modifier, Style};

use super::model::{Cluster, Model, Numbers, Server};
use super::palette::Palette;
use super::sort::Sort;
use super::view::{Row, View};

/// What a row shows.
pub(super) struct ShownRow<'a> {
    /// Its name, behind what shows where it belongs
    pub(super) name: String,
    /// How that looks
    pub(super) name_style: Style,
    /// How many servers get new connections, or the state of one
    pub(super) state: String,
    /// How that looks
    pub(super) state_style: Style,
    /// The weight of a server
    pub(super) weight: String,
    /// Its numbers
    pub(super) numbers: Numbers,
    /// Its part of the sum of those beside it, in thousandths
    pub(super) share: u64,
    /// Why a server is not what the file says
    pub(super) reason: &'a str,
}

impl<'a> ShownRow<'a> {
    /// That of a row; `None` where the model has none there.
    pub(super) fn of(model: &'a Model, view: &View, row: Row, palette: Palette) -> Option<Self> {
        let share = |part: &Numbers, all: &Numbers| share(view.sort, part, all);
        let mark = |is_unfolded: bool| if is_unfolded { '-' } else { '+' };
        let service =
            |cluster: usize, place: usize| -> Option<(&'a Cluster, &'a super::model::Service, &'a Numbers)> {
                let cluster = model.clusters.get(cluster)?;
                let (service, numbers) = cluster.services.get(place)?;
                Some((cluster, service, numbers))
            };
        match row {
            Row::Cluster(place) => {
                let cluster = model.clusters.get(place)?;
                let mark = mark(view.is_unfolded(model, &cluster.name));
                let name = cluster.name.as_deref().unwrap_or("(other programs)");
                let style = Style::new().add_modifier(Modifier::BOLD);
                let numbers = &cluster.numbers;
                let share = share(numbers, &model.sum);
                Some(Self::of_many(format!("{mark} {name}"), style, numbers, share, palette))
            }
            Row::Service(cluster, place) => {
                let (cluster, service, numbers) = service(cluster, place)?;
                let mark = mark(!view.is_folded(&service.name));
                let name = format!("  {mark} {} {}", service.name, service.scheduler);
                let share = share(numbers, &cluster.numbers);
                let shown = Self::of_many(name, Style::new(), numbers, share, palette);
                Some(match service.missing {
                    true => {
                        Self { state: "missing".to_owned(), state_style: palette.state("missing"), ..shown }
                    }
                    false => shown,
                })
            }
            Row::Server(cluster, place, server) => {
                let (_, service, _) = service(cluster, place)?;
                let servers = model.servers(&service.name)?;
                let Server { name, state, weight, reason, .. } = servers.get(server)?;
                let numbers = Numbers::of_server(servers.get(server)?);
                Some(Self {
                    name: format!("      {name}"),
                    name_style: Style::new(),
                    state: state.clone(),
                    state_style: palette.state(state),
                    weight: weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string()),
                    numbers,
                    share: share(&numbers, model.sum_of_servers(&service.name)?),
                    reason: reason.as_ref().map(|reason| reason.text.as_str()).unwrap_or_default(),
                })
            }
            Row::Unread(cluster, place) => {
                let (_, _, numbers) = service(cluster, place)?;
                let name = format!("      ({} servers)", numbers.servers);
                Some(Self::of_many(name, Style::new(), numbers, 0, palette))
            }
        }
    }

    fn of_many(name: String, name_style: Style, numbers: &Numbers, share: u64, palette: Palette) -> Self {
        let Numbers { servers, serving, bad, .. } = *numbers;
        let mark = if bad > 0 { "!" } else { "" };
        let state = match (bad, serving < servers) {
            (0, false) => "serving",
            (0, true) => "quiesced",
            _ => "failing",
        };
        Self {
            name,
            name_style,
            state: format!("{serving}/{servers}{mark}"),
            state_style: palette.state(state),
            weight: String::new(),
            numbers: *numbers,
            share,
            reason: "",
        }
    }
}

/// The part of a sum, in thousandths: of bytes where they are sorted by, else of new connections.
fn share(sort: Sort, part: &Numbers, all: &Numbers) -> u64 {
    let number = |numbers: &Numbers| match sort {
        Sort::Bytes => numbers.bytes(),
        Sort::Name | Sort::Connections | Sort::Failing => numbers.connections(),
    };
    let thousandths = u128::from(number(part)) * 1000 / u128::from(number(all).max(1));
    u64::try_from(thousandths).unwrap_or(1000)
}
