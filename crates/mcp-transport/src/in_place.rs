//! Futures made where they stay.
//!
//! The future of a whole call is some kilobytes. `Box::pin(future)` makes it on the stack and copies it over, all of
//! it, though only its arguments are set; with a place made first, the compiler writes those straight into it.

use std::pin::Pin;

/// Makes a future on the heap.
#[inline(always)]
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_made_in_place_is_the_same_future() {
        let text = String::from("same");
        assert_eq!(boxed(|| async move { text }).await, "same");
    }
}
