//! List commands.

use crate::command::rows::error::OUT_OF_RANGE;
use crate::command::rows::parse::{integer, range};
use crate::command::rows::work::between;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, Outcome, least};
use crate::feed::Class;
use crate::rdb::listpack::{IntText, Item};
use crate::resp::{Args, Reply};
use crate::store::{Tx, View};
use crate::value::{End, List, Thresholds};

const GROW: Flags = Flags::DENYOOM;
const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);
const BLOCKING: Flags = Flags::BLOCKING;

/// All arguments but the last, which is a timeout.
const ALL_BUT_LAST: Keys = Keys::Range {
    first: 1,
    last: -2,
    step: 1,
};

const fn counted(count: usize) -> Keys {
    Keys::Counted { count, also: None }
}

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "list",
    commands: &[
        Command::new("lrange", Arity::exactly(4), Keys::first())
            .read(lrange)
            .work(between)
            .least(least::between::<List>)
            .about("1.0.0", "Returns the elements in a range of indexes."),
        Command::new("llen", Arity::exactly(2), Keys::first())
            .read(llen)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns a list's length."),
        Command::new("lindex", Arity::exactly(3), Keys::first())
            .read(lindex)
            .about("1.0.0", "Returns the element at an index."),
        Command::new("lpos", Arity::at_least(3), Keys::first())
            .read(lpos)
            .about("6.0.6", "Returns the indexes of matching elements."),
        Command::new("lpush", Arity::at_least(3), Keys::first())
            .apply(lpush)
            .outcome(Outcome::Exists)
            .by_length()
            .flags(GROW_FAST)
            .about("1.0.0", "Adds elements at the head."),
        Command::new("rpush", Arity::at_least(3), Keys::first())
            .apply(rpush)
            .outcome(Outcome::Exists)
            .by_length()
            .flags(GROW_FAST)
            .about("1.0.0", "Adds elements at the tail."),
        Command::new("lpushx", Arity::at_least(3), Keys::first())
            .apply(lpushx)
            .outcome(Outcome::Exists)
            .by_length()
            .flags(GROW_FAST)
            .about("2.2.0", "Adds elements at the head of an existing list."),
        Command::new("rpushx", Arity::at_least(3), Keys::first())
            .apply(rpushx)
            .outcome(Outcome::Exists)
            .by_length()
            .flags(GROW_FAST)
            .about("2.2.0", "Adds elements at the tail of an existing list."),
        Command::new("lpop", Arity::at_least(2), Keys::first())
            .apply(lpop)
            .by_length()
            .flags(Flags::FAST)
            .about("1.0.0", "Takes elements off the head.")
            .arity_before("6.2.0", Arity::exactly(2)),
        Command::new("rpop", Arity::at_least(2), Keys::first())
            .apply(rpop)
            .by_length()
            .flags(Flags::FAST)
            .about("1.0.0", "Takes elements off the tail.")
            .arity_before("6.2.0", Arity::exactly(2)),
        Command::new("ltrim", Arity::exactly(4), Keys::first())
            .apply(ltrim)
            .by_length()
            .about("1.0.0", "Removes the elements outside a range of indexes."),
        Command::new("lset", Arity::exactly(4), Keys::first())
            .apply(lset)
            .outcome(Outcome::Exists)
            .by_length()
            .flags(GROW)
            .about("1.0.0", "Replaces the element at an index."),
        Command::new("linsert", Arity::exactly(5), Keys::first())
            .apply(linsert)
            .outcome(Outcome::Exists)
            .flags(GROW)
            .about("2.2.0", "Puts an element before or after another."),
        Command::new("lrem", Arity::exactly(4), Keys::first())
            .apply(lrem)
            .about("1.0.0", "Removes matching elements."),
        Command::new("rpoplpush", Arity::exactly(3), Keys::leading(2))
            .apply(rpoplpush)
            .by_length()
            .outcome(Outcome::SecondExists)
            .flags(GROW)
            .about("1.2.0", "Moves a list's last element to another's head."),
        Command::new("lmove", Arity::exactly(5), Keys::leading(2))
            .apply(lmove)
            .by_length()
            .outcome(Outcome::SecondExists)
            .flags(GROW)
            .about(
                "6.2.0",
                "Moves an element from one list's end to another's.",
            ),
        Command::new("lmovem", Arity::at_least(5), Keys::leading(2))
            .apply(lmovem)
            .by_length()
            .outcome(Outcome::SecondExists)
            .flags(GROW)
            .about("8.10.0", "Moves elements from one list's end to another's."),
        Command::new("lmpop", Arity::at_least(4), counted(1))
            .write()
            .about(
                "7.0.0",
                "Takes elements off the first list that is not empty.",
            ),
        Command::new("blpop", Arity::at_least(3), ALL_BUT_LAST)
            .write()
            .flags(BLOCKING)
            .about(
                "2.0.0",
                "Takes an element off a list's head; waits for one.",
            ),
        Command::new("brpop", Arity::at_least(3), ALL_BUT_LAST)
            .write()
            .flags(BLOCKING)
            .about(
                "2.0.0",
                "Takes an element off a list's tail; waits for one.",
            ),
        Command::new("brpoplpush", Arity::exactly(4), Keys::leading(2))
            .write()
            .flags(BLOCKING.and(GROW))
            .about("2.2.0", "Like RPOPLPUSH, but waits for an element."),
        Command::new("blmove", Arity::exactly(6), Keys::leading(2))
            .write()
            .flags(BLOCKING.and(GROW))
            .about("6.2.0", "Like LMOVE, but waits for an element."),
        Command::new("blmovem", Arity::at_least(6), Keys::leading(2))
            .write()
            .flags(BLOCKING.and(GROW))
            .about("8.10.0", "Like LMOVEM, but waits for elements."),
        Command::new("blmpop", Arity::at_least(5), counted(2))
            .write()
            .flags(BLOCKING)
            .about("7.0.0", "Like LMPOP, but waits for an element."),
    ],
};

