#!/usr/bin/env bash
# base.sh [PREFIX]: two base images made from Debian's archive, for where none can be pulled.
#
#   PREFIX:build   Debian with Python and venv: BASE_IMAGE, what the environment is built in
#   PREFIX:run     Python's files and their libraries, no shell, no package manager: RUNTIME_IMAGE
#
# PREFIX is cellzoo/base by default. Needs mmdebstrap (root, or unprivileged user namespaces) and
# Docker. SUITE, MIRROR, ARCH and DOCKER may be set, e.g. ARCH=arm64 with qemu-user-static.
set -euo pipefail
prefix=${1:-cellzoo/base}
suite=${SUITE:-bookworm}
mirror=${MIRROR:-}
arch=${ARCH:-$(dpkg --print-architecture)}
docker=${DOCKER:-docker}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# No manuals and no translations, licences are kept.
slim=(
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
)

# What a Python program never opens. Packages are only unpacked (variant "extract"), so no shell
# and no package manager comes in but tar, dpkg and perl, which are dependencies of dependencies.
unused=(
  usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/perl5
  usr/share/debconf usr/share/bug usr/share/menu usr/share/pixmaps usr/share/applications
  usr/share/python3 usr/share/dpkg usr/share/polkit-1 usr/share/gdb usr/share/binfmts
  usr/lib/dpkg usr/lib/valgrind usr/lib/python3 usr/lib/*/gconv usr/lib/*/perl-base
  usr/lib/*/audit usr/lib/python3.*/test usr/lib/python3.*/pydoc_data usr/lib/python3.*/lib2to3
  usr/lib/python3.*/ensurepip usr/lib/python3.*/idlelib usr/lib/python3.*/tkinter
  usr/sbin sbin var/log var/lib/pam usr/share/readline usr/share/gcc
  etc/dpkg etc/logrotate.d etc/cron.daily etc/alternatives etc/perl
)
prune="cd \"\$1\" && rm -rf ${unused[*]}"
# Not one program but Python.
prune+=" && find bin usr/bin ! -type d ! -name 'python3*' -delete"
prune+=" && find usr/share/doc ! -type d ! -name copyright -delete"
prune+=" && find usr/share/doc -depth -type d -empty -delete"
prune+=" && mkdir -p etc tmp root && chmod 1777 tmp"
prune+=" && printf 'root:x:0:0::/root:/nologin\\nzoo:x:65532:65532::/tmp:/nologin\\n' > etc/passwd"
prune+=" && printf 'root:x:0:\\nzoo:x:65532:\\n' > etc/group"
prune+=" && printf 'hosts: files dns\\npasswd: files\\ngroup: files\\n' > etc/nsswitch.conf"

imported() {  # imported NAME TAR
  "$docker" import --change 'CMD ["python3"]' "$2" "$1" >/dev/null
  "$docker" image inspect --format "$1: {{.Size}} bytes" "$1"
}

mmdebstrap --quiet --variant=minbase --arch="$arch" "${slim[@]}" \
  --include=python3,python3-venv,ca-certificates "$suite" "$folder/build.tar" $mirror
imported "$prefix:build" "$folder/build.tar"

mmdebstrap --quiet --variant=extract --arch="$arch" --include=python3,libstdc++6 \
  --extract-hook="$prune" "$suite" "$folder/run.tar" $mirror
imported "$prefix:run" "$folder/run.tar"
