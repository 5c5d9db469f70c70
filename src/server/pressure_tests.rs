//! Clients that ask for a lot, take little, or ask again and again.

use super::*;

/// The length of the reply to `GET big`, whose value is 1 MB.
const BIG: usize = (1 << 20) + "$1048576\r\n\r\n".len();

fn with_big_value(config: Config) -> Running {
    let running = Running::start(config).with_data();
    let big = "x".repeat(1 << 20);
    running.serve(&[
        &["SET", "big", &big],
        &["SET", "a", "1"],
        &["SADD", "small", "1", "2", "3"],
    ]);
    running
}

impl Running {
    fn wait_for(&self, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            let held = self.server.statistics.budget.held();
            assert!(Instant::now() < deadline, "{held} bytes held");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A client with a small receive buffer.
fn narrow(running: &Running) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address: std::net::SocketAddr = ([127, 0, 0, 1], running.port).into();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    Client(stream)
}

impl Client {
    fn takes(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        self.0.read_exact(&mut taken).unwrap();
        taken
    }

    /// Returns the first line of the next reply.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.takes(1));
        }
        String::from_utf8(line).unwrap()
    }
}

#[test]
fn a_client_may_write_its_whole_pipeline_before_it_reads() {
    let running = with_big_value(Config::default());
    let mut client = narrow(&running);
    // This is far more, in both directions, than the sockets hold. In the first phase, one read of requests has more replies than
    // are collected before they are written.
    let get = |bytes: usize| {
        let end = (bytes - 1).to_string();
        let length = end.len();
        format!("*4\r\n$8\r\nGETRANGE\r\n$3\r\nbig\r\n$1\r\n0\r\n${length}\r\n{end}\r\n")
    };
    let phases = [(5_000, 2_000), (250_000, 10)];
    let requests = phases.map(|(times, bytes)| get(bytes).repeat(times));
    client.send(requests.concat());
    for (times, bytes) in phases {
        let reply = format!("${bytes}\r\n{}\r\n", "x".repeat(bytes));
        for _ in 0..times {
            let taken = client.takes(reply.len());
            assert!(taken == reply.as_bytes());
        }
    }
    client.says("PING\r\n", "+PONG\r\n");
    running.wait_for(|| running.server.statistics.budget.held() == 0);
}

#[test]
fn what_is_answered_ahead_is_bounded_and_nothing_of_it_is_lost() {
    let config = Config {
        reply_bytes_max: 4 << 20,
        ..Config::default()
    };
    let running = with_big_value(config);
    let mut client = narrow(&running);
    let times = 40;
    client.send("GET big\r\nSELECT 1\r\nSELECT 0\r\n".repeat(times));
    // Replies wait up to the limit, and no more.
    running.wait_for(|| running.server.statistics.budget.held() > 1 << 20);
    for _ in 0..times {
        assert_eq!(client.takes(BIG + 10).len(), BIG + 10);
    }
    client.says("PING\r\n", "+PONG\r\n");
    let peak = running.server.statistics.budget.peak();
    assert!(peak <= 2 * (4 << 20), "{peak}");
    let closes = &running.server.statistics.reply_limit_closes;
    assert_eq!(
        closes.load(Ordering::Relaxed),
        0,
        "a reply that does not fit yet is put off"
    );
}

#[test]
fn replies_wait_up_to_the_whole_bound_and_what_cannot_be_asked_again_is_put_off_before_it_is_run() {
    let bytes_max = 32 << 20;
    let config = Config {
        reply_bytes_max: bytes_max,
        ..Config::default()
    };
    let running = with_big_value(config);
    let mut client = narrow(&running);
    let (reads, infos) = (2000, 40);
    client.send(
        "GETRANGE big 0 19999\r\n".repeat(reads)
            + &"INFO redtail\r\n".repeat(infos)
            + "CLIENT SETNAME x\r\n",
    );
    let shown = || {
        let clients = running.server.clients.all();
        clients
            .first()
            .map_or(0, |client| client.shown().reply_bytes)
    };
    running.wait_for(|| shown() > bytes_max / 4 * 3);
    for _ in 0..reads {
        client.takes("$20000\r\n\r\n".len() + 20_000);
    }
    for _ in 0..infos {
        let line = client.line();
        let bytes: usize = line[1..].trim().parse().unwrap();
        client.takes(bytes + 2);
    }
    client.says("PING\r\n", "+OK\r\n+PONG\r\n");
}

