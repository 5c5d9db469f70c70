//! The file that holds a tail's place, beside the state.
//!
//! Two slots take turns, so that one is whole whenever the process ends. Each is a line of text with its checksum.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::str::FromStr;

use super::place::Place;
use crate::history::Point;

pub(super) use crate::state::TAIL_PLACE as NAME;

/// Bytes of a slot.
const SLOT: usize = 1024;

/// What one slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) place: Place,
    /// The regular file that the output went to: its device and its number.
    pub(super) output: Option<(u64, u64)>,
    /// The length of that file when everything up to the place was in it.
    pub(super) bytes: u64,
}

/// The open file.
#[derive(Debug)]
pub(super) struct PlaceFile {
    file: File,
    /// The number of the next write.
    next: u64,
}

impl PlaceFile {
    /// Opens the file in `folder`, and reads the newest whole slot.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Option<Kept>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(folder.join(NAME))?;
        let slots = [0, 1].map(|number| read(&file, number));
        let newest = slots
            .into_iter()
            .flatten()
            .max_by_key(|(number, _)| *number);
        if newest.is_none() && file.metadata()?.len() >= SLOT as u64 {
            return Err(io::Error::other(
                "it is damaged; remove it, and tail begins with what follows the state's snapshot",
            ));
        }
        let next = newest.as_ref().map_or(0, |(number, _)| number + 1);
        Ok((Self { file, next }, newest.map(|(_, kept)| kept)))
    }

    pub(super) fn write(&mut self, kept: &Kept) -> io::Result<()> {
        let mut slot = text(self.next, kept).into_bytes();
        slot.resize(SLOT - 1, b' ');
        slot.push(b'\n');
        self.file.write_all_at(&slot, self.next % 2 * SLOT as u64)?;
        self.next += 1;
        Ok(())
    }
}

impl PlaceFile {
    /// Forces the place to the disk: what it refers to is about to be removed.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn read(file: &File, number: u64) -> Option<(u64, Kept)> {
    let mut slot = [0; SLOT];
    file.read_exact_at(&mut slot, number * SLOT as u64).ok()?;
    parse(std::str::from_utf8(&slot).ok()?)
}

fn sum(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

fn point_text(point: Point) -> String {
    format!("{}:{}", point.replid, point.offset)
}

/// Reads `<replication id>:<offset>`.
pub(super) fn point(text: &str) -> Option<Point> {
    let (replid, offset) = text.split_once(':')?;
    Some(Point {
        replid: replid.parse().ok()?,
        offset: offset.parse().ok()?,
    })
}

const NOTHING: &str = "-";

fn text(number: u64, kept: &Kept) -> String {
    let Kept {
        place,
        output,
        bytes,
    } = kept;
    let past: Vec<String> = place.past.iter().copied().map(point_text).collect();
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let fields = [
        "1".to_owned(),
        number.to_string(),
        point_text(place.point),
        place.count.to_string(),
        u8::from(place.open).to_string(),
        or_nothing(place.db.map(|db| db.to_string())),
        or_nothing(output.map(|(device, inode)| format!("{device}:{inode}"))),
        bytes.to_string(),
        or_nothing(Some(past.join(",")).filter(|past| !past.is_empty())),
    ];
    let line = fields.join(" ");
    format!("{line} {:016x}", sum(&line))
}

fn parse(slot: &str) -> Option<(u64, Kept)> {
    let (line, checksum) = slot.trim_end().rsplit_once(' ')?;
    if format!("{:016x}", sum(line)) != checksum {
        return None;
    }
    let mut fields = line.split(' ');
    let mut field = || fields.next();
    if field()? != "1" {
        return None;
    }
    let number = field()?.parse().ok()?;
    let point_at = point(field()?)?;
    let count = field()?.parse().ok()?;
    let open = field()? == "1";
    let db = optional(field()?, |text| usize::from_str(text).ok())?;
    let output = optional(field()?, |text| {
        let (device, inode) = text.split_once(':')?;
        Some((device.parse().ok()?, inode.parse().ok()?))
    })?;
    let bytes = field()?.parse().ok()?;
    let past = optional(field()?, |text| text.split(',').map(point).collect())?;
    let place = Place {
        point: point_at,
        count,
        open,
        db,
        past: past.unwrap_or_default(),
    };
    let kept = Kept {
        place,
        output,
        bytes,
    };
    Some((number, kept))
}

/// Reads a field that may hold nothing. Returns `None` if it holds something else than it should.
fn optional<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        NOTHING => Some(None),
        text => read(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn kept(offset: u64) -> Kept {
        let point = |letter: &str, offset| Point {
            replid: letter.repeat(40).parse().unwrap(),
            offset,
        };
        Kept {
            place: Place {
                point: point("c", offset),
                count: 7,
                open: true,
                db: Some(3),
                past: (0..8).map(|number| point("b", u64::MAX - number)).collect(),
            },
            output: Some((u64::MAX, 5)),
            bytes: u64::MAX,
        }
    }

    #[test]
    fn the_newest_place_is_read_back_whatever_a_crash_left_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, nothing) = PlaceFile::open(folder.path()).unwrap();
        assert_eq!(nothing, None);
        for offset in 1..6 {
            file.write(&kept(offset)).unwrap();
            let (_, read) = PlaceFile::open(folder.path()).unwrap();
            assert_eq!(read, Some(kept(offset)));
        }
        // Part of the next one.
        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        let next = text(5, &kept(6)).into_bytes();
        let other = bytes.get_mut(SLOT..SLOT + 100).unwrap();
        other.copy_from_slice(next.get(..100).unwrap());
        std::fs::write(&path, &bytes).unwrap();
        let (mut again, read) = PlaceFile::open(folder.path()).unwrap();
        assert_eq!(read, Some(kept(5)));
        again.write(&kept(6)).unwrap();
        let (_, read) = PlaceFile::open(folder.path()).unwrap();
        assert_eq!(read, Some(kept(6)));
        std::fs::write(&path, vec![b'x'; 2 * SLOT]).unwrap();
        assert!(PlaceFile::open(folder.path()).is_err());
    }

    #[test]
    fn a_place_without_anything_optional_is_read_back() {
        let bare = Kept {
            place: Place::at(kept(9).place.point),
            output: None,
            bytes: 0,
        };
        assert_eq!(parse(&text(3, &bare)), Some((3, bare)));
    }
}
