//! COMMAND describes each command exactly as the upstream does.

use crate::builds::patched_specification;
use crate::servers::{ALL, Server};

/// What the servers say about their commands. Each line holds servers, a name, and more.
const CATALOGUE: &str = include_str!("../../src/command/dispatch/catalogue.txt");

/// The letters of the servers in the catalogue, in the order of [`ALL`].
const LETTERS: [char; 8] = ['6', '7', '4', '8', '2', 'v', 'w', 'V'];

/// Commands whose key specifications have notes, which redtail leaves out.
const NOTED: &[&str] = &[
    "bitfield",
    "eval",
    "evalsha",
    "eval_ro",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "getex",
    "hgetex",
    "pfcount",
    "set",
    "sort",
    "sort_ro",
    "xadd",
];

/// The names of all commands that the server with that letter has.
fn names(letter: char) -> impl Iterator<Item = &'static str> {
    CATALOGUE.lines().filter_map(move |line| {
        let mut words = line.split(' ');
        let servers = words.next()?;
        words.next().filter(|_| servers.contains(letter))
    })
}

/// Whether the command is shown with its subcommands, whose order is random.
fn is_container(name: &str) -> bool {
    let start = format!("{name}|");
    names('2')
        .chain(names('V'))
        .any(|other| other.starts_with(&start))
}

#[test]
fn every_command_is_shown_as_the_upstream_shows_it() {
    for (name, letter) in ALL.into_iter().zip(LETTERS) {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Server::redtail(&primary);
        let (mut theirs, mut ours) = (primary.client(), redtail.client());
        for command in names(letter) {
            if NOTED.contains(&command) || letter != '6' && is_container(command) {
                continue;
            }
            let asked = format!("COMMAND INFO {command}");
            let (found, expected) = (ours.command(&asked), theirs.command(&asked));
            if !patched_specification(command, &found, &expected) {
                assert_eq!(found, expected, "{asked}, {name}");
            }
        }
        let counts = [&mut ours, &mut theirs].map(|client| client.command("COMMAND COUNT"));
        assert_eq!(counts[0], counts[1], "{name}");
    }
}
