//! Where the texts of a document stand, found by the first plugin that looks and kept for those after it.
//!
//! Plugins of a chain look at the same revision of a payload one after another, and finding its texts costs each of them
//! about as much as what it then does. Only documents of few texts keep their places: what holds many is large, and
//! keeping them would cost memory for as long as the payload lives.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::{Found, Select, Spot, walk};
use crate::Json;

/// So many places are kept at most.
pub(super) const FEW: usize = 8;

/// The places of all values that a rule picks.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    root: Select,
    spots: Box<[Spot]>,
}

/// Shows every text value of `json` that `root` picks, until `visit` breaks. Looks only once where they stand.
pub(crate) fn strings_of(json: &Json, root: Select, mut visit: impl FnMut(Found<'_>) -> ControlFlow<()>) {
    if root == Select::Nothing {
        return;
    }
    let text = json.text();
    if let Some(places) = json.places().get().filter(|places| places.root == root) {
        let _ = places.spots.iter().try_for_each(|spot| visit(spot.found(text)));
        return;
    }
    let mut spots: SmallVec<[Spot; FEW]> = SmallVec::new();
    let mut all = true;
    walk(text, root, |spot, _| {
        all = spots.len() < FEW;
        if all {
            spots.push(*spot);
        }
        let flow = visit(spot.found(text));
        all &= flow.is_continue();
        flow
    });
    if all {
        // Another may have been there first, with the same.
        let _ = json.places().set(Places { root, spots: spots.into_vec().into() });
    }
}
