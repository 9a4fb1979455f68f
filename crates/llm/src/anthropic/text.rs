//! Where text stands in the events of Anthropic's streams.

use crate::{
    json::{self, Step::Key, Token, number},
    text::{Channel, Close, Scene, TextKind},
};

/// One event. Its `type` says what it is; the name of the server-sent event only repeats that.
pub(crate) fn event(json: &[u8], scene: &mut Scene) {
    let mut kind: &[u8] = b"";
    let mut block = 0;
    json::walk(json, |path, token| match (path, &token) {
        ([Key(b"type")], Token::Text(at)) => kind = &json[at.clone()],
        ([Key(b"index")], _) => block = number(json, &token).unwrap_or_default() as u32,
        ([Key(b"delta" | b"content_block"), Key(name)], Token::Text(at)) => {
            let kind = match *name {
                b"text" => TextKind::Text,
                b"thinking" => TextKind::Reasoning,
                b"partial_json" => TextKind::Arguments,
                _ => return,
            };
            scene.delta(json, at.clone(), Channel { choice: 0, block: 0, kind });
        }
        ([Key(b"delta"), Key(b"citation"), Key(b"cited_text")], Token::Text(at)) => {
            scene.whole(json, at.clone(), Channel { choice: 0, block: 0, kind: TextKind::Other });
        }
        _ => {}
    });
    scene.renumber(|channel| channel.block = block);
    match kind {
        b"content_block_stop" => scene.close(Close::Block(0, block)),
        b"message_delta" | b"message_stop" | b"error" => scene.close(Close::All),
        _ => {}
    }
}
