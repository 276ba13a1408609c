#!/bin/sh
# Runs a program in the files of an image as a container with a read-only root would: as a user
# without rights, without a shell, with nothing to write to but /tmp, and that only with TMPFS=yes.
# What is given is at /mnt. Wants namespaces of its own: unshare --mount --pid --fork
set -eu
root=$1 given=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind "$given" "$root/mnt"
mount --bind /dev "$root/dev"
mount --bind /dev/null "$(realpath "$root/bin/sh")"
mount -t proc proc "$root/proc"
[ "${TMPFS:-no}" = no ] || mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root/mnt"
mount -o remount,bind,ro "$root"
exec chroot --userspec=65532:65532 --groups= "$root" "$@"
