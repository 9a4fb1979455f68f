//! What a plugin says of itself per hook, before any call: how much of the body it wants, how it wants streams,
//! and what its answers may do.
//!
//! The pipeline is compiled from these: what nobody needs is not parsed or buffered, and members of a parallel
//! band overlap only where their declared effects allow it.

/// What one plugin needs at one hook. Asked once, when a pipeline is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How much of the payload's body it looks at.
    pub body: Body,
    /// How it wants a body that arrives as a stream.
    pub stream: Stream,
    /// What its answers may do.
    pub effect: Effect,
}

impl Needs {
    /// Looks at the whole body, answers nothing; streams are observed.
    pub const fn observe() -> Self {
        Self { body: Body::Whole, stream: Stream::Observe, effect: Effect::Observe }
    }

    /// Looks at the whole body and may block; a stream is held until it is complete.
    pub const fn block() -> Self {
        Self { body: Body::Whole, stream: Stream::Complete, effect: Effect::Block }
    }

    /// Looks at the whole body and may block or change it; a stream is held until it is complete.
    pub const fn change() -> Self {
        Self { body: Body::Whole, stream: Stream::Complete, effect: Effect::Change }
    }

    /// The same without looking at the body.
    pub const fn without_body(mut self) -> Self {
        self.body = Body::None;
        self
    }

    /// The same, but streams come in windows that hold any match of up to `longest_match` bytes whole.
    pub const fn in_windows(mut self, longest_match: usize) -> Self {
        self.stream = Stream::Window { longest_match };
        self
    }

    /// The same with another way of taking streams.
    pub const fn with_stream(mut self, stream: Stream) -> Self {
        self.stream = stream;
        self
    }
}

/// How much of a payload's body a plugin looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing but names, headers and context.
    None,
    /// All of it.
    Whole,
}

/// How a plugin takes a body that arrives piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Not at all.
    Skip,
    /// Sees it when it is over; never delays or changes it.
    Observe,
    /// Sees and may change windows of text, each of which shows any match of up to `longest_match` bytes whole.
    Window {
        /// Longest text, in bytes, that the plugin must see in one piece.
        longest_match: usize,
    },
    /// The stream is held back until it is complete, then shown as one body.
    Complete,
}

/// What a plugin's answers may do. Foreign plugins, of whom nothing is known, count as [`Effect::Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    Observe,
    /// Refuse the call.
    Block,
    /// Refuse the call or change its payload.
    Change,
}
