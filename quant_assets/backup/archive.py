"""The file of a backup: a gzipped tar whose first member, `manifest.json`, names every other with its size and SHA-256.

What its members are is `stores.py`'s business. Anything that can do tar can unpack one without this package.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from quant_assets.errors import BadArgument, LakeError
from quant_assets.reporting.wording import count

FORMAT = 1
MANIFEST = "manifest.json"
# Parquet is compressed already; Dagster's event log shrinks by nine tenths, and no better at a higher level.
COMPRESSION_LEVEL = 6
USE_ANOTHER = "use another backup"


class Member(BaseModel):
    """A file of the archive; size in bytes."""

    model_config = ConfigDict(frozen=True)

    size: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """What an archive says of itself.

    Parameters
    ----------
    version : of the package that wrote it.
    mlflow_artifacts : URI under which MLflow kept its artifacts in the saved home.
    members : by name, in the order they follow in.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    version: str
    created_at: AwareDatetime
    mlflow_artifacts: str
    members: dict[str, Member]


class _Format(BaseModel):
    """What every format must say, so that an older reader can tell a newer archive from a foreign one."""

    format: int


def measured(path: Path) -> Member:
    with path.open("rb") as file:
        return Member(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)


def write(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Writes the archive durably to `target`; `files` maps each of the manifest's members to its content."""
    with target.open("wb") as out:
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=COMPRESSION_LEVEL) as tar:
            text = manifest.model_dump_json(indent=1).encode()
            head = tarfile.TarInfo(MANIFEST)
            head.size, head.mtime = len(text), int(manifest.created_at.timestamp())
            tar.addfile(head, io.BytesIO(text))
            for name in manifest.members:
                tar.add(files[name], name, recursive=False, filter=_anonymous)
        out.flush()
        os.fsync(out.fileno())


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names of users."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


class Archive:
    """An archive opened for reading; made by `opened`."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self.path = path
        self._tar = tar
        self.manifest = self._manifest()

    def members(self) -> Iterator[tuple[str, tarfile.TarInfo]]:
        """(name, entry) of each member in turn; deal with one before asking for the next.

        Raises
        ------
        LakeError : the archive is cut short, damaged, or holds something else than its manifest says.
        """
        left = dict(self.manifest.members)
        with self._damage():
            for info in self._tar:
                if info.name == MANIFEST:
                    continue
                if info.name not in left or not info.isfile() or info.size != left.pop(info.name).size:
                    raise LakeError(f"{self.path} is damaged: its manifest does not name {info.name} as it is", remedy=USE_ANOTHER)
                yield info.name, info
            self._drain()
        if left:
            raise LakeError(f"{self.path} is damaged: it lacks {count(len(left), 'file')}, e.g. {next(iter(left))}", remedy=USE_ANOTHER)

    def read(self, info: tarfile.TarInfo) -> bytes:
        """The content of a small member. Raises LakeError when it is not what was saved."""
        with self._damage():
            content = self._content(info)
        self._compare(info.name, hashlib.sha256(content).hexdigest())
        return content

    def extract(self, info: tarfile.TarInfo, *, folder: Path, name: str) -> None:
        """Unpacks a member as `folder`/`name`.

        Raises
        ------
        LakeError : it is not what was saved, it would land outside the folder, or the disk does not take it.
        """
        with self._damage():
            self._tar.extract(info.replace(name=name, deep=False), folder, filter="data")
        self._compare(info.name, measured(folder / name).sha256)

    def _manifest(self) -> Manifest:
        try:
            with self._damage():
                first = self._tar.next()
                if first is None or first.name != MANIFEST or not first.isfile():
                    raise LakeError(f"{self.path} does not begin with a {MANIFEST}", remedy=USE_ANOTHER)
                text = self._content(first)
            made_as = _Format.model_validate_json(text).format
            if made_as > FORMAT:
                raise BadArgument(
                    f"{self.path} has format {made_as}, and this version reads up to {FORMAT}",
                    remedy="restore it with a newer quant_assets",
                )
            return Manifest.model_validate_json(text)
        except (LakeError, ValidationError) as error:
            why = error.message if isinstance(error, LakeError) else f"its {MANIFEST} is another's"
            raise BadArgument(f"{self.path} is not a backup ({why})", remedy="name a file that `make backup` wrote") from None

    def _drain(self) -> None:
        """To the end of the file, where gzip keeps the checksum of all of it."""
        assert self._tar.fileobj is not None, "open until `opened` ends"
        while self._tar.fileobj.read(tarfile.RECORDSIZE):
            pass

    def _content(self, info: tarfile.TarInfo) -> bytes:
        file = self._tar.extractfile(info)
        assert file is not None, "only called for regular files"
        return file.read()

    def _compare(self, name: str, found: str) -> None:
        if found != self.manifest.members[name].sha256:
            raise LakeError(f"{self.path} is damaged: {name} is not what was saved", remedy=USE_ANOTHER)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (tarfile.TarError, EOFError, BadGzipFile, zlib.error) as error:
            raise LakeError(f"{self.path} is damaged ({error})", remedy=USE_ANOTHER) from None


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Raises BadArgument when there is no such file, or it is no backup."""
    if not path.is_file():
        raise BadArgument(f"there is no file {path}", remedy="name a file that `make backup` wrote")
    try:
        tar = tarfile.open(path, "r:gz")  # noqa: SIM115 - closed below; only opening it may fail like this
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise BadArgument(f"{path} is not a backup ({error})", remedy="name a file that `make backup` wrote") from None
    with tar:
        yield Archive(path, tar)
