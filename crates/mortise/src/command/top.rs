//! `mortise top`: calls, plugins and upstreams of a running gateway, again and again.
//!
//! The gateway is looked at from outside: its metrics for what is counted, the calls it keeps for how long they took,
//! its upstreams for where they stand. Two looks make a screen ([`screen`]); drawing is no more than writing its lines over
//! the last ones, with the few escape sequences every terminal knows, so that no mode of the terminal has to be put back
//! when the command is interrupted.

mod sample;
mod screen;

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

use super::remote::{Remote, ask, fetch};
use crate::{
    Assembly, Exit,
    cli::{Format, TopArgs},
    output::Output,
};
use sample::Sample;
use screen::Screen;

/// Calls that latencies are taken of.
const CALLS: usize = 1_000;

/// Time between the two looks of one snapshot.
const GLANCE: Duration = Duration::from_secs(1);

/// Lines and columns where the terminal does not say.
const USUAL: (usize, usize) = (24, 80);

pub(super) fn top(args: &TopArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let remote = match Remote::running(&args.source.remote, &args.source.config, assembly) {
        Ok(remote) => remote,
        Err(problem) => return problem.tell(output),
    };
    let started = Instant::now();
    let look = || look(&remote, started);
    let mut before = look()?;
    if args.once || args.source.format == Format::Json || !io::stdout().is_terminal() {
        std::thread::sleep(GLANCE);
        let screen = Screen::between(&before, &look()?);
        match args.source.format {
            Format::Json => output.json(&serde_json::to_value(&screen)?),
            Format::Text => screen.lines(remote.url(), None).into_iter().for_each(|line| output.line(line)),
        }
        return Ok(Exit::Ok);
    }
    draw(&[format!("mortise top, {}: looking …", remote.url())])?;
    loop {
        std::thread::sleep(Duration::from_secs(args.interval));
        match look() {
            Ok(now) => {
                draw(&Screen::between(&before, &now).lines(remote.url(), Some(size())))?;
                before = now;
            }
            // It may be starting anew; what was shown stays until it answers.
            Err(error) => draw(&[format!("{}: {error:#}", remote.url())])?,
        }
    }
}

fn look(remote: &Remote, started: Instant) -> anyhow::Result<Sample> {
    let metrics = fetch(remote, "/metrics")?;
    let metrics = std::str::from_utf8(metrics.body()).context("the metrics are no text")?.to_owned();
    let calls = ask(remote, &format!("/api/v1/calls?limit={CALLS}&since=60s"))?;
    let upstreams = ask(remote, "/api/v1/upstreams")?;
    let list = |value: Value| value.as_array().cloned().unwrap_or_default();
    Ok(Sample::of(started.elapsed(), &metrics, &list(calls), &list(upstreams)))
}

/// Lines and columns of the terminal.
fn size() -> (usize, usize) {
    let known = terminal_size::terminal_size();
    known.map_or(USUAL, |(columns, rows)| (rows.0.into(), columns.0.into()))
}

/// Writes lines over what is on the terminal, and clears what is left of it.
fn draw(lines: &[String]) -> anyhow::Result<()> {
    let mut text = String::from("\u{1b}[H");
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str("\u{1b}[K");
    }
    text.push_str("\u{1b}[J");
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the terminal")
}
