#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::upstream::spool::{Piece, Receiver, SpoolLimits, spool};
use crate::upstream::status::Status;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::net::TcpListener;

/// Longer than a writer may be busy before the task reads in its place.
const LONG: Duration = Duration::from_millis(200);

/// A link: the other end, the task's half and the writer's half.
struct Link {
    theirs: std::net::TcpStream,
    incoming: Incoming,
    sender: Sender,
    receiver: Receiver,
    status: Arc<Status>,
}

async fn link() -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (theirs, _) = listener.accept().await.unwrap();
    let theirs = theirs.into_std().unwrap();
    theirs.set_nonblocking(false).unwrap();
    let (line, status) = (Line::tcp(ours.unwrap()), Arc::new(Status::default()));
    let limits = SpoolLimits {
        memory_bytes: 100 << 10,
        ..SpoolLimits::default()
    };
    let (sender, receiver) = spool(limits, Arc::default(), Arc::clone(&status), line.socket());
    let (incoming, _) = line.split();
    Link {
        theirs,
        incoming,
        sender,
        receiver,
        status,
    }
}

/// Acts as the link's task: reads until the end, and returns how many bytes it passed on.
async fn pump(mut incoming: Incoming, sender: Sender) -> usize {
    let mut passed = 0;
    loop {
        let mut buffer = BytesMut::with_capacity(16 << 10);
        // Like the pump: the read is dropped at times and started again.
        let read = tokio::select! {
            read = incoming.read(&mut buffer, &sender, true) => read.unwrap(),
            () = sleep(Duration::from_millis(7)) => continue,
        };
        if read == 0 {
            return passed;
        }
        passed += read;
        sender
            .send(buffer.freeze(), std::time::Instant::now())
            .await
            .unwrap();
    }
}

/// Returns the `number`th byte of what is sent. No two nearby positions stay equal for long.
fn byte(number: usize) -> u8 {
    (number.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]
}

/// Sends in pieces of all sizes and at all paces, a quarter of them without a pause.
fn send_all(mut theirs: std::net::TcpStream, total: usize, mut random: fastrand::Rng) {
    let mut sent = 0;
    while sent < total {
        let most = if random.u8(..) < 240 { 300 } else { 300_000 };
        let len = random.usize(1..most).min(total - sent);
        let piece: Vec<u8> = (sent..sent + len).map(byte).collect();
        theirs.write_all(&piece).unwrap();
        sent += len;
        if random.u8(..) < 192 {
            std::thread::sleep(Duration::from_micros(random.u64(..1500)));
        }
    }
}

