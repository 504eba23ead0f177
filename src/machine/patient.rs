//! Streams that do not wait by themselves.
//!
//! The other end of a pipe, or whoever started this process, may have set a standard stream to fail
//! instead of waiting. The setting belongs to all who have the stream open, so it is left as it is,
//! and the waiting is done here.

use std::io::{self, Read, Write};

/// A stream that waits until it can be read or written.
#[derive(Debug)]
pub struct Patient<T>(pub T);

#[cfg(unix)]
impl<T: Read + std::os::fd::AsRawFd> Read for Patient<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(self.0.as_raw_fd(), libc::POLLIN)?;
                }
                read => return read,
            }
        }
    }
}

#[cfg(unix)]
impl<T: Write + std::os::fd::AsRawFd> Write for Patient<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(self.0.as_raw_fd(), libc::POLLOUT)?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.0.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(self.0.as_raw_fd(), libc::POLLOUT)?;
                }
                flushed => return flushed,
            }
        }
    }
}

/// Waits until a descriptor is ready, or its other end is gone, which the next call tells.
#[cfg(unix)]
fn wait(descriptor: i32, events: libc::c_short) -> io::Result<()> {
    let mut asked = libc::pollfd {
        fd: descriptor,
        events,
        revents: 0,
    };
    // SAFETY: the call writes to `asked`, which is one entry, and to nothing else.
    if unsafe { libc::poll(&raw mut asked, 1, -1) } != -1 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

#[cfg(not(unix))]
impl<T: Read> Read for Patient<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

#[cfg(not(unix))]
impl<T: Write> Write for Patient<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn streams_that_do_not_wait_are_waited_for() {
        let (sender, receiver) = UnixStream::pair().unwrap();
        for stream in [&sender, &receiver] {
            stream.set_nonblocking(true).unwrap();
        }
        // More than a socket holds.
        let bytes: Vec<u8> = (0..10_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut received = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut sender = Patient(sender);
                thread::sleep(Duration::from_millis(20));
                sender.write_all(&bytes).unwrap();
                sender.flush().unwrap();
            });
            let mut receiver = Patient(receiver);
            let mut first = [0];
            receiver.read_exact(&mut first).unwrap();
            received.extend(first);
            thread::sleep(Duration::from_millis(20));
            receiver.read_to_end(&mut received).unwrap();
        });
        assert!(received == bytes);
    }
}
