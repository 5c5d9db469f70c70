//! Frees large things on a thread of its own.

/// Drops `old` on another thread: neither the stream nor its readers wait for a million deallocations.
pub fn drop_aside(old: impl Send + 'static) {
    // If no thread can be started, the closure, and `old` with it, is dropped right here.
    let _ = std::thread::Builder::new()
        .name("redtail-free".to_owned())
        .spawn(move || drop(old));
}
