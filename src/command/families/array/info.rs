//! ARINFO: the layout that a server would have.

use super::{array, unsigned_reply};
use crate::command::rows::Error;
use crate::rdb::array::INDEX_MAX;
use crate::resp::{Args, Reply};
use crate::store::View;
use crate::value::Array;

/// The positions of a slice. Source: redis 8.8 sparsearray.h, like every number here: the defaults of `array-slice-size` and
/// `array-sparse-kmax`.
const SLICE: u64 = 4096;
/// A slice with more elements than this is dense.
const SPARSE_MAX: usize = 10;
/// The slices of a block. An array with more has a directory of blocks.
const BLOCK: u64 = 2048;
/// The smallest directory of blocks, the smallest room of a sparse slice, and the smallest window of a dense one.
const BLOCKS_MIN: u64 = 4;
const SPARSE_MIN: usize = 4;
const WINDOW_MIN: u64 = 8;

/// DIFFERENCE: redtail has no slices. It describes those of a server that has just loaded the array, because the layout on the
/// upstream depends on everything that happened to the array there.
pub(super) fn arinfo(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let full = args.len() == 3 && args.is(2, "full");
    if args.len() > 2 && !full {
        return Err(Error::Syntax);
    }
    let array = array(view, args.at(1))?.ok_or(Error::NoSuchKey)?;
    let layout = Layout::of(array);
    reply.map(if full { 12 } else { 7 });
    let next = array.cursor().filter(|index| *index < INDEX_MAX);
    for (name, number) in [
        ("count", array.len() as u64),
        ("len", array.span()),
        ("next-insert-index", next.map_or(0, |index| index + 1)),
        ("slices", layout.slices()),
        ("directory-size", layout.directory()),
        ("super-dir-entries", layout.super_directory()),
        ("slice-size", SLICE),
    ] {
        reply.bulk(name.as_bytes());
        unsigned_reply(reply, number);
    }
    if full {
        layout.write_slices(reply);
    }
    Ok(())
}

/// The sum of some sizes, and how many there were.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    count: u64,
    total: u64,
}

impl Sum {
    const fn add(&mut self, size: u64) {
        self.count += 1;
        self.total += size;
    }

    #[expect(clippy::cast_precision_loss, reason = "as on the server")]
    fn average(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.total as f64 / self.count as f64
        }
    }
}

/// What slices a server makes of an array that it reads in order.
#[derive(Debug, Default)]
struct Layout {
    /// The number of the last slice.
    last: u64,
    /// The number of blocks.
    blocks: u64,
    /// The windows of dense slices, and the room of sparse ones.
    dense: Sum,
    sparse: Sum,
    /// The number of elements in dense slices.
    dense_elements: u64,
}

impl Layout {
    fn of(array: &Array) -> Self {
        let mut layout = Self::default();
        let mut slice: Option<Slice> = None;
        for (index, _) in array.iter() {
            let number = index / SLICE;
            match &mut slice {
                Some(slice) if slice.number == number => slice.add(index % SLICE),
                _ => {
                    layout.end(slice.replace(Slice::new(number, index % SLICE)));
                }
            }
        }
        layout.end(slice);
        layout
    }

    /// Counts a slice that is complete.
    fn end(&mut self, slice: Option<Slice>) {
        let Some(slice) = slice else { return };
        if self.slices() == 0 || slice.number / BLOCK != self.last / BLOCK {
            self.blocks += 1;
        }
        self.last = slice.number;
        if slice.count > SPARSE_MAX {
            self.dense.add(slice.window);
            self.dense_elements += slice.count as u64;
        } else {
            let room = slice.count.next_power_of_two().max(SPARSE_MIN);
            self.sparse.add(room.min(SPARSE_MAX) as u64);
        }
    }

    const fn slices(&self) -> u64 {
        self.dense.count + self.sparse.count
    }

    const fn has_blocks(&self) -> bool {
        self.last >= BLOCK
    }

    fn directory(&self) -> u64 {
        if self.has_blocks() {
            self.blocks.next_power_of_two().max(BLOCKS_MIN)
        } else {
            (self.last + 1).next_power_of_two()
        }
    }

    const fn super_directory(&self) -> u64 {
        if self.has_blocks() { self.blocks } else { 0 }
    }

    fn write_slices(&self, reply: &mut Reply) {
        reply.bulk(b"dense-slices");
        unsigned_reply(reply, self.dense.count);
        reply.bulk(b"sparse-slices");
        unsigned_reply(reply, self.sparse.count);
        let fill = Sum {
            count: self.dense.total,
            total: self.dense_elements,
        };
        for (name, average) in [
            ("avg-dense-size", self.dense),
            ("avg-dense-fill", fill),
            ("avg-sparse-size", self.sparse),
        ] {
            reply.bulk(name.as_bytes());
            reply.double(average.average());
        }
    }
}

/// A slice whose elements are counted.
#[derive(Debug)]
struct Slice {
    number: u64,
    count: usize,
    /// The first position of the window in which a dense slice has room, and the window's size.
    start: u64,
    window: u64,
}

impl Slice {
    const fn new(number: u64, position: u64) -> Self {
        Self {
            number,
            count: 1,
            start: position,
            window: WINDOW_MIN,
        }
    }

    /// Counts an element at a higher position. The window grows from the moment when the slice becomes dense, but from the
    /// same start, so its size is the same if it grows from the beginning.
    fn add(&mut self, position: u64) {
        self.count += 1;
        while position >= self.start + self.window && self.window < SLICE {
            self.window *= 2;
        }
        self.move_inside();
    }

    /// A window ends inside the slice.
    const fn move_inside(&mut self) {
        if self.start + self.window > SLICE {
            self.start = SLICE - self.window;
        }
    }
}
