//! The terminal as one screen that is drawn again and again, and given back as it was.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc;

/// What a terminal shows if it does not say how large it is.
const SIZE: (usize, usize) = (80, 24);

/// Whether standard output is a terminal that can move its cursor.
pub(super) fn is_capable() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    io::stdout().is_terminal() && !is_dumb
}

/// Whether to use colours. Source: no-color.org.
pub(super) fn in_colour() -> bool {
    is_capable() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the columns and rows of the terminal.
pub(super) fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => SIZE,
    }
}

/// The alternate screen. Dropping it brings back what was there before.
pub(super) struct Screen {
    /// The terminal's settings, if keys are read from it.
    before: Option<Termios>,
}

impl Screen {
    /// Opens the alternate screen, and makes keys arrive one by one and unseen.
    ///
    /// # Errors
    /// If the terminal does not take it.
    pub(super) fn open() -> io::Result<Self> {
        let screen = Self { before: quieted() };
        // Alternate screen, no cursor, no wrapping.
        write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")?;
        Ok(screen)
    }

    /// Shows the lines, at once where the terminal can do that, and overwrites what was there rather than erasing it first:
    /// nothing flickers.
    ///
    /// # Errors
    /// If the terminal has gone.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut frame = String::from("\x1b[?2026h\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J\x1b[?2026l");
        write(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal has gone, there is nothing to bring back.
        let _ = write("\x1b[?7h\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Turns off the echo of keys and the wait for a line. Returns the settings before; `None` if standard input is no terminal.
fn quieted() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
    quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
    quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(io::stdin(), OptionalActions::Now, &quiet).ok()?;
    Some(before)
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Returns the bytes of keys as they are pressed. The channel ends with standard input.
pub(super) fn keys() -> mpsc::Receiver<u8> {
    let (sender, keys) = mpsc::channel(16);
    // The thread ends with the process. Without it, only signals end the watch.
    let _ = std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            let mut byte = [0];
            while matches!(io::stdin().lock().read(&mut byte), Ok(1)) {
                let [key] = byte;
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        });
    keys
}
