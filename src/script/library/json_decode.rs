//! `cjson.decode`, without recursion. Source: redis 7.0 deps/lua lua_cjson.c.

use mlua::{Lua, MultiValue, Table, Value};

use super::json::{Settings, settings};
use super::number::c_number;
use super::{Context, one};
use crate::script::params::Params;
use crate::script::raise::{end, throw_here};

/// A token of JSON.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ListBegin,
    ListEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    const fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ListBegin => "T_ARR_BEGIN",
            Self::ListEnd => "T_ARR_END",
            Self::Text(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(text) => text,
        }
    }
}

/// A table that is being filled.
enum Frame {
    List(Table, usize),
    Object(Table, Value),
}

struct Decoder<'d> {
    lua: &'d Lua,
    settings: Settings,
    bytes: &'d [u8],
    /// The index of the next byte.
    at: usize,
    /// The index where the last token started.
    begun: usize,
    frames: Vec<Frame>,
}

pub(super) fn decode(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    if args.len() != 1 {
        return Err(args.bad(1, "expected 1 argument"));
    }
    let text = args.text(1)?;
    let bytes = text.as_bytes();
    if bytes.len() >= 2 && bytes.iter().take(2).any(|byte| *byte == 0) {
        let text = "JSON parser does not support UTF-16 or UTF-32";
        return Err(throw_here(args.lua, text));
    }
    let mut decoder = Decoder {
        lua: args.lua,
        settings: settings(context),
        bytes: &bytes,
        at: 0,
        begun: 0,
        frames: Vec::new(),
    };
    let first = decoder.next();
    let mut value = decoder.value(first)?;
    loop {
        context.state.tick().map_err(end)?;
        match value {
            Some(done) => match decoder.put(done)? {
                Put::Whole(whole) => {
                    return match decoder.next() {
                        Token::End => Ok(one(whole)),
                        other => Err(decoder.expected("the end", &other)),
                    };
                }
                Put::Next(token) => value = decoder.value(token)?,
                Put::Closed(table) => value = Some(Value::Table(table)),
            },
            // A table was opened. Read its first entry.
            None => value = decoder.first_entry()?,
        }
    }
}

/// What comes next after a value was put into its table.
enum Put {
    /// The value is in no table.
    Whole(Value),
    /// Another value, which starts with this token.
    Next(Token),
    /// The table is complete.
    Closed(Table),
}

