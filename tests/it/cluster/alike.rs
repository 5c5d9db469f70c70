//! Whether redtail has what the cluster has: the same keys, and each as its primary has it.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::nodes::Cluster;
use super::slots::slot;
use crate::client::{Client, Reply};
use crate::servers::PATIENCE;

/// What is compared of each key: its contents, and when it expires.
type Keys = BTreeMap<Vec<u8>, (Reply, Reply)>;

/// Waits until the server on `port` has exactly what the primaries have. Nothing may be written.
///
/// # Panics
/// If it takes longer than [`PATIENCE`].
pub fn alike(cluster: &Cluster, port: u16) {
    let expected = of_primaries(cluster);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let differences = compare(&expected, port);
        if differences.is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{} differences: {:#?}",
            differences.len(),
            &differences[..differences.len().min(SHOWN_MAX)]
        );
        sleep(Duration::from_millis(50));
    }
}

/// What the primaries have of their own slots.
fn of_primaries(cluster: &Cluster) -> Keys {
    let view = cluster.view();
    let mut all = Keys::new();
    for place in cluster.primaries() {
        let node = cluster.node(place);
        let member = &view[&node.id];
        let mut client = node.client();
        let mut names = names(&mut client).unwrap_or_default();
        names.retain(|name| member.has(slot(name)));
        all.extend(contents(&mut client, names));
    }
    all
}

fn compare(expected: &Keys, port: u16) -> Vec<String> {
    let Ok(mut client) = Client::try_connect(port) else {
        return vec!["it does not listen".to_owned()];
    };
    client.command("READONLY");
    let names = match names(&mut client) {
        Ok(names) => names,
        Err(error) => return vec![format!("KEYS is answered {error:?}")],
    };
    let size = client.command("DBSIZE");
    let found = contents(&mut client, names);
    let all: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differ = all
        .into_iter()
        .filter(|key| expected.get(*key) != found.get(*key));
    let mut differences: Vec<String> = differ
        .map(|key| {
            let (there, here) = (expected.get(key), found.get(key));
            let slot = slot(key);
            format!(
                "{} of slot {slot}: there {there:?}, here {here:?}",
                key.escape_ascii()
            )
        })
        .collect();
    if size.integer() != i64::try_from(expected.len()).ok() {
        differences.push(format!("DBSIZE is {size:?}, not {}", expected.len()));
    }
    differences
}

/// All keys of a server.
fn names(client: &mut Client) -> Result<Vec<Vec<u8>>, Reply> {
    let reply = client.command("KEYS *");
    if reply.is_error() {
        return Err(reply);
    }
    Ok(reply.elements().iter().filter_map(Reply::bulk).collect())
}

fn contents(client: &mut Client, names: Vec<Vec<u8>>) -> Keys {
    let dump = |name: &Vec<u8>| vec![b"DUMP".to_vec(), name.clone()];
    // An absolute time, which does not change while we ask.
    let expiry = |name: &Vec<u8>| vec![b"PEXPIRETIME".to_vec(), name.clone()];
    let dumps = client.pipeline(&names.iter().map(dump).collect::<Vec<_>>());
    let expiries = client.pipeline(&names.iter().map(expiry).collect::<Vec<_>>());
    names
        .into_iter()
        .zip(dumps.into_iter().zip(expiries))
        .collect()
}

const SHOWN_MAX: usize = 10;
