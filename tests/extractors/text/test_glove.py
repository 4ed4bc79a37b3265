"""Against gensim's KeyedVectors of the same files, to the bit; tokens with blanks, which it cannot read, by hand."""

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import DATA
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import featzoo.extractors.text.word_vectors as module
from featzoo.errors import ClipError, MissingWeights
from featzoo.extractors.contract import make_extractor
from featzoo.extractors.text.glove import Glove
from featzoo.extractors.text.tokens import tokens_of
from featzoo.extractors.text.word_vectors import word_vectors
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word, words_of

keyedvectors = pytest.importorskip("gensim.models.keyedvectors", reason="needs featzoo[glove]")
KeyedVectors = keyedvectors.KeyedVectors
TOKENS = ["the", ",", "film", "n't", "do", "is", "Mr.", "naïve", "5", "'s", '"', "日本", "good", "3.5", "...", "-"]
PIECES = [
    "allennlp_glove.6B.100d.sample.txt.gz", "allennlp_glove.6B.300d.sample.txt.gz", "gensim_test_glove.txt",
    "torchtext_glove.840B.300d_100words.zip", "glove.6B.50d.first9163_truncated.txt",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def lines(tokens=TOKENS, width=6, seed=0):
    """GloVe's text; some numbers have more digits than float64 holds."""
    rows = np.random.default_rng(seed).normal(size=(len(tokens), width))
    return [
        " ".join([token, *(f"{x:.5g}" if i % 2 else f"{x:.25f}" for i, x in enumerate(row))])
        for token, row in zip(tokens, rows, strict=True)
    ]


def written(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def plain(tmp_path):
    return written(tmp_path / "plain.txt", "\n".join(lines()) + "\n")


def clip(text, end=4.0):
    return Clip("a", words=words_of(text, 0.0, end))


def same(found, expected):
    for token in expected.key_to_index:
        np.testing.assert_array_equal(found.vectors[found.row(token)], expected[token])
    assert found.vectors.dtype == np.float32
    assert found.row("no such token") == -1
    every = {found._token(place).decode() for place in range(len(found))}
    assert every == set(expected.key_to_index)


@pytest.mark.parametrize("form", ["plain", "header", "crlf", "blank at the end", "no last line feed", "gz", "zip"])
def test_text_is_gensims(plain, tmp_path, form):
    made = lines()
    header = f"{len(made)} 6\n"
    text = {
        "header": header + "\n".join(made) + "\n",
        "crlf": "\r\n".join(made) + "\r\n",
        "blank at the end": header + " \n".join(made) + " \n",
        "no last line feed": "\n".join(made),
    }.get(form, plain.read_text())
    file = written(tmp_path / "v.txt", text)
    expected = KeyedVectors.load_word2vec_format(str(file), no_header=not text.startswith(header))
    if form == "gz":
        file = written(tmp_path / "v.gz", gzip.compress(text.encode()))
    if form == "zip":
        file = tmp_path / "v.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside/v.txt", text)
    same(word_vectors(file), expected)


@pytest.mark.parametrize("form", ["bin", "bin with line feeds", "kv", "kv in parts"])
def test_gensims_own_formats(plain, tmp_path, form):
    expected = KeyedVectors.load_word2vec_format(str(plain), no_header=True)
    file = tmp_path / "v.kv"
    if form.startswith("bin"):
        expected.save_word2vec_format(str(file), binary=True)
    else:
        expected.save(str(file), separately=["vectors"] if form == "kv in parts" else None)
        assert (tmp_path / "v.kv.vectors.npy").is_file() == (form == "kv in parts")
    if form == "bin with line feeds":  # as the program word2vec writes them
        raw = [token.encode() + b" " + expected[token].tobytes() + b"\n" for token in TOKENS]
        file.write_bytes(b"%d 6\n" % len(TOKENS) + b"".join(raw))
        same(word_vectors(file), KeyedVectors.load_word2vec_format(str(file), binary=True))
    same(word_vectors(file), expected)


@pytest.mark.data
@pytest.mark.parametrize("piece", PIECES)
def test_real_pieces_are_gensims(tmp_path, data, piece):
    source = data / "glove" / piece
    plain = source
    if piece.endswith(".zip"):
        with zipfile.ZipFile(source) as archive:
            plain = written(tmp_path / "v.txt", archive.read(archive.namelist()[0]))
    same(word_vectors(source), KeyedVectors.load_word2vec_format(str(plain), no_header=True))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(-1000, 1000, allow_nan=False, places=30), min_size=1, max_size=8))
