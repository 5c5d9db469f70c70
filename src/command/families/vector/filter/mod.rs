//! Expressions over elements' attributes: `.year > 1980 and .genre in ["a", "b"]`.
//!
//! [`token`] splits an expression, this file compiles it to steps for a stack of values and runs them, and [`json`] finds
//! the fields. All of it does what Redis's module does, including its faults, because they decide what a search finds.
//!
//! Source: redis 8.0 modules/vector-sets/expr.c.

mod json;
mod operator;
#[cfg(test)]
mod tests;
mod token;
mod value;

use operator::Operator;
use token::{Token, tokens};
use value::Value;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expression {
    steps: Vec<Step>,
    /// Whether `in` finds a text in another.
    is_wide: bool,
}

#[derive(Debug)]
enum Step {
    Push(Value<'static>),
    /// Pushes the value of a field.
    Field(Vec<u8>),
    Apply(Operator),
}

impl Expression {
    /// Compiles an expression. If it `is_wide`, `null` is a value, and `in` finds a text in another.
    ///
    /// # Errors
    /// The position from which on it makes no sense, if that is known; else 0.
    pub(super) fn compile(text: &[u8], is_wide: bool) -> Result<Self, usize> {
        let mut compiler = Compiler {
            is_wide,
            ..Compiler::default()
        };
        for token in tokens(text)? {
            compiler.take(token).ok_or(0_usize)?;
        }
        compiler.finish().ok_or(0)
    }

    /// Whether it holds for an element with these attributes. An element that lacks a field does not qualify, whatever
    /// else the expression says about it.
    pub(super) fn accepts(&self, attributes: &[u8]) -> bool {
        self.run(attributes).is_some_and(|value| value.is_true())
    }

    fn run<'r>(&'r self, attributes: &'r [u8]) -> Option<Value<'r>> {
        let mut stack = Vec::new();
        for step in &self.steps {
            let value = match step {
                Step::Push(value) => value.borrowed(),
                Step::Field(name) => json::field(attributes, name)?,
                Step::Apply(operator) => {
                    let right = stack.pop()?;
                    let left = match operator.operands() {
                        2 => stack.pop()?,
                        _ => Value::Null,
                    };
                    let finds = *operator == Operator::In && self.is_wide;
                    match finds && right.contains(&left) {
                        true => Value::Number(1.0),
                        false => Value::Number(operator.apply(&left, &right)),
                    }
                }
            };
            stack.push(value);
        }
        stack.pop()
    }
}

/// Moves operators after their operands.
#[derive(Default)]
struct Compiler {
    is_wide: bool,
    steps: Vec<Step>,
    /// Operators and open parentheses that wait for their right sides.
    waiting: Vec<Operator>,
    /// The number of values that would be on the stack by now.
    values: usize,
}

impl Compiler {
    fn take(&mut self, token: Token) -> Option<()> {
        let step = match token {
            Token::Value(value) => Step::Push(value),
            Token::Field(name) => Step::Field(name),
            Token::Operator(operator) => return self.operator(operator),
            Token::Null if self.is_wide => Step::Push(Value::Null),
            // The module accepts the word, but leaves it out.
            Token::Null => return Some(()),
        };
        self.steps.push(step);
        self.values += 1;
        Some(())
    }

    fn operator(&mut self, operator: Operator) -> Option<()> {
        match operator {
            Operator::Open => {}
            Operator::Close => return self.close(),
            _ => self.settle(operator)?,
        }
        self.waiting.push(operator);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        loop {
            match self.waiting.pop()? {
                Operator::Open => return Some(()),
                operator => self.emit(operator)?,
            }
        }
    }

    /// Emits what binds at least as strongly as `next`. Powers associate to the right.
    fn settle(&mut self, next: Operator) -> Option<()> {
        while let Some(top) = self.waiting.last().copied() {
            let is_weaker = top.precedence() < next.precedence();
            let waits = next == Operator::Power && top.precedence() <= next.precedence();
            if top == Operator::Open || is_weaker || waits {
                break;
            }
            self.waiting.pop();
            self.emit(top)?;
        }
        Some(())
    }

    fn emit(&mut self, operator: Operator) -> Option<()> {
        self.values = self.values.checked_sub(operator.operands())? + 1;
        self.steps.push(Step::Apply(operator));
        Some(())
    }

    fn finish(mut self) -> Option<Expression> {
        while let Some(operator) = self.waiting.pop() {
            if operator == Operator::Open {
                return None;
            }
            self.emit(operator)?;
        }
        (self.values == 1).then_some(Expression {
            steps: self.steps,
            is_wide: self.is_wide,
        })
    }
}
