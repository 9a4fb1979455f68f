//! Laying one configuration over another.
//!
//! Maps merge deep, everything else is replaced, null takes away; the entries of the top-level `plugins` list are
//! matched by name. Nothing is decided before the last layer is on: a null stays as a null that took something
//! away until [`prune`], and a map that replaced a list or null remembers it, so that merging is associative and
//! includes of includes mean what they say.

use super::node::{Flags, Node, Value};

/// Lays `over` on `base`.
#[must_use]
pub fn merge(base: Node, over: Node) -> Node {
    merge_value(base, over, true)
}

/// Lays `over` on `base`, which is a part of a configuration, and takes out what a null took away.
pub(super) fn merge_below(base: Node, over: Node) -> Node {
    let mut merged = merge_value(base, over, false);
    prune(&mut merged);
    merged
}

fn merge_value(base: Node, mut over: Node, top: bool) -> Node {
    let both_maps = matches!((base.value(), over.value()), (Value::Map(_), Value::Map(_)));
    if !both_maps || over.has(Flags::REPLACES) {
        over.flag(Flags::REPLACES);
        if over.is_null() {
            over.flag(Flags::REMOVED);
        }
        return over;
    }
    let mut base = base;
    let Value::Map(entries) = over.into_value() else { return base };
    if let Some(map) = base.as_map_mut() {
        for (key, entry) in *entries {
            let plugins = top && key == "plugins";
            if let Some(below) = map.get_mut(&key) {
                // Merging wants both by value; the place in the map is kept by swapping in a stand-in.
                let stand_in = Node::new(Value::Null, entry.key_span.clone());
                let old = std::mem::replace(&mut below.node, stand_in);
                below.node = merge_under_key(old, entry.node, plugins);
                below.key_span = entry.key_span;
            } else {
                map.insert(key, entry);
            }
        }
    }
    base
}

fn merge_under_key(below: Node, over: Node, plugins: bool) -> Node {
    if plugins && !over.has(Flags::REPLACES) {
        merge_by_name(below, over)
    } else {
        merge_value(below, over, false)
    }
}

/// Merges two lists of maps by their `name`; those new in `over` come last.
fn merge_by_name(base: Node, over: Node) -> Node {
    if !matches!((base.value(), over.value()), (Value::List(_), Value::List(_))) {
        return merge_value(base, over, false);
    }
    let mut base = base;
    let Value::List(items) = over.into_value() else { return base };
    if let Value::List(known) = base.value_mut() {
        for item in items {
            let place = name_of(&item).and_then(|name| known.iter().position(|k| name_of(k) == Some(name)));
            match place {
                Some(index) => {
                    let below = known.remove(index);
                    known.insert(index, merge_value(below, item, false));
                }
                None => known.push(item),
            }
        }
    }
    base
}

pub(super) fn name_of(node: &Node) -> Option<&str> {
    node.get("name").and_then(Node::as_str)
}

/// Takes out the keys whose null took something away. A null that was simply written stays.
pub(super) fn prune(node: &mut Node) {
    match node.value_mut() {
        Value::Map(map) => {
            map.retain(|_, entry| !entry.node.has(Flags::REMOVED));
            map.values_mut().for_each(|entry| prune(&mut entry.node));
        }
        Value::List(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}