fn bulk(reply: &mut Reply, item: Item<'_>) {
    reply.bulk(item.text(&mut IntText::new()));
}

fn lrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    let Some(list) = view.collection::<List>(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let (count, items) = elements(list, start, end);
    reply.array(count);
    items.for_each(|item| bulk(reply, item));
    Ok(())
}

/// Returns the number of elements from `start` to `end`, and the elements. Both indexes count from the end if they are negative.
pub(crate) fn elements(
    list: &List,
    start: i64,
    end: i64,
) -> (usize, impl Iterator<Item = Item<'_>>) {
    let range = range(start, end, list.len());
    let (first, count) = range.map_or((0, 0), |range| {
        (*range.start(), range.end() - range.start() + 1)
    });
    (count, list.iter_from(first).take(count))
}

fn llen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let list = view.collection::<List>(args.at(1))?;
    reply.count(list.map_or(0, List::len));
    Ok(())
}

/// The position of an index, which counts from the end if it is negative.
pub(crate) fn place(index: i64, len: usize) -> Option<usize> {
    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 {
        len.checked_sub(from_end)
    } else {
        Some(from_end).filter(|place| *place < len)
    }
}

fn lindex(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let Some(list) = view.collection::<List>(args.at(1))? else {
        reply.null();
        return Ok(());
    };
    let index = integer(args.at(2))?;
    match place(index, list.len()).and_then(|place| list.get(place)) {
        Some(item) => bulk(reply, item),
        None => reply.null(),
    }
    Ok(())
}

/// LPOS's options.
struct PosOptions {
    rank: i64,
    /// How many matches to return, 0 for all. `None` returns the first one alone, not in an array.
    count: Option<i64>,
    /// How many elements to compare, 0 for all.
    look_at: i64,
}

