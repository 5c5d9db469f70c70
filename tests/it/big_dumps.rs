//! Dumps of any size, and what the dump tools take for them. The test of their bound and the bench share this.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use redtail::internal::rdb::ValueType;
use redtail::internal::rdb::encode::Writer;
use redtail::internal::rdb::listpack::Listpack;
use redtail::internal::rdb::object::{Meta, NodeRef};
use redtail::internal::rdb::version::{Magic, Version};

/// What a dump holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Strings of 10 to 200 bytes, of which one in ten expires.
    Small,
    /// Four databases of every type but streams, small and large, with expiries and many prefixes, and now and then a huge value.
    Mixed,
    /// Strings of 8 MiB, and hashes of 200,000 fields.
    Huge,
}

/// Writes a dump of about `bytes` bytes in this version of Redis's format, compressed as servers do. Returns its size.
///
/// # Errors
/// If it cannot be written.
pub fn make(path: &Path, bytes: u64, content: Content, version: u16) -> io::Result<u64> {
    let version = Version {
        magic: Magic::Redis,
        number: version,
    };
    // A server says how many keys come. Counting those of a big dump would take as long as writing it.
    let mut keys = Keys::new();
    if bytes <= COUNTED_BYTES_MAX {
        write(io::sink(), bytes, content, version, &mut keys)?;
    }
    let file = write(File::create(path)?, bytes, content, version, &mut keys)?;
    Ok(file.metadata()?.len())
}

/// Up to this size a dump says how many keys it has.
const COUNTED_BYTES_MAX: u64 = 256 << 20;

/// For each database, the number of its keys.
type Keys = BTreeMap<u64, u64>;

/// Writes a dump that says that it has these keys, and counts them.
fn write<W: Write>(
    out: W,
    bytes: u64,
    content: Content,
    version: Version,
    keys: &mut Keys,
) -> io::Result<W> {
    let said = std::mem::take(keys);
    let mut dump = Making(Writer::new(out, version));
    dump.0.header()?;
    dump.0.aux(b"redis-ver", b"7.2.4")?;
    dump.0.aux(b"redis-bits", b"64")?;
    let (mut db, mut number) = (None, 0);
    while dump.0.position() < bytes {
        let wanted = match content {
            Content::Mixed => dump.0.position() * 4 / bytes,
            Content::Small | Content::Huge => 0,
        };
        if db.replace(wanted) != Some(wanted) {
            match said.get(&wanted) {
                Some(keys) => dump.0.database(wanted, *keys, *keys / 10)?,
                None => dump.0.select(wanted)?,
            }
        }
        match content {
            Content::Small => dump.small(number)?,
            Content::Mixed => dump.mixed(number)?,
            Content::Huge => dump.huge(number)?,
        }
        *keys.entry(wanted).or_default() += 1;
        number += 1;
    }
    dump.0.end()
}

/// A dump that is being written.
struct Making<W>(Writer<W>);

impl<W: Write> Making<W> {
    fn key(&mut self, number: u64, kind: ValueType) -> io::Result<()> {
        let meta = Meta {
            expire_at_ms: number
                .is_multiple_of(10)
                .then(|| 1_900_000_000_000 + scattered(number).cast_signed() % 1_000_000_000_000),
            ..Meta::default()
        };
        self.0.key(name(number).as_bytes(), meta, kind)
    }

    fn small(&mut self, number: u64) -> io::Result<()> {
        let len = 10 + below(190, number);
        self.string(number, &noise(number, len))
    }

    fn string(&mut self, number: u64, text: &[u8]) -> io::Result<()> {
        self.key(number, ValueType::String)?;
        self.0.string(text)
    }

