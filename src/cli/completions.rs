//! `redtail completions`: makes a shell complete redtail's commands and flags.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::output::print;
use super::{Cli, Failure};

/// Prints the completions of redtail's commands and flags for a shell.
#[derive(Debug, Clone, clap::Args)]
pub struct Completions {
    /// The shell to print completions for
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Where each shell looks for completions, shown below the help.
pub const WHERE: &str = "\
Where to put the output:
  bash        /usr/share/bash-completion/completions/redtail, or in ~/.bashrc: source <(redtail completions bash)
  zsh         _redtail in a directory of $fpath, before compinit runs
  fish        ~/.config/fish/completions/redtail.fish
  elvish      in ~/.config/elvish/rc.elv: eval (redtail completions elvish | slurp)
  powershell  in $PROFILE: redtail completions powershell | Out-String | Invoke-Expression";

/// Runs `redtail completions`.
///
/// # Errors
/// [`Failure::Runtime`] if standard output cannot be written.
pub fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "redtail", &mut script);
    print(script)
}
