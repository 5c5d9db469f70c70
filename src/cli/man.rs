//! `redtail man`: the manual, made from the definitions of the commands and flags.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Renderer;
use clap_mangen::roff::{Roff, bold, roman};

use super::config::nearest;
use super::output::print;
use super::{Cli, Failure};
use crate::words::Plain;

/// Prints the manual page of a command, or writes the pages of all commands.
#[derive(Debug, Clone, clap::Args)]
pub struct Man {
    /// The command to describe, such as serve or rdb check [default: redtail itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The directory to write the pages of all commands to; created if it does not exist [default: print one page]
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// How to read the output, shown below the help.
pub const READ: &str = "\
To read a page, and to install all pages:
  redtail man serve | man -l -
  redtail man --dir /usr/local/share/man/man1";

/// Runs `redtail man`.
///
/// # Errors
/// [`Failure::Usage`] if there is no such command, [`Failure::Runtime`] if a page cannot be written.
pub fn man(args: &Man) -> Result<(), Failure> {
    let program = program();
    match &args.dir {
        Some(dir) => write_all(&program, dir),
        None => print(page(&program, find(&program, &args.command)?)?),
    }
}

fn program() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

/// Returns the command that `words` name.
fn find<'c>(program: &'c Command, words: &[String]) -> Result<&'c Command, Failure> {
    let mut command = program;
    for word in words {
        let Some(inner) = command.find_subcommand(word) else {
            let names = command.get_subcommands().map(Command::get_name);
            let near = nearest(word, names);
            let near = near.map_or(String::new(), |near| format!(". Did you mean {near}?"));
            return Err(Failure::Usage(format!(
                "{} has no command {word:?}{near}",
                name(command).replace('-', " ")
            )));
        };
        command = inner;
    }
    Ok(command)
}

fn write_all(program: &Command, dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::Runtime(format!("cannot write {}: {}", path.display(), Plain(error)))
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    for command in all(program) {
        let path = dir.join(format!("{}.1", name(command)));
        let page = page(program, command)?;
        std::fs::write(&path, page).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// Returns the program and all of its commands.
fn all(program: &Command) -> Vec<&Command> {
    let inner = program.get_subcommands().flat_map(all);
    std::iter::once(program).chain(inner).collect()
}

/// Returns the name of a command's page, such as `redtail-rdb-check`.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(program: &Command, command: &Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    let rendered = render(program, command, &mut page);
    // Writing to memory cannot fail.
    rendered.map_err(|error| Failure::Runtime(format!("cannot make the page: {error}")))?;
    Ok(ascii(&String::from_utf8_lossy(&page)))
}

/// Writes other characters as roff's own names for them, which every version and locale understands.
fn ascii(page: &str) -> String {
    let named = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => format!("\\[u{:04X}]", u32::from(c)),
    };
    page.chars().map(named).collect()
}

fn render(program: &Command, command: &Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let title = name(command).to_uppercase();
    let version = concat!("redtail ", env!("CARGO_PKG_VERSION"));
    // No date: one definition always makes the same page.
    writeln!(
        page,
        ".TH \"{title}\" 1 \"\" \"{version}\" \"User Commands\""
    )?;
    let renderer = Renderer::new(command.clone());
    renderer.render_name_section(page)?;
    synopsis(command).to_writer(page)?;
    renderer.render_description_section(page)?;
    if command.get_arguments().next().is_some() {
        renderer.render_options_section(page)?;
    }
    if command.has_subcommands() {
        renderer.render_subcommands_section(page)?;
    }
    let mut rest = Roff::new();
    notes(&mut rest, command);
    see_also(&mut rest, program, command);
    rest.to_writer(page)
}

/// Returns the usage as the help shows it. The renderer's own would name every setting of serve.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text([bold(usage)]);
    roff
}

/// Writes what the help shows below the flags.
fn notes(roff: &mut Roff, command: &Command) {
    let notes = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    let Some(notes) = notes else {
        return;
    };
    roff.control("SH", ["NOTES"]);
    let notes = notes.to_string();
    let lines: Vec<&str> = notes.lines().collect();
    for block in lines.chunk_by(|one, other| is_kept(one) == is_kept(other)) {
        let kept = block.first().is_some_and(|line| is_kept(line));
        roff.control(if kept { "nf" } else { "PP" }, []);
        for line in block.iter().filter(|line| !line.is_empty()) {
            roff.text([roman(*line)]);
        }
        if kept {
            roff.control("fi", []);
        }
    }
}

/// Whether a line keeps its breaks: it is indented.
fn is_kept(line: &str) -> bool {
    line.starts_with(' ')
}

/// Names the other pages.
fn see_also(roff: &mut Roff, program: &Command, command: &Command) {
    roff.control("SH", ["SEE ALSO"]);
    let others: Vec<&str> = all(program)
        .into_iter()
        .map(name)
        .filter(|other| *other != name(command))
        .collect();
    for (index, other) in others.iter().enumerate() {
        let end = if index + 1 < others.len() {
            "(1),"
        } else {
            "(1)"
        };
        roff.text([bold(*other), roman(end)]);
    }
}