    fn mixed(&mut self, number: u64) -> io::Result<()> {
        const HUGE_EVERY: u64 = 20_000;
        if number % HUGE_EVERY == HUGE_EVERY / 2 {
            return match number / HUGE_EVERY % 5 {
                0 => self.string(number, &noise(number, 20 << 20)),
                1 => self.hash(number, 200_000),
                2 => self.zset(number, 200_000),
                3 => self.list(number, 300),
                _ => self.set(number, 200_000),
            };
        }
        let some = 1 + below(60, number);
        match scattered(number) % 1000 {
            0..100 => self.string(number, number.to_string().as_bytes()),
            100..820 => self.small(number),
            820..870 => self.packed_hash(number, some),
            870..900 => self.list(number, 1),
            900..930 => self.set(number, some),
            930..960 => self.packed_zset(number, some),
            960..990 => self.string(number, &prose(number, 500 * some)),
            990..995 => self.hash(number, 30 * some),
            995..998 => self.zset(number, 100 * some),
            _ => self.set(number, 100 * some),
        }
    }

    fn huge(&mut self, number: u64) -> io::Result<()> {
        match number % 2 {
            0 => self.string(number, &noise(number, 8 << 20)),
            _ => self.hash(number, 200_000),
        }
    }

    fn hash(&mut self, number: u64, fields: usize) -> io::Result<()> {
        self.key(number, ValueType::Hash)?;
        self.0.count(fields)?;
        for field in 0..fields {
            self.0.string(format!("field:{field}").as_bytes())?;
            self.0.string(&noise(number ^ field as u64, 40))?;
        }
        Ok(())
    }

    fn packed_hash(&mut self, number: u64, fields: usize) -> io::Result<()> {
        let texts = (0..fields).flat_map(|field| {
            [
                format!("field:{field}"),
                format!("value-{}", scattered(number ^ field as u64) % 100_000),
            ]
        });
        let kind = match self.0.layouts().has_listpacks() {
            true => ValueType::HashListpack,
            false => ValueType::HashZiplist,
        };
        self.key(number, kind)?;
        self.0.packed(&texts.collect())
    }

    fn zset(&mut self, number: u64, members: usize) -> io::Result<()> {
        self.key(number, ValueType::Zset2)?;
        self.0.count(members)?;
        for member in 0..members {
            self.0.string(format!("member:{member}").as_bytes())?;
            self.0.raw(&(1.5 * member as f64).to_le_bytes())?;
        }
        Ok(())
    }

    fn packed_zset(&mut self, number: u64, members: usize) -> io::Result<()> {
        let texts =
            (0..members).flat_map(|member| [format!("member:{member}"), (member * 7).to_string()]);
        let kind = match self.0.layouts().has_listpacks() {
            true => ValueType::ZsetListpack,
            false => ValueType::ZsetZiplist,
        };
        self.key(number, kind)?;
        self.0.packed(&texts.collect())
    }

    fn set(&mut self, number: u64, members: usize) -> io::Result<()> {
        self.key(number, ValueType::Set)?;
        let members = (0..members).map(|member| format!("member-of-a-set:{member}"));
        self.0.count(members.len())?;
        let mut members = members;
        members.try_for_each(|member| self.0.string(member.as_bytes()))
    }

    /// A list of nodes of a hundred elements each.
    fn list(&mut self, number: u64, nodes: usize) -> io::Result<()> {
        let node = |node: usize| {
            let elements = (0..100).map(|at| format!("element {at} of node {node} of {number}"));
            elements.collect::<Listpack>()
        };
        let nodes: Vec<_> = (0..nodes).map(node).collect();
        let kind = match self.0.layouts().has_listpacks() {
            true => ValueType::ListQuicklist2,
            false => ValueType::ListQuicklist,
        };
        self.key(number, kind)?;
        self.0.list(nodes.iter().map(NodeRef::Packed))
    }
}

/// A number without a pattern.
const fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

/// A length below `most`, without a pattern.
fn below(most: u64, number: u64) -> usize {
    usize::try_from(scattered(number ^ 0x5555) % most).expect("a length")
}

/// Millions of keys have hundreds of thousands of prefixes.
fn name(number: u64) -> String {
    let user = scattered(number) % 1_000_000;
    match number % 3 {
        0 => format!("session:{user}:{number}"),
        1 => format!("shop:cart:{}:{number}", user / 100),
        _ => format!("user:{user}:item:{number}"),
    }
}

/// Bytes without a pattern.
fn noise(number: u64, len: usize) -> Vec<u8> {
    let words = (0..=len as u64 / 8)
        .flat_map(|word| scattered(number.wrapping_add(word << 20)).to_le_bytes());
    words.take(len).collect()
}

