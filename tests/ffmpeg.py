"""The ffmpeg program, as a source independent of ours: it makes files, and says what is in them."""

import re
import subprocess

import imageio_ffmpeg
import numpy as np
from hypothesis import settings

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def examples(usual):
    """The number of examples of a property whose examples are files: `make fuzz` makes ten times the usual ones.

    The profile of `make fuzz` has 1,000 examples, and Hypothesis itself 100.
    """
    return usual * settings.default.max_examples // 100


def ffmpeg(*arguments):
    """Run the program. Returns what it writes to its standard output.

    Raises:
        RuntimeError: If it fails, with what it says.
    """
    command = [FFMPEG, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def sound(path, *arguments):
    """All channels of a file's sound at its own rate, (C, N) float32: ffmpeg's plain decoding, without gaps."""
    said = subprocess.run(
        [FFMPEG, "-hide_banner", "-nostdin", "-i", str(path)], capture_output=True, check=False
    ).stderr
    raw = ffmpeg("-i", path, "-map", "0:a:0", *arguments, "-c:a", "pcm_f32le", "-f", "wav", "-")
    channels = int.from_bytes(raw[22:24], "little")
    if not channels:
        raise RuntimeError(f"no sound in {path}: {said.decode(errors='replace')}")
    return np.frombuffer(raw[raw.index(b"data") + 8 :], "<f4").reshape(-1, channels).T


def pictures(path, width, height, *arguments):
    """The frames of a file as ffmpeg decodes them, each once: (F, H, W, 3) uint8 RGB at the coded size."""
    raw = ffmpeg("-noautorotate", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", *arguments,
                 "-pix_fmt", "rgb24", "-f", "rawvideo", "-")  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def times(path, kind="a", decoded=True):
    """When each decoded frame (or each packet) of the first stream of a kind is shown, seconds on the file's clock.

    The clock is the container's own: it does not start at 0 where the file's first time stamp does not.

    Args:
        path: A media file.
        kind: `a` or `v`.
        decoded: Of frames; False, of packets.

    Returns:
        (F, 2) start and duration, in the order of the file.
    """
    how = ("-fps_mode", "passthrough", "-enc_time_base", "demux") if decoded and kind == "v" else ()
    how = how if decoded else ("-c", "copy")
    listed = ffmpeg("-copyts", "-i", path, "-map", f"0:{kind}:0", *how, "-f", "framecrc", "-").decode()
    unit = re.search(r"#tb 0: (\d+)/(\d+)", listed)
    rows = [line.split(",") for line in listed.splitlines() if line and not line.startswith("#")]
    return np.array([(int(row[2]), int(row[3])) for row in rows]) * int(unit[1]) / int(unit[2])
