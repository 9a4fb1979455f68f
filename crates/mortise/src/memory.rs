//! Giving memory back that only the start needed.
//!
//! Reading a configuration runs through much code that no call comes by again: parsers, schemas, the command line. Its
//! pages stay mapped, and count as the program's memory, for as long as it runs. They are told to be of no more use
//! once everything is ready; what is needed after all is mapped again from the file when it is first run.
//!
//! Not the allocator's business: pages of data are never touched here.

use std::{io, path::Path};

/// A stretch of the program's own code in memory.
#[derive(Debug, PartialEq, Eq)]
struct Code {
    start: usize,
    length: usize,
}

/// Has the pages of the program's own code unmapped; how many bytes of address space that was asked for. Nothing
/// happens where the code in memory is not byte for byte what the file holds, as under a debugger with breakpoints.
///
/// # Errors
/// When `/proc/self` cannot be read, or the kernel refuses.
#[cfg(target_os = "linux")]
pub(crate) fn release_code_of_the_start() -> io::Result<usize> {
    let (program, smaps) =
        (std::fs::read_link("/proc/self/exe")?, std::fs::read_to_string("/proc/self/smaps")?);
    let mut released = 0;
    for code in untouched_code(&smaps, &program) {
        // SAFETY: the range is one whole mapping of this program's file that may be executed and not written, and
        // of which the kernel says that none of its pages was changed since they were mapped (`Anonymous: 0 kB`). Of
        // such a mapping the advice drops table entries only; the next access maps the same bytes of the same file
        // again, which cannot change, since a running program's file is not writable.
        let advised = unsafe {
            rustix::mm::madvise(
                std::ptr::with_exposed_provenance_mut(code.start),
                code.length,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
        advised?;
        released += code.length;
    }
    Ok(released)
}

/// Other kernels tell such things otherwise.
#[cfg(not(target_os = "linux"))]
pub(crate) fn release_code_of_the_start() -> io::Result<usize> {
    Ok(0)
}

/// The mappings of `program` that are its code, unchanged.
fn untouched_code(smaps: &str, program: &Path) -> Vec<Code> {
    let mut found = Vec::new();
    let mut code = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match first.strip_suffix(':') {
            Some("Anonymous") if second == "0" => found.extend(code.take()),
            Some(_) => {}
            // A mapping's first line: range, permissions, offset, device, inode, path.
            None => {
                let own =
                    line.splitn(6, ' ').nth(5).is_some_and(|path| Path::new(path.trim_start()) == program);
                code = (own && second == "r-xp").then(|| range(first)).flatten();
            }
        }
    }
    found
}

/// `55d0c000-55d0f000`
fn range(words: &str) -> Option<Code> {
    let (start, end) = words.split_once('-')?;
    let address = |word| usize::from_str_radix(word, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    Some(Code { start, length: end.checked_sub(start)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d000-55e000 r--p 00000000 fe:00 12                         /opt/my gateway/mortise
Size:                  4 kB
Anonymous:             0 kB
55e000-570000 r-xp 00001000 fe:00 12                         /opt/my gateway/mortise
Size:                 72 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
570000-571000 r--p 00013000 fe:00 12                         /opt/my gateway/mortise
Anonymous:             4 kB
7f0000-7f4000 r-xp 00001000 fe:00 99                         /usr/lib/libc.so.6
Anonymous:             0 kB
7ff000-800000 rw-p 00000000 00:00 0                          [stack]
Anonymous:             4 kB
";

    #[test]
    fn only_the_programs_own_unchanged_code_is_released() {
        let program = Path::new("/opt/my gateway/mortise");
        assert_eq!(untouched_code(SMAPS, program), [Code { start: 0x55e000, length: 0x12000 }]);
        assert_eq!(untouched_code(SMAPS, Path::new("/opt/other")), []);
    }

    #[test]
    fn code_that_was_changed_in_memory_stays() {
        let changed =
            SMAPS.replacen("72 kB\nAnonymous:             0 kB", "72 kB\nAnonymous:             4 kB", 1);
        assert_eq!(untouched_code(&changed, Path::new("/opt/my gateway/mortise")), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_runs_on_after_its_code_was_released() {
        let released = release_code_of_the_start().unwrap();
        assert!(released > 0, "the test's own code is unchanged");
        // Runs, from pages that are mapped anew.
        assert_eq!(untouched_code(SMAPS, Path::new("/usr/lib/libc.so.6")).len(), 1);
    }
}
