//! Random steps and reads, which are the same for the same seed.

use std::collections::BTreeSet;

use super::exempt::EXEMPT;
use super::grammar::{Form, Words, forms};
use super::pools::{DATABASES, Pools, is_dangerous};
use super::reads::READS;
use super::trio::{Step, notes_count};
use super::writes::WRITES;
use crate::client::words;

/// Produces writes and reads.
pub struct Generator {
    pub pools: Pools,
    /// The forms of each family, with the family's weight.
    writes: Vec<(usize, Vec<Form>)>,
    reads: Vec<Vec<Form>>,
    /// Counts that the replica was asked for and the primary not yet.
    counts: Vec<Step>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let writes = WRITES
            .iter()
            .map(|family| (family.weight, built(family.text)));
        let reads = READS.iter().map(|text| built(text));
        Self {
            pools: Pools::new(seed),
            writes: writes.filter(|(_, forms)| !forms.is_empty()).collect(),
            reads: reads.filter(|forms| !forms.is_empty()).collect(),
            counts: Vec::new(),
        }
    }

    /// Returns `count` steps. The first selects a database, so that a fresh connection can run them.
    pub fn steps(&mut self, count: usize) -> Vec<Step> {
        let select = self.select();
        let steps = (1..count).map(|_| match self.pools.below(100) {
            0..4 => Step::Write(vec![self.select()]),
            4..9 => self.transaction(),
            _ => Step::Write(vec![self.write()]),
        });
        let steps: Vec<_> = steps.collect();
        let counts = std::mem::take(&mut self.counts).into_iter();
        counts
            .chain([Step::Write(vec![select])])
            .chain(steps)
            .collect()
    }

    fn select(&mut self) -> Words {
        words(&format!("SELECT {}", self.pools.any(&DATABASES)))
    }

    fn transaction(&mut self) -> Step {
        let mut commands = vec![words("MULTI")];
        for _ in 0..self.pools.below(6) {
            let is_select = self.pools.one_in(8);
            commands.push(if is_select {
                self.select()
            } else {
                self.write()
            });
        }
        let is_discarded = self.pools.one_in(8);
        commands.push(words(if is_discarded { "DISCARD" } else { "EXEC" }));
        Step::Write(commands)
    }

    fn write(&mut self) -> Words {
        let total: usize = self.writes.iter().map(|(weight, _)| weight).sum();
        let mut at = self.pools.below(total);
        let family = self.writes.iter().find(|(weight, _)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it
        });
        let (_, forms) = family.expect("the weights add up");
        expand_any(forms, &mut self.pools)
    }

    /// Returns `count` reads for each database. Some are writes, which a follower refuses.
    pub fn reads(&mut self, count: usize) -> Vec<(u32, Vec<Words>)> {
        let databases = DATABASES.iter();
        databases
            .map(|database| {
                let reads: Vec<_> = (0..count).map(|_| self.read()).collect();
                self.note_counts(*database, &reads);
                (*database, reads)
            })
            .collect()
    }

    /// A real replica stores inside the value what it has counted for a client. The primary must count too, so that the values
    /// stay the same.
    fn note_counts(&mut self, database: u32, reads: &[Words]) {
        let counts: BTreeSet<_> = reads.iter().filter(|read| notes_count(read)).collect();
        let select = words(&format!("SELECT {database}"));
        self.counts.extend(
            counts
                .into_iter()
                .map(|count| Step::Write(vec![select.clone(), count.clone()])),
        );
    }

    fn read(&mut self) -> Words {
        loop {
            let family = self.pools.below(self.reads.len());
            let read = if self.pools.one_in(10) {
                self.write()
            } else {
                expand_any(&self.reads[family], &mut self.pools)
            };
            if !EXEMPT.iter().any(|row| is_of(&read, row)) {
                return read;
            }
        }
    }

    /// DUMPs of random keys.
    pub fn dumps(&mut self, count: usize) -> Vec<Words> {
        (0..count)
            .map(|_| vec![b"DUMP".to_vec(), self.pools.word("any")])
            .collect()
    }
}

/// Whether the command begins with the words of `row`.
pub fn is_of(command: &Words, row: &str) -> bool {
    let words = row.split(' ').zip(command);
    row.split(' ').count() <= command.len()
        && words
            .into_iter()
            .all(|(word, found)| found.eq_ignore_ascii_case(word.as_bytes()))
}

fn built(text: &str) -> Vec<Form> {
    let without = std::env::var("REDTAIL_ORACLE_WITHOUT").unwrap_or_default();
    let left_out: Vec<_> = without.split(',').collect();
    let only = std::env::var("REDTAIL_ORACLE_ONLY").unwrap_or_default();
    let mut forms = forms(text);
    forms.retain(|form| {
        let first = form.name.split(' ').next().unwrap_or_default();
        let is_meant = only.split(',').any(|start| form.name.starts_with(start));
        is_meant && !left_out.contains(&form.name.as_str()) && !left_out.contains(&first)
    });
    forms
}

fn expand_any(forms: &[Form], pools: &mut Pools) -> Words {
    loop {
        let mut words = forms[pools.below(forms.len())].expand(pools);
        pools.spoil(&mut words);
        if !is_dangerous(&words) {
            return words;
        }
    }
}
