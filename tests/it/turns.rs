//! Long replies, and the connections beside them.

use std::path::Path;

use crate::servers::Server;

/// The number of threads in redtail's runtime: its workers, and threads that do, or have just done, long work.
fn threads(redtail: &Server) -> usize {
    let tasks = Path::new("/proc").join(redtail.pid().to_string());
    let tasks = std::fs::read_dir(tasks.join("task")).expect("its threads");
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    let names = tasks.filter_map(|task| name(task.ok()?).ok());
    names.filter(|name| name.starts_with("tokio-")).count()
}

/// The runtime uses another thread for the worker's other connections, and keeps it for ten seconds.
#[test]
fn a_walk_over_a_large_value_hands_its_worker_over_and_one_over_a_small_does_not() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let fill = "for i = 1, 10001 do redis.call('HSET', 'large', i, 'v') if i < 10000 then redis.call('HSET', 'small', i, 'v') end end";
    primary.client().words(&[b"EVAL", fill.as_bytes(), b"0"]);
    let one = [("TOKIO_WORKER_THREADS", Path::new("1"))];
    let address = format!("redis://127.0.0.1:{}", primary.port);
    let redtail = Server::redtail_in(&one, &address, &[]);
    redtail.wait_for("its data", |client| {
        client.command("DBSIZE").integer() == Some(2)
    });
    let mut client = redtail.client();
    redtail.wait_for("one thread, the worker", |_| threads(&redtail) == 1);
    assert_eq!(client.command("HGETALL small").elements().len(), 2 * 9999);
    assert_eq!(threads(&redtail), 1, "for a small value");
    assert_eq!(client.command("HGETALL large").elements().len(), 2 * 10_001);
    assert_eq!(threads(&redtail), 2, "for a large value");
}
