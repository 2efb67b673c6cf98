"""Model folders that somebody might publish to harm whoever takes them; each is what its name says.

A maker gets a publication whose every digest fits, and spoils it: the liar is the publisher. The
table says by which command it is tried, with which exit code and words it must be refused.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle  # noqa: TID251  # what a hostile folder would hold
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import onnx
from complete_model import change_card, write_complete_model
from hostile_graphs import endless_loop, harmless, with_properties
from onnx import helper
from tiny_model import labels_table, write_manifest

from zoo.bundles.packing import write_bundle
from zoo.digest import sha256_of
from zoo.manifest import Manifest
from zoo.pull import in_place
from zoo.registry import Entry

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Publication:
    """A collection with one complete model; `entry` is what its registry says."""

    root: Path
    entry: dict[str, Any]

    @classmethod
    def write(cls, root: Path) -> Publication:
        folder = write_complete_model(root / "tiny" / "1.0.0")
        manifest = Manifest.of_folder(folder)
        made = cls(root, Entry.of(manifest, [str(folder)]).model_dump(mode="json"))
        made.register()
        return made

    @property
    def folder(self) -> Path:
        return self.root / "tiny" / "1.0.0"

    def register(self, *more: dict[str, Any], **lies: Any) -> None:
        """Write the registry anew, with the digest of the manifest as it is."""
        manifest = (self.folder / "manifest.json").read_bytes()
        self.entry = {**self.entry, "locations": [str(self.folder)], "digest": sha256_of(manifest)}
        told = {"registry_version": 1, "models": [{**self.entry, **lies}, *more]}
        (self.root / "registry.json").write_text(json.dumps(told))

    def manifest(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change the manifest alone."""
        path = self.folder / "manifest.json"
        told = json.loads(path.read_bytes())
        change(told)
        path.write_text(json.dumps(told))
        self.register()

    def put(self, path: str, content: bytes, role: str = "") -> None:
        """Change or add a file, and say so in manifest and registry."""
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_bytes(content)
        self.relist(path, content, role)

    def relist(self, path: str, content: bytes, role: str = "") -> None:
        told = {"path": path, "sha256": sha256_of(content), "size": len(content)}

        def change(manifest: dict[str, Any]) -> None:
            known = {file["path"]: file for file in manifest["files"]}
            known[path] = {"role": role, **known.get(path, {}), **told}
            manifest["files"] = list(known.values())
            self.entry["size"] = sum(file["size"] for file in manifest["files"])

        self.manifest(change)

    def card_text(self, change: Callable[[str], str]) -> None:
        text = (self.folder / "README.md").read_text()
        changed = change(text)
        assert changed != text
        self.put("README.md", changed.encode())

    def graph(self, change: Callable[[onnx.ModelProto], Any]) -> None:
        model = onnx.load_model_from_string((self.folder / "model.onnx").read_bytes())
        change(model)
        self.put("model.onnx", model.SerializeToString())

    def rename_first_file(self, path: str) -> None:
        self.manifest(lambda told: told["files"][0].update(path=path))


Maker = Callable[[Publication], None]


# -- names ---------------------------------------------------------------------------------------


def path_upwards(made: Publication) -> None:
    made.rename_first_file("../../.bashrc")


def path_from_the_root(made: Publication) -> None:
    made.rename_first_file("/etc/cron.d/evil")


def path_with_backslashes(made: Publication) -> None:
    made.rename_first_file("figures\\..\\..\\evil.png")


def path_with_nul(made: Publication) -> None:
    made.rename_first_file("README.md\0.png")


def path_with_dots(made: Publication) -> None:
    made.rename_first_file("./README.md")


def path_with_empty_part(made: Publication) -> None:
    made.rename_first_file("figures//a.png")


def path_with_a_drive(made: Publication) -> None:
    made.rename_first_file("C:/evil.png")


def path_that_is_a_device(made: Publication) -> None:
    made.put("figures/a.png", PNG, "figure")
    made.manifest(lambda told: told["files"][-1].update(path="figures/CON.png"))


