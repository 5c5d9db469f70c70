//! `string.find` and its relatives, and `string.rep`. Source: Lua 5.1 lstrlib.c.

use std::sync::{Arc, Mutex};

use mlua::{Lua, LuaString, MultiValue, Value};

use super::output::Output;
use super::pattern::{Capture, Matcher, PatternError};
use super::tables::call;
use super::{Call, Context, one};
use crate::script::params::{Params, type_name};
use crate::script::raise::{Fatal, end, throw_here};
use crate::script::state::{Common, lock};

pub(super) const FUNCTIONS: &[(&str, Call)] = &[
    ("find", |args, context| search(args, context, true)),
    ("match", |args, context| search(args, context, false)),
    ("gmatch", gmatch),
    ("gsub", gsub),
    ("rep", rep),
];

/// Bytes that turn a text into a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// How many steps run between two checks of the clock.
const STEPS_PER_TICK: usize = 10_000;

/// Returns a function that counts steps and checks the clock now and then.
fn clock(state: &Common) -> impl FnMut(usize) -> Result<(), Fatal> + '_ {
    let mut steps = 0_usize;
    move |more| {
        steps += more;
        if steps < STEPS_PER_TICK {
            return Ok(());
        }
        steps = 0;
        state.tick()
    }
}

/// Converts a pattern error to an error that the script sees.
fn thrown(lua: &Lua, error: PatternError<Fatal>) -> mlua::Error {
    match error {
        PatternError::Malformed(text) => throw_here(lua, text),
        PatternError::Fatal(fatal) => end(fatal),
    }
}

/// Converts a position or a length to a Lua number.
#[expect(clippy::cast_precision_loss, reason = "texts are shorter")]
fn number(value: usize) -> Value {
    Value::Number(value as f64)
}

/// `find` and `match`.
fn search(args: &Params<'_>, context: &Context, finds: bool) -> mlua::Result<MultiValue> {
    let (text, pattern) = (args.text(1)?, args.text(2)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let start = start(args.integer_or(3, 1)?, text.len());
    let is_plain = finds && (is_true(args.get(4)) || !is_pattern(&pattern));
    if is_plain {
        let rest = text.get(start..).unwrap_or_default();
        let found = memchr::memmem::find(rest, &pattern).map(|at| start + at);
        return Ok(match found {
            Some(at) => MultiValue::from_vec(vec![number(at + 1), number(at + pattern.len())]),
            None => one(Value::Nil),
        });
    }
    let from = usize::from(pattern.first() == Some(&b'^'));
    let mut matcher = Matcher::new(&text, &pattern, clock(&context.state));
    for at in start..=text.len() {
        let found = matcher.match_at(at, from);
        let found = found.map_err(|error| thrown(args.lua, error))?;
        if let Some(end) = found {
            let whole = (!finds).then_some((at, end));
            let mut results = captures(args.lua, &text, matcher.captures(), whole)?;
            if finds {
                results.splice(0..0, [number(at + 1), number(end)]);
            }
            return Ok(MultiValue::from_vec(results));
        }
        if from == 1 {
            break;
        }
    }
    Ok(one(Value::Nil))
}

fn is_true(value: Option<&Value>) -> bool {
    !matches!(value, None | Some(Value::Nil | Value::Boolean(false)))
}

fn is_pattern(text: &[u8]) -> bool {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    let mut seen = text.iter().take(end);
    seen.any(|byte| SPECIALS.contains(byte))
}

/// Returns the index where a search starts. A negative place counts from the end.
fn start(place: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let place = if place < 0 { place + length + 1 } else { place };
    usize::try_from((place - 1).clamp(0, length)).unwrap_or(0)
}

/// Returns all captures as values. If there are none, returns the match `whole`, if given.
fn captures(
    lua: &Lua,
    text: &[u8],
    captures: &[Capture],
    whole: Option<(usize, usize)>,
) -> mlua::Result<Vec<Value>> {
    if let ([], Some((start, end))) = (captures, whole) {
        return Ok(vec![part(lua, text, start, end)?]);
    }
    captures
        .iter()
        .map(|capture| captured(lua, text, *capture))
        .collect()
}

fn captured(lua: &Lua, text: &[u8], capture: Capture) -> mlua::Result<Value> {
    match capture {
        Capture::Span(start, end) => part(lua, text, start, end),
        Capture::Position(at) => Ok(number(at + 1)),
        Capture::Open(_) => Err(throw_here(lua, "unfinished capture")),
    }
}

fn part(lua: &Lua, text: &[u8], start: usize, end: usize) -> mlua::Result<Value> {
    let part = text.get(start..end).unwrap_or_default();
    lua.create_string(part).map(Value::String)
}

fn gmatch(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    let (text, pattern) = (args.text(1)?, args.text(2)?);
    let (next, state) = (Mutex::new(0_usize), Arc::clone(&context.state));
    let step = move |lua: &Lua, _: MultiValue| {
        let mut next = lock(&next);
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher::new(&text, &pattern, clock(&state));
        for at in *next..=text.len() {
            let found = matcher.match_at(at, 0);
            if let Some(end) = found.map_err(|error| thrown(lua, error))? {
                *next = end + usize::from(end == at);
                let all = captures(lua, &text, matcher.captures(), Some((at, end)))?;
                return Ok(MultiValue::from_vec(all));
            }
        }
        *next = text.len() + 1;
        Ok(MultiValue::new())
    };
    Ok(one(Value::Function(args.lua.create_function(step)?)))
}

fn gsub(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    let (text, pattern) = (args.text(1)?, args.text(2)?);
    let replacement = replacement(args)?;
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let most = i64::try_from(text.len())
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    let most = if args.is_none(4) {
        most
    } else {
        i64::from(args.int(4)?)
    };
    let from = usize::from(pattern.first() == Some(&b'^'));
    let mut matcher = Matcher::new(&text, &pattern, clock(&context.state));
    let mut output = Output::new(&context.state);
    let (mut at, mut count) = (0, 0_i64);
    while count < most {
        let found = matcher.match_at(at, from);
        let found = found.map_err(|error| thrown(args.lua, error))?;
        if let Some(end) = found {
            count += 1;
            let matched = Matched {
                text: &text,
                captures: matcher.captures(),
                whole: (at, end),
            };
            replace(args.lua, context, &replacement, &matched, &mut output)?;
        }
        match found {
            Some(end) if end > at => at = end,
            _ => match text.get(at) {
                Some(byte) => {
                    output.push(&[*byte])?;
                    at += 1;
                }
                None => break,
            },
        }
        if from == 1 {
            break;
        }
    }
    output.push(text.get(at..).unwrap_or_default())?;
    let result = output.finish(args.lua)?;
    #[expect(clippy::cast_precision_loss, reason = "texts are shorter")]
    let count = Value::Number(count as f64);
    Ok(MultiValue::from_vec(vec![result, count]))
}

/// What `gsub` replaces a match with.
enum Replacement {
    Text(LuaString),
    Value(Value),
}

fn replacement(args: &Params<'_>) -> mlua::Result<Replacement> {
    match args.get(3) {
        Some(Value::String(_) | Value::Number(_) | Value::Integer(_)) => {
            args.text(3).map(Replacement::Text)
        }
        Some(value @ (Value::Function(_) | Value::Table(_))) => {
            Ok(Replacement::Value(value.clone()))
        }
        _ => Err(args.bad(3, "string/function/table expected")),
    }
}

/// A match in a text.
struct Matched<'m> {
    text: &'m [u8],
    captures: &'m [Capture],
    whole: (usize, usize),
}