def test_numbers_are_rounded_as_gensim_rounds_them(tmp_path, values):
    """To float64 and then to float32: 1.000000059604644776 lies so near the middle that it matters."""
    values = [*values, "1.00000005960464477539062500001"]
    file = written(
        tmp_path / "v.txt", f"2 {len(values)}\n" + "".join(f"{t} {' '.join(map(str, values))}\n" for t in "ab")
    )
    same(word_vectors(file), KeyedVectors.load_word2vec_format(str(file)))


@pytest.mark.parametrize("header", ["", "4 6\n"])
def test_tokens_with_blanks(tmp_path, header):
    """GloVe 840B has '. . .' and 'at name@domain.com', which gensim refuses; even a token of numbers is told apart."""
    tokens = [". . .", "the", "at name@domain.com", "1 2 3"]
    made = lines(tokens)
    found = word_vectors(written(tmp_path / "v.txt", header + "\n".join(made) + "\n"))
    for token, line in zip(tokens, made, strict=True):
        numbers = line[len(token) :].split()
        np.testing.assert_array_equal(found.vectors[found.row(token)], np.array(numbers, np.float64).astype(np.float32))


def test_of_a_token_that_comes_twice_the_first_counts(tmp_path):
    file = written(tmp_path / "v.txt", "\n".join(lines(["so", "good", "so"])) + "\n")
    expected = KeyedVectors.load_word2vec_format(str(file), no_header=True)
    same(word_vectors(file), expected)
    expected.save(str(tmp_path / "v.kv"))
    same(word_vectors(tmp_path / "v.kv"), expected)


def test_blocks_of_any_size_give_the_same(plain, monkeypatch):
    expected = KeyedVectors.load_word2vec_format(str(plain), no_header=True)
    binary = plain.with_suffix(".bin")
    expected.save_word2vec_format(str(binary), binary=True)
    for size in (200, 333, 1000):
        monkeypatch.setattr("featzoo.extractors.text.word_vector_files.BLOCK", size)
        for file in (plain, binary):
            shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
            same(word_vectors(file), expected)


