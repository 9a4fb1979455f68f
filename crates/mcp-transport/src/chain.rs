//! An error with its causes, for one line of a log. Errors here do not repeat their source, so the chain
//! must be written out where it ends.

use std::error::Error;
use std::fmt;

/// Displays an error and what caused it, parted by colons.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdio::connection::PipeError;

    #[test]
    fn causes_follow_their_error() {
        let source = std::sync::Arc::new(std::io::Error::other("reset"));
        let error = PipeError::Broken { name: "files".into(), source };
        assert_eq!(Chain(&error).to_string(), "talking to `files` over its pipe: reset");
    }
}