impl Matched<'_> {
    /// Returns the capture with this index. Source: `push_onecapture`.
    fn capture(&self, lua: &Lua, index: usize) -> mlua::Result<Value> {
        match self.captures.get(index) {
            Some(capture) => captured(lua, self.text, *capture),
            None if index == 0 => part(lua, self.text, self.whole.0, self.whole.1),
            None => Err(throw_here(lua, "invalid capture index")),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.text
            .get(self.whole.0..self.whole.1)
            .unwrap_or_default()
    }
}

fn replace(
    lua: &Lua,
    context: &Context,
    replacement: &Replacement,
    matched: &Matched<'_>,
    output: &mut Output<'_>,
) -> mlua::Result<()> {
    let value = match replacement {
        Replacement::Text(text) => return fill(lua, &text.as_bytes(), matched, output),
        Replacement::Value(Value::Function(function)) => {
            let all = captures(lua, matched.text, matched.captures, Some(matched.whole))?;
            let mut results = call(lua, context, function, all)?;
            results.pop_front().unwrap_or(Value::Nil)
        }
        Replacement::Value(Value::Table(table)) => table.get(matched.capture(lua, 0)?)?,
        Replacement::Value(_) => Value::Nil,
    };
    if !is_true(Some(&value)) {
        return output.push(matched.bytes());
    }
    match lua.coerce_string(value.clone())? {
        Some(text) => output.push(&text.as_bytes()),
        None => {
            let kind = type_name(&value);
            Err(throw_here(
                lua,
                format!("invalid replacement value (a {kind})"),
            ))
        }
    }
}

/// Writes a replacement text with its `%0` to `%9` filled in. Source: `add_s`.
fn fill(
    lua: &Lua,
    text: &[u8],
    matched: &Matched<'_>,
    output: &mut Output<'_>,
) -> mlua::Result<()> {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            output.push(&[*byte])?;
            continue;
        }
        match bytes.next().copied().unwrap_or(0) {
            b'0' => output.push(matched.bytes())?,
            digit @ b'1'..=b'9' => {
                let value = matched.capture(lua, usize::from(digit - b'1'))?;
                if let Some(text) = lua.coerce_string(value)? {
                    output.push(&text.as_bytes())?;
                }
            }
            other => output.push(&[other])?,
        }
    }
    Ok(())
}

fn rep(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    let text = args.text(1)?;
    let times = usize::try_from(args.int(2)?).unwrap_or(0);
    let text = text.as_bytes();
    if text.len().saturating_mul(times) > context.state.bytes_max() {
        return Err(end(context.state.doom(Fatal::Memory)));
    }
    let times = if text.is_empty() { 0 } else { times };
    let repeated = args.lua.create_string(text.repeat(times))?;
    Ok(one(Value::String(repeated)))
}
