//! Where text stands in the chunks of Gemini's streams.
//!
//! A chunk is an answer like the unary one, of which each candidate has some more parts. Parts have no number that
//! would hold over chunks: all texts of a candidate are one, and all thoughts another. The arguments of a tool call come
//! whole.

use smallvec::SmallVec;

use crate::{
    json::{
        self,
        Step::{Item, Key},
        Token, number,
    },
    text::{Channel, Close, Scene, TextKind},
};

/// One chunk.
pub(crate) fn event(json: &[u8], scene: &mut Scene) {
    let mut numbers: SmallVec<[(u32, u32); 2]> = SmallVec::new();
    let mut thoughts: SmallVec<[(u32, u32); 2]> = SmallVec::new();
    let mut finished: SmallVec<[u32; 2]> = SmallVec::new();
    json::walk(json, |path, token| {
        let [Key(b"candidates"), Item(choice), path @ ..] = path else {
            return;
        };
        let at = token.range();
        let channel = |block, kind| Channel { choice: *choice, block, kind };
        match (path, &token) {
            ([Key(b"index")], Token::Scalar(_)) => {
                numbers.extend(number(json, &token).map(|n| (*choice, n as u32)));
            }
            ([Key(b"finishReason")], Token::Text(_)) => finished.push(*choice),
            ([Key(b"content"), Key(b"parts"), Item(part), Key(b"thought")], Token::Scalar(at))
                if json.get(at.clone()) == Some(b"true") =>
            {
                thoughts.push((*choice, *part));
            }
            // The part's position, for the moment: whether it is a thought may stand behind it.
            ([Key(b"content"), Key(b"parts"), Item(part), Key(b"text")], Token::Text(_)) => {
                scene.delta(json, at, channel(*part, TextKind::Text));
            }
            (
                [
                    Key(b"content"),
                    Key(b"parts"),
                    Item(part),
                    Key(b"functionCall" | b"function_call"),
                    Key(b"args"),
                    ..,
                ],
                Token::Text(_),
            ) => scene.whole(json, at, channel(*part, TextKind::Arguments)),
            (
                [
                    Key(b"content"),
                    Key(b"parts"),
                    Item(part),
                    Key(b"executableCode" | b"codeExecutionResult"),
                    Key(b"code" | b"output"),
                ],
                Token::Text(_),
            ) => scene.whole(json, at, channel(*part, TextKind::Other)),
            // What was found on the web is said with the part of the answer that it supports.
            (
                [
                    Key(b"groundingMetadata"),
                    Key(b"groundingSupports"),
                    Item(n),
                    Key(b"segment"),
                    Key(b"text"),
                ],
                Token::Text(_),
            ) => scene.whole(json, at, channel(*n, TextKind::Other)),
            _ => {}
        }
    });
    scene.renumber(|channel| {
        if channel.kind == TextKind::Text && thoughts.contains(&(channel.choice, channel.block)) {
            channel.kind = TextKind::Reasoning;
        }
        channel.block = 0;
        let known = numbers.iter().find(|(at, _)| *at == channel.choice);
        channel.choice = known.map_or(channel.choice, |(_, number)| *number);
    });
    for choice in finished {
        let known = numbers.iter().find(|(at, _)| *at == choice);
        scene.close(Close::Choice(known.map_or(choice, |(_, number)| *number)));
    }
}