def path_that_ends_in_a_dot(made: Publication) -> None:
    made.rename_first_file("figures/a.png.")


def path_with_escapes(made: Publication) -> None:
    made.rename_first_file("figures/\x1b]0;evil\x07.png")


def case_twins(made: Publication) -> None:
    made.put("figures/a.png", PNG, "figure")
    made.put("figures/A.PNG", PNG, "figure")


def second_graph(made: Publication) -> None:
    """The first file of a role is run; a gate that looks at the last is passed."""
    made.put("figures/a.png", PNG, "graph")


def program_as_a_figure(made: Publication) -> None:
    made.put("run.sh", PNG, "figure")


def thousands_of_files(made: Publication) -> None:
    file = {"role": "figure", "sha256": "0" * 64, "size": 0}
    more = [{**file, "path": f"figures/{i}.png"} for i in range(1000)]
    made.manifest(lambda told: told["files"].extend(more))


# -- what lies there -----------------------------------------------------------------------------


def symbolic_link(made: Publication) -> None:
    path = made.folder / "genes.tsv"
    path.rename(made.root / "genes.tsv")
    path.symlink_to(made.root / "genes.tsv")


def linked_folder(made: Publication) -> None:
    (made.folder / "figures").symlink_to("/etc")


def hard_link(made: Publication) -> None:
    os.link(made.folder / "genes.tsv", made.root / "twin")


def pipe(made: Publication) -> None:
    os.mkfifo(made.folder / "waits")


def unlisted_script(made: Publication) -> None:
    (made.folder / "setup.py").write_text("raise SystemExit")


def missing_file(made: Publication) -> None:
    (made.folder / "labels.tsv").unlink()


def other_bytes(made: Publication) -> None:
    path = made.folder / "genes.tsv"
    path.write_bytes(path.read_bytes().replace(b"G1", b"G9"))


def more_bytes(made: Publication) -> None:
    with (made.folder / "genes.tsv").open("ab") as file:
        file.write(b"x" * 1000)


def huge_announcement(made: Publication) -> None:
    made.manifest(lambda told: told["files"][0].update(size=1 << 50))


def many_large_files(made: Publication) -> None:
    file = {"role": "variant", "sha256": "0" * 64, "size": 500 << 20}
    more = [{**file, "path": f"variants/{i}.onnx"} for i in range(9)]
    made.manifest(lambda told: told["files"].extend(more))


def pickled_graph(made: Publication) -> None:
    made.put("model.onnx", pickle.dumps(print))


def pickled_sample(made: Publication) -> None:
    made.put("sample.h5ad", pickle.dumps(print))


def zipped_graph(made: Publication) -> None:
    made.put("model.onnx", b"PK\x03\x04" + bytes(100))


def page_as_a_figure(made: Publication) -> None:
    made.put("figures/a.png", b"<svg onload=alert(1)>", "figure")


# -- graphs --------------------------------------------------------------------------------------


def truncated_graph(made: Publication) -> None:
    made.put("model.onnx", (made.folder / "model.onnx").read_bytes()[:-100])


def endless_graph(made: Publication) -> None:
    genes = (made.folder / "genes.tsv").read_bytes()
    made.put("model.onnx", with_properties(endless_loop(), genes))


def graph_in_another_format(made: Publication) -> None:
    made.put("model.onnx", b"\x08\x08\x12\x04ORTM")


def graph_of_another_version(made: Publication) -> None:
    made.graph(lambda model: helper.set_model_props(model, {"cellzoo_contract": "1", "cellzoo_name": "tiny", "cellzoo_version": "9.0.0"}))  # fmt: skip  # noqa: E501


def graph_for_other_genes(made: Publication) -> None:
    made.put("genes.tsv", (made.folder / "genes.tsv").read_bytes().replace(b"G1", b"G9"))


def graph_with_another_output(made: Publication) -> None:
    made.graph(lambda model: model.graph.output.pop())


