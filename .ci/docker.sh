#!/usr/bin/env bash
# docker.sh up | down: a Docker engine for the tests. What is here already is used and left alone;
# what is missing is installed from Debian and started, and only that is stopped again.
# DOCKERD_FLAGS: more flags for the daemon.
set -euo pipefail
state=${STATE:-/tmp/cellzoo-dockerd}

answers() { docker version >/dev/null 2>&1; }

install() {
  local wanted=()
  command -v dockerd >/dev/null || answers || wanted+=(docker.io)
  command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
  command -v docker-registry >/dev/null || wanted+=(docker-registry)
  [ ${#wanted[@]} -eq 0 ] && return
  apt-get update -qq
  # A package must not start services of its own here.
  printf '#!/bin/sh\nexit 101\n' >"$state.policy" && chmod +x "$state.policy"
  [ -e /usr/sbin/policy-rc.d ] || { cp "$state.policy" /usr/sbin/policy-rc.d; touch "$state.denied"; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
  [ ! -e "$state.denied" ] || rm -f /usr/sbin/policy-rc.d "$state.denied"
  rm -f "$state.policy"
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
  docker image prune --force --filter label=org.cellzoo.stage=build >/dev/null || true
  kill "$(cat "$state.pid")" 2>/dev/null || true
  rm -f "$state.pid"
}

"$1"