impl Decoder<'_> {
    fn expected(&self, what: &str, found: &Token) -> mlua::Error {
        let (found, place) = (found.name(), self.begun + 1);
        let text = format!("Expected {what} but found {found} at character {place}");
        throw_here(self.lua, text)
    }

    /// Returns the value that starts with `token`. For a table, enters it and returns `None`.
    fn value(&mut self, token: Token) -> mlua::Result<Option<Value>> {
        Ok(Some(match token {
            Token::Text(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => Value::NULL,
            Token::ObjectBegin => {
                self.descend()?;
                let frame = Frame::Object(self.lua.create_table()?, Value::Nil);
                self.frames.push(frame);
                return Ok(None);
            }
            Token::ListBegin => {
                self.descend()?;
                self.frames.push(Frame::List(self.lua.create_table()?, 0));
                return Ok(None);
            }
            other => return Err(self.expected("value", &other)),
        }))
    }

    fn descend(&self) -> mlua::Result<()> {
        let depth = self.frames.len() + 1;
        if depth <= usize::try_from(self.settings.decode_depth).unwrap_or(0) {
            return Ok(());
        }
        let place = self.at;
        let text = format!("Found too many nested data structures ({depth}) at character {place}");
        Err(throw_here(self.lua, text))
    }

    /// Reads what follows the opening of a table.
    fn first_entry(&mut self) -> mlua::Result<Option<Value>> {
        let token = self.next();
        match self.frames.pop() {
            Some(Frame::List(table, _)) if token == Token::ListEnd => Ok(Some(Value::Table(table))),
            Some(Frame::Object(table, _)) if token == Token::ObjectEnd => {
                Ok(Some(Value::Table(table)))
            }
            Some(Frame::Object(table, _)) => {
                let token = self.key(table, token)?;
                self.value(token)
            }
            Some(list) => {
                self.frames.push(list);
                self.value(token)
            }
            None => Ok(Some(Value::Nil)),
        }
    }

    /// Remembers the key in `token`, and returns the token after its colon.
    fn key(&mut self, table: Table, token: Token) -> mlua::Result<Token> {
        let Token::Text(key) = token else {
            return Err(self.expected("object key string", &token));
        };
        let key = Value::String(self.lua.create_string(key)?);
        self.frames.push(Frame::Object(table, key));
        match self.next() {
            Token::Colon => Ok(self.next()),
            other => Err(self.expected("colon", &other)),
        }
    }

    /// Puts a value into the innermost table.
    fn put(&mut self, value: Value) -> mlua::Result<Put> {
        match self.frames.pop() {
            None => Ok(Put::Whole(value)),
            Some(Frame::List(table, length)) => {
                table.raw_seti(length + 1, value)?;
                match self.next() {
                    Token::ListEnd => Ok(Put::Closed(table)),
                    Token::Comma => {
                        self.frames.push(Frame::List(table, length + 1));
                        Ok(Put::Next(self.next()))
                    }
                    other => Err(self.expected("comma or array end", &other)),
                }
            }
            Some(Frame::Object(table, key)) => {
                table.raw_set(key, value)?;
                match self.next() {
                    Token::ObjectEnd => Ok(Put::Closed(table)),
                    Token::Comma => {
                        let token = self.next();
                        self.key(table, token).map(Put::Next)
                    }
                    other => Err(self.expected("comma or object end", &other)),
                }
            }
        }
    }

    /// Returns the byte at an index, or zero past the end.
    fn byte(&self, index: usize) -> u8 {
        self.bytes.get(index).copied().unwrap_or(0)
    }

    fn error(&mut self, text: &'static str) -> Token {
        self.begun = self.at;
        Token::Error(text)
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.begun = self.at;
        let plain = match self.byte(self.at) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ListBegin,
            b']' => Token::ListEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return Token::End,
            b'"' => return self.text(),
            _ => return self.word(),
        };
        self.at += 1;
        plain
    }

    fn word(&mut self) -> Token {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let is_number = matches!(self.byte(self.at), b'-' | b'0'..=b'9');
        if is_number && !self.settings.decode_invalid && self.is_odd_number() {
            return self.error("invalid number");
        }
        for (word, token) in [
            ("true", Token::Boolean(true)),
            ("false", Token::Boolean(false)),
            ("null", Token::Null),
        ] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        if is_number || self.settings.decode_invalid && self.is_odd_number() {
            return self.number();
        }
        self.error("invalid token")
    }

    /// Whether C reads a number here that JSON does not allow. Source: `json_is_invalid_number`.
    fn is_odd_number(&self) -> bool {
        if self.byte(self.at) == b'+' {
            return true;
        }
        let start = self.at + usize::from(self.byte(self.at) == b'-');
        match self.byte(start) {
            b'0' => matches!(self.byte(start + 1), b'x' | b'X' | b'0'..=b'9'),
            ..=b'9' => false,
            _ => self.is_word(start, b"inf") || self.is_word(start, b"nan"),
        }
    }

    fn is_word(&self, start: usize, word: &[u8]) -> bool {
        let found = self.bytes.get(start..start + word.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    fn number(&mut self) -> Token {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match c_number(rest) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => self.error("invalid number"),
        }
    }

    fn text(&mut self) -> Token {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.byte(self.at) {
                b'"' => {
                    self.at += 1;
                    return Token::Text(text);
                }
                0 => return self.error("unexpected end of string"),
                b'\\' => match self.byte(self.at + 1) {
                    b'u' => match self.unicode(&mut text) {
                        Some(length) => self.at += length,
                        None => return self.error("invalid unicode escape code"),
                    },
                    escape => match unescaped(escape) {
                        Some(byte) => {
                            text.push(byte);
                            self.at += 2;
                        }
                        None => return self.error("invalid escape code"),
                    },
                },
                plain => {
                    text.push(plain);
                    self.at += 1;
                }
            }
        }
    }

    /// Reads `\uXXXX`, or two of them that form one character. Returns the length in bytes.
    fn unicode(&self, text: &mut Vec<u8>) -> Option<usize> {
        let first = self.hex(self.at + 2)?;
        let (character, length) = match first {
            0xD800..=0xDBFF => {
                let is_escape = self.byte(self.at + 6) == b'\\' && self.byte(self.at + 7) == b'u';
                let second = self.hex(self.at + 8).filter(|_| is_escape)?;
                let low = (0xDC00..=0xDFFF)
                    .contains(&second)
                    .then_some(second & 0x3FF)?;
                (((first & 0x3FF) << 10 | low) + 0x1_0000, 12)
            }
            0xDC00..=0xDFFF => return None,
            plain => (plain, 6),
        };
        let character = char::from_u32(character)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Some(length)
    }

    fn hex(&self, start: usize) -> Option<u32> {
        let digits = self.bytes.get(start..start + 4)?;
        digits.iter().try_fold(0, |number, digit| {
            char::from(*digit)
                .to_digit(16)
                .map(|digit| number << 4 | digit)
        })
    }
}

const fn unescaped(escape: u8) -> Option<u8> {
    Some(match escape {
        b'"' | b'\\' | b'/' => escape,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'f' => 12,
        b'r' => b'\r',
        _ => return None,
    })
}
