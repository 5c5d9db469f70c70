//! The string literals of the sources, and the calls that they are in.

use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

/// A string literal outside of tests and comments.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    /// The file below `src/`.
    pub(super) file: String,
    /// What is before each bracket around the literal, the outermost first: `tracing::warn!`, `#[error`.
    pub(super) heads: Vec<String>,
    /// The text, with lines joined, and `…` for each placeholder.
    pub(super) text: String,
}

impl Literal {
    /// Whether it is inside of brackets after this.
    pub(super) fn is_in(&self, head: &str) -> bool {
        self.heads
            .iter()
            .any(|one| one == head || one.ends_with(&format!("::{head}")))
    }
}

/// All literals of `src/`, in the order of files.
pub(super) fn literals() -> Vec<Literal> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let file = path
            .strip_prefix(&root)
            .expect("inside")
            .display()
            .to_string();
        let text = fs::read_to_string(&path).expect("a source file");
        Reader::new(file, &text).read(&mut found);
    }
    found
}

/// The source files below a directory, without those that hold only tests.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !stem.ends_with("tests")
            && stem != "testing"
            && stem != "fuzzing"
        {
            files.push(path);
        }
    }
}

/// Reads one file, as much of Rust as is needed to tell literals from everything else.
struct Reader<'a> {
    file: String,
    rest: Peekable<Chars<'a>>,
    /// The code since the last bracket or semicolon.
    line: String,
    heads: Vec<String>,
    /// How many brackets are around the item for tests that is being passed.
    test_at: Option<usize>,
}

/// Stands for `(test)` in the line, once that bracket is closed.
const TEST: &str = "the word test in brackets";

impl<'a> Reader<'a> {
    fn new(file: String, text: &'a str) -> Self {
        Self {
            file,
            rest: text.chars().peekable(),
            line: String::new(),
            heads: Vec::new(),
            test_at: None,
        }
    }

    fn read(mut self, found: &mut Vec<Literal>) {
        while let Some(character) = self.rest.next() {
            match character {
                '/' if self.rest.peek() == Some(&'/') => self.skip_line(),
                '/' if self.rest.peek() == Some(&'*') => self.skip_comment(),
                '"' => {
                    let text = self.string();
                    found.extend(self.literal(text));
                    self.line.push('"');
                }
                'r' if self.is_raw() => self.skip_raw(),
                '\'' => self.quote(),
                '(' | '[' | '{' => {
                    self.heads.push(head(&self.line));
                    self.line.clear();
                }
                ')' | ']' | '}' => self.close(character),
                ';' => self.end_item(),
                other => self.line.push(other),
            }
        }
    }

    /// The literal, unless it belongs to a test.
    fn literal(&self, text: String) -> Option<Literal> {
        self.test_at.is_none().then(|| Literal {
            file: self.file.clone(),
            heads: self.heads.clone(),
            text,
        })
    }

    /// Leaves a bracket.
    fn close(&mut self, bracket: char) {
        let is_attribute = bracket == ']' && self.heads.last().is_some_and(|head| head == "#");
        let is_of_tests = is_attribute && self.line.trim() == TEST;
        let names_tests = bracket == ')' && self.line.trim() == "test";
        self.heads.pop();
        self.line.clear();
        if names_tests {
            self.line.push_str(TEST);
        }
        if is_of_tests && self.test_at.is_none() {
            self.test_at = Some(self.heads.len());
        } else if bracket == '}' {
            self.end_item();
        }
    }

    /// Ends the item that an attribute `#[cfg(test)]` is before.
    fn end_item(&mut self) {
        self.line.clear();
        if self.test_at == Some(self.heads.len()) {
            self.test_at = None;
        }
    }

    fn skip_line(&mut self) {
        for character in self.rest.by_ref() {
            if character == '\n' {
                return;
            }
        }
    }

    fn skip_comment(&mut self) {
        let mut last = ' ';
        for character in self.rest.by_ref() {
            if last == '*' && character == '/' {
                return;
            }
            last = character;
        }
    }

    /// Whether an `r` begins a raw string.
    fn is_raw(&self) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let is_inside_a_name = self.line.ends_with(is_word) && !self.line.ends_with('b');
        let mut ahead = self.rest.clone();
        while ahead.next_if_eq(&'#').is_some() {}
        !is_inside_a_name && ahead.next() == Some('"')
    }

    fn skip_raw(&mut self) {
        let mut hashes = 0;
        while self.rest.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        self.rest.next();
        while let Some(character) = self.rest.next() {
            let mut ahead = self.rest.clone();
            if character == '"' && (0..hashes).all(|_| ahead.next() == Some('#')) {
                self.rest = ahead;
                return;
            }
        }
    }

    /// Passes a character such as `'x'` or `'\''`; a lifetime is code.
    fn quote(&mut self) {
        let mut ahead = self.rest.clone();
        match ahead.next() {
            Some('\\') => {
                ahead.next();
                while ahead.next().is_some_and(|character| character != '\'') {}
                self.rest = ahead;
            }
            Some(_) if ahead.next() == Some('\'') => self.rest = ahead,
            _ => {}
        }
    }

    /// The text of a literal after its opening quote.
    fn string(&mut self) -> String {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                '"' => break,
                '\\' => self.escape(&mut text),
                other => text.push(other),
            }
        }
        with_ellipses(&text)
    }

    fn escape(&mut self, text: &mut String) {
        match self.rest.next() {
            // The literal continues on the next line.
            Some('\n') => while self.rest.next_if(|c| c.is_whitespace()).is_some() {},
            Some('n' | 'r' | 't' | '0') => text.push(' '),
            Some(other) => text.push(other),
            None => {}
        }
    }
}

/// The path or macro name at the end of a piece of code.
fn head(code: &str) -> String {
    let code = code.trim_end();
    let is_part = |c: char| c.is_alphanumeric() || "_:!#.".contains(c);
    let start = code.rfind(|c| !is_part(c)).map_or(0, |at| {
        at + code[at..].chars().next().map_or(1, char::len_utf8)
    });
    code[start..].to_owned()
}

/// Replaces each `{…}` of a format string.
fn with_ellipses(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '{' if rest.next_if_eq(&'{').is_some() => shown.push('{'),
            '}' if rest.next_if_eq(&'}').is_some() => shown.push('}'),
            '{' => {
                while rest.next().is_some_and(|c| c != '}') {}
                shown.push('…');
            }
            other => shown.push(other),
        }
    }
    shown
}
