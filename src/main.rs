//! The `redtail` program: argv to exit code.

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often the allocator is asked to return freed memory. The allocator keeps memory for a second in case it is needed again;
/// with this interval it keeps none for much longer.
const GIVE_BACK_EVERY: Duration = Duration::from_millis(250);

fn main() -> std::process::ExitCode {
    // Without this thread, memory is returned late, but everything else works.
    let _ = std::thread::Builder::new()
        .name("give-back".to_owned())
        .spawn(give_back);
    redtail::internal::cli::main()
}

/// Returns freed memory to the system, forever.
///
/// On its own the allocator does this only while threads allocate or when one ends. A process that becomes idle after its
/// clients used gigabytes would keep them.
fn give_back() {
    loop {
        std::thread::sleep(GIVE_BACK_EVERY);
        collect();
    }
}

#[expect(
    unsafe_code,
    reason = "a function of the allocator that its crate does not export"
)]
fn collect() {
    // Source: mimalloc 3 mimalloc.h. The library is linked with the allocator above.
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // SAFETY: any thread may call it at any time: it accesses the calling thread's own pages, and ranges that are free in all
    // threads.
    unsafe { mi_collect(false) }
}
