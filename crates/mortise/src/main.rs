//! The standard `mortise` binary: the library with the built-in plugins and nothing more.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mortise::main_with(|builder| builder)
}