def fewer_labels(made: Publication) -> None:
    made.put("labels.tsv", labels_table(2).encode())


def fewer_genes(made: Publication) -> None:
    content = (made.folder / "genes.tsv").read_bytes().rsplit(b"\n", 2)[0] + b"\n"
    made.put("genes.tsv", content)


def explanation_of_another_model(made: Publication) -> None:
    genes = (made.folder / "genes.tsv").read_bytes()
    made.put("explain.onnx", with_properties(harmless(), genes), "explain")


# -- cards and manifests -------------------------------------------------------------------------


def script_in_the_card(made: Publication) -> None:
    made.card_text(lambda text: text + "<script>alert(1)</script>\n")


def image_that_runs(made: Publication) -> None:
    made.card_text(lambda text: text + "<img src=x onerror=alert(1)>\n")


def link_that_runs(made: Publication) -> None:
    made.card_text(lambda text: text + "[here](javascript:alert(1))\n")


def link_that_runs_in_disguise(made: Publication) -> None:
    made.card_text(lambda text: text + "[here](&#106;avascript\\:alert(1))\n")


def script_between_code(made: Publication) -> None:
    """To a simple reader it lies in a block of code; Markdown closes that before."""
    made.card_text(lambda text: text + "~~~\n```\n~~~\n<script>alert(1)</script>\n\n```\n")


def escapes_in_the_card(made: Publication) -> None:
    made.card_text(lambda text: text + "\x1b]0;evil\x07\n")


def text_that_turns(made: Publication) -> None:
    made.card_text(lambda text: text + "safe \u202e live\n")


def escapes_in_the_summary(made: Publication) -> None:
    made.manifest(lambda told: told["card"].update(summary="fine \x1b[2J"))


def turned_summary(made: Publication) -> None:
    made.manifest(lambda told: told["card"].update(summary="fine \u202e enif"))


def script_in_the_changelog(made: Publication) -> None:
    """The card is clean; the manifest, which is what is listed, is not."""
    changes = ["<script>alert(1)</script>"]
    made.manifest(lambda told: told["card"]["changelog"][0].update(changes=changes))


def card_and_manifest_disagree(made: Publication) -> None:
    made.manifest(lambda told: told["card"]["thresholds"].update(min_counts=0))


def license_that_differs(made: Publication) -> None:
    made.entry["license"] = "MIT"
    made.manifest(lambda told: told["card"].update(license="MIT"))


def nan_in_the_manifest(made: Publication) -> None:
    parameters = {"rate": float("nan")}
    made.manifest(lambda told: told["card"]["training"].update(hyper_parameters=parameters))


def nested_manifest(made: Publication) -> None:
    value: Any = 0
    for _ in range(100):
        value = [value]
    made.manifest(lambda told: told["card"]["training"].update(hyper_parameters={"x": value}))


def script_in_the_labels(made: Publication) -> None:
    made.put("labels.tsv", labels_table(3).replace("T cell", "<script>T cell").encode())


def escapes_in_the_labels(made: Publication) -> None:
    made.put("labels.tsv", labels_table(3).replace("T cell", "T\x1b[31m cell").encode())


def yaml_aliases(made: Publication) -> None:
    bomb = "a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"
    made.card_text(lambda text: text.replace("---\n", f"---\n{bomb}", 1))


def deep_yaml(made: Publication) -> None:
    made.card_text(lambda text: text.replace("---\n", f"---\na: {'[' * 200_000}\n", 1))


def long_yaml(made: Publication) -> None:
    made.card_text(lambda text: text.replace("---\n", f"---\na: {'x' * 2_000_000}\n", 1))


def card_of_100_megabytes(made: Publication) -> None:
    made.card_text(lambda text: text + "x" * 100_000_000)


def yaml_key_twice(made: Publication) -> None:
    made.card_text(lambda text: text.replace("---\n", "---\nlicense: MIT\n", 1))


def yaml_object(made: Publication) -> None:
    tag = "a: !!python/object/apply:os.system ['touch evil']\n"
    made.card_text(lambda text: text.replace("---\n", f"---\n{tag}", 1))


