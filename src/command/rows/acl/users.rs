//! All users, which connections and ACL commands share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{Account, Refused};
use super::file::{self, Accounts, FileError};
use super::guesses::Guesses;
use super::log::Log;
use super::password::Hash;
use super::rights::Rights;
use super::selector::Selector;
use super::syntax::Syntax;
use super::units::Units;
use crate::command::rows::pubsub::Kind;
use crate::dialect::Dialect;
use crate::secret::Secret;

/// The user of a connection that has not logged in as another one.
pub(crate) const DEFAULT: &[u8] = b"default";

/// Versions whose commands and syntax together are all that an ACL file may use.
const EVERY: [Dialect; 6] = [
    Dialect::redis(6, 0, 16),
    Dialect::redis(7, 0, 15),
    Dialect::redis(8, 0, 6),
    Dialect::redis(8, 4, 0),
    Dialect::valkey(8, 1, 1),
    Dialect::valkey(9, 1, 2),
];

/// A log-in as another user than `default`. It is void once the user is deleted, even if one of the same name is created.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    id: u64,
    /// The user's name.
    pub name: Arc<[u8]>,
}

/// A user whose rules have changed, and that may not subscribe to everything.
#[derive(Debug)]
pub(crate) struct Narrowed {
    login: Arc<Login>,
    now: Arc<Rights>,
}

impl Narrowed {
    /// Whether it forbids a subscription of a client that has logged in so, `None` being the default user's.
    pub(crate) fn forbids(&self, login: Option<&Login>, kind: Kind, name: &[u8]) -> bool {
        let is_its_own = match login {
            Some(login) => login.id == self.login.id,
            None => &*self.login.name == DEFAULT,
        };
        is_its_own && !self.now.allows_channel(name, kind == Kind::Pattern)
    }
}

/// Where users come from.
#[derive(Clone, Default)]
pub struct Setup {
    /// The ACL file.
    pub file: Option<PathBuf>,
    /// The default user's password, unless the file has a line for that user.
    pub password: Option<Secret>,
}

/// All users. Reading and changing them takes a lock; connections only compare [`Users::epoch`].
pub struct Users {
    table: Mutex<Table>,
    epoch: AtomicU64,
    setup: Setup,
    units_of: fn(Dialect) -> Units,
    /// What was denied.
    pub log: Log,
    /// Failed log-ins by address.
    pub guesses: Guesses,
}

#[derive(Default)]
struct Table {
    users: BTreeMap<Box<[u8]>, User>,
    last_id: u64,
    units: Option<(Dialect, Arc<Units>)>,
}

struct User {
    login: Arc<Login>,
    account: Account,
    compiled: Option<(Dialect, Option<Arc<Rights>>)>,
}

impl Users {
    /// Creates the default user only, with a password if one is given. `units_of` lists the commands of a server version.
    #[must_use]
    pub fn new(password: Option<Secret>, units_of: fn(Dialect) -> Units) -> Self {
        let users = Self {
            table: Mutex::default(),
            epoch: AtomicU64::new(1),
            setup: Setup {
                file: None,
                password,
            },
            units_of,
            log: Log::default(),
            guesses: Guesses::default(),
        };
        users.replace(Accounts::new(), true);
        users
    }

    /// Reads the users. `units_of` lists the commands of a server version.
    ///
    /// # Errors
    /// If the file cannot be read or has a mistake.
    pub fn open(setup: Setup, units_of: fn(Dialect) -> Units) -> Result<Self, FileError> {
        let mut users = Self::new(setup.password, units_of);
        users.setup.file = setup.file;
        let accounts = users.read()?;
        if users.setup.password.is_some() && accounts.contains_key(DEFAULT) {
            tracing::warn!(
                "the ACL file has a line for the user default, so the password of --requirepass is not used: give the password in \
                 that line, or remove --requirepass"
            );
        }
        users.replace(accounts, true);
        Ok(users)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A change is made in a copy and put in place at once.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a number that grows with each change.
    #[must_use]
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Returns the ACL file's path.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.setup.file.as_deref()
    }

    fn read(&self) -> Result<Accounts, FileError> {
        let Some(path) = &self.setup.file else {
            return Ok(Accounts::new());
        };
        let every = EVERY.map(self.units_of);
        let units = every.each_ref();
        file::load(
            path,
            Syntax {
                dialect: None,
                units: &units,
            },
        )
    }

