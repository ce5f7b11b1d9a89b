"""Event files, which TensorBoard shows.

They are written by the calling thread, so that it learns of a full disk.
"""

import contextlib
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import tensorboardX
from PIL import Image
from tensorboardX import record_writer
from tensorboardX.proto import event_pb2, summary_pb2

Value = summary_pb2.Summary.Value


FULL = 2**24  # bytes; whole files are copied to buckets, again when they grow


class Events:
    """The event files of a run.

    After an OSError, and when the file is full, the next call begins a new one.
    """

    def __init__(self, folder: Path, nimg: int):
        """In TensorBoard, replaces what an earlier process wrote beyond `nimg`."""
        self._folder, self._nimg = folder, nimg
        self._file: record_writer.RecordWriter | None = None
        self._size = self._begun = 0  # bytes in the file; files before it

    def write(
        self,
        nimg: int,
        *,
        scalars: Mapping[str, float] | None = None,
        texts: Mapping[str, str] | None = None,
        images: Mapping[str, Path] | None = None,
    ) -> None:
        """Adds these to the file, by name; images are PNG files."""
        values = [Value(tag=k, simple_value=x) for k, x in (scalars or {}).items()]
        for name, text in (texts or {}).items():
            values += tensorboardX.summary.text(name, text).value
        values += [_image(name, path) for name, path in (images or {}).items()]
        try:
            if self._file is None:
                self._begin(nimg)
            self._add(step=nimg, summary=summary_pb2.Summary(value=values))
            self._file.flush()
            if self._size > FULL:
                self.close()
                self._nimg = nimg  # TensorBoard keeps what the file before has
        except OSError:
            with contextlib.suppress(OSError):
                self.close()
            raise

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _begin(self, nimg: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        when = f"{int(time.time())}.{self._begun:04d}"  # their order in TensorBoard
        name = f"events.out.tfevents.{when}.{socket.gethostname()}.{nimg}"
        self._begun += 1
        self._file, self._size = record_writer.RecordWriter(str(self._folder / name)), 0
        self._add(file_version="brain.Event:2")
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step=self._nimg + 1, session_log=start)

    def _add(self, **content) -> None:
        event = event_pb2.Event(wall_time=time.time(), **content)
        content = event.SerializeToString()
        self._file.write(content)
        self._size += len(content)


def _image(name: str, path: Path) -> Value:
    with Image.open(path) as file:
        image = summary_pb2.Summary.Image(
            width=file.width,
            height=file.height,
            colorspace=len(file.getbands()),
            encoded_image_string=path.read_bytes(),
        )
    return Value(tag=name, image=image)
