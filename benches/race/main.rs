//! Races lbd against its peers and against the limit, in the lab; `tests/bench/run` starts it.
//!
//! ```text
//! race table yaml|ipvsadm|keepalived NxM   a table in somebody's words
//! race run CLOCK ROUNDS LBD NxM...         all measurements, as CSV (changes the IPVS of new network namespaces only)
//! race report CSV                          the same as a table with ratios
//! race chart CSV                           the same as SVG
//! race check CSV                           whether lbd keeps what it promises
//! race timed [--inner] [--stdin FILE] COMMAND...   one process: wall time, peak memory, what it says of itself
//! race phase load|read NxM                 what lbd does with the kernel, without the rest of it
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)] // a measuring tool, and no part of the product
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // that stops at the first surprise

mod chart;
mod check;
#[path = "../limit/client.rs"]
mod client;
mod contenders;
mod phase;
mod process;
mod results;
#[path = "../table/mod.rs"]
mod table;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["table", form, size] => print!("{}", in_form(form, size.parse()?)?),
        ["run", clock, rounds, lbd, sizes @ ..] => {
            let sizes = sizes.iter().map(|size| size.parse()).collect::<Result<Vec<_>, _>>()?;
            let samples = contenders::race(clock, lbd, rounds.parse()?, &sizes)?;
            print!("{}", results::csv(clock, &samples));
        }
        ["report", csv] => print!("{}", results::report(&results::read(csv)?)),
        ["chart", csv] => print!("{}", chart::svg(&results::read(csv)?)),
        ["check", csv] => {
            let (text, is_kept) = check::check(&results::read(csv)?);
            print!("{text}");
            if !is_kept {
                return Err("a promise is not kept".into());
            }
        }
        ["timed", command @ ..] => println!("{}", process::timed(command)?),
        ["phase", what, size] => println!("{}", phase::run(what, size.parse()?)?),
        _ => return Err("see the first lines of benches/race/main.rs".into()),
    }
    Ok(())
}

fn in_form(form: &str, table: table::Table) -> Result<String, String> {
    match form {
        "yaml" => Ok(table.yaml()),
        "ipvsadm" => Ok(table.ipvsadm()),
        "keepalived" => Ok(table.keepalived()),
        other => Err(format!("no form `{other}`")),
    }
}