def yaml_date_that_is_none(made: Publication) -> None:
    made.card_text(lambda text: text.replace("---\n", "---\na: 2025-13-45\n", 1))


def yaml_number_of_many_digits(made: Publication) -> None:
    made.card_text(lambda text: text.replace("---\n", f"---\na: {'9' * 10_000}\n", 1))


# -- registries ----------------------------------------------------------------------------------


def registry_with_another_digest(made: Publication) -> None:
    made.register(digest="0" * 64)


def registry_with_another_summary(made: Publication) -> None:
    made.register(summary="The best model of all")


def registry_with_another_license(made: Publication) -> None:
    made.register(license="MIT")


def registry_with_another_version(made: Publication) -> None:
    made.register(version="9.9.9")


def registry_that_names_twice(made: Publication) -> None:
    made.register({**made.entry, "summary": "another"})


def registry_with_escapes(made: Publication) -> None:
    made.register(summary="\x1b]0;evil\x07")


def registry_that_is_no_json(made: Publication) -> None:
    (made.root / "registry.json").write_text("[" * 100_000)


# -- samples -------------------------------------------------------------------------------------


def _sample(made: Publication, change: Callable[[h5py.File], Any], name: str = "sample.h5ad") -> None:  # noqa: E501  # fmt: skip
    with h5py.File(made.folder / name, "a") as file:
        change(file)
    made.relist(name, (made.folder / name).read_bytes())
    write_manifest(made.folder)


def sample_that_links_outside(made: Publication) -> None:
    _sample(made, lambda file: file.__setitem__("uns/x", h5py.ExternalLink("/etc/passwd", "/")))


def sample_stored_outside(made: Publication) -> None:
    def change(file: h5py.File) -> None:
        file.create_dataset("uns/x", (12,), "u1", external=[("/etc/hostname", 0, 12)])

    _sample(made, change)


def sample_that_goes_in_circles(made: Publication) -> None:
    def change(file: h5py.File) -> None:
        file["uns/a"], file["uns/b"] = h5py.SoftLink("/uns/b"), h5py.SoftLink("/uns/a")

    _sample(made, change)


def sample_of_absurd_size(made: Publication) -> None:
    def change(file: h5py.File) -> None:
        del file["X"]
        file.create_dataset("X", (1 << 40, 6), "f4", chunks=(1, 6))

    _sample(made, change)


def expected_that_links_outside(made: Publication) -> None:
    def change(file: h5py.File) -> None:
        del file["prob"]
        file["prob"] = h5py.ExternalLink("/etc/passwd", "/")

    _sample(made, change, "expected.h5")


def expected_of_absurd_size(made: Publication) -> None:
    def change(file: h5py.File) -> None:
        del file["prob"]
        file.create_dataset("prob", (30, 1 << 40), "f4", chunks=(1, 3))

    _sample(made, change, "expected.h5")


def expected_of_others(made: Publication) -> None:
    def change(file: h5py.File) -> None:
        file["prob"][...] = np.float32(0.5)

    _sample(made, change, "expected.h5")


# -- bundles -------------------------------------------------------------------------------------


def _bundle(made: Publication) -> Path:
    write_manifest(made.folder)
    pulled = in_place(made.folder)
    path = made.root / "tiny.zoo.tar"
    write_bundle(pulled, Entry.of(pulled.manifest, ["bundle:"]), path)
    return path


def bundle_with_a_loop(made: Publication) -> None:
    endless_graph(made)
    _bundle(made)


def bundle_with_a_pickle(made: Publication) -> None:
    pickled_sample(made)
    _bundle(made)


def bundle_with_a_file_twice(made: Publication) -> None:
    with tarfile.open(_bundle(made), "a", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("model/genes.tsv")
        tar.addfile(member, io.BytesIO())


def bundle_with_a_file_outside(made: Publication) -> None:
    with tarfile.open(_bundle(made), "a", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("../../.bashrc"), io.BytesIO())


def bundle_that_is_a_bomb(made: Publication) -> None:
    path = _bundle(made)
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(10_000_000)))


