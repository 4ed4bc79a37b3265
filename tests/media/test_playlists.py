"""A media file gives its own content: it cannot make FFmpeg open other files or addresses.

The playlists are those of FFmpeg's, Apple's, MPEG's and SMPTE's specifications.
"""

from __future__ import annotations

import http.server
import threading

import numpy as np
import pytest
from conftest import tone, write_wav
from PIL import Image

from featzoo.errors import ClipError
from featzoo.media.audio import decode_audio
from featzoo.media.clip import Clip

PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile real.wav\n",
    "M3U8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nreal.wav\n#EXT-X-ENDLIST\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "DASH": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>',
}


@pytest.mark.parametrize("suffix", [".wav", ".mp4", ".ts", ".txt"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_refused_whatever_its_name(tmp_path, kind, suffix):
    write_wav(tmp_path / "real.wav", tone(1.0))
    (tmp_path / f"list{suffix}").write_text(PLAYLISTS[kind], encoding="utf-8")
    with pytest.raises(ClipError, match=rf"is a playlist \({kind}\), which names other files") as caught:
        decode_audio(tmp_path / f"list{suffix}")
    assert caught.value.reason == "unreadable"


def test_no_address_is_opened(tmp_path):
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/secret.wav"
        (tmp_path / "a.m3u8").write_text(PLAYLISTS["M3U8"].replace("real.wav", address), encoding="utf-8")
        (tmp_path / "b.wav").write_text(f"ffconcat version 1.0\nfile {address}\n", encoding="utf-8")
        for name in ("a.m3u8", "b.wav"):
            with pytest.raises(ClipError):
                decode_audio(tmp_path / name)
        server.shutdown()
    assert asked == []


def test_a_name_that_looks_like_a_protocol_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = tone(0.5)
    write_wav(tmp_path / "secret.wav", tone(1.0, pitch=440.0))
    name = Clip("a", write_wav(tmp_path / "concat:secret.wav|secret.wav", samples).relative_to(tmp_path)).file
    np.testing.assert_array_equal(decode_audio(name).samples.shape, (1, samples.shape[-1]))


def test_a_name_that_looks_like_a_series_of_pictures_is_a_name(tmp_path):
    """The oracle is Pillow, which opens the file by its name."""
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "img001.png")
    Image.new("RGB", (8, 8), (0, 0, 255)).save(tmp_path / "img%03d.png")
    (frame,) = Clip("a", tmp_path / "img%03d.png").frames()
    np.testing.assert_array_equal(frame.image, np.asarray(Image.open(tmp_path / "img%03d.png")))
