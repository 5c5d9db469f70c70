//! The one way to read.
//!
//! A view alone may say that a key is absent, or hold an old value, where that is not known: its key may be tainted, its
//! value discarded, its shard not locked. So readers get a [`Hold`], and a look at what it holds only inside
//! [`read`](Hold::read), which refuses the result in each of these cases.

use super::fate::{Fate, Refusal, refused};
use super::keyspaces::Keyspaces;
use super::migrating::Migrating;
use super::ownership::{Imported, Moving};
use super::taint::Tainted;
use super::tx::Tx;
use super::view::{Lookups, View};

/// Passes keys to its argument.
pub type EachKey<'n> = dyn Fn(&mut dyn FnMut(&[u8])) + 'n;

/// What a read names: what must be known for its result to count.
pub enum Names<'n> {
    /// One key.
    Key(&'n [u8]),
    /// All keys that the function passes to its argument.
    Keys(&'n EachKey<'n>),
    /// No key, but which keys exist.
    Existence,
}

/// Held shards, to be [read](Self::read).
pub struct Hold<'a>(pub(super) View<'a>);

/// What a read of several shards of a cluster has of one of them.
pub struct Share<'a, 'k> {
    /// Holds all these keys.
    pub hold: Hold<'a>,
    /// The keys that the shard is to have.
    pub keys: Vec<&'k [u8]>,
    /// Keys that are on their way to this shard: they are here if they are not in the share with that index, which holds them, too.
    pub moving: Vec<(usize, &'k [u8])>,
}

impl<'a> Hold<'a> {
    /// Reads what is held. What `read` returns counts only if everything that it names is known, and everything that it
    /// asked for was held.
    ///
    /// # Errors
    /// [`Refusal`], or the error of `read`.
    #[inline]
    pub fn read<'h, R, E: From<Refusal>>(
        &'h self,
        names: Names<'_>,
        read: impl FnOnce(&'h View<'a>) -> Result<R, E>,
    ) -> Result<R, E> {
        // The shards are held, and a taint is set under their locks: none can appear in between.
        if self.0.may_be_tainted() {
            self.check(names)?;
        }
        // What was only weighed does not count.
        self.0.take_fate();
        let result = read(&self.0);
        match self.0.take_fate() {
            Fate::Sound => result,
            fate => Err(refused(fate).into()),
        }
    }

    /// Returns how often keys were looked up by the last [`read`](Self::read).
    #[inline]
    #[must_use]
    pub fn lookups(&self) -> Lookups {
        self.0.take_lookups()
    }

    /// Tells those who want to know of the keys that the last [`read`](Self::read) looked up and did not find.
    pub fn tell_missed(&self) {
        self.0.tell_missed();
    }

    /// Weighs what is held, for example by its size. What `weigh` returns must not become part of a reply.
    #[inline]
    pub fn weigh<R>(&self, weigh: impl FnOnce(&View<'a>) -> R) -> R {
        let result = weigh(&self.0);
        if self.0.take_lookups().misses > 0 {
            self.0.forget_missed();
        }
        result
    }

    /// Whether there is an entry of `key`, expired or not, served or not. It must not become part of a reply.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        self.0.has(key)
    }

    /// A hold on copies, of the same moment and time, that holds no lock: it copies the entries of the keys that `keys`
    /// visits. No other key may be read. What is tainted later does not matter to it.
    ///
    /// # Errors
    /// [`Refusal`] if one of the values is not known, or is hidden.
    pub fn copied(&self, keys: &EachKey<'_>) -> Result<Self, Refusal> {
        if self.0.may_be_tainted() {
            self.check(Names::Keys(keys))?;
        }
        self.0.take_fate();
        let copy = self.0.copied(|visit| keys(visit));
        match self.0.take_fate() {
            Fate::Moving => Err(refused(Fate::Moving)),
            _ => Ok(Self(copy)),
        }
    }

    /// A hold on copies of the values of the keys of all shares: for reads of several shards of a cluster. It holds no lock; no other
    /// key may be read. All compare expiries with `now_ms`. Returns `None` if there is no share.
    ///
    /// # Errors
    /// [`Refusal`] if one of the values is not known, is hidden, or may be in another shard.
    pub fn merged(shares: &mut [Share<'a, '_>], now_ms: i64) -> Result<Option<Self>, Refusal> {
        for at in 0..shares.len() {
            let moving = shares
                .get_mut(at)
                .map(|share| std::mem::take(&mut share.moving));
            for (from, key) in moving.into_iter().flatten() {
                let from = shares.get_mut(from).filter(|from| from.hold.0.has(key));
                let home = match from {
                    Some(from) => Some(from),
                    None => shares.get_mut(at),
                };
                home.into_iter().for_each(|home| home.keys.push(key));
            }
        }
        let mut merged: Option<View<'a>> = None;
        for Share { hold, keys, .. } in &*shares {
            hold.set_clock(now_ms);
            for key in keys {
                hold.check_key(key)?;
            }
            hold.0.take_fate();
            let visit = |visit: &mut dyn FnMut(&[u8])| keys.iter().for_each(|key| visit(key));
            let copy = hold.0.copied(visit);
            if hold.0.take_fate() == Fate::Moving {
                return Err(refused(Fate::Moving));
            }
            match &mut merged {
                None => merged = Some(copy),
                Some(merged) => merged.take_copies(copy),
            }
        }
        Ok(merged.map(Self))
    }

    /// What the writer sees of the database it works in, including its own changes, which no reader sees yet.
    #[must_use]
    pub fn within(spaces: &'a Keyspaces, tx: &'a Tx<'_>) -> Self {
        Self(View::within(spaces, tx.db_number(), tx.held()))
    }

    /// The database's number.
    #[must_use]
    pub const fn db_number(&self) -> usize {
        self.0.db_number()
    }

    /// Compares expiries with `now_ms`, for commands that must agree on the time.
    #[inline]
    pub fn set_clock(&self, now_ms: i64) {
        self.0.set_clock(now_ms);
    }

    /// Also reads keys of slots that this shard of a cluster only imports. Call it once.
    pub fn set_imported(&self, imported: &[Imported]) {
        self.0.set_imported(imported);
    }

    /// Sets whether the keys that are read from now on count as used.
    #[inline]
    pub fn set_touches(&self, touches: bool) {
        self.0.set_touches(touches);
    }

    #[cold]
    fn check(&self, names: Names<'_>) -> Result<(), Refusal> {
        match names {
            Names::Key(key) => self.check_key(key),
            Names::Keys(each) => {
                let mut result = Ok(());
                each(&mut |key| result = result.and_then(|()| self.check_key(key)));
                result
            }
            Names::Existence if self.0.existence_is_doubted() => Err(Tainted.into()),
            Names::Existence => {
                self.0.leave_out_hidden();
                Ok(())
            }
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Refusal> {
        if !self.0.serves(key) {
            Err(Moving.into())
        } else if self.0.hides(key) {
            Err(Migrating.into())
        } else if self.0.is_tainted(key) {
            Err(Tainted.into())
        } else {
            Ok(())
        }
    }
}

/// Tests look without the door.
#[cfg(any(test, feature = "testing"))]
impl<'a> std::ops::Deref for Hold<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.0
    }
}
