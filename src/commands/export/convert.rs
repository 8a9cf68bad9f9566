//! `lbd export --from`: writes the configuration of another program as a desired file.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use super::marks;
use super::names::SystemNames;
use crate::cli::{Export, ExportOutput, ImportFormat};
use crate::commands::inputs::{self, Input};
use crate::commands::{CommandError, Console, DONE, ERROR};
use crate::config::{self, Remark, Rendered};
use crate::import::{self, Effect, Finding, Format, HostFiles, Place};
use crate::ipvsadm::{self, Lookup, ServiceNames};

pub(super) fn run(path: &Path, options: &Export, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let source = inputs::read_input(path, Input::From, &console.progress)?;
    let format = match options.format {
        Some(ImportFormat::Keepalived) => Format::Keepalived,
        Some(ImportFormat::Ldirectord) => Format::Ldirectord,
        Some(ImportFormat::Ipvsadm) => Format::Ipvsadm,
        None => {
            let Some(format) = import::recognise(&source.text) else {
                let problem = config::not_rules(&source, &Input::From.takes());
                return Err(problem.map_or(CommandError::UnknownFormat(source.name), Into::into));
            };
            format
        }
    };
    console.progress.set_task("converting the file");
    let system = SystemNames::default();
    let files = ServiceNames::default();
    let names: &dyn Lookup = if options.resolve { &system } else { &files };
    let imported = import::import_with(&source, format, &HostFiles, names)
        .map_err(|error| CommandError::Import { name: source.name.clone(), error })?;
    if options.format.is_none() {
        console.note(format_args!("{}: read as {format}", source.name));
    }
    let (mut document, mut findings) = (imported.document, imported.findings);
    let mut lost_marks = Vec::new();
    if let Some(path) = &options.marks {
        let found = marks::of_file(path, &config::state_of(document.clone()), console)?;
        lost_marks = import::add_marks(&mut document, &found.marks);
        findings.extend(found.findings);
    }
    let mut rendered = config::render_document(document);
    for finding in &findings {
        match finding.place {
            Place::Head => rendered.comment(finding.comment()),
            Place::Before(index) => rendered.comment_before(index, finding.comment()),
        }
    }
    let mut unexpressed = rendered.unexpressed();
    unexpressed.extend(lost_marks);
    // An empty table is saved as no rules at all.
    let is_converted = rendered.has_content()
        || (format == Format::Ipvsadm && findings.is_empty() && unexpressed.is_empty());
    match options.output {
        ExportOutput::Yaml if !is_converted => {
            console.out.write_all(rendered.comments().as_bytes())?;
        }
        ExportOutput::Json | ExportOutput::Ipvsadm if !is_converted => {}
        ExportOutput::Yaml | ExportOutput::Json => {
            console.out.write_all(text(&rendered, options.output)?.as_bytes())?;
        }
        ExportOutput::Ipvsadm => {
            let state = config::state_of(rendered.document());
            unexpressed.extend(ipvsadm::unsaved(&state));
            console.out.write_all(ipvsadm::save(&state).as_bytes())?;
        }
    }
    let remarks: Vec<Remark<'_>> = findings.iter().map(remark).collect();
    // Nothing can be reported where standard error is closed.
    let _ = write!(console.err, "{}", config::remarks(&remarks, console.is_err_coloured));
    for what in &unexpressed {
        console.warn(what);
    }
    if !is_converted {
        console.error(format_args!("{}: nothing in it could be converted", source.name));
    }
    let is_whole = is_converted
        && unexpressed.is_empty()
        && findings.iter().all(|finding| finding.effect == Effect::Note);
    Ok(if is_whole { DONE } else { ERROR })
}

fn remark(finding: &Finding) -> Remark<'_> {
    let Finding { file, line, text, message, effect, place: _ } = finding;
    Remark { file, line: *line, text, message, is_warning: *effect == Effect::Lost }
}

/// A desired file as text.
pub(super) fn text(rendered: &Rendered, output: ExportOutput) -> Result<String, CommandError> {
    match output {
        ExportOutput::Json => rendered.json().map_err(unwritable),
        ExportOutput::Yaml | ExportOutput::Ipvsadm => rendered.yaml().map_err(unwritable),
    }
}

fn unwritable(error: impl Into<Box<dyn Error + Send + Sync>>) -> CommandError {
    CommandError::Unwritable(error.into())
}
