//! A runtime of one thread whose clock stands still, and which knows when nothing can go on by itself.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::advance;

/// Longer than any timer of the component that is not a deadline.
const A_WHILE: Duration = Duration::from_millis(50);

/// What runs in one thread.
#[derive(Clone, Default)]
pub struct Stillness {
    idle: Arc<Mutex<Option<Waker>>>,
}

impl Stillness {
    /// Runs this to its end.
    pub fn run<T>(work: impl AsyncFnOnce(Self) -> T) -> T {
        let stillness = Self::default();
        let idle = Arc::clone(&stillness.idle);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .on_thread_park(move || {
                if let Some(waker) = idle.lock().unwrap().take() {
                    waker.wake();
                }
            })
            .build()
            .expect("a runtime");
        // While a blocking task runs, the clock does not advance by itself.
        let (end, ended) = mpsc::channel::<()>();
        let result = runtime.block_on(async {
            let _blocks = spawn_blocking(move || ended.recv());
            work(stillness).await
        });
        drop(end);
        result
    }

    /// Waits until every task waits for something from outside, and nothing that was sent is still on
    /// its way.
    pub async fn settle(&self, is_nothing_on_its_way: impl Fn() -> bool) {
        loop {
            self.idle().await;
            if is_nothing_on_its_way() {
                return;
            }
            // Looks for what has arrived.
            yield_now().await;
        }
    }

    /// Lets so much time pass that all pauses of the component end.
    pub async fn let_time_pass(&self) {
        advance(A_WHILE).await;
    }

    /// Waits until no task of the thread is ready.
    async fn idle(&self) {
        let mut asked = false;
        poll_fn(|context| {
            let mut idle = self.idle.lock().unwrap();
            if asked && idle.is_none() {
                return Poll::Ready(());
            }
            asked = true;
            *idle = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
