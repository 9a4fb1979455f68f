//! The two macros that spare each hook its boilerplate: nothing in them could not be written by hand.

/// Implements [`Payload`](crate::Payload) for a serde struct from its text carriers.
///
/// `carriers` lists the fields that hold text, in order; `replace` puts edited ones back.
macro_rules! payload {
    ($type:ty, $hook:literal,
     subject: |$s:ident| $subject:expr,
     size: |$z:ident| $size:expr,
     carriers: |$c:ident| [$($carrier:expr),* $(,)?],
     replace: |$r:ident, $edited:ident| $replace:block) => {
        $crate::hooks::define::payload!($type, $hook,
            subject: |$s| $subject, size: |$z| $size, content_type: |_this| None,
            encode: |this, _wire| $crate::hook::encode_json($hook, this),
            carriers: |$c| [$($carrier),*], replace: |$r, $edited| $replace);
    };
    ($type:ty, $hook:literal,
     subject: |$s:ident| $subject:expr,
     size: |$z:ident| $size:expr,
     content_type: |$t:ident| $content_type:expr,
     encode: |$e:ident, $wire:ident| $encode:expr,
     carriers: |$c:ident| [$($carrier:expr),* $(,)?],
     replace: |$r:ident, $edited:ident| $replace:block) => {
        impl $type {
            fn carriers(&self) -> impl std::ops::Deref<Target = [$crate::content::view::Carrier<'_>]> {
                let $c = self;
                let _ = $c;
                smallvec::SmallVec::<[_; 4]>::from_iter([$($carrier),*])
            }
        }

        impl $crate::Payload for $type {
            fn encode(&self, $wire: $crate::Wire) -> Result<bytes::Bytes, $crate::PluginError> {
                match $wire {
                    $crate::Wire::Json | $crate::Wire::JsonLegacy => {
                        let $e = self;
                        $encode
                    }
                    _ => Err($crate::PluginError::Payload {
                        hook: $hook,
                        action: "encoded",
                        reason: "the runtime brings the encoder of this form".to_owned(),
                    }),
                }
            }

            fn texts(
                &self,
                visit: &mut dyn FnMut($crate::TextPart<'_>) -> std::ops::ControlFlow<()>,
            ) {
                $crate::content::view::show(&self.carriers(), visit);
            }

            fn edited(
                &self,
                edits: &$crate::Edits,
            ) -> Result<Box<dyn $crate::Payload>, $crate::EditError> {
                let edited = $crate::content::view::edit(&self.carriers(), edits)?;
                let mut $r = self.clone();
                let mut $edited = edited.into_iter();
                // Payloads without text have nothing to put back.
                let _ = (&mut $r, &mut $edited);
                $replace
                Ok(Box::new($r))
            }

            fn text_path(&self, id: $crate::TextId) -> String {
                $crate::content::view::path(&self.carriers(), id)
            }

            fn subject(&self) -> Option<&str> {
                let $s = self;
                $subject
            }

            fn content_type(&self) -> Option<String> {
                let $t = self;
                $content_type
            }

            fn size(&self) -> usize {
                let $z = self;
                $size
            }

            fn as_any(&self) -> &dyn std::any::Any {
                self
            }
        }
    };
}

/// A switch that is off where it is not given.
macro_rules! given {
    () => {
        false
    };
    ($given:literal) => {
        $given
    };
}

/// Declares a hook's marker type and row.
macro_rules! hook {
    ($(#[$doc:meta])* $marker:ident = $id:literal, $name:literal, $row:ident {
        aliases: $aliases:expr, family: $family:ident, moment: $moment:ident,
        block: $block:literal, change: $change:literal, rule: $rule:ident, limit: $limit:ident,
        pair: $pair:expr, writable: $writable:expr, $(serves: $serves:literal,)? about: $about:literal,
        payload: $payload:ty, answer: $answer:ty, apply: $apply:expr,
        example: $example:literal $(=> $example_answer:literal, $example_about:literal)? $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $marker;

        impl $crate::Hook for $marker {
            const ID: $crate::HookId = $crate::HookId($id);
            const NAME: &'static str = $name;
            type Payload = $payload;
            type Change = $answer;
            fn apply(payload: &$payload, change: $answer) -> $crate::hook::Applied<$payload> {
                let apply: fn(&$payload, $answer) -> $crate::hook::Applied<$payload> = $apply;
                apply(payload, change)
            }
        }

        pub(crate) fn $row() -> $crate::HookSpec {
            $crate::HookSpec {
                id: <$marker as $crate::Hook>::ID,
                name: $name.into(),
                aliases: $aliases,
                family: $crate::Family::$family,
                moment: $crate::Moment::$moment,
                may: $crate::May { block: $block, change: $change },
                rule: $crate::Rule::$rule,
                limit: $crate::Limit::$limit,
                pair: $pair,
                about: $about.into(),
                writable: $writable,
                serves: $crate::hooks::define::given!($($serves)?),
                example: $crate::hook::Example::of($example)$(.answered($example_answer, $example_about))?,
                codec: $crate::hook::codec::<$marker>(),
            }
        }
    };
}

/// Reads a payload by serde, the same in every JSON form.
macro_rules! from_wire {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::hook::FromWire for $type {
            fn from_wire(json: &[u8], _: $crate::Wire) -> Result<Self, serde_json::Error> {
                serde_json::from_slice(json)
            }
        }
    )*};
}

/// Puts the next edited field back if it changed.
macro_rules! put {
    ($edited:ident, json $field:expr) => {
        if let Some($crate::content::view::Edited::Json(json)) = $edited.next() {
            $field = json;
        }
    };
    ($edited:ident, text $field:expr) => {
        if let Some($crate::content::view::Edited::Text(text)) = $edited.next() {
            $field = text.into();
        }
    };
}

pub(crate) use {from_wire, given, hook, payload, put};

use crate::hook::Applied;

/// The result of taking some fields of an answer: unchanged when equal to what was there.
pub(crate) fn applied<P: PartialEq>(old: &P, new: P, refused: Vec<&'static str>) -> Applied<P> {
    Applied { payload: (new != *old).then_some(new), refused }
}

/// Notes the name of a field an answer changed although it may not.
pub(crate) fn refuse<T: PartialEq>(refused: &mut Vec<&'static str>, name: &'static str, old: &T, new: &T) {
    if old != new {
        refused.push(name);
    }
}
