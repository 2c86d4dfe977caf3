//! The program; everything is in the library.

use std::process::ExitCode;

/// Many threads with many small buffers: the pattern that this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trunkline::cli::run(std::env::args_os())
}
