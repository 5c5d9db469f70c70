#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::history::Point;

fn place(offset: u64) -> Place {
    Place::at(Point {
        replid: "a".repeat(40).parse().unwrap(),
        offset,
    })
}

fn put(output: &mut Output, text: &str, offset: u64) {
    output.buffer().extend_from_slice(text.as_bytes());
    output.end(place(offset));
}

fn appended(path: &std::path::Path) -> File {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
}

#[test]
fn what_a_killed_predecessor_wrote_is_not_written_again_even_half_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    std::fs::write(&path, "earlier\n").unwrap();
    let stop = CancellationToken::new();
    let mut first = Output::of(appended(&path), None, stop.clone()).unwrap();
    put(&mut first, "one\n", 1);
    put(&mut first, "two\n", 2);
    let (flow, reached) = first.flush().unwrap();
    assert_eq!((flow, &reached), (Flow::On, &Some(place(2))));
    let kept = first.kept(place(2));
    for written in ["", "t", "three\n", "three\nfo", "three\nfour\n"] {
        let whole = format!("earlier\none\ntwo\n{written}");
        std::fs::write(&path, &whole).unwrap();
        let mut again = Output::of(appended(&path), Some(&kept), stop.clone()).unwrap();
        assert!(again.continues());
        put(&mut again, "three\n", 3);
        again.flush().unwrap();
        put(&mut again, "four\n", 4);
        again.flush().unwrap();
        put(&mut again, "five\n", 5);
        let (flow, reached) = again.flush().unwrap();
        assert_eq!((flow, reached), (Flow::On, Some(place(5))));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "earlier\none\ntwo\nthree\nfour\nfive\n");
        assert_eq!(again.kept(place(5)).bytes, text.len() as u64);
    }
    // What somebody else wrote there is not taken for it.
    std::fs::write(&path, "earlier\none\ntwo\nother\n").unwrap();
    let mut again = Output::of(appended(&path), Some(&kept), stop.clone()).unwrap();
    put(&mut again, "three\n", 3);
    assert!(matches!(again.flush(), Err(OutError::Differs(16))));
    // What cannot be told again stays, but no half line.
    std::fs::write(&path, "earlier\none\ntwo\nthree\nfo").unwrap();
    let mut again = Output::of(appended(&path), Some(&kept), stop.clone()).unwrap();
    again.forget_tail().unwrap();
    put(&mut again, "lost\n", 3);
    again.flush().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "earlier\none\ntwo\nthree\nlost\n");
    // Another file, or a shorter one, is just continued.
    for text in ["", "one\n"] {
        std::fs::write(&path, text).unwrap();
        let mut again = Output::of(appended(&path), Some(&kept), stop.clone()).unwrap();
        put(&mut again, "three\n", 3);
        again.flush().unwrap();
        let all = std::fs::read_to_string(&path).unwrap();
        assert_eq!(all, format!("{text}three\n"));
    }
}

#[test]
fn a_stop_leaves_whole_lines_in_a_pipe_and_says_which() {
    let (mut reader, writer) = io::pipe().unwrap();
    let stop = CancellationToken::new();
    let mut output = Output::of(File::from(OwnedFd::from(writer)), None, stop.clone()).unwrap();
    // More than a pipe holds, in lines that end nowhere near a piece's end.
    let line = format!("{}\n", "x".repeat(9_999));
    for number in 1..=30 {
        put(&mut output, &line, number);
    }
    let stopper = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            // Once the pipe is full, its reader takes a little of it, and the stop comes.
            let mut first = vec![0; 10_000];
            reader.read_exact(&mut first).unwrap();
            stop.cancel();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            first.len() + rest.len()
        })
    };
    let (flow, reached) = output.flush().unwrap();
    drop(output);
    let read = stopper.join().unwrap();
    assert_eq!(read % line.len(), 0, "half a line");
    let lines = (read / line.len()) as u64;
    assert_eq!(reached, Some(place(lines)));
    assert_eq!(flow, if lines == 30 { Flow::On } else { Flow::Stopped });
}

#[test]
fn a_reader_that_has_gone_is_noticed_with_and_without_writing() {
    let (reader, writer) = io::pipe().unwrap();
    let stop = CancellationToken::new();
    let mut output = Output::of(File::from(OwnedFd::from(writer)), None, stop).unwrap();
    assert!(!output.is_deserted());
    drop(reader);
    assert!(output.is_deserted());
    put(&mut output, "line\n", 1);
    assert_eq!(output.flush().unwrap(), (Flow::Deserted, None));
}
