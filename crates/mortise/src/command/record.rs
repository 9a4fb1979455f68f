//! `mortise record`: inputs of hooks from a running gateway, one call a line.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::{Context, anyhow, bail};
use http::Method;

use super::{
    listing::encoded,
    remote::{Remote, fetch, tell},
};
use crate::{
    Assembly, Exit,
    cli::RecordArgs,
    output::{Output, counted},
};

/// Seconds that the gateway waits for calls before it answers that there are none yet.
const WAIT: u64 = 5;

pub(super) fn record(args: &RecordArgs, assembly: &Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    let remote = match Remote::running(&args.remote, &args.config, assembly) {
        Ok(remote) => remote,
        Err(problem) => return problem.tell(output),
    };
    let number = begin(&remote, args)?;
    let path = format!("/api/v1/recordings/{number}");
    // Only now, so that a gateway that is not there leaves no empty file.
    let written = open(args).and_then(|mut out| write(&remote, &path, args, &mut *out));
    let ended = tell(&remote, Method::DELETE, &path, None);
    let Written { calls, dropped, full } = written?;
    // One that came to its end by itself is not there any more.
    drop(ended);
    let target = args.out.display();
    let calls = counted(calls, "call");
    output.say(format!("{calls} recorded to {target}{}", if args.raw { ", as they came" } else { "" }));
    if dropped > 0 {
        output.say(format!("{dropped} calls came faster than they could be fetched and are missing"));
    }
    if full {
        output.say(format!("the file has reached {} MiB; --max-size allows more", args.max_size));
    }
    Ok(Exit::Ok)
}

fn begin(remote: &Remote, args: &RecordArgs) -> anyhow::Result<u64> {
    let mut path = format!("/api/v1/recordings?calls={}&seconds={}", args.calls, args.seconds);
    if let Some(tool) = &args.tool {
        path.push_str(&format!("&tool={}", encoded(tool)));
    }
    if args.raw {
        path.push_str("&raw=true");
    }
    let (status, answer) = tell(remote, Method::POST, &path, None)?;
    if !status.is_success() {
        let reason = answer["detail"].as_str().unwrap_or("no reason given");
        bail!("{} answered {status}: {reason}", remote.url());
    }
    answer["recording"]
        .as_u64()
        .ok_or_else(|| anyhow!("{} did not say which recording it began", remote.url()))
}

fn open(args: &RecordArgs) -> anyhow::Result<Box<dyn Write>> {
    if args.out.as_os_str() == "-" {
        return Ok(Box::new(io::stdout()));
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    match options.open(&args.out) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; --force overwrites it", args.out.display())
        }
        Err(error) => Err(error).context(format!("cannot write {}", args.out.display())),
    }
}

struct Written {
    calls: usize,
    dropped: u64,
    full: bool,
}

/// Writes what comes until all has come.
fn write(remote: &Remote, path: &str, args: &RecordArgs, out: &mut dyn Write) -> anyhow::Result<Written> {
    let most = args.max_size.saturating_mul(1 << 20);
    let mut written = Written { calls: 0, dropped: 0, full: false };
    let mut bytes = 0;
    loop {
        let page = fetch(remote, &format!("{path}?wait={WAIT}"))?;
        let header = |name: &str| page.headers().get(name).and_then(|value| value.to_str().ok());
        written.dropped = header("x-mortise-dropped").and_then(|text| text.parse().ok()).unwrap_or(0);
        for line in page.body().split_inclusive(|byte| *byte == b'\n') {
            bytes += line.len() as u64;
            if bytes > most {
                written.full = true;
                return Ok(written);
            }
            match out.write_all(line) {
                Ok(()) => written.calls += 1,
                // Whoever reads has had enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(written),
                Err(error) => return Err(error).context(format!("cannot write {}", args.out.display())),
            }
        }
        out.flush().with_context(|| format!("cannot write {}", args.out.display()))?;
        if header("x-mortise-over") == Some("true") {
            return Ok(written);
        }
    }
}
