//! The attributes of an input that its output keeps: owner, group, mode, access control list and
//! modification time. Where the system refuses, the output lets nobody read or write it who could
//! not read or write the input. Extended attributes are not kept.

use std::fs::{File, Metadata};

/// Gives `output`, which only its owner may read, the attributes of `input`. Without an input it
/// gets the mode of any new file. If it replaces a file, it gets no permission that `replaced`
/// lacks. Returns what could not be kept, in words.
pub(super) fn keep(
    output: &File,
    input: Option<(&File, &Metadata)>,
    replaced: Option<&Metadata>,
) -> Vec<String> {
    let mut lost = Vec::new();
    #[cfg(unix)]
    unix::keep(output, input, replaced, &mut lost);
    #[cfg(not(unix))]
    let _ = replaced;
    if let Some((_, input)) = input
        && let Ok(modified) = input.modified()
        && let Err(error) = output.set_modified(modified)
    {
        lost.push(format!("the modification time is not kept: {error}"));
    }
    lost
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, File, Metadata, Permissions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    /// Read, write and execute for owner, group and others. A copy does not inherit set-user-id and
    /// similar bits.
    const PERMISSIONS: u32 = 0o777;

    pub(super) fn keep(
        output: &File,
        input: Option<(&File, &Metadata)>,
        replaced: Option<&Metadata>,
        lost: &mut Vec<String>,
    ) {
        let mut mode = match input {
            Some((file, metadata)) => {
                let mode = metadata.mode() & PERMISSIONS;
                let has_group = keep_owner(output, metadata, lost);
                match keep_access_list(output, file) {
                    Ok(()) if has_group => mode,
                    Ok(()) => without_group(mode),
                    Err(error) => {
                        lost.push(format!("the access control list is not kept: {error}"));
                        without_group(mode)
                    }
                }
            }
            None => default_mode(),
        };
        if let Some(replaced) = replaced {
            mode &= replaced.mode();
        }
        if let Err(error) = output.set_permissions(Permissions::from_mode(mode)) {
            lost.push(format!("the permissions are not kept: {error}"));
        }
    }

    /// Gives `output` the owner and the group of the input, or the group alone; returns whether it
    /// has the group. Nobody but root can give a file away, so the owner is not missed.
    fn keep_owner(output: &File, input: &Metadata, lost: &mut Vec<String>) -> bool {
        let (owner, group) = (input.uid(), input.gid());
        let has_both = |file: &Metadata| (file.uid(), file.gid()) == (owner, group);
        if output.metadata().is_ok_and(|now| has_both(&now))
            || fchown(output, Some(owner), Some(group)).is_ok()
        {
            return true;
        }
        let changed = fchown(output, None, Some(group));
        if let Err(error) = &changed {
            lost.push(format!(
                "the group is not kept, nor its permissions: {error}"
            ));
        }
        changed.is_ok()
    }

    /// The mode for a file whose group is another than before: that group, and others, may do only
    /// what both could do.
    fn without_group(mode: u32) -> u32 {
        let both = mode >> 3 & mode & 0o7;
        mode & 0o700 | both << 3 | both
    }

    #[cfg(target_os = "linux")]
    fn keep_access_list(output: &File, input: &File) -> io::Result<()> {
        use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
        use rustix::io::Errno;

        const NAME: &str = "system.posix_acl_access";
        /// The largest value of an attribute on Linux.
        const MAX_LEN: usize = 65536;
        let mut list = vec![0; MAX_LEN];
        match fgetxattr(input, NAME, &mut list[..]) {
            Ok(len) => fsetxattr(output, NAME, &list[..len], XattrFlags::empty())?,
            // It may have got one from its folder.
            Err(Errno::NODATA) => match fremovexattr(output, NAME) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            },
            Err(Errno::NOTSUP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn keep_access_list(_: &File, _: &File) -> io::Result<()> {
        Ok(())
    }

    /// The mode of any new file: 0666 without the bits of the process's mask.
    fn default_mode() -> u32 {
        // Only /proc tells the mask without changing it. Elsewhere the usual mask is assumed.
        let mask = fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| {
                let line = status
                    .lines()
                    .find_map(|line| line.strip_prefix("Umask:"))?;
                u32::from_str_radix(line.trim(), 8).ok()
            });
        0o666 & !mask.unwrap_or(0o022)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn another_group_may_do_what_group_and_others_could() {
            for (before, after) in [
                (0o640, 0o600),
                (0o664, 0o644),
                (0o604, 0o600),
                (0o755, 0o755),
                (0o770, 0o700),
                (0o600, 0o600),
            ] {
                assert_eq!(without_group(before), after, "{before:o}");
            }
        }
    }
}
