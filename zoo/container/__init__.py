"""`zoo run --docker`: the same run inside a container, by docker, podman or apptainer.

    words of the command ─► image to use ─► mounts ─► argv (pure) ─► engine

Files lie at the same places inside as outside, so that the words of the command, its messages and
the provenance of its result are the same too.
"""
