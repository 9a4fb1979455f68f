//! Where text stands in the events of OpenAI's streams.

use smallvec::SmallVec;

use crate::{
    json::{
        self,
        Step::{Item, Key},
        Token, number,
    },
    text::{Channel, Close, Scene, TextKind},
};

/// Numbers that an event gives to what stands at its positions.
type Numbers = SmallVec<[(u32, u32); 2]>;

fn numbered(numbers: &Numbers, position: u32) -> u32 {
    numbers.iter().find(|(at, _)| *at == position).map_or(position, |(_, number)| *number)
}

/// Chunks of chat completions and of completions.
pub(crate) fn chat(json: &[u8], scene: &mut Scene) {
    let mut choices = Numbers::new();
    let mut tools: SmallVec<[(u32, u32, u32); 2]> = SmallVec::new();
    let mut finished: SmallVec<[u32; 2]> = SmallVec::new();
    json::walk(json, |path, token| {
        let [Key(b"choices"), Item(choice), path @ ..] = path else { return };
        let choice = *choice;
        let at = token.range();
        let mut text = |block, kind| scene.delta(json, at.clone(), Channel { choice, block, kind });
        match (path, &token) {
            ([Key(b"index")], Token::Scalar(_)) => {
                choices.extend(number(json, &token).map(|n| (choice, n as u32)));
            }
            ([Key(b"finish_reason")], Token::Text(_)) => finished.push(choice),
            (
                [Key(b"delta" | b"message"), Key(b"tool_calls"), Item(call), Key(b"index")],
                Token::Scalar(_),
            ) => {
                tools.extend(number(json, &token).map(|n| (choice, *call, n as u32)));
            }
            (_, Token::Scalar(_)) => {}
            ([Key(b"text")], _) => text(0, TextKind::Text),
            ([Key(b"delta" | b"message"), path @ ..], _) => match path {
                [Key(b"content")] | [Key(b"content"), Item(_), Key(b"text")] => text(0, TextKind::Text),
                // Some vendors say their thoughts in two of these at once: each is a text by itself.
                [Key(b"reasoning_content")]
                | [Key(b"content"), Item(_), Key(b"thinking"), Item(_), Key(b"text")] => {
                    text(0, TextKind::Reasoning);
                }
                [Key(b"reasoning")] => text(1, TextKind::Reasoning),
                [Key(b"reasoning_details"), Item(_), Key(b"text" | b"summary")] => {
                    text(2, TextKind::Reasoning);
                }
                [Key(b"refusal")] => text(0, TextKind::Refusal),
                [Key(b"audio"), Key(b"transcript")] => text(1, TextKind::Text),
                [Key(b"tool_calls"), Item(call), Key(b"function"), Key(b"arguments")] => {
                    text(*call, TextKind::Arguments);
                }
                [Key(b"function_call"), Key(b"arguments")] => text(0, TextKind::Arguments),
                _ => {}
            },
            _ => {}
        }
    });
    scene.renumber(|channel| {
        if channel.kind == TextKind::Arguments {
            let known =
                tools.iter().find(|(choice, at, _)| (*choice, *at) == (channel.choice, channel.block));
            channel.block = known.map_or(channel.block, |(_, _, number)| *number);
        }
        channel.choice = numbered(&choices, channel.choice);
    });
    for choice in finished {
        scene.close(Close::Choice(numbered(&choices, choice)));
    }
}

/// Events of responses. A text is said again, whole, in three events after its deltas.
pub(crate) fn responses(json: &[u8], scene: &mut Scene) {
    let mut kind: &[u8] = b"";
    let (mut output, mut content) = (0, 0);
    json::walk(json, |path, token| match (path, &token) {
        ([Key(b"type")], Token::Text(at)) => kind = &json[at.clone()],
        ([Key(b"output_index")], _) => output = number(json, &token).unwrap_or_default() as u32,
        ([Key(b"content_index" | b"summary_index")], _) => {
            content = number(json, &token).unwrap_or_default() as u32;
        }
        _ => {}
    });
    let here = |kind| Channel { choice: output, block: content, kind };
    if let Some(stem) = kind.strip_suffix(b".delta") {
        let kind = kind_of(stem);
        json::walk(json, |path, token| {
            if let ([Key(b"delta")], Token::Text(at)) = (path, token) {
                scene.delta(json, at, here(kind));
            }
        });
    } else if let Some(stem) = kind.strip_suffix(b".done") {
        done(json, stem, output, content, scene);
    } else if matches!(kind, b"response.completed" | b"response.incomplete" | b"response.failed") {
        scene.close(Close::All);
        json::walk(json, |path, token| {
            if let ([Key(b"response"), Key(b"output"), Item(output), path @ ..], Token::Text(at)) =
                (path, token)
                && let Some((block, kind)) = in_item(path)
            {
                scene.repeat(json, at, Channel { choice: *output, block, kind });
            }
        });
    } else if kind == b"error" {
        scene.close(Close::All);
    }
}

/// An event that says that a text, a part or an item is done, and says it again.
fn done(json: &[u8], stem: &[u8], output: u32, content: u32, scene: &mut Scene) {
    let kind = kind_of(stem);
    scene.close(match stem {
        b"response.output_item" => Close::Choice(output),
        _ => Close::Block(output, content),
    });
    json::walk(json, |path, token| {
        let Token::Text(at) = token else { return };
        let (block, kind) = match path {
            [Key(b"text" | b"refusal" | b"arguments" | b"input" | b"code" | b"transcript")] => {
                (content, kind)
            }
            [Key(b"part"), Key(b"text")] => {
                let summary = stem == b"response.reasoning_summary_part";
                (content, if summary { TextKind::Reasoning } else { TextKind::Text })
            }
            [Key(b"part"), Key(b"refusal")] => (content, TextKind::Refusal),
            [Key(b"item"), path @ ..] => match in_item(path) {
                Some(found) => found,
                None => return,
            },
            _ => return,
        };
        scene.repeat(json, at, Channel { choice: output, block, kind });
    });
}

/// Which text of an output item stands there.
fn in_item(path: &[json::Step<'_>]) -> Option<(u32, TextKind)> {
    match path {
        [Key(b"content"), Item(block), Key(b"text")] => Some((*block, TextKind::Text)),
        [Key(b"content"), Item(block), Key(b"refusal")] => Some((*block, TextKind::Refusal)),
        [Key(b"summary"), Item(block), Key(b"text")] => Some((*block, TextKind::Reasoning)),
        [Key(b"arguments" | b"input" | b"code")] => Some((0, TextKind::Arguments)),
        _ => None,
    }
}

fn kind_of(stem: &[u8]) -> TextKind {
    let has = |word: &[u8]| memchr::memmem::find(stem, word).is_some();
    if has(b"arguments") || has(b"tool_call_input") || has(b"call_code") {
        TextKind::Arguments
    } else if has(b"reasoning") {
        TextKind::Reasoning
    } else if has(b"refusal") {
        TextKind::Refusal
    } else {
        TextKind::Text
    }
}
