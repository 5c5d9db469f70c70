//! The operators of expressions.

use super::value::Value;

/// An operator, or a parenthesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Open,
    Close,
    Not,
    Power,
    Times,
    Over,
    Modulo,
    Plus,
    Minus,
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
    In,
    And,
    Or,
}

/// Source: redis 8.0 modules/vector-sets/expr.c, `ExprOptable`.
const NAMES: [(&[u8], Operator); 21] = [
    (b"(", Operator::Open),
    (b")", Operator::Close),
    (b"!", Operator::Not),
    (b"not", Operator::Not),
    (b"**", Operator::Power),
    (b"*", Operator::Times),
    (b"/", Operator::Over),
    (b"%", Operator::Modulo),
    (b"+", Operator::Plus),
    (b"-", Operator::Minus),
    (b">", Operator::Above),
    (b">=", Operator::AtLeast),
    (b"<", Operator::Below),
    (b"<=", Operator::AtMost),
    (b"==", Operator::Equal),
    (b"!=", Operator::Unequal),
    (b"in", Operator::In),
    (b"and", Operator::And),
    (b"&&", Operator::And),
    (b"or", Operator::Or),
    (b"||", Operator::Or),
];

impl Operator {
    /// Returns the operator with the longest name that `text` starts with, and the name's length.
    pub(super) fn starting(text: &[u8]) -> Option<(Self, usize)> {
        let names = NAMES.iter().filter(|(name, _)| text.starts_with(name));
        let longest = names.max_by_key(|(name, _)| name.len());
        longest.map(|(name, operator)| (*operator, name.len()))
    }

    pub(super) const fn precedence(self) -> u8 {
        match self {
            Self::Open | Self::Close => 7,
            Self::Not => 6,
            Self::Power => 5,
            Self::Times | Self::Over | Self::Modulo => 4,
            Self::Plus | Self::Minus => 3,
            Self::Above
            | Self::AtLeast
            | Self::Below
            | Self::AtMost
            | Self::Equal
            | Self::Unequal
            | Self::In => 2,
            Self::And => 1,
            Self::Or => 0,
        }
    }

    pub(super) const fn operands(self) -> usize {
        match self {
            Self::Open | Self::Close => 0,
            Self::Not => 1,
            _ => 2,
        }
    }

    /// Applies it to its operands. An operator with one operand ignores the left one.
    pub(super) fn apply(self, left: &Value<'_>, right: &Value<'_>) -> f64 {
        let (one, other) = (left.number(), right.number());
        let holds = match self {
            Self::Power => return one.powf(other),
            Self::Times => return one * other,
            Self::Over => return one / other,
            Self::Modulo => return one % other,
            Self::Plus => return one + other,
            Self::Minus => return one - other,
            Self::Not => !right.is_true(),
            Self::Above => one > other,
            Self::AtLeast => one >= other,
            Self::Below => one < other,
            Self::AtMost => one <= other,
            Self::Equal => left.equals(right),
            Self::Unequal => !left.equals(right),
            Self::In => right.has(left),
            Self::And => left.is_true() && right.is_true(),
            Self::Or => left.is_true() || right.is_true(),
            Self::Open | Self::Close => false,
        };
        f64::from(u8::from(holds))
    }
}
