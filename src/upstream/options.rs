//! The socket options for which no library has a safe call.

use std::io;
use std::mem::size_of_val;
#[cfg(target_os = "linux")]
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Sets `SO_RCVLOWAT`. If the socket already contains enough bytes, Linux wakes the waiting task at once (tcp.c,
/// `tcp_set_rcvlowat`).
pub(super) fn set_low_water(socket: &OwnedFd, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let size = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap_or(0);
    #[expect(unsafe_code, reason = "no library has this option")]
    // SAFETY: the descriptor is open as long as `socket` lives, and the option's value is an integer of the given size.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What the kernel knows of the bytes that were sent on a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Segments that the other host has not acknowledged.
    pub(super) unacknowledged: u32,
    /// How often in a row the kernel has sent the oldest of them again.
    pub(super) retries: u8,
    /// Time since the other host last acknowledged anything, which each of its segments does.
    pub(super) last_acknowledgement: Duration,
}

/// Reads `TCP_INFO`.
///
/// # Errors
/// If the socket is not a TCP connection.
#[cfg(target_os = "linux")]
pub(super) fn sent(socket: &OwnedFd) -> io::Result<Sent> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut size = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or(0);
    #[expect(unsafe_code, reason = "no library has this option")]
    // SAFETY: the descriptor is open as long as `socket` lives. The kernel writes at most `size` bytes, which is the size of the
    // structure. The structure consists of integers, for which the zeros that it leaves in place are valid, too.
    let info = unsafe {
        let done = libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut size,
        );
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        info.assume_init()
    };
    Ok(Sent {
        unacknowledged: info.tcpi_unacked,
        retries: info.tcpi_retransmits,
        last_acknowledgement: Duration::from_millis(info.tcpi_last_ack_recv.into()),
    })
}

/// Other systems name these figures differently, or not at all.
#[cfg(not(target_os = "linux"))]
pub(super) fn sent(_: &OwnedFd) -> io::Result<Sent> {
    Err(io::ErrorKind::Unsupported.into())
}
