//! The limit as a program: `limit load|read|edit NxM`, in the network namespace that it is started in.
//!
//! It prints what it did, in three numbers: nanoseconds from the first send to the last reply, system calls on the
//! socket, and messages read.

#![allow(clippy::print_stdout)] // a measuring tool, and no part of the product

mod client;
#[path = "../table/mod.rs"]
mod table;

use std::error::Error;
use std::time::Instant;

use client::Client;
use table::Table;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, size] = arguments.as_slice() else { return Err("usage: limit load|read|edit NxM".into()) };
    let table: Table = size.parse()?;
    let mut client = Client::connect()?;
    let (begin, before) = (Instant::now(), client.calls);
    let read = match what.as_str() {
        "load" => client.load(table).map(|()| 0)?,
        "read" => client.read(table)?,
        "edit" => client.edit(table, 0, 20).map(|()| 0)?,
        other => return Err(format!("unknown: {other}").into()),
    };
    println!("{} {} {read}", begin.elapsed().as_nanos(), client.calls - before);
    Ok(())
}
