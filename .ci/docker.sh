#!/usr/bin/env bash
# docker.sh up | down: a Docker engine for the tests. What is here already is used and left alone;
# what is missing is installed from Debian and started, and only that is stopped again.
# DOCKERD_FLAGS: more flags for the daemon.
set -euo pipefail
cd "$(dirname "$0")/.."
# Of this checkout alone: another one must not stop what this one started.
state=${STATE:-/tmp/cellzoo-dockerd-$(pwd | cksum | cut -d ' ' -f 1)}

answers() { docker version >/dev/null 2>&1; }

install() {
  local engine=()
  command -v dockerd >/dev/null || answers || engine=(dockerd=docker.io)
  .ci/debian.sh "${engine[@]}" mmdebstrap=mmdebstrap docker-registry=docker-registry
  # Debian 12 has the client in docker.io, Debian 13 in a package that docker.io only recommends.
  .ci/debian.sh docker=docker-cli
}

up() {
  install
  answers && return
  # Not every kernel lets iptables or overlayfs be used: first as usual, then with less.
  local tried
  for tried in "" "--iptables=false --bridge=none" "--iptables=false --bridge=none --storage-driver=vfs"; do
    # shellcheck disable=SC2086
    setsid dockerd ${DOCKERD_FLAGS:-} $tried >"$state.log" 2>&1 </dev/null &
    local process=$!
    for _ in $(seq 60); do
      if answers; then
        echo "$process" >"$state.pid"
        return
      fi
      kill -0 "$process" 2>/dev/null || break
      sleep 0.5
    done
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  echo "dockerd did not start:" >&2
  tail -n 20 "$state.log" >&2
  return 1
}

down() {
  [ -e "$state.pid" ] || return 0
  local process
  process=$(cat "$state.pid")
  rm -f "$state.pid"
  # A number that was left by an earlier start of the machine may be anybody's.
  grep -qs dockerd "/proc/$process/comm" || return 0
  docker image prune --force --filter label=org.cellzoo.stage=build >/dev/null || true
  kill "$process" 2>/dev/null || true
  for _ in $(seq 60); do
    kill -0 "$process" 2>/dev/null || break
    sleep 0.5
  done
}

"$1"
