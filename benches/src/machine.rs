//! Where and when a report was made.

use std::{fs, process::Command};

/// The page that keeps a report.
pub(crate) fn page(report: &str) -> String {
    format!(
        "# Performance\n\nMeasured by `make bench WRITE=1` on {}, {}. All servers ran in the same minutes on the same \
         cores,\nload generator and upstream included; compare ratios and CPU time per call, not calls per second of \
         different\nmachines.\n\n{report}",
        today(),
        describe()
    )
}

fn today() -> String {
    let date = Command::new("date").arg("-u").arg("+%Y-%m-%d").output();
    date.ok().and_then(|date| String::from_utf8(date.stdout).ok()).unwrap_or_default().trim().to_owned()
}

fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = line_of("/proc/meminfo", "MemTotal")
        .and_then(|total| total.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or_default();
    format!("{cores} cores of {model}, {} GiB", memory.div_ceil(1 << 20))
}

/// The value of the first line that begins with `name`.
fn line_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
