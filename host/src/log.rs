//! Where the lines a component prints, and the host's own complaints, end up.

use std::{
    io::{self, Write as _},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper::body::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// Receives the log: what components write to stdout and stderr, in whole lines, and the errors
/// the host meets while it serves them.
#[derive(Clone, Default)]
pub struct LogSink(Option<Arc<Mutex<Vec<u8>>>>);

impl LogSink {
    /// Writes to the host's stderr.
    pub fn stderr() -> Self {
        Self(None)
    }

    /// Collects the log in memory, to be read with [`LogSink::contents`].
    pub fn memory() -> Self {
        Self(Some(Arc::default()))
    }

    /// All that was collected so far; empty for a sink that writes to stderr.
    pub fn contents(&self) -> String {
        let Some(buffer) = &self.0 else {
            return String::new();
        };
        let buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&buffer).into_owned()
    }

    /// Writes one line of the host's own.
    pub(crate) fn line(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// A component must not fail for a log that nobody takes, so errors are dropped.
    fn write(&self, bytes: &[u8]) {
        match &self.0 {
            Some(buffer) => buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes),
            None => drop(io::stderr().write_all(bytes)),
        }
    }
}

/// One output stream of one instance. Guests write lines in pieces, each through a new handle, so
/// the unfinished line belongs to the stream and not to the handle: instances do not cut each
/// other's lines.
#[derive(Clone)]
pub(crate) struct LogStream(Arc<Mutex<Lines>>);

struct Lines {
    sink: LogSink,
    unfinished: Vec<u8>,
}

impl LogStream {
    pub(crate) fn new(sink: LogSink) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            sink,
            unfinished: Vec::new(),
        })))
    }

    fn append(&self, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(bytes);
    }
}

impl Lines {
    fn append(&mut self, bytes: &[u8]) {
        self.unfinished.extend_from_slice(bytes);
        if let Some(end) = self.unfinished.iter().rposition(|byte| *byte == b'\n') {
            self.sink.write(&self.unfinished[..=end]);
            self.unfinished.drain(..=end);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.unfinished.is_empty() {
            self.append(b"\n");
        }
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    // The default wraps the stream above in a background task, which loses what it has not yet
    // written when the instance is dropped. Spin writes at once, and so do we.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(1024 * 1024)
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole() {
        let sink = LogSink::memory();
        let (one, two) = (LogStream::new(sink.clone()), LogStream::new(sink.clone()));
        one.append(b"on");
        two.append(b"two\nrest of ");
        one.append(b"e\n");
        assert_eq!(sink.contents(), "two\none\n");
        drop(two);
        assert_eq!(sink.contents(), "two\none\nrest of \n");
    }
}