/// Takes everything like the writer, at all paces, and returns how many bytes came from the socket.
fn take_all(receiver: &mut Receiver, total: usize, mut random: fastrand::Rng) -> usize {
    let (mut taken, mut direct) = (0, 0);
    loop {
        let piece = receiver.recv_stream().unwrap();
        if piece.is_empty() {
            break;
        }
        let is_next = piece
            .iter()
            .zip(taken..)
            .all(|(found, at)| *found == byte(at));
        assert!(is_next, "after {taken} bytes: {piece:?}");
        taken += piece.len();
        if let Piece::Direct(bytes, _) = &piece {
            direct += bytes.len();
        }
        match random.u16(..) {
            0..300 => std::thread::sleep(Duration::from_millis(random.u64(..120))),
            300..600 => receiver.give_back(),
            600..20_000 => std::thread::sleep(Duration::from_micros(random.u64(..500))),
            _ => {}
        }
    }
    assert_eq!(taken, total);
    assert!(receiver.recv_stream().unwrap().is_empty(), "the end stays");
    direct
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_comes_once_and_in_its_order_whoever_reads() {
    const TOTAL: usize = 6 << 20;
    for seed in 0..4 {
        let random = fastrand::Rng::with_seed(seed);
        let Link {
            theirs,
            incoming,
            sender,
            mut receiver,
            status,
        } = link().await;
        let sending = random.clone();
        let other = std::thread::spawn(move || send_all(theirs, TOTAL, sending));
        let writer = std::thread::spawn(move || take_all(&mut receiver, TOTAL, random));
        let passed = pump(incoming, sender).await;
        other.join().unwrap();
        let direct = writer.join().unwrap();
        assert_eq!(passed + direct, TOTAL);
        assert!(passed > 0 && direct > 0, "both read: {passed} and {direct}");
        assert!(status.direct_reads.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_waits_in_the_socket_reads_alone_and_one_that_is_busy_does_not() {
    let Link {
        mut theirs,
        incoming,
        sender,
        mut receiver,
        status,
    } = link().await;
    let task = tokio::spawn(pump(incoming, sender));
    let writer = std::thread::spawn(move || {
        // A byte may arrive before the writer asks for it, and the task takes over from a writer that does not run.
        let mut direct = 0;
        for number in (0..=u8::MAX).cycle().take(100_000) {
            theirs.write_all(&[number]).unwrap();
            assert_eq!(&*receiver.recv_stream().unwrap(), [number]);
            direct = status.direct_reads.load(Ordering::Relaxed);
            if direct >= 50 {
                break;
            }
        }
        assert!(direct >= 50, "{direct}");
        // Far more than the kernel buffers: the call would not return if neither side read. The writer is busy during the
        // call.
        theirs.write_all(&vec![7; 64 << 20]).unwrap();
        assert_eq!(status.direct_reads.load(Ordering::Relaxed), direct);
        drop(theirs);
        let mut rest = 0;
        loop {
            let piece = receiver.recv_stream().unwrap();
            if piece.is_empty() {
                return rest;
            }
            rest += piece.len();
        }
    });
    let rest = tokio::task::spawn_blocking(|| writer.join().unwrap());
    assert_eq!(rest.await.unwrap(), 64 << 20);
    assert!(task.await.unwrap() > 60 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_wakes_the_writer_and_closes_the_connection() {
    let Link {
        theirs,
        incoming,
        sender,
        mut receiver,
        ..
    } = link().await;
    let task = tokio::spawn(pump(incoming, sender));
    let (taken, first_taken) = tokio::sync::oneshot::channel();
    let writer = std::thread::spawn(move || {
        let first = receiver.recv_stream().unwrap().len();
        taken.send(()).unwrap();
        let begun = Instant::now();
        (
            first,
            receiver.recv_stream().unwrap().len(),
            begun.elapsed(),
            receiver,
        )
    });
    (&theirs).write_all(b"x").unwrap();
    first_taken.await.unwrap();
    sleep(LONG).await;
    task.abort();
    let closed = tokio::task::spawn_blocking(move || {
        let (first, rest, waited, receiver) = writer.join().unwrap();
        assert_eq!((first, rest), (1, 0));
        // Both handles of the socket are still there.
        theirs
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let ended = (&theirs).read(&mut [0]);
        drop(receiver);
        (ended.unwrap(), waited)
    });
    assert_eq!(closed.await.unwrap().0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_writers_reading_fails_with_is_what_the_task_says() {
    let Link {
        theirs,
        mut incoming,
        sender,
        mut receiver,
        ..
    } = link().await;
    let writer = std::thread::spawn(move || {
        let first = receiver.recv_stream().unwrap().len();
        (first, receiver.recv_stream().unwrap().len())
    });
    let ends = std::thread::spawn(move || {
        std::thread::sleep(LONG);
        (&theirs).write_all(b"x").unwrap();
        std::thread::sleep(LONG);
        // A reset instead of an end.
        socket2::SockRef::from(&theirs)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let mut buffer = BytesMut::with_capacity(100);
    let mut read = incoming.read(&mut buffer, &sender, true).await;
    if read.as_ref().is_ok_and(|read| *read == 1) {
        // The task was faster than the writer.
        sender
            .send(buffer.split().freeze(), std::time::Instant::now())
            .await
            .unwrap();
        read = incoming.read(&mut buffer, &sender, true).await;
    }
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    drop(sender);
    ends.join().unwrap();
    assert_eq!(writer.join().unwrap(), (1, 0));
}