impl PosOptions {
    fn parse(args: Args<'_>, reply: &Reply) -> Result<Self, Error> {
        let mut options = Self {
            rank: 1,
            count: None,
            look_at: 0,
        };
        for index in (3..args.len()).step_by(2) {
            let value = args.get(index + 1).ok_or(Error::Syntax)?;
            if args.is(index, "rank") {
                options.rank = rank(value, reply)?;
            } else if args.is(index, "count") {
                let error = Error::Text("ERR COUNT can't be negative");
                options.count = Some(not_negative(value, error, reply)?);
            } else if args.is(index, "maxlen") {
                let error = Error::Text("ERR MAXLEN can't be negative");
                options.look_at = not_negative(value, error, reply)?;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    fn matches_wanted(&self) -> usize {
        match self.count {
            None => 1,
            // Servers that accept this rank overflow while they count matches, so no count stops them.
            Some(_) if self.rank == i64::MIN => usize::MAX,
            Some(0) => usize::MAX,
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
        }
    }
}

fn rank(text: &[u8], reply: &Reply) -> Result<i64, Error> {
    let modern = reply.dialect().has_modern_lpos_errors();
    match integer(text)? {
        0 if modern => Err(Error::Text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        )),
        0 => Err(Error::Text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second, ...",
        )),
        i64::MIN if reply.dialect().checks_ranges_of_ranks() => Err(Error::Text(OUT_OF_RANGE)),
        rank => Ok(rank),
    }
}

fn not_negative(text: &[u8], error: Error, reply: &Reply) -> Result<i64, Error> {
    match integer(text) {
        Ok(number) if number >= 0 => Ok(number),
        Err(other) if !reply.dialect().has_modern_lpos_errors() => Err(other),
        _ => Err(error),
    }
}

fn lpos(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let options = PosOptions::parse(args, reply)?;
    let list = view.collection::<List>(args.at(1))?;
    let found = list.map_or(Vec::new(), |list| positions(list, args.at(2), &options));
    match (options.count, found.first()) {
        (Some(_), _) => {
            reply.array(found.len());
            found.iter().for_each(|place| reply.count(*place));
        }
        (None, Some(place)) => reply.count(*place),
        (None, None) => reply.null(),
    }
    Ok(())
}

fn positions(list: &List, word: &[u8], options: &PosOptions) -> Vec<usize> {
    // Servers that accept `i64::MIN` cannot negate it, and then skip nothing.
    let rank = options.rank.checked_abs().unwrap_or(1);
    let skipped = usize::try_from(rank - 1).unwrap_or(usize::MAX);
    let look_at = match usize::try_from(options.look_at) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    let found = |item: Item<'_>, place| item.eq_bytes(word).then_some(place);
    let wanted = options.matches_wanted();
    if options.rank > 0 {
        let items = list.iter().enumerate().take(look_at);
        let places = items.filter_map(|(place, item)| found(item, place));
        places.skip(skipped).take(wanted).collect()
    } else {
        let items = list.iter().rev().zip((0..list.len()).rev()).take(look_at);
        let places = items.filter_map(|(item, place)| found(item, place));
        places.skip(skipped).take(wanted).collect()
    }
}

const fn pushed(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

const fn popped(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

fn push(tx: &mut Tx<'_>, args: Args<'_>, end: End) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    tx.upsert(args.at(1), |list: &mut List| {
        list.push(end, args.from(2).iter(), &thresholds);
    })?;
    tx.event(Class::LIST, pushed(end), args.at(1));
    Ok(())
}

fn lpush(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    push(tx, args, End::Head)
}

fn rpush(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    push(tx, args, End::Tail)
}

fn lpushx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if tx.exists(args.at(1)) {
        push(tx, args, End::Head)?;
    }
    Ok(())
}

fn rpushx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if tx.exists(args.at(1)) {
        push(tx, args, End::Tail)?;
    }
    Ok(())
}

