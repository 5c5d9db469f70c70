//! Finds a short way to the same difference: leaves out parts of the writes as long as the difference remains.

use std::slice;
use std::time::{Duration, Instant};

use super::grammar::Words;
use super::pair::Difference;
use super::trio::{Step, Trio};

/// Shrinks the steps that led to a difference, for about `patience`. Returns `None` if not even all of them reproduce it.
pub fn shrink(
    trio: &mut Trio,
    steps: &[Step],
    difference: &Difference,
    patience: Duration,
) -> Option<Vec<Step>> {
    let deadline = Instant::now() + patience;
    let mut leads_there = |steps: &[Step]| {
        trio.replay(steps);
        trio.repeat(difference).is_some()
    };
    let related: Vec<_> = steps
        .iter()
        .filter(|step| is_related(step, &difference.read))
        .cloned()
        .collect();
    let steps = if leads_there(&related) {
        related
    } else if leads_there(steps) {
        steps.to_vec()
    } else {
        return None;
    };
    let steps = without_syncs(steps, &mut leads_there);
    let steps = fewest(steps, deadline, &mut leads_there);
    Some(shorter(steps, deadline, &mut leads_there))
}

/// Whether a step names a key of the read, or may affect a whole database.
fn is_related(step: &Step, read: &Words) -> bool {
    let Step::Write(commands) = step else {
        return true;
    };
    let names_key = |word: &Vec<u8>| word.contains(&b':') && read.contains(word);
    let is_select = commands.len() == 1 && commands[0][0].eq_ignore_ascii_case(b"SELECT");
    is_select
        || commands.iter().any(|command| {
            command[0].eq_ignore_ascii_case(b"SWAPDB") || command.iter().skip(1).any(names_key)
        })
}

/// Returns the steps with at most one full resync if that is enough, because each takes a second.
fn without_syncs(steps: Vec<Step>, leads_there: &mut impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut without = steps.clone();
    without.retain(|step| *step != Step::Attach);
    if without.len() == steps.len() || leads_there(&without) {
        return without;
    }
    without.push(Step::Attach);
    if leads_there(&without) {
        return without;
    }
    steps
}

/// Returns shorter steps: fewer commands in transactions, fewer words in commands.
fn shorter(
    mut steps: Vec<Step>,
    deadline: Instant,
    leads_there: &mut impl FnMut(&[Step]) -> bool,
) -> Vec<Step> {
    for at in 0..steps.len() {
        let Step::Write(commands) = steps[at].clone() else {
            continue;
        };
        let mut with = |commands: Vec<Words>| {
            let mut changed = steps.clone();
            changed[at] = Step::Write(commands);
            leads_there(&changed)
        };
        let commands = shorter_group(commands, deadline, &mut with);
        steps[at] = Step::Write(commands);
    }
    steps
}

fn shorter_group(
    mut commands: Vec<Words>,
    deadline: Instant,
    leads_there: &mut impl FnMut(Vec<Words>) -> bool,
) -> Vec<Words> {
    if let [multi, inner @ .., exec] = commands.as_slice()
        && multi.len() == 1
    {
        let whole =
            |inner: &[Words]| [slice::from_ref(multi), inner, slice::from_ref(exec)].concat();
        let inner = fewest(inner.to_vec(), deadline, &mut |inner| {
            leads_there(whole(inner))
        });
        let is_needed = inner.len() != 1 || !leads_there(inner.clone());
        commands = if is_needed { whole(&inner) } else { inner };
    }
    for at in 0..commands.len() {
        let (head, tail) = commands[at].split_at(commands[at].len().min(2));
        let with = |tail: &[Vec<u8>]| {
            let mut changed = commands.clone();
            changed[at] = [head, tail].concat();
            changed
        };
        let tail = fewest(tail.to_vec(), deadline, &mut |tail| leads_there(with(tail)));
        commands = with(&tail);
    }
    commands
}

/// Leaves out ever smaller parts of `items` as long as `leads_there` remains true for the rest.
fn fewest<T: Clone>(
    mut items: Vec<T>,
    deadline: Instant,
    leads_there: &mut impl FnMut(&[T]) -> bool,
) -> Vec<T> {
    let mut size = items.len().div_ceil(2);
    while size > 0 && Instant::now() < deadline {
        let mut at = 0;
        while at < items.len() && Instant::now() < deadline {
            let end = (at + size).min(items.len());
            let rest = [&items[..at], &items[end..]].concat();
            if leads_there(&rest) {
                items = rest;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    items
}

#[test]
fn what_does_not_matter_is_left_out() {
    let far = Instant::now() + Duration::from_secs(60);
    let mut needs = |items: &[u32]| items.contains(&17) && items.contains(&80);
    assert_eq!(fewest((0..100).collect(), far, &mut needs), [17, 80]);
}

#[test]
fn a_transaction_keeps_its_ends_and_a_command_its_key() {
    use crate::client::words;
    let far = Instant::now() + Duration::from_secs(60);
    let group = ["MULTI", "SET a 1", "RPUSH b 1 2 3", "EXEC"].map(words);
    let mut needs = |steps: &[Step]| {
        let [Step::Write(commands)] = steps else {
            return false;
        };
        let is_group = commands[0] == words("MULTI");
        is_group && commands.concat().contains(&b"2".to_vec())
    };
    let shortest = shorter(vec![Step::Write(group.to_vec())], far, &mut needs);
    assert_eq!(
        shortest,
        [Step::Write(
            ["MULTI", "RPUSH b 2", "EXEC"].map(words).to_vec()
        )]
    );
}