def bundle_with_a_lying_card(made: Publication) -> None:
    change_card(made.folder, summary="<script>alert(1)</script>")
    _bundle(made)


# -- the table -----------------------------------------------------------------------------------

Command = Literal["pull", "validate", "bundle"]

HOSTILE: dict[Maker, tuple[Command, int, str]] = {
    path_upwards: ("pull", 5, "names the file '../../.bashrc', which"),
    path_from_the_root: ("pull", 5, "names the file '/etc/cron.d/evil', which"),
    path_with_backslashes: ("pull", 5, r"names the file 'figures\\..\\..\\evil.png', which"),
    path_with_nul: ("pull", 5, r"names the file 'README.md\x00.png', which"),
    path_with_dots: ("pull", 5, "names the file './README.md', which"),
    path_with_empty_part: ("pull", 5, "names the file 'figures//a.png', which"),
    path_with_a_drive: ("pull", 5, "names the file 'C:/evil.png', which"),
    path_that_is_a_device: ("pull", 5, "names the file 'figures/CON.png', which"),
    path_that_ends_in_a_dot: ("pull", 5, "names the file 'figures/a.png.', which"),
    path_with_escapes: ("pull", 5, r"names the file 'figures/\x1b]0;evil\x07.png', which"),
    case_twins: ("pull", 5, "a file is listed twice, or differs in case alone: 'figures/a.png'"),
    second_graph: ("pull", 5, "'figures/a.png' cannot have the role graph"),
    program_as_a_figure: ("pull", 5, "'run.sh' cannot have the role figure"),
    thousands_of_files: ("pull", 5, "List should have at most 500 items"),
    symbolic_link: ("validate", 1, "'genes.tsv' of '1.0.0' cannot be used: it is a link"),
    linked_folder: ("validate", 1, "'figures' of '1.0.0' cannot be used: it is a link"),
    hard_link: ("validate", 1, "'genes.tsv' in the model folder"),
    pipe: ("validate", 1, "it is no regular file"),
    unlisted_script: ("validate", 1, "'setup.py' of '1.0.0' cannot be used"),
    missing_file: ("pull", 6, "it has no file 'labels.tsv'"),
    other_bytes: ("pull", 5, "'genes.tsv'"),
    more_bytes: ("pull", 5, "'genes.tsv'"),
    huge_announcement: ("pull", 5, "1,125,899,906,842,624 bytes, and a card has at most"),
    many_large_files: ("pull", 5, "in all files, and a model has at most 2,147,483,648"),
    pickled_graph: ("pull", 5, "'model.onnx' of 'tiny@1.0.0' cannot be used: it is a pickle"),
    pickled_sample: ("pull", 5, "'sample.h5ad' of 'tiny@1.0.0' cannot be used: it is a pickle"),
    zipped_graph: ("pull", 5, "it is an archive, not data"),
    page_as_a_figure: ("pull", 5, "it is no PNG picture"),
    truncated_graph: ("pull", 5, "it is no ONNX model: it ends before"),
    endless_graph: ("pull", 5, "it uses the operator 'Loop'"),
    graph_in_another_format: ("pull", 5, "it is in the format of ONNX Runtime"),
    graph_of_another_version: ("pull", 5, "says cellzoo_version = '9.0.0' where '1.0.0' is"),
    graph_for_other_genes: ("pull", 5, "its metadata says cellzoo_genes_sha256 = "),
    graph_with_another_output: ("pull", 5, "its outputs are ['conformal_p', 'in_set', 'label'"),
    fewer_labels: ("pull", 5, "2 labels, and 'conformal_p' of the graph has the shape [3, 3]"),
    fewer_genes: ("pull", 5, "5 genes where the card says 6"),
    explanation_of_another_model: ("pull", 5, "explain.onnx was made for another model.onnx"),
    script_in_the_card: ("pull", 5, "markup that a page would run or show: '<script'"),
    image_that_runs: ("pull", 5, "markup that a page would run or show: '<img src=x"),
    link_that_runs: ("pull", 5, "markup that a page would run or show: 'javascript:'"),
    link_that_runs_in_disguise: ("pull", 5, "would run or show: 'javascript:'"),
    script_between_code: ("pull", 5, "markup that a page would run or show: '<script'"),
    escapes_in_the_card: ("pull", 5, r"it holds the control character '\x1b'"),
    text_that_turns: ("pull", 5, r"it holds the control character '\u202e'"),
    escapes_in_the_summary: ("pull", 5, "card.summary: String should match pattern"),
    turned_summary: ("pull", 5, "card.summary: String should match pattern"),
    script_in_the_changelog: ("pull", 5, "'manifest.json' of 'tiny@1.0.0' cannot be used: it h"),
    card_and_manifest_disagree: ("pull", 5, "its 'thresholds' is not the one of the card"),
    license_that_differs: ("pull", 5, "its 'license' is not the one of the card"),
    nan_in_the_manifest: ("pull", 5, "nan is no number of JSON"),
    nested_manifest: ("pull", 5, "nested more than 16 deep"),
    script_in_the_labels: ("pull", 5, "'labels.tsv' of 'tiny@1.0.0' cannot be used: it holds mar"),
    escapes_in_the_labels: ("pull", 5, "'labels.tsv' of 'tiny@1.0.0' cannot be used: it holds th"),
    yaml_aliases: ("validate", 1, "YAML aliases are not accepted"),
    deep_yaml: ("validate", 1, "its YAML is nested more than 32 deep"),
    long_yaml: ("pull", 5, "its front matter has more than 1,000,000 characters"),
    card_of_100_megabytes: ("validate", 1, "larger than 4,000,000 bytes"),
    yaml_key_twice: ("pull", 5, "the key 'license' comes twice"),
    yaml_object: ("pull", 5, "python/object/apply:os.system"),
    yaml_date_that_is_none: ("validate", 1, "not YAML: month must be in 1..12"),
    yaml_number_of_many_digits: ("validate", 1, "not YAML: Exceeds the limit"),
    registry_with_another_digest: ("pull", 5, "'manifest.json'"),
    registry_with_another_summary: ("pull", 5, "the registry says summary = 'The best model"),
    registry_with_another_license: ("pull", 5, "the registry says license = 'MIT'"),
    registry_with_another_version: ("pull", 5, "it is of 'tiny@1.0.0', not of 'tiny@9.9.9'"),
    registry_that_names_twice: ("pull", 5, "it names 'tiny@1.0.0' twice"),
    registry_with_escapes: ("pull", 5, "models.0.summary: String should match pattern"),
    registry_that_is_no_json: ("pull", 5, "recursion limit exceeded"),
    sample_that_links_outside: ("validate", 1, "is an external link to '/etc/passwd:/'"),
    sample_stored_outside: ("validate", 1, "is stored outside and leads to '/etc/hostname'"),
    sample_that_goes_in_circles: ("validate", 1, "a soft link in a circle"),
    sample_of_absurd_size: ("validate", 1, "'X' of"),
    expected_that_links_outside: ("validate", 1, "is an external link to '/etc/passwd:/'"),
    expected_of_absurd_size: ("validate", 1, "'prob' of"),
    expected_of_others: ("validate", 1, "values differ by more than"),
    bundle_with_a_loop: ("bundle", 5, "it uses the operator 'Loop'"),
    bundle_with_a_pickle: ("bundle", 5, "it is a pickle, which can hold code"),
    bundle_with_a_file_twice: ("bundle", 5, "twice"),
    bundle_with_a_file_outside: ("bundle", 5, "holds '../../.bashrc' though its index does not"),
    bundle_that_is_a_bomb: ("bundle", 5, "it is no plain tar archive"),
    bundle_with_a_lying_card: ("bundle", 5, "markup that a page would run or show: '<script'"),
}
"""Maker → the command that meets it, its exit code and its words."""
