//! Writes the man pages of the commands, from their arguments.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Arguments;

/// What of lbd lies where, for its own page; each with what it is.
const FILES: [(&str, &str); 6] = [
    ("/etc/lbd/desired.yaml", "The desired file: lbd.yaml(5)."),
    ("/var/lib/lbd", "What lbd owns, what was last verified, the history. It belongs to the user lbd."),
    ("/run/lbd/lbd.sock", "The state of the daemon, by HTTP, to be read by root and the group lbd."),
    ("/usr/share/lbd/desired.schema.json", "The JSON Schema of the desired file, for editors."),
    ("/usr/share/lbd/prometheus", "Alert rules, and a dashboard for Grafana."),
    (
        "lbd.service, lbd-restore.service, lbd-check.service, lbd-metrics.timer, lbd-web.socket",
        "The units of systemd. `systemctl enable --now lbd` is enough for the first three; the others are off by default.",
    ),
];

/// Of which section these pages are: administration.
const SECTION: &str = "8";

/// What the generator writes before each part, for apostrophes; and its word for one.
const APOSTROPHES: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// A man page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManPage {
    /// The name of its file, such as `lbd-apply.8`
    pub name: String,
    /// The page, in the language of roff; without a date, so that the same program writes the same pages
    pub text: String,
}

impl ManPage {
    /// The pages of lbd and of each command that is listed.
    ///
    /// # Errors
    /// None is known: they are written into memory.
    pub fn all() -> io::Result<Vec<Self>> {
        let typed = Arguments::command();
        let mut lbd = Arguments::completed()
            .about(typed.get_about().cloned().unwrap_or_default())
            .after_help(typed.get_after_help().cloned().unwrap_or_default())
            .subcommand_required(true)
            .disable_help_subcommand(true);
        lbd.build();
        let mut pages = Vec::new();
        write(&lbd, None, &mut pages)?;
        Ok(pages)
    }
}

/// Writes the page of a command, and those of its own commands; `parent` is the name of the command that it belongs to.
fn write(command: &Command, parent: Option<&str>, pages: &mut Vec<ManPage>) -> io::Result<()> {
    let shown = command.clone().subcommand_help_heading("COMMANDS").subcommand_value_name("COMMAND");
    let man = Man::new(shown)
        .section(SECTION)
        .date("\"\"")
        .source(concat!("lbd ", env!("CARGO_PKG_VERSION")))
        .manual("IPVS load balancer");
    let commands: Vec<&Command> =
        command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if !commands.is_empty() {
        man.render_subcommands_section(&mut text)?;
    }
    rest(command, parent).to_writer(&mut text)?;
    pages.push(ManPage { name: man.get_filename(), text: tidy(&String::from_utf8_lossy(&text)) });
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    commands.into_iter().try_for_each(|command| write(command, Some(name), pages))
}

/// The sections of a page that the generator does not know.
fn rest(command: &Command, parent: Option<&str>) -> Roff {
    let mut rest = Roff::new();
    if let Some(codes) = command.get_after_help() {
        rest.control("SH", ["EXIT STATUS"]).text([roman(codes.to_string())]);
    }
    let others = match parent {
        None => {
            rest.control("SH", ["FILES"]);
            for (file, is) in FILES {
                rest.control("TP", []).text([bold(file)]).text([roman(is)]);
            }
            "lbd.yaml(5), ipvsadm(8), nft(8), keepalived(8)".to_owned()
        }
        Some("lbd") => "lbd(8), lbd.yaml(5)".to_owned(),
        Some(parent) => format!("{parent}({SECTION}), lbd(8), lbd.yaml(5)"),
    };
    rest.control("SH", ["SEE ALSO"]).text([roman(others)]);
    rest
}

/// The same page: what is in backticks is bold, no blank line is between breaks, and all is ASCII.
fn tidy(page: &str) -> String {
    let page = page.replace(APOSTROPHES, "").replace("\\*(Aq", "\\(aq").replace('…', "...");
    let mut tidy = String::new();
    for line in page.replace(".br\n\n.br\n", ".sp\n").lines().map(str::trim_end) {
        let parts: Vec<&str> = line.split('`').collect();
        if parts.len().is_multiple_of(2) {
            tidy.push_str(line);
        } else {
            for (number, part) in parts.into_iter().enumerate() {
                let is_code = !number.is_multiple_of(2);
                tidy.extend([if is_code { "\\fB" } else { "" }, part, if is_code { "\\fR" } else { "" }]);
            }
        }
        tidy.push('\n');
    }
    tidy
}