fn pop(tx: &mut Tx<'_>, args: Args<'_>, end: End) -> Result<(), Error> {
    let count = match args.get(2) {
        None => 1,
        Some(_) if args.len() > 3 => return Err(Error::Syntax),
        Some(count) => usize::try_from(integer(count)?)
            .map_err(|_| Error::Text("ERR value is out of range, must be positive"))?,
    };
    let thresholds = tx.thresholds();
    // LPOP with a count of 0 does not check the encoding either.
    if count > 0 {
        tx.shrink(args.at(1), (Class::LIST, popped(end)), |list: &mut List| {
            list.drop_from(end, count, &thresholds);
            true
        })?;
    }
    Ok(())
}

fn lpop(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    pop(tx, args, End::Head)
}

fn rpop(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    pop(tx, args, End::Tail)
}

fn ltrim(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    let thresholds = tx.thresholds();
    tx.shrink(args.at(1), (Class::LIST, "ltrim"), |list: &mut List| {
        list.trim(range(start, end, list.len()), &thresholds);
        true
    })?;
    Ok(())
}

fn lset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let index = integer(args.at(2))?;
    let thresholds = tx.thresholds();
    let done = tx.update(args.at(1), |list: &mut List| {
        place(index, list.len()).is_some_and(|place| list.set(place, args.at(3), &thresholds))
    })?;
    match done {
        None => Err(Error::NoSuchKey),
        Some(false) => Err(Error::IndexOutOfRange),
        Some(true) => {
            tx.event(Class::LIST, "lset", args.at(1));
            Ok(())
        }
    }
}

fn linsert(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let behind = args.is(2, "after");
    if !behind && !args.is(2, "before") {
        return Err(Error::Syntax);
    }
    let thresholds = tx.thresholds();
    let inserted = tx.update(args.at(1), |list: &mut List| {
        list.insert(args.at(3), behind, args.at(4), &thresholds)
    })?;
    if inserted == Some(true) {
        tx.event(Class::LIST, "linsert", args.at(1));
    }
    Ok(())
}

fn lrem(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = integer(args.at(2))?;
    let end = if count < 0 { End::Tail } else { End::Head };
    let limit = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let thresholds = tx.thresholds();
    tx.shrink(args.at(1), (Class::LIST, "lrem"), |list: &mut List| {
        list.remove_equal(args.at(3), end, limit, &thresholds) > 0
    })?;
    Ok(())
}

fn end(args: Args<'_>, index: usize) -> Result<End, Error> {
    if args.is(index, "left") {
        Ok(End::Head)
    } else if args.is(index, "right") {
        Ok(End::Tail)
    } else {
        Err(Error::Syntax)
    }
}

fn move_element(tx: &mut Tx<'_>, args: Args<'_>, from: End, to: End) -> Result<(), Error> {
    let (source, target) = (args.at(1), args.at(2));
    let thresholds = tx.thresholds();
    if source == target {
        let moved = tx.update(source, |list: &mut List| list.rotate(from, to, &thresholds))?;
        if moved.is_some() {
            note_moved(tx, args, from, to);
        }
        return Ok(());
    }
    // The target's type is checked before anything changes.
    tx.collection::<List>(target)?;
    let element = tx.update(source, |list: &mut List| list.pop(from, &thresholds))?;
    if let Some(element) = element.flatten() {
        tx.upsert(target, |list: &mut List| {
            list.push(to, std::iter::once(&*element), &thresholds);
        })?;
        note_moved(tx, args, from, to);
    }
    Ok(())
}

/// Notes that elements were moved. Servers publish first what happened to the target.
fn note_moved(tx: &Tx<'_>, args: Args<'_>, from: End, to: End) {
    tx.event(Class::LIST, pushed(to), args.at(2));
    tx.event_that_may_empty(Class::LIST, popped(from), args.at(1));
}

fn rpoplpush(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    move_element(tx, args, End::Tail, End::Head)
}

