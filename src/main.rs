//! The `redtail` program: argv to exit code.

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often the allocator is asked to give back what it could. It keeps freed memory for a second in case it is needed again, so
/// that none stays for much longer than that.
const GIVE_BACK_EVERY: Duration = Duration::from_millis(250);

fn main() -> std::process::ExitCode {
    // Without the thread memory comes back late, and everything else works.
    let _ = std::thread::Builder::new()
        .name("give-back".to_owned())
        .spawn(give_back);
    redtail::cli::main()
}

/// Gives freed memory back to the system, for ever.
///
/// The allocator does that only while threads allocate or when one of them ends. A process that is idle after its clients took
/// gigabytes would keep them.
fn give_back() {
    loop {
        std::thread::sleep(GIVE_BACK_EVERY);
        collect();
    }
}

#[expect(
    unsafe_code,
    reason = "a function of the allocator that its crate does not offer"
)]
fn collect() {
    // Source: mimalloc 3 mimalloc.h. The library is linked with the allocator above.
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // SAFETY: it may be called by any thread at any time: it looks at the calling thread's own pages, and at ranges that are free
    // in all threads.
    unsafe { mi_collect(false) }
}
