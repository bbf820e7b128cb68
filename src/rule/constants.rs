//! Parts of a text that are constant.

use super::expression::{Expressions, Id, Node};
use crate::number::{beyond_range, require_in_range};
use std::collections::HashMap;

impl Expressions {
    /// Fails at a constant part of `root` that has no value that every engine has; `became` is what its parts were simplified
    /// to.
    pub fn check_constants(&self, root: Id, became: &HashMap<Id, Id>) -> Result<(), (Id, String)> {
        for id in self.needed(root) {
            let node = self.node(became[&id]);
            let mut operands = node.operands().peekable();
            if let Node::Number(bits) = node {
                let value = f64::from_bits(bits);
                if require_in_range::<f32>("", value).is_err() {
                    return Err((id, beyond_range::<f32>(value)));
                }
            } else if operands.peek().is_some()
                && operands.all(|operand| self.value(operand).is_some())
            {
                let reason = format!("{} has no finite value", self.print(became[&id]));
                return Err((id, reason));
            }
        }
        Ok(())
    }
}
