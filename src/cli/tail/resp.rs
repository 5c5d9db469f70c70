//! Writes as RESP, ready for another server.

use std::io::Write as _;

use super::line::UNKNOWN_DB;

/// Writes units of commands, with the databases that they work in.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// The database that the output has selected; `None` at its start.
    selected: Option<usize>,
}

impl Writes {
    /// Continues an output that has selected `db`.
    pub(super) const fn new(selected: Option<usize>) -> Self {
        Self { selected }
    }

    pub(super) const fn selected(&self) -> Option<usize> {
        self.selected
    }

    /// Writes the commands that became visible together: several in MULTI and EXEC.
    pub(super) fn unit(&mut self, out: &mut Vec<u8>, unit: &[(usize, &[u8])]) {
        if unit.len() > 1 {
            out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        }
        for (db, resp) in unit {
            self.select(out, *db);
            out.extend_from_slice(resp);
        }
        if unit.len() > 1 {
            out.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        }
    }

    fn select(&mut self, out: &mut Vec<u8>, db: usize) {
        if db == UNKNOWN_DB || self.selected == Some(db) {
            return;
        }
        let number = db.to_string();
        let _ = write!(
            out,
            "*2\r\n$6\r\nSELECT\r\n${}\r\n{number}\r\n",
            number.len()
        );
        self.selected = Some(db);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_selected_and_units_stay_together() {
        let mut writes = Writes::new(Some(0));
        let mut out = Vec::new();
        writes.unit(&mut out, &[(0, b"a")]);
        writes.unit(&mut out, &[(0, b"b"), (12, b"c"), (12, b"d")]);
        writes.unit(&mut out, &[(12, b"e")]);
        let expected =
            "a*1\r\n$5\r\nMULTI\r\nb*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\ncd*1\r\n$4\r\nEXEC\r\ne";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(writes.selected(), Some(12));
    }
}
