//! Everything that is wrong with settings, also in the files that they name. Connects to nothing and changes nothing.

use std::collections::BTreeSet;
use std::path::Path;

use super::Settings;
use crate::cli::{Failure, log};
use crate::server::Listen;
use crate::upstream::{AckPolicy, Password};
use crate::words::Plain;

impl Settings {
    /// Returns every mistake in one sentence each: what [`check`](Self::check) refuses first, and the mistakes after it.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let parts = [
            self.check(),
            self.upstream().map(drop),
            self.tls().map(drop),
            self.resync().map(drop),
            self.writer_rate().map(drop),
            self.stream_ignore().map(drop),
            self.state().map(drop),
            self.spool().map(drop),
            self.encodings().map(drop),
            self.http().map(drop),
            self.users().map(drop),
            log::filter(self.log_level.as_deref()).map(drop),
        ];
        let refused = parts.into_iter().filter_map(Result::err);
        let mut problems: Vec<String> = Vec::new();
        let found = refused.map(|failure| failure.to_string());
        for problem in found.chain(self.in_files()).chain(self.listeners()) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }

    /// Checks everything that redtail serve checks before it starts anything.
    ///
    /// # Errors
    /// [`Failure::Usage`] with the first mistake.
    pub fn check(&self) -> Result<(), Failure> {
        self.replica()?;
        self.http()?;
        self.users()?;
        log::filter(self.log_level.as_deref())?;
        Ok(())
    }

    /// Returns what does not stop redtail but is most likely not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.ack == Some(AckPolicy::Honest) && self.announce_port.is_none() {
            warnings.push(
                "--ack honest without --announce-port: a FAILOVER at the primary may choose redtail, which cannot take over. The primary \
                 then accepts no writes until FAILOVER ABORT. Give --announce-port too, or leave --ack out"
                    .to_owned(),
            );
        }
        warnings
    }

    /// Returns what is wrong with the files and directories that the settings name.
    fn in_files(&self) -> Vec<String> {
        let passwords = [
            ("--primary-password-file", &self.primary_password_file),
            ("--sentinel-password-file", &self.sentinel_password_file),
        ];
        let unreadable = passwords.into_iter().filter_map(|(flag, file)| {
            let error = Password::File(file.clone()?).read().err()?;
            let path = file.as_ref()?.display();
            Some(format!("{flag}: cannot use {path}: {}", Plain(&error)))
        });
        let tls = self.tls().ok().filter(|_| self.uses_tls());
        let tls = tls.and_then(|tls| tls.check().err());
        let tls = tls.map(|error| format!("the --tls-… settings: {error}"));
        let state = self
            .state_dir
            .as_deref()
            .and_then(|path| crate::state::check(path).err());
        let state = state.map(|error| format!("--state-dir: {error}"));
        let spool = self.unusable_spool();
        unreadable.chain(tls).chain(state).chain(spool).collect()
    }

    /// Returns why the spool file cannot be made. redtail starts without it, and needs it only if much has to wait.
    #[must_use]
    pub fn unusable_spool(&self) -> Option<String> {
        self.spool_dir.as_deref().and_then(no_place_for_files)
    }

    fn uses_tls(&self) -> bool {
        self.upstream().is_ok_and(|upstream| upstream.uses_tls())
    }

    /// Returns what is wrong with the addresses to listen on.
    fn listeners(&self) -> Vec<String> {
        let listen = self.server().listen;
        let mut known = BTreeSet::new();
        let twice = listen
            .iter()
            .map(Listen::to_string)
            .filter(|address| !known.insert(address.clone()))
            .map(|address| format!("--listen: {address} is given twice: remove one of them"))
            .collect::<Vec<_>>();
        let homeless = listen.iter().filter_map(|listen| match listen {
            Listen::Unix(path) => {
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty())?;
                let is_there = folder.is_dir();
                (!is_there).then(|| {
                    let shown = folder.display();
                    format!(
                        "--listen: the directory {shown} of the socket does not exist: create it"
                    )
                })
            }
            _ => None,
        });
        twice.into_iter().chain(homeless).collect()
    }
}

/// Returns why redtail cannot write its spool file into a directory.
fn no_place_for_files(folder: &Path) -> Option<String> {
    // As the spool does: a file without a name.
    let error = tempfile::tempfile_in(folder).err()?;
    let shown = folder.display();
    // The library adds the path of its own file.
    let words = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<std::io::Error>());
    let reason = Plain(words.unwrap_or(&error)).to_string();
    let reason = reason.split(" at path ").next().unwrap_or_default();
    Some(format!(
        "--spool-dir: cannot create a file in {shown}: {reason}"
    ))
}
