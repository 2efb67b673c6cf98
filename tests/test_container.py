from __future__ import annotations

import pytest

from zoo.container.command import Containment, argv
from zoo.container.mounts import Mount, Seen, inner_word, mounts_of
from zoo.errors import UnmountablePath

RUN = Containment(
    image="cellzoo/tiny:1.0.0",
    name="zoo-run-1",
    words=["run", "--", "tiny", "my.h5ad"],
    mounts=[
        Mount("/mnt/big/my.h5ad", "/home/me/my.h5ad"),
        Mount("/home/me/out", "/home/me/out", read_only=False),
    ],
    cwd="/home/me",
    user="1000:100",
    groups=[4, 27],
    memory="2g",
    cpus=3,
)


def after(words: list[str], flag: str) -> list[str]:
    """What follows each occurrence of a flag."""
    return [words[i + 1] for i, word in enumerate(words) if word == flag]


# -- what is seen --------------------------------------------------------------------------------


def test_paths_keep_their_places() -> None:
    mounts = mounts_of(
        [Seen("data/my.h5ad", "/mnt/big/my.h5ad"), Seen(".", "/home/me", writable=True)], "/home/me"
    )
    assert mounts == (
        Mount("/home/me", "/home/me", read_only=False),
        Mount("/mnt/big/my.h5ad", "/home/me/data/my.h5ad"),
    )


def test_the_working_folder_is_there_and_empty() -> None:
    mounts = mounts_of([Seen("my.h5ad", "/home/me/my.h5ad")], "/home/me")
    assert mounts == (Mount(None, "/home/me"), Mount("/home/me/my.h5ad", "/home/me/my.h5ad"))
    assert mounts_of([Seen("/home/me/x", "/home/me/x")], "/") == (
        Mount("/home/me/x", "/home/me/x"),
    )


def test_a_path_that_is_written_is_not_read_only() -> None:
    both = [Seen("x", "/home/x"), Seen("/home/x", "/home/x", writable=True)]
    for paths in (both, both[::-1]):
        assert mounts_of(paths, "/home")[-1] == Mount("/home/x", "/home/x", read_only=False)


def test_a_model_lies_where_models_lie() -> None:
    paths = [Seen("/cache/folders/a", "/cache/folders/a", inside="/models/tiny")]
    assert Mount("/cache/folders/a", "/models/tiny") in mounts_of(paths, "/home/me")


@pytest.mark.parametrize(
    "path", ["/", "/usr/share/x.h5ad", "/etc/x", "/opt", "/proc/1/x", "/models/x"]
)
def test_the_files_of_the_image_are_not_hidden(path: str) -> None:
    with pytest.raises(UnmountablePath, match="files of its own"):
        mounts_of([Seen(path, path)], "/home/me")
    with pytest.raises(UnmountablePath):
        mounts_of([Seen("x.h5ad", "x")], "/usr/local")


def test_words_that_need_a_folder_which_is_not_there_inside() -> None:
    assert inner_word("./my.h5ad") == "./my.h5ad"
    assert inner_word("../my.h5ad") == "../my.h5ad"
    assert inner_word("a/../my.h5ad") == "my.h5ad"


# -- docker --------------------------------------------------------------------------------------


def test_the_command_line_of_docker() -> None:
    assert argv("docker", RUN) == [
        *("docker", "run", "--rm", "--pull", "never", "--name", "zoo-run-1"),
        *("--hostname", "zoo-run-1"),
        *("--network", "none", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges"),
        *("--user", "1000:100", "--group-add", "4", "--group-add", "27"),
        *("--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=256m"),
        *("--memory", "2g", "--memory-swap", "2g", "--pids-limit", "256", "--cpus", "3"),
        *("--env", "HOME=/tmp", "--env", "ZOO_OFFLINE=1"),
        *("--mount", "type=bind,src=/mnt/big/my.h5ad,dst=/home/me/my.h5ad,readonly"),
        *("--mount", "type=bind,src=/home/me/out,dst=/home/me/out"),
        *("--workdir", "/home/me", "--entrypoint", "zoo", "cellzoo/tiny:1.0.0"),
        *("run", "--", "tiny", "my.h5ad"),
    ]


def test_an_empty_folder_and_odd_names() -> None:
    mounts = [Mount(None, "/home/me"), Mount('/d/a,b"c.h5ad', '/d/a,b"c.h5ad')]
    words = argv("docker", with_(mounts=mounts))
    assert after(words, "--mount") == [
        "type=tmpfs,dst=/home/me,tmpfs-size=65536",
        'type=bind,"src=/d/a,b""c.h5ad","dst=/d/a,b""c.h5ad",readonly',
    ]


def test_gpus_by_engine() -> None:
    assert after(argv("docker", with_(gpus="all")), "--gpus") == ["all"]
    assert after(argv("podman", with_(gpus="all")), "--device") == ["nvidia.com/gpu=all"]
    assert "--nv" in argv("apptainer", with_(gpus="all"))
    assert "--gpus" not in argv("docker", RUN)


# -- podman and apptainer ------------------------------------------------------------------------


def test_podman_keeps_the_caller() -> None:
    words = argv("podman", RUN)
    assert words[:3] == ["podman", "run", "--rm"]
    assert after(words, "--userns") == ["keep-id"]
    assert after(words, "--user") == ["1000:100"]
    assert after(words, "--security-opt") == ["no-new-privileges", "label=disable"]
    assert "--userns" not in argv("podman", with_(user="0:0"))


def test_the_command_line_of_apptainer() -> None:
    words = argv(
        "apptainer", with_(image="/c/sif/tiny_1.0.0.sif", mounts=[*RUN.mounts, Mount(None, "/w")])
    )
    assert words == [
        *("apptainer", "exec", "--containall", "--no-home", "--no-privs"),
        *("--net", "--network", "none", "--env", "HOME=/tmp", "--env", "ZOO_OFFLINE=1"),
        *("--mount", "type=bind,src=/mnt/big/my.h5ad,dst=/home/me/my.h5ad,ro"),
        *("--mount", "type=bind,src=/home/me/out,dst=/home/me/out"),
        *("--scratch", "/w", "--pwd", "/home/me"),
        *("/c/sif/tiny_1.0.0.sif", "zoo", "run", "--", "tiny", "my.h5ad"),
    ]


def with_(**changes: object) -> Containment:
    return Containment(**{**vars(RUN), **changes})  # type: ignore[arg-type]
