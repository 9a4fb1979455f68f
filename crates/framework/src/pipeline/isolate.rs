//! Keeping a plugin's panic and its slowness to itself.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures_util::FutureExt;
use mortise_plugin_api::{Answer, PluginError};

/// Runs `call` and turns a panic into an error.
///
/// Unwind safety: a plugin's state after its own panic is its own business; the pipeline's state is not reachable
/// from the closure except through slots that are plain data.
pub(crate) fn caught<'a>(call: impl FnOnce() -> Answer<'a>) -> Answer<'a> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Answer::Ready(Err(panicked(&*panic))))
}

/// Awaits `future` at most `patience`, a panic being an error. On time-out the future is dropped, which cancels it.
///
/// Time counts from this call, not from the first poll. Must be called within a tokio runtime.
pub(crate) fn timed<T>(
    patience: Duration,
    future: impl Future<Output = Result<T, PluginError>>,
) -> impl Future<Output = Result<T, PluginError>> {
    let timed = tokio::time::timeout(patience, AssertUnwindSafe(future).catch_unwind());
    async move {
        match timed.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(panicked(&*panic)),
            Err(_) => Err(PluginError::Timeout(patience)),
        }
    }
}

/// The error that a panic is.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> PluginError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    PluginError::Panicked(message)
}