#[test]
fn what_has_no_room_is_refused_before_any_of_it_is_copied() {
    let config = Config {
        clients_memory: 24 << 20,
        ..Config::default()
    };
    let running = Running::start(config).with_data();
    let many: Vec<String> = (0..50_000).map(|at| format!("element-{at}")).collect();
    let filled = |words: [&'static str; 2]| {
        let many = many.iter().map(String::as_str);
        words.into_iter().chain(many).collect::<Vec<_>>()
    };
    let big = "x".repeat(1 << 20);
    running.serve(&[
        &["SET", "big", &big],
        &["SADD", "small", "1", "2", "3"],
        &filled(["SADD", "set"]),
        &filled(["RPUSH", "list"]),
    ]);
    let budget = &running.server.statistics.budget;
    let mut client = running.client();
    let one = [
        "MGET".to_owned() + &" big".repeat(20),
        "SRANDMEMBER small -5000000".to_owned(),
    ];
    for request in &one {
        client.send(request.clone() + "\r\n");
        assert!(client.line().starts_with("-OOM "), "{request}");
    }
    let queued = [
        ("SMEMBERS set", 60),
        ("LRANGE list 0 -1", 60),
        ("LRANGE list 40000 -1", 400),
        ("SRANDMEMBER small -100000", 40),
        ("GETRANGE big 10 -10", 20),
        ("GET big", 20),
    ];
    for (request, times) in queued {
        let all = format!("{request}\r\n").repeat(times);
        client.send(format!("MULTI\r\n{all}EXEC\r\n"));
        (0..=times).for_each(|_| drop(client.line()));
        assert!(client.line().starts_with("-OOM "), "{request}");
    }
    assert!(budget.peak() < 2 << 20, "{}", budget.peak());
    // A smaller reply is answered, and so is a read of a missing key or of a key of another type.
    client.send("MULTI\r\nSMEMBERS set\r\nLRANGE set 0 -1\r\nGETRANGE none 0 -1\r\nEXEC\r\n");
    (0..4).for_each(|_| drop(client.line()));
    assert_eq!(client.line(), "*3\r\n");
}

#[test]
fn a_transaction_ends_where_its_client_has_gone() {
    let running = Running::start(Config::default()).with_data();
    running.serve(&[&["SET", "text", &"abcdefghij".repeat(400)]]);
    // That takes minutes, and needs less than 100 KB for replies.
    let long = "LCS text text LEN\r\n".repeat(20_000);
    // A client that has taken all replies ends its side; one that has not resets the connection; the last one sends everything
    // at once.
    for (takes, at_once) in [(true, false), (false, false), (false, true)] {
        let mut client = running.client();
        let queue = format!("MULTI\r\n{long}");
        let queued = "+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(20_000);
        if at_once {
            client.send(queue + "EXEC\r\n");
        } else {
            client.send(queue);
            if takes {
                client.expects(&queued);
            }
            client.send("EXEC\r\n");
        }
        // By then the transaction mostly runs. Whether or not it does, it must not run to its end.
        std::thread::sleep(Duration::from_millis(50));
        drop(client);
        running.wait_for(|| running.server.connections() == 0);
    }
}

