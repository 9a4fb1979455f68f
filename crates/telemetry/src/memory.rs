//! How much memory another process holds, as `/proc` tells it; nothing on systems that have none.
//!
//! The process and its descendants count together, since what a configuration starts is often a launcher (`uv run`, a
//! shell) whose own memory says nothing. The kernel keeps the figures: a reading is a few small files, and nothing is
//! sampled while nobody asks.

use std::fs;

/// Most processes that are looked at for one figure.
const MOST: usize = 64;

/// Resident memory of a process and its descendants, in bytes. `None` where there is no such process.
///
/// Pages that several of them share count for each.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    let mut total = own(pid)?;
    let mut family = children(pid);
    let mut at = 0;
    while at < family.len().min(MOST) {
        total = total.saturating_add(own(family[at]).unwrap_or_default());
        family.extend(children(family[at]));
        at += 1;
    }
    Some(total)
}

fn own(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    held(&status)
}

/// What the text of a `status` file says; an ended process that nobody has waited for holds nothing.
fn held(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The children that any of its threads started; none where the kernel does not list them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_one_without_memory_has_none() {
        assert_eq!(held("Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t     512 kB\n"), Some(512 * 1024));
        assert_eq!(held("Name:\tx\nState:\tZ (zombie)\n"), None);
        assert_eq!(held("VmRSS:\t18446744073709551615 kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_something_and_one_that_is_not_there_has_no_figure() {
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident(u32::MAX), None);
    }
}