    /// Replaces all users. Log-ins of users that still exist stay valid if `keeps` is set. Returns the users before.
    fn replace(&self, mut accounts: Accounts, keeps: bool) -> Vec<User> {
        accounts.entry(DEFAULT.into()).or_insert_with(|| {
            let mut account = Account::open();
            if let Some(password) = &self.setup.password {
                account.set_password(password.expose().as_bytes());
            }
            account
        });
        let mut table = self.table();
        let before = std::mem::take(&mut table.users);
        for (name, account) in accounts {
            let kept = before.get(&name).filter(|_| keeps);
            let kept = kept.map(|user| Arc::clone(&user.login));
            let login = kept.unwrap_or_else(|| table.new_login(&name));
            table.users.insert(name, User::new(login, account));
        }
        drop(table);
        self.note_change();
        before.into_values().collect()
    }

    fn note_change(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Whether connections need no log-in: the default user is on and has no password.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let table = self.table();
        table
            .users
            .get(DEFAULT)
            .is_some_and(|user| user.account.is_open())
    }

    /// Whether the default user takes any password.
    #[must_use]
    pub fn default_has_no_password(&self) -> bool {
        let table = self.table();
        table
            .users
            .get(DEFAULT)
            .is_some_and(|user| user.account.no_password)
    }

    /// Checks a name and a password. Returns the log-in, which is `None` for the default user.
    ///
    /// # Errors
    /// If there is no such user, it is off, or the password is wrong. All take the same time.
    #[expect(clippy::result_unit_err, reason = "the reply does not say why either")]
    pub fn log_in(&self, name: &[u8], password: &[u8]) -> Result<Option<Arc<Login>>, ()> {
        let given = Hash::of(password);
        let table = self.table();
        let user = table
            .users
            .get(name)
            .filter(|user| user.account.accepts(&given))
            .ok_or(())?;
        Ok((name != DEFAULT).then(|| Arc::clone(&user.login)))
    }

    /// Whether a log-in is still valid.
    #[must_use]
    pub fn is_valid(&self, login: &Login) -> bool {
        let table = self.table();
        table
            .users
            .get(&*login.name)
            .is_some_and(|user| user.login.id == login.id)
    }

    /// Returns the permissions of a connection's user, `None` if it may do everything.
    ///
    /// # Errors
    /// If the user was deleted.
    #[expect(clippy::result_unit_err, reason = "there is one cause")]
    pub fn rights(
        &self,
        login: Option<&Login>,
        dialect: Dialect,
    ) -> Result<Option<Arc<Rights>>, ()> {
        let mut table = self.table();
        let name = login.map_or(DEFAULT, |login| &login.name);
        let is_same = |user: &User| login.is_none_or(|login| login.id == user.login.id);
        if !table.users.get(name).is_some_and(is_same) {
            return Err(());
        }
        table.rights(name, dialect, self.units_of).ok_or(())
    }

    /// Returns the permissions of a user, `None` if there is none of that name.
    #[must_use]
    pub fn rights_of(&self, name: &[u8], dialect: Dialect) -> Option<Option<Arc<Rights>>> {
        self.table().rights(name, dialect, self.units_of)
    }

    /// Returns the commands of a version.
    #[must_use]
    pub fn units(&self, dialect: Dialect) -> Arc<Units> {
        self.table().units(dialect, self.units_of)
    }

