//! The least that a cluster client does: it learns which server has which slot, and follows redirections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::time::Duration;

use super::keys::Words;
use super::slots::SLOTS;
use crate::client::{Client, Reply, encode};

/// Which server of a shard is asked first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefer {
    Primaries,
    /// One of its replicas, at random.
    Replicas,
}

/// A client of a whole cluster.
pub struct Router {
    /// The servers to ask for the topology: those that were given, and the primaries seen, because any may go.
    seeds: Vec<u16>,
    prefer: Prefer,
    /// The servers of each slot, the preferred ones first.
    slots: Vec<Vec<u16>>,
    /// The connections by port, each with its number.
    connections: HashMap<u16, (u64, Client)>,
    connected: u64,
    rng: fastrand::Rng,
}

/// The replies to commands, and the number of the connection that they came from.
pub struct Answer {
    pub connection: u64,
    pub replies: Vec<Reply>,
}

impl Router {
    pub fn new(seeds: Vec<u16>, prefer: Prefer) -> Self {
        Self {
            seeds,
            prefer,
            slots: Vec::new(),
            connections: HashMap::new(),
            connected: 0,
            rng: fastrand::Rng::new(),
        }
    }

    /// Sends commands about keys of one slot, all to one server, and follows redirections.
    ///
    /// # Errors
    /// If a connection fails. The next call learns the topology anew.
    pub fn ask(&mut self, slot: u16, commands: &[Words]) -> io::Result<Answer> {
        let answer = self.redirected(slot, commands);
        if answer.is_err() {
            self.forget();
        }
        answer
    }

    /// Learns the topology anew before the next command.
    pub fn forget(&mut self) {
        self.slots.clear();
        self.connections.clear();
    }

    fn redirected(&mut self, slot: u16, commands: &[Words]) -> io::Result<Answer> {
        if self.slots.is_empty() {
            self.learn()?;
        }
        let mut port = self.choose(slot)?;
        let mut is_asking = false;
        for _ in 0..REDIRECTIONS_MAX {
            let answer = self.send(port, is_asking, commands)?;
            let Some((kind, target)) = answer.replies.iter().find_map(redirection) else {
                return Ok(answer);
            };
            is_asking = kind == "ASK";
            if !is_asking && self.prefer == Prefer::Primaries {
                self.slots[usize::from(slot)] = vec![target];
            }
            port = target;
        }
        self.slots.clear();
        self.send(port, is_asking, commands)
    }

    fn choose(&mut self, slot: u16) -> io::Result<u16> {
        let servers = &self.slots[usize::from(slot)];
        let place = match self.prefer {
            Prefer::Primaries => 0,
            Prefer::Replicas => self.rng.usize(..servers.len().max(1)),
        };
        let port = servers.get(place).copied();
        if port.is_none() {
            self.slots.clear();
        }
        port.ok_or_else(|| io::Error::other(format!("nobody has slot {slot}")))
    }

    fn send(&mut self, port: u16, is_asking: bool, commands: &[Words]) -> io::Result<Answer> {
        let asking: Words = vec![b"ASKING".to_vec()];
        let first = is_asking.then_some(&asking);
        let all: Vec<&Words> = first.into_iter().chain(commands).collect();
        let request: Vec<u8> = all.iter().flat_map(|words| encode(words)).collect();
        let (connection, client) = self.connection(port)?;
        client.send(&request)?;
        let replies: io::Result<Vec<Reply>> = all.iter().map(|_| client.read()).collect();
        Ok(Answer {
            connection: *connection,
            replies: replies?.split_off(usize::from(is_asking)),
        })
    }

    fn connection(&mut self, port: u16) -> io::Result<&mut (u64, Client)> {
        match self.connections.entry(port) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(free) => {
                let client = connect(port, self.prefer)?;
                self.connected += 1;
                Ok(free.insert((self.connected, client)))
            }
        }
    }

    /// Asks the first server that answers for the servers of each slot.
    fn learn(&mut self) -> io::Result<()> {
        let mut result = Err(io::Error::other("no seeds"));
        for seed in self.seeds.clone() {
            result = self.learn_from(seed);
            if result.is_ok() {
                break;
            }
            self.connections.remove(&seed);
        }
        result
    }

    fn learn_from(&mut self, seed: u16) -> io::Result<()> {
        let (_, client) = self.connection(seed)?;
        let all = servers_of_slots(client)?;
        let prefer = self.prefer;
        let preferred = |mut servers: Vec<u16>| {
            match prefer {
                Prefer::Replicas if servers.len() > 1 => _ = servers.remove(0),
                _ => servers.truncate(1),
            }
            servers
        };
        self.slots = all.into_iter().map(preferred).collect();
        if prefer == Prefer::Primaries {
            self.seeds.extend(self.slots.iter().flatten());
            self.seeds.sort_unstable();
            self.seeds.dedup();
        }
        Ok(())
    }
}

/// The ports of the servers of each slot, the primary's first.
///
/// # Errors
/// If the server has no answer, or one that is none.
pub fn servers_of_slots(client: &mut Client) -> io::Result<Vec<Vec<u16>>> {
    let reply = client.try_command(&[b"CLUSTER", b"SLOTS"])?;
    if reply.is_error() {
        return Err(io::Error::other(reply.text()));
    }
    let mut slots = vec![Vec::new(); usize::from(SLOTS)];
    for range in reply.elements() {
        let servers = servers(&range);
        let (first, last, ports) =
            servers.ok_or_else(|| io::Error::other(format!("CLUSTER SLOTS has {range:?}")))?;
        slots[first..=last].fill(ports);
    }
    Ok(slots)
}

/// `first last [address port id …] …`, the primary before its replicas.
fn servers(range: &Reply) -> Option<(usize, usize, Vec<u16>)> {
    let parts = range.elements();
    let number = |reply: &Reply| usize::try_from(reply.integer()?).ok();
    let (first, last) = (number(parts.first()?)?, number(parts.get(1)?)?);
    let port = |server: &Reply| u16::try_from(server.elements().get(1)?.integer()?).ok();
    let ports: Option<Vec<u16>> = parts[2..].iter().map(port).collect();
    Some((first, last, ports.filter(|ports| !ports.is_empty())?))
}

fn connect(port: u16, prefer: Prefer) -> io::Result<Client> {
    let mut client = Client::try_connect(port)?.patient(REPLY_MAX);
    if prefer == Prefer::Replicas {
        client.try_command(&[b"READONLY"])?;
    }
    Ok(client)
}

/// `-MOVED 3999 127.0.0.1:6381`, or the same with ASK.
fn redirection(reply: &Reply) -> Option<(String, u16)> {
    if !reply.is_error() {
        return None;
    }
    let text = reply.text();
    let words: Vec<&str> = text.split(' ').collect();
    let is_one = matches!(words.first(), Some(&"MOVED" | &"ASK"));
    let port = words.get(2)?.rsplit(':').next()?.parse().ok()?;
    is_one.then(|| (words[0].to_owned(), port))
}

/// How often a command may be sent on. During a failover two nodes may name each other for a moment.
const REDIRECTIONS_MAX: usize = 8;

/// How long a server may take to answer before the client asks elsewhere.
const REPLY_MAX: Duration = Duration::from_secs(5);