fn lmove(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    move_element(tx, args, end(args, 3)?, end(args, 4)?)
}

/// How many elements LMOVEM moves, and in which order.
struct Several {
    count: usize,
    /// Whether it moves nothing if there are fewer.
    is_exact: bool,
    /// Whether the elements keep their order. Otherwise they are pushed one by one, as they come off the source.
    keeps_order: bool,
}

impl Several {
    /// Reads `COUNT count | EXACTLY count` and `OBO | BULK` from word 5 on. Without them, one element moves.
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        if args.len() == 5 {
            return Ok(Self {
                count: 1,
                is_exact: false,
                keeps_order: true,
            });
        }
        let is_exact = args.is(5, "exactly");
        let keeps_order = args.is(7, "bulk");
        if args.len() != 8
            || !is_exact && !args.is(5, "count")
            || !keeps_order && !args.is(7, "obo")
        {
            return Err(Error::Syntax);
        }
        let count = usize::try_from(integer(args.at(6))?)
            .ok()
            .filter(|count| *count > 0)
            .ok_or(Error::Text("ERR count must be positive"))?;
        Ok(Self {
            count,
            is_exact,
            keeps_order,
        })
    }
}

/// `LMOVEM source target LEFT|RIGHT LEFT|RIGHT [COUNT n | EXACTLY n] [OBO | BULK]`. BLMOVEM travels as this.
///
/// Source: redis 8.10 tests/unit/type/list-4.tcl, from documents: no server of this version was asked. They do not say what
/// moving one by one from an end of a list to the same end of the same list does, so that is refused.
fn lmovem(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to) = (end(args, 3)?, end(args, 4)?);
    let several = Several::parse(args)?;
    let (source, target) = (args.at(1), args.at(2));
    tx.collection::<List>(target)?;
    let len = tx.collection::<List>(source)?.map_or(0, List::len);
    let count = several.count.min(len);
    if several.is_exact && count < several.count {
        return Err(Error::Text("ERR the list is shorter than on the primary"));
    }
    if source == target && from == to && count > 1 && !several.keeps_order {
        return Err(Error::Text("ERR the order of the result is not known"));
    }
    let thresholds = tx.thresholds();
    if source == target {
        tx.update(source, |list: &mut List| {
            let moved = take_off(list, from, count, &thresholds);
            put_on(list, moved, (from, to), several.keeps_order, &thresholds);
        })?;
        if count > 0 {
            note_moved(tx, args, from, to);
        }
        return Ok(());
    }
    let moved = tx.update(source, |list: &mut List| {
        take_off(list, from, count, &thresholds)
    })?;
    if let Some(moved) = moved.filter(|moved| !moved.is_empty()) {
        tx.upsert(target, |list: &mut List| {
            put_on(list, moved, (from, to), several.keeps_order, &thresholds);
        })?;
        note_moved(tx, args, from, to);
    }
    Ok(())
}

/// Removes elements from an end, and returns them in the order in which they come off.
fn take_off(list: &mut List, from: End, count: usize, thresholds: &Thresholds) -> Vec<Vec<u8>> {
    let moved = match from {
        End::Head => list.iter().take(count).map(|item| item.to_vec()).collect(),
        End::Tail => list
            .iter()
            .rev()
            .take(count)
            .map(|item| item.to_vec())
            .collect(),
    };
    list.drop_from(from, count, thresholds);
    moved
}

/// Pushes elements that came off the end `from` at the end `to`.
fn put_on(
    list: &mut List,
    mut moved: Vec<Vec<u8>>,
    (from, to): (End, End),
    keeps_order: bool,
    thresholds: &Thresholds,
) {
    // Elements that come off one end and are pushed at the same end change their order.
    if keeps_order && from == to {
        moved.reverse();
    }
    list.push(to, moved.iter().map(Vec::as_slice), thresholds);
}

#[cfg(test)]
#[path = "list_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;
