use super::*;

fn spans(ratio: f64, follow_caller: bool) -> Spans {
    Spans {
        sampling: Sampling { ratio, follow_caller },
        hooks: Arc::new(HookTable::standard()),
        queue: Mutex::default(),
        most: 1,
        ready: Notify::new(),
        exported: AtomicU64::new(0),
        lost: Default::default(),
    }
}

#[test]
fn the_caller_decides_where_it_is_followed_and_says_so() {
    let never = spans(0.0, true);
    assert!(never.samples([1; 16], Some(true)));
    assert!(!never.samples([1; 16], None));
    assert!(!spans(0.0, false).samples([1; 16], Some(true)));
    assert!(!spans(1.0, true).samples([1; 16], Some(false)));
    assert!(spans(1.0, false).samples([0xff; 16], Some(false)));
}

#[test]
fn about_the_share_of_requests_that_was_asked_for_is_traced() {
    let tenth = spans(0.1, true);
    let traced = (0..10_000_u64).filter(|number| {
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        tenth.samples(u128::from(spread).to_be_bytes(), None)
    });
    let traced = traced.count();
    assert!((800..1_200).contains(&traced), "{traced}");
}