    /// Whether there is a user of that name.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.table().users.contains_key(name)
    }

    /// Returns the names of all users, in order.
    #[must_use]
    pub fn names(&self) -> Vec<Box<[u8]>> {
        self.table().users.keys().cloned().collect()
    }

    /// Returns the lines of ACL LIST.
    #[must_use]
    pub fn lines(&self, dialect: Dialect) -> Vec<Vec<u8>> {
        let units = self.units(dialect);
        let table = self.table();
        let users = table.users.iter();
        let line = |name: &[u8], user: &User| {
            [b"user ", name, b" ", &user.account.line(dialect, &units)].concat()
        };
        users.map(|(name, user)| line(name, user)).collect()
    }

    /// Returns a user's rules.
    #[must_use]
    pub(crate) fn get(&self, name: &[u8]) -> Option<Account> {
        self.table()
            .users
            .get(name)
            .map(|user| user.account.clone())
    }

    /// Creates or changes a user, all or nothing. Returns it if its subscriptions must be checked.
    ///
    /// # Errors
    /// The first rule that is not accepted.
    pub(crate) fn set(
        &self,
        name: &[u8],
        rules: &[&[u8]],
        dialect: Dialect,
    ) -> Result<Option<Narrowed>, Refused> {
        let units = self.units(dialect);
        let syntax = Syntax {
            dialect: Some(dialect),
            units: &[&units],
        };
        let mut table = self.table();
        let known = table.users.get(name);
        let mut account = known.map_or_else(Account::default, |user| user.account.clone());
        let login = known.map(|user| Arc::clone(&user.login));
        account.apply_all(rules, syntax)?;
        let login = login.unwrap_or_else(|| table.new_login(name));
        let before = table.users.insert(name.into(), User::new(login, account));
        let narrowed = before.and_then(|before| table.narrowed(&before, dialect, self.units_of));
        drop(table);
        self.note_change();
        Ok(narrowed)
    }

    /// Deletes users. Returns how many there were.
    pub fn delete<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> usize {
        let mut table = self.table();
        let deleted = names
            .filter(|name| table.users.remove(*name).is_some())
            .count();
        drop(table);
        self.note_change();
        deleted
    }

    /// Reads the file again, all or nothing. Log-ins stay valid if they do in servers of version `dialect`. Returns the users whose
    /// subscriptions must be checked.
    ///
    /// # Errors
    /// If the file cannot be read or has a mistake.
    pub(crate) fn load(&self, dialect: Dialect) -> Result<Vec<Narrowed>, FileError> {
        let accounts = self.read()?;
        let before = self.replace(accounts, dialect.keeps_clients_of_loaded_users());
        let mut table = self.table();
        let before = before.iter();
        let narrowed = before.filter_map(|user| table.narrowed(user, dialect, self.units_of));
        Ok(narrowed.collect())
    }
}

impl Table {
    fn new_login(&mut self, name: &[u8]) -> Arc<Login> {
        self.last_id += 1;
        Arc::new(Login {
            id: self.last_id,
            name: name.into(),
        })
    }

    fn units(&mut self, dialect: Dialect, units_of: fn(Dialect) -> Units) -> Arc<Units> {
        match &self.units {
            Some((known, units)) if *known == dialect => Arc::clone(units),
            _ => {
                let units = Arc::new(units_of(dialect));
                self.units = Some((dialect, Arc::clone(&units)));
                units
            }
        }
    }

    /// Returns a user's permissions, compiled once per version.
    fn rights(
        &mut self,
        name: &[u8],
        dialect: Dialect,
        units_of: fn(Dialect) -> Units,
    ) -> Option<Option<Arc<Rights>>> {
        let units = self.units(dialect, units_of);
        let user = self.users.get_mut(name)?;
        if let Some((known, rights)) = &user.compiled
            && *known == dialect
        {
            return Some(rights.clone());
        }
        let rights = Rights::of(&user.login.name, &user.account, &units, dialect);
        user.compiled = Some((dialect, rights.clone()));
        Some(rights)
    }
}

impl Table {
    /// Returns the user that has `before`'s log-ins now, if its subscriptions must be checked. As in servers, any change of a user that
    /// may not subscribe to everything counts, unless it could subscribe to nothing before. Source: redis 7.0 acl.c,
    /// `ACLKillPubsubClientsIfNeeded`, whose comparison of the channels before and after never finds two that are the same.
    fn narrowed(
        &mut self,
        before: &User,
        dialect: Dialect,
        units_of: fn(Dialect) -> Units,
    ) -> Option<Narrowed> {
        let name = &before.login.name;
        let user = self
            .users
            .get(&**name)
            .filter(|user| user.login == before.login)?;
        let all = |selector: &Selector| selector.allows_all_channels(dialect);
        let names_any = |selector: &Selector| all(selector) || !selector.channels.is_empty();
        if !dialect.has_channel_patterns()
            || user.account.all().any(all)
            || !before.account.all().any(names_any)
        {
            return None;
        }
        let now = self.rights(name, dialect, units_of)??;
        Some(Narrowed {
            login: Arc::clone(&before.login),
            now,
        })
    }
}

impl User {
    const fn new(login: Arc<Login>, account: Account) -> Self {
        Self {
            login,
            account,
            compiled: None,
        }
    }
}
