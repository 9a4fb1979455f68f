//! Where text stands in the events of Converse streams.

use crate::{
    json::{self, Step::Key, Token, number},
    text::{Channel, Close, Scene, TextKind},
};

/// One event of this name.
pub(crate) fn event(name: &str, json: &[u8], scene: &mut Scene) {
    let mut block = 0;
    json::walk(json, |path, token| match (path, &token) {
        ([Key(b"contentBlockIndex")], _) => block = number(json, &token).unwrap_or_default() as u32,
        ([Key(b"delta"), path @ ..], Token::Text(at)) => {
            let kind = match path {
                [Key(b"text")] => TextKind::Text,
                [Key(b"reasoningContent"), Key(b"text")] => TextKind::Reasoning,
                [Key(b"toolUse"), Key(b"input")] => TextKind::Arguments,
                _ => return,
            };
            scene.delta(json, at.clone(), Channel { choice: 0, block: 0, kind });
        }
        _ => {}
    });
    scene.renumber(|channel| channel.block = block);
    match name {
        "contentBlockStop" => scene.close(Close::Block(0, block)),
        "messageStop" | "metadata" => scene.close(Close::All),
        _ if name.ends_with("xception") => scene.close(Close::All),
        _ => {}
    }
}