BAD = {
    "a short line": ("\n".join([*lines()[:3], "film 0.1 0.2", *lines()[4:]]) + "\n", "line 4 .*6 numbers.*film 0.1"),
    "no number": (
        "\n".join([*lines()[:3], lines()[3].replace("n't 0", "n't x"), "a" + " 1" * 6]) + "\n",
        "word vec|line",
    ),
    "not finite": ("\n".join([*lines()[:3], "film" + " nan" * 6]) + "\n", r"vector 4 \('film'\).*finite"),
    "announces more": ("99 6\n" + "\n".join(lines()) + "\n", "announces 99 vectors and holds 16"),
    "binary cut off": (b"2 3\na " + bytes(12) + b"b " + bytes(5), "announces 2 vectors and holds 1"),
    "a web page": ("<html>\n<body>404 not found</body>\n", "no word vectors: expected lines"),
    "nothing": ("", "no word vectors"),
    "fastText's model": ((793712314).to_bytes(4, "little") + bytes(100), r"fastText model.*\.vec"),
    "half a gz": (gzip.compress("\n".join(lines()).encode())[:-20], "damaged"),
    "half a zip": (b"PK\x03\x04" + bytes(50), "damaged"),
    "another pickle": (pickle.dumps({"a": 1}, 4), "not a KeyedVectors"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused(tmp_path, kind):
    content, said = BAD[kind]
    file = written(tmp_path / "v.txt", content)
    with pytest.raises(MissingWeights, match=said) as caught:
        Glove(vectors=str(file)).prepare()
    assert str(file) in str(caught.value)
    assert not list((tmp_path / "cache/featzoo/vectors").glob("*")), "nothing half done stays"


def test_a_zip_of_several_and_a_whole_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        for width in (50, 100):
            archive.writestr(f"glove.6B.{width}d.txt", "the 0.1\n")
    with pytest.raises(MissingWeights, match=r"holds 2 files \(glove.6B.50d.txt, glove.6B.100d.txt\): unpack one"):
        word_vectors(tmp_path / "v.zip")
    from gensim.models import Word2Vec

    Word2Vec([["a", "b"]], vector_size=4, min_count=1).save(str(tmp_path / "model"))
    with pytest.raises(MissingWeights, match=r"Word2Vec \(of a whole model, save its .wv\)"):
        word_vectors(tmp_path / "model")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_nothing_of_a_pickle_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "v.kv", pickle.dumps(Hostile(), 4))
    with pytest.raises(MissingWeights, match="system"):
        word_vectors(tmp_path / "v.kv")
    assert not (tmp_path / "pwned").exists()


def test_a_last_line_that_is_cut_off_is_left_out_and_said(tmp_path, caplog):
    file = written(tmp_path / "v.txt", "\n".join(lines())[:-30])
    found = word_vectors(file)
    assert (len(found), found.left_out) == (15, 1)
    assert "middle of a line" in caplog.text


def test_converted_once_and_again_if_damaged(plain, tmp_path):
    first = word_vectors(plain)
    (folder,) = (tmp_path / "cache/featzoo/vectors").iterdir()
    stamp = (folder / "vectors.f4").stat().st_mtime_ns
    assert word_vectors(plain) is first
    shutil.copy(plain, tmp_path / "moved.txt")
    assert word_vectors(tmp_path / "moved.txt") is first
    assert (folder / "vectors.f4").stat().st_mtime_ns == stamp
    (folder / "vectors.f4").write_bytes(b"short")
    same(word_vectors(plain), KeyedVectors.load_word2vec_format(str(plain), no_header=True))


def test_two_processes_at_once(tmp_path):
    """Both convert the same file from nothing; both see whole vectors, and one folder stays."""
    many = [f"word{n}" for n in range(20000)]
    file = written(tmp_path / "v.txt", "\n".join(lines(many)) + "\n")
    code = (
        "import sys; from pathlib import Path; from featzoo.extractors.text.word_vectors import word_vectors;"
        f"held = word_vectors(Path({str(file)!r}));"
        "print(len(held), held.row('word19999'), held.vectors[19999].tolist())"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {each.communicate()[0] for each in both}
    assert len(answers) == 1
    assert answers.pop().startswith("20000 19999")
    assert len(list((tmp_path / "cache/featzoo/vectors").iterdir())) == 1


def test_a_folder_that_another_process_has_just_made_is_kept(plain, monkeypatch):
    """It comes right after this process has seen that there is none."""
    complete, made = module._complete, []

    def then_it_is_there(folder):
        found = complete(folder)
        temporary = list(folder.parent.glob(".*.tmp"))
        if temporary and not folder.exists():
            shutil.copytree(temporary[0], folder)
            made.append(folder.stat().st_ino)
        return found

    monkeypatch.setattr(module, "_complete", then_it_is_there)
    held = module.word_vectors(plain)
    assert len(held)
    folder = next(path for path in (module.cache_home() / "featzoo" / "vectors").iterdir())
    assert made in ([], [folder.stat().st_ino])


def test_rows_and_times(plain):
    words = (Word("The", 0.5, 1.0), Word("film", 1.0, 1.5), Word("isn’t", 1.5, 2.0), Word("good,"), Word("zebra", 3, 4))
    found = Glove(vectors=str(plain)).extract(Clip("a", words=words))
    gensim = KeyedVectors.load_word2vec_format(str(plain), no_header=True)
    expected = ["the", "film", "is", "n't", "good", ","]
    np.testing.assert_array_equal(found.features[:6], [gensim[token] for token in expected])
    assert np.isnan(found.features[6]).all()
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(found.intervals, [[0.5, 1], [1, 1.5], [1.5, 2], [1.5, 2], nan, nan, [3, 4]])
    assert found.names == tuple(f"vector_{i}" for i in range(6))
    zero = Glove(vectors=str(plain), oov="zero").extract(Clip("a", words=words))
    np.testing.assert_array_equal(zero.features, np.nan_to_num(found.features))


def test_counts_are_of_tokens_and_unknown_tokens(plain):
    found = make_extractor(f"glove.oov[vectors={plain}]").extract(clip("The film isn't a zebra.", 3.0))
    assert found.names == ("tokens", "oov")
    np.testing.assert_array_equal(found.features, [[7, 3]])  # the film is n't | a zebra .
    np.testing.assert_array_equal(found.intervals, [[0, 3]])


def test_a_clip_of_unknown_words_alone_has_rows(plain):
    found = Glove(vectors=str(plain)).extract(clip("zebra quagga"))
    assert found.features.shape == (2, 6)
    assert np.isnan(found.features).all()


@pytest.mark.parametrize(("case", "known"), [("either", 3), ("exact", 1), ("lower", 2)])
def test_case(plain, case, known):
    """The file has 'the', 'film' and 'Mr.'."""
    found = Glove(vectors=str(plain), case=case).extract(clip("THE Film Mr."))
    lost = np.isnan(found.features[:, 0])
    assert (~lost).sum() == known


def tokens(text, cleaning="none", tokenizer="treebank", held=frozenset({"Mr.", "U.S."})):
    return [token for word in text.split() for token in tokens_of(word, held.__contains__, tokenizer, cleaning)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # As spaCy's English and the Penn Treebank have it, word by word.
        ("I don't think it's bad.", "I do n't think it 's bad ."),
        ("Stop. (Really?) Go!", "Stop . ( Really ? ) Go !"),
        ('He said "no".', 'He said " no " .'),
        ("Mr. Smith, of the U.S., can’t", "Mr. Smith , of the U.S. , ca n't"),
        ("we'll they're I've", "we 'll they 're I 've"),
        ("🙂 שלום, 好", "🙂 שלום , 好"),
    ],
)
def test_treebank(text, expected):
    assert tokens(text) == expected.split()
    assert tokens(text, tokenizer="whitespace") == text.split()


EXPECTED_CLEAN = ["Mail", "see", "or", "it", "'s", "well", "known", "the", "rd", "time", "do", "n't", "naïve"]


def test_the_papers_cleaning():
    text = (
        "Mail me@x.org, see https://x.org/a?b=1 or www.x.org: it's 100% well-known — the 3rd time, 24/7 don't! 🙂 naïve"
    )
    assert tokens(text, "siamese") == EXPECTED_CLEAN


@given(st.text(st.characters(exclude_categories=["Zs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12))
def test_no_word_is_lost_whatever_it_holds(word):
    """Splitting keeps every sign; cleaning leaves letters and apostrophes."""
    if word.split() == [word]:
        got = "".join(tokens(word))
        assert (
            got.replace('"', "").replace("'", "").replace("`", "")
            == (word.replace("’", "'").replace('"', "").replace("'", "").replace("`", ""))
            or word.isalpha()
        )
    assert all(any(map(str.isalpha, token)) for token in tokens(word, "siamese"))


def test_no_words(plain):
    for given_clip in (Clip("a"), clip("24 7")):
        with pytest.raises(ClipError) as caught:
            Glove(vectors=str(plain), cleaning="siamese").extract(given_clip)
        assert caught.value.reason == "no-words"


def test_key_follows_the_content(plain, tmp_path):
    base = Glove(vectors=str(plain))
    shutil.copy(plain, tmp_path / "moved.txt")
    assert Glove(vectors=str(tmp_path / "moved.txt")).key == base.key
    assert str(tmp_path) not in json.dumps(base.spec())
    other = written(tmp_path / "other.txt", plain.read_text().replace("the", "thy"))
    keys = {base.key, Glove(vectors=str(other)).key}
    keys |= {Glove(vectors=str(plain), **{name: value}).key for name, value in OTHER.items()}
    assert len(keys) == 2 + len(OTHER)
    kept = KeyedVectors.load_word2vec_format(str(plain), no_header=True)
    kept.save(str(tmp_path / "v.kv"), separately=["vectors"])
    before = Glove(vectors=str(tmp_path / "v.kv")).key
    np.save(tmp_path / "v.kv.vectors.npy", kept.vectors + 1)
    assert Glove(vectors=str(tmp_path / "v.kv")).key != before


OTHER = {"oov": "zero", "case": "lower", "tokenizer": "whitespace", "cleaning": "siamese", "output": "counts"}


def test_names(tmp_path, monkeypatch, plain):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    with pytest.raises(MissingWeights, match=r"feat weights get glove\.6B\.300d"):
        Glove().prepare()
    with pytest.raises(MissingWeights, match=r"gensim\.downloader --download word2vec-google-news-300"):
        Glove(vectors="word2vec-google-news-300").prepare()
    with pytest.raises(MissingWeights, match="no weights file"):
        Glove(vectors="/no/such/file.txt").prepare()
    for name in ("word2vec-google-news-300", "glove-wiki-gigaword-300"):
        folder = tmp_path / "gensim-data" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        assert len(Glove(vectors=name).extract(clip("the film"))) == 2
    assert Glove(vectors="glove-wiki-gigaword-300").provenance()["vectors"] == "16 of length 6"


def test_a_cache_that_cannot_be_written_is_said(plain, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(written(tmp_path / "file", "x") / "cache"))
    with pytest.raises(MissingWeights, match=r"cannot convert .* into "):
        word_vectors(plain)


@pytest.mark.data
def test_a_real_piece_over_a_real_transcript():
    piece = DATA / "glove" / "glove.6B.50d.first9163_truncated.txt"
    if not piece.is_file():
        pytest.skip(f"needs {piece}")
    found = Glove(vectors=str(piece)).extract(clip("I don't think it was the best movie, but it's not bad!"))
    assert len(found) == 16
    assert not np.isnan(found.features).any()