/// Text that compresses to about a third.
fn prose(number: u64, len: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut word = number;
    while text.len() < len {
        word += 1;
        text += &format!("and the next of {} words ", scattered(word) % 1000);
    }
    text.truncate(len);
    text.into_bytes()
}

/// The word that stands for the dump in [`TOOLS`].
pub const DUMP: &str = "DUMP";

/// The word that stands for the address of a primary in [`TOOLS`].
pub const PRIMARY: &str = "PRIMARY";

/// Every tool that needs no memory for the whole dump, as it is asked.
pub const TOOLS: [&[&str]; 13] = [
    &["check", DUMP],
    &["stats", DUMP],
    &["keys", DUMP],
    &["prefix", DUMP],
    &["prefix", "--depth", "8", "--by", "keys", DUMP],
    &["report", "-o", "-", DUMP],
    &["memory", DUMP],
    &["json", DUMP],
    &["resp", DUMP],
    &["filter", "-o", "-", DUMP],
    &["diff", DUMP, DUMP],
    &["diff", "--fields", DUMP, DUMP],
    &["pull", "-o", "-", PRIMARY],
];

/// Runs one of [`TOOLS`] on a dump. Its output is discarded.
pub fn run_tool(redtail: &Path, tool: &[&str], dump: &Path) -> Cost {
    let mut command = Command::new(redtail);
    command.arg("rdb");
    for word in tool {
        match *word {
            DUMP => command.arg(dump),
            PRIMARY => command.arg(format!("redis://{}", primary(dump.to_owned()))),
            word => command.arg(word),
        };
    }
    run(&mut command)
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub took: Duration,
    pub cpu: Duration,
    pub peak_bytes: u64,
}

/// How often a tool's memory is looked at.
pub const LOOK: Duration = Duration::from_millis(2);

/// Runs a tool to its end; its output is discarded.
pub fn run(command: &mut Command) -> Cost {
    let started = Instant::now();
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let clock = clock_getcpuclockid(pid).expect("it has a CPU clock");
    let (mut cpu, mut peak_bytes) = (Duration::ZERO, 0);
    loop {
        // The clock of a process that has ended can be read until it is waited for.
        if let Ok(now) = clock_gettime(clock) {
            cpu = now.into();
        }
        peak_bytes = peak_bytes.max(peak(pid));
        if has_ended(pid) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    let took = started.elapsed();
    let output = child.wait_with_output().expect("the child is ours");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    Cost {
        took,
        cpu,
        peak_bytes,
    }
}

fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    matches!(state, None | Some('Z'))
}

/// The most memory that a process has had resident.
fn peak(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

/// Starts a primary that sends the dump to each replica that asks for a full sync. Returns its address. It lives as long as this
/// process.
fn primary(dump: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let dump = dump.clone();
            // A replica may leave at any time.
            std::thread::spawn(move || _ = send(stream, &dump));
        }
    });
    address
}

/// Answers one connection: `+OK` to everything but PSYNC.
fn send(mut stream: TcpStream, dump: &Path) -> io::Result<()> {
    let mut commands = BufReader::new(stream.try_clone()?);
    while !command(&mut commands)?.starts_with("PSYNC") {
        stream.write_all(b"+OK\r\n")?;
    }
    let mut dump = File::open(dump)?;
    let (id, bytes) = ("0".repeat(40), dump.metadata()?.len());
    write!(stream, "+FULLRESYNC {id} 1\r\n${bytes}\r\n")?;
    io::copy(&mut dump, &mut stream)?;
    // Until the replica leaves.
    io::copy(commands.get_mut(), &mut io::sink()).map(drop)
}

/// The next command, its words with spaces between them.
fn command(from: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = || {
        let mut line = String::new();
        match from.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => io::Result::Ok(line.trim_end().to_owned()),
        }
    };
    let count = line()?.trim_start_matches('*').parse().unwrap_or(0);
    let mut words = Vec::new();
    for _ in 0..count {
        line()?;
        words.push(line()?);
    }
    Ok(words.join(" "))
}