#[test]
fn a_client_that_only_sends_no_more_gets_its_long_transaction() {
    let running = with_big_value(Config::default());
    let mut client = running.client();
    client.send("MULTI\r\n".to_owned() + &"SRANDMEMBER small -300000\r\n".repeat(5));
    client.expects(&("+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(5)));
    client.send("EXEC\r\n");
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    let rest = client.rest();
    assert!(rest.starts_with("*5\r\n*300000\r\n$1\r\n"));
    assert_eq!(rest.len(), 4 + 5 * (9 + 300_000 * 7));
}

#[test]
fn replies_to_a_peer_that_sends_no_more_are_written_to_the_last() {
    let running = with_big_value(Config::default());
    let mut client = narrow(&running);
    client.send("GET big\r\n".repeat(20));
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest().len(), 20 * BIG);
}

#[test]
fn what_one_client_leaves_lying_is_refused_to_it_and_not_to_others() {
    let config = Config {
        clients_memory: 24 << 20,
        ..Config::default()
    };
    let running = with_big_value(config);
    let mut greedy = narrow(&running);
    greedy.send("MULTI\r\n".to_owned() + &"GET big\r\n".repeat(40) + "EXEC\r\n");
    for _ in 0..41 {
        greedy.line();
    }
    assert!(
        greedy.line().starts_with("-OOM "),
        "40 MB is more than half of 24"
    );
    greedy.says("PING\r\n", "+PONG\r\n");
    let budget = &running.server.statistics.budget;
    running.wait_for(|| budget.held() == 0);
    assert!(budget.peak() <= 16 << 20, "{}", budget.peak());
    // Now it takes its replies, and others get theirs.
    greedy.send("GET big\r\n".repeat(40));
    let mut other = running.client();
    for _ in 0..10 {
        other.send("GET big\r\n");
        assert_eq!(other.takes(BIG)[0], b'$');
    }
    for _ in 0..40 {
        assert_eq!(greedy.takes(BIG)[0], b'$');
    }
    greedy.says("PING\r\n", "+PONG\r\n");
}

#[test]
fn queued_commands_and_long_requests_are_of_the_same_memory() {
    let config = Config {
        clients_memory: 8 << 20,
        ..Config::default()
    };
    let running = with_big_value(config);
    let held = || running.server.statistics.budget.held();
    let mut client = running.client();
    client.says("MULTI\r\n", "+OK\r\n");
    let word = "w".repeat(100_000);
    let request = format!("*2\r\n$3\r\nGET\r\n${}\r\n{word}\r\n", word.len());
    let mut queued = 0;
    let refused = loop {
        client.send(&request);
        match client.line() {
            line if line == "+QUEUED\r\n" => queued += 1,
            line => break line,
        }
    };
    assert!(refused.starts_with("-OOM "), "{refused}");
    assert!((30..45).contains(&queued), "half of 8 MB: {queued}");
    assert!(held() <= 1 << 20, "it keeps what cannot run: {}", held());
    client.says(
        "EXEC\r\n",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
    );
    let mut long = running.client();
    long.send("*2\r\n$3\r\nGET\r\n$100000000\r\n");
    // The server closes the connection in the middle of the request.
    let _ = long.0.write_all(&vec![b'x'; 100_000_000]);
    let rest = long.rest();
    assert!(rest.is_empty() || rest.starts_with("-OOM "), "{rest}");
    running.wait_for(|| running.server.connections() == 1);
    let closes = &running.server.statistics.query_limit_closes;
    assert_eq!(closes.load(Ordering::Relaxed), 1);
    drop(client);
    running.wait_for(|| held() == 0);
}

#[test]
fn the_largest_that_takes_nothing_goes_where_others_are_refused() {
    let config = Config {
        clients_memory: 11 << 20,
        ..Config::default()
    };
    let running = with_big_value(config);
    let mut lazy = narrow(&running);
    lazy.send("GET big\r\n".repeat(40));
    running.wait_for(|| running.server.statistics.budget.held() > 1 << 20);
    let mut other = running.client();
    other.says("PING\r\n", "+PONG\r\n");
    let mut refused = 0;
    let deadline = Instant::now() + PATIENCE;
    // Replies that have no room beside those of the lazy client are refused until it has taken nothing for a while; then it is
    // disconnected.
    while running.server.connections() > 1 {
        assert!(Instant::now() < deadline);
        let five = "MULTI\r\n".to_owned() + &"GET big\r\n".repeat(5) + "EXEC\r\n";
        other.send(five);
        (0..6).for_each(|_| drop(other.line()));
        match other.line() {
            line if line.starts_with("-OOM ") => refused += 1,
            line => {
                assert_eq!(line, "*5\r\n");
                other.takes(5 * BIG);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(refused > 0);
    other.says("PING\r\n", "+PONG\r\n");
}

#[test]
fn refusals_that_repeat_are_slowed_on_their_connection_alone_and_in_order() {
    let running = Running::start(Config::default()).with_data();
    let mut client = running.client();
    let refusal = "-READONLY You can't write against a read only replica.\r\n";
    let slowed = || running.server.statistics.slowed.load(Ordering::Relaxed);
    let before = running.server.statistics.errors.load(Ordering::Relaxed);
    let few = 50;
    client.says(&"SET a b\r\n".repeat(few), &refusal.repeat(few));
    assert_eq!(slowed(), 0, "a few cost nothing");
    // More refusals than a slow test earns in its time. All are answered in order; then the connection waits and continues.
    let many = 3000;
    let pipeline = "SET a b\r\nGET a\r\n".repeat(many);
    client.says(&pipeline, &format!("{refusal}$1\r\n1\r\n").repeat(many));
    running.wait_for(|| slowed() > 0);
    client.says("SET a b\r\nPING\r\n", &format!("{refusal}+PONG\r\n"));
    let slowed_one = slowed();
    let mut other = running.client();
    for _ in 0..100 {
        other.says("GET a\r\n", "$1\r\n1\r\n");
    }
    other.says("SET a b\r\n", refusal);
    other.says("GET a\r\n", "$1\r\n1\r\n");
    // The slowed client may have started its last wait only now.
    assert!(slowed() <= slowed_one + 1, "the other does not wait");
    let errors = running.server.statistics.errors.load(Ordering::Relaxed);
    assert_eq!(errors - before, (few + many + 2) as u64);
}

#[test]
fn one_worker_answers_others_while_it_does_what_takes_long() {
    let served = Arc::new(Served::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let stop = CancellationToken::new();
    let listeners = runtime
        .block_on(Listeners::open(&["127.0.0.1:0".parse().unwrap()], None))
        .unwrap();
    let port = listeners.port().unwrap();
    let server = Server::new(Config::default(), Arc::clone(&served), Replication::default);
    runtime.spawn(Arc::clone(&server).run(listeners, stop.clone()));
    let running = Running {
        server,
        served,
        stop,
        runtime: Some(runtime),
        port,
    };
    running.serve(&[&["SADD", "small", "1", "2", "3"], &["SET", "a", "1"]]);
    let (mut long, mut other) = (running.client(), running.client());
    other.says("GET a\r\n", "$1\r\n1\r\n");
    long.send("SRANDMEMBER small -20000000\r\n");
    std::thread::sleep(Duration::from_millis(20));
    other.says("GET a\r\n", "$1\r\n1\r\n");
    long.0.set_nonblocking(true).unwrap();
    let read = long.0.read(&mut [0; 100]);
    assert!(read.is_err(), "the other one's reply came first");
}

#[test]
fn others_have_their_turn_after_some_requests_that_are_only_queued() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let listeners = runtime.block_on(Listeners::open(&[any], None)).unwrap();
    let port = listeners.port().unwrap();
    // A few megabytes are in the socket before the server starts.
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_nonblocking(true).unwrap();
    let get = format!("*2\r\n$3\r\nGET\r\n$10000\r\n{}\r\n", "k".repeat(10_000));
    let requests = "MULTI\r\n".to_owned() + &get.repeat(1000);
    let lying = client.write(requests.as_bytes()).unwrap() as u64;
    assert!(lying > 1 << 20, "{lying}");
    let served = Arc::new(Served::default());
    served.swap_in(Arc::new(Generation::new(
        16,
        Dialect::default(),
        Arc::clone(served.tuning()),
    )));
    let server = Server::new(Config::default(), served, Replication::default);
    let stop = CancellationToken::new();
    let most = runtime.block_on(async {
        tokio::spawn(Arc::clone(&server).run(listeners, stop.clone()));
        let (mut read, mut most) = (0, 0);
        while read < lying / 2 {
            tokio::task::yield_now().await;
            let now = server.statistics.traffic.totals().received_bytes;
            most = most.max(now - read);
            read = now;
        }
        stop.cancel();
        most
    });
    assert!(most <= 128 << 10, "{most} bytes in one turn");
}

#[test]
fn a_long_transaction_is_of_one_moment_and_does_not_keep_the_writer_waiting() {
    let running = with_big_value(Config::default());
    let mut client = narrow(&running);
    let count = 2_000_000;
    let ask = format!("SRANDMEMBER small -{count}\r\n");
    client.send("MULTI\r\nGET a\r\n".to_owned() + &ask.repeat(5) + "GET a\r\n");
    client.expects(&("+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(7)));
    client.send("EXEC\r\n");
    // Its first replies are in memory.
    running.wait_for(|| running.server.statistics.budget.held() > 0);
    let served = running.served.current().unwrap();
    let spaces = &served.spaces;
    let mut tx = spaces.write(0, [spaces.slot(0, b"a")]);
    tx.set(b"a", None, crate::store::NewValue::Integer(2));
    drop(tx);
    client.0.set_nonblocking(true).unwrap();
    let read = client.0.read(&mut [0; 1]);
    assert!(read.is_err(), "the writer waited until the end");
    client.0.set_nonblocking(false).unwrap();
    client.expects("*7\r\n$1\r\n1\r\n");
    for _ in 0..5 {
        assert_eq!(client.line(), format!("*{count}\r\n"));
        client.takes(count * "$1\r\n1\r\n".len());
    }
    client.says("GET a\r\n", "$1\r\n1\r\n$1\r\n2\r\n");
}
