import gzip
import hashlib
import sys
import zipfile

import numpy as np
import pytest

import glasscurv as gc


@pytest.fixture(scope="module")
def digits():
    return gc.data.load_digits()


def test_the_split_has_its_documented_sizes_and_types(digits):
    assert digits.X.shape == (1437, 64)
    assert digits.y.shape == (1437,)
    assert digits.X_validation.shape == (360, 64)
    assert digits.y_validation.shape == (360,)
    assert (digits.X.dtype, digits.X_validation.dtype) == (np.float64, np.float64)
    assert (digits.y.dtype, digits.y_validation.dtype) == (np.int64, np.int64)


def test_the_split_unpacks_in_the_documented_order(digits):
    X, y, X_validation, y_validation = gc.data.load_digits()
    named = digits.X, digits.y, digits.X_validation, digits.y_validation
    assert all(np.array_equal(one, other) for one, other in zip((X, y, X_validation, y_validation), named, strict=True))


def test_every_image_appears_exactly_once_with_its_own_label(digits):
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = np.vstack([digits.X, digits.X_validation]) * 16
    ours = np.column_stack([images, np.concatenate([digits.y, digits.y_validation])])
    theirs = np.column_stack([bundled.data, bundled.target])
    assert ours.shape == theirs.shape == (1797, 65)
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert not np.array_equal(ours, theirs)  # shuffled: the file is sorted by writer


def test_values_are_between_zero_and_one_and_use_the_whole_range(digits):
    for X in (digits.X, digits.X_validation):
        assert (X.min(), X.max()) == (0.0, 1.0)
        assert np.array_equal(16 * X, np.round(16 * X))  # 17 grey levels


def test_both_parts_hold_every_label(digits):
    assert np.bincount(digits.y_validation).tolist() == pytest.approx([36] * 10, abs=15)
    assert np.bincount(digits.y).min() > 100


def test_the_split_is_fixed(digits):
    def fingerprint(labels):
        return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()

    assert fingerprint(digits.y) == "e0b4de600c317806480d6d8b5c23c017ef3cf77cf1c699efde2d35b5db078453"
    assert fingerprint(digits.y_validation) == "d66244c900feda6641100fb46622140948ee56aa04a8d7b9812b3169427b3b07"


def test_loading_twice_gives_independent_arrays(digits):
    again = gc.data.load_digits()
    assert not np.shares_memory(again.X, digits.X)
    again.X[:] = 0
    assert digits.X.any()


@pytest.mark.parametrize("missing", ["sklearn", "sklearn.datasets"])
def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "sklearn":
        monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(ImportError, match=r"load_digits needs scikit-learn: pip install scikit-learn"):
        gc.data.load_digits()


# Splits


def test_a_split_holds_every_row_once_with_its_own_target():
    X = np.arange(30.0).reshape(10, 3)
    parts = gc.data.split(X, X[:, 0].astype(int) * 2, validation=0.3, rng=4)
    assert (len(parts.X), len(parts.X_validation)) == (7, 3)
    rows = np.vstack([parts.X, parts.X_validation])
    assert np.array_equal(rows[np.argsort(rows[:, 0])], X)
    assert not np.array_equal(rows, X)
    for inputs, targets in ((parts.X, parts.y), (parts.X_validation, parts.y_validation)):
        assert np.array_equal(targets, 2 * inputs[:, 0])


def test_a_split_depends_on_its_seed_alone():
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20)
    one, same, other = (gc.data.split(X, y, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.y, same.y)
    assert not np.array_equal(one.y, other.y)


@pytest.mark.parametrize(("share", "held"), [(1e-9, 1), (0.999, 3), (0.5, 2)])
def test_both_parts_of_a_split_hold_something(share, held):
    parts = gc.data.split(np.ones((4, 1)), np.arange(4), validation=share)
    assert (len(parts.y), len(parts.y_validation)) == (4 - held, held)


def test_a_split_copies_and_keeps_types():
    X, y = np.ones((6, 2), np.float32), np.arange(6, dtype=np.uint8)
    parts = gc.data.split(X, y)
    assert (parts.X.dtype, parts.y.dtype) == (np.float32, np.int64)
    parts.X[:] = 5
    parts.y[:] = 5
    assert np.array_equal(X, np.ones((6, 2)))
    assert np.array_equal(y, np.arange(6))
    assert gc.data.split(X, np.ones((6, 3))).y.shape == (5, 3)


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        (np.ones((1, 2)), [0], {}, r"X must have at least 2 rows to be split, got 1"),
        (np.ones((3, 2)), [0, 1], {}, r"y must have one entry for each of the 3 rows of X, got shape \(2,\)"),
        (np.ones(3), [0, 1, 2], {}, r"X must have shape \(rows, columns\)"),
        ([[1.0], [np.nan]], [0, 1], {}, r"X must be finite, got nan at index \(1, 0\)"),
        (np.ones((2, 1)), [0.0, np.inf], {}, r"y must be finite, got inf at index 1"),
        (np.ones((2, 1)), np.array([1, 2**63], np.uint64), {}, r"y must fit int64, got 9223372036854775808"),
        (np.ones((2, 1)), [0, 1], {"validation": 0}, r"validation must be in \(0, 1\), got 0"),
        (np.ones((2, 1)), [0, 1], {"validation": 1.0}, r"validation must be in \(0, 1\), got 1.0"),
    ],
)
def test_what_cannot_be_split_is_refused(X, y, options, message):
    with pytest.raises(ValueError, match=message):
        gc.data.split(X, y, **options)


def test_targets_that_are_not_numbers_are_refused():
    with pytest.raises(TypeError, match=r"y must be real numbers"):
        gc.data.split(np.ones((2, 1)), ["cat", "dog"])


# Made data


@pytest.mark.parametrize("make", [gc.data.two_spirals, gc.data.regression])
def test_made_data_depend_on_their_seed_and_validate_on_fresh_rows(make):
    one, same, other = make(30, rng=1), make(30, rng=1), make(30, rng=2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.X, other.X)
    assert len(one.X) == len(one.y) == len(one.X_validation) == len(one.y_validation) == 30
    assert not set(map(tuple, one.X)) & set(map(tuple, one.X_validation))


@pytest.mark.parametrize("seed", range(3))
def test_spirals_without_noise_follow_their_formula(seed):
    X, y, _, _ = gc.data.two_spirals(200, noise=0, rng=seed)
    radius = np.hypot(*X.T)
    angle = 3 * np.pi * (radius / 2) + np.pi * y
    np.testing.assert_allclose(X, radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), atol=1e-12)
    assert 1.9 < radius.max() <= 2
    assert set(y.tolist()) == {0, 1}


def test_regression_without_noise_follows_its_formula_and_has_mean_zero():
    X, y, _, _ = gc.data.regression(20_000, noise=0, rng=0)
    a, b, c, d, e, f = X.T
    np.testing.assert_allclose(
        y, np.sin(2 * a) + np.sin(b + c) + abs(d) + np.where(e > f, e - f, 0) - 5 / 3, atol=1e-12
    )
    assert abs(y.mean()) < 5 * y.std() / np.sqrt(len(y))
    assert -2 <= X.min() < -1.99
    assert 1.99 < X.max() <= 2


@pytest.mark.parametrize("make", [gc.data.two_spirals, gc.data.regression])
def test_noise_has_its_standard_deviation(make):
    quiet, noisy = make(5000, noise=0, rng=3), make(5000, noise=0.5, rng=3)
    gap = noisy.X - quiet.X if make is gc.data.two_spirals else noisy.y - quiet.y
    assert gap.std() == pytest.approx(0.5, rel=0.06)


@pytest.mark.parametrize("make", [gc.data.two_spirals, gc.data.regression])
def test_made_data_refuse_bad_arguments(make):
    with pytest.raises(ValueError, match=r"rows must be ≥ 1, got 0"):
        make(0)
    with pytest.raises(ValueError, match=r"noise must be finite and ≥ 0, got -1"):
        make(noise=-1)


# NumPy archives


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_comes_back_as_it_was_written(tmp_path, save):
    X, y = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), np.array([2, 0, 1, 1, 0], np.int32)
    save(tmp_path / "data.npz", X=X, y=y, other=np.array(["names"], object))
    inputs, labels = gc.data.load_npz(tmp_path / "data.npz")
    assert (inputs.dtype, labels.dtype) == (np.float32, np.int64)
    assert np.array_equal(inputs, X)
    assert np.array_equal(labels, y)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"X": np.ones((2, 1))}, ValueError, r"data.npz lacks y; it holds X"),
        ({"y": np.ones(2), "x": np.ones(2)}, ValueError, r"data.npz lacks X; it holds y, x"),
        ({}, ValueError, r"data.npz lacks X; it holds nothing"),
        ({"X": np.ones((2, 1)), "y": [1]}, ValueError, r"y of .* must have one entry for each of the 2 rows of X of"),
        ({"X": np.array([[1, None]]), "y": [1]}, ValueError, r"not a whole .npz archive of numbers: Object arrays"),
        ({"X": [[np.inf]], "y": [1]}, ValueError, r"X of .*data.npz must be finite, got inf"),
        (
            {"X": [[1]], "y": np.array([2**64 - 1], np.uint64)},
            ValueError,
            r"y of .*data.npz must fit int64, got 18446744",
        ),
        ({"X": [["a"]], "y": [1]}, TypeError, r"X of .*data.npz must be real numbers"),
    ],
)
def test_an_archive_without_numbers_that_fit_is_refused(tmp_path, arrays, error, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(error, match=message):
        gc.data.load_npz(tmp_path / "data.npz")


def test_an_archive_of_the_other_byte_order_becomes_native(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.array([[1.5], [2]], ">f8"), y=np.array([3, 4], ">i4"))
    X, y = gc.data.load_npz(tmp_path / "data.npz")
    assert (X.dtype, y.dtype) == (np.float64, np.int64)
    assert (X.tolist(), y.tolist()) == ([[1.5], [2]], [3, 4])


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(shape=(2, 1), values=(1.0, 2.0)):
    header = str({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + np.array(values).tobytes()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_within_an_archive_is_refused_wherever_it_is(tmp_path, compression):
    path = tmp_path / "data.npz"
    zipped(path, {"X": npy(), "y": npy((2,))}, compression)
    whole = path.read_bytes()
    expected = gc.data.load_npz(path)
    outcomes = set()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        try:
            found = gc.data.load_npz(path)
        except ValueError as error:
            outcomes.add("refused" if "data.npz" in str(error) else str(error))
        else:  # what the archive does not need, such as the time
            assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
            outcomes.add("read")
    assert outcomes == {"refused", "read"}


def test_an_archive_that_asks_for_all_memory_is_refused(tmp_path):
    zipped(tmp_path / "data.npz", {"X": npy((2**50, 2)), "y": npy((2,))})
    with pytest.raises(ValueError, match=r"data.npz is not a whole .npz archive of numbers: Unable to allocate"):
        gc.data.load_npz(tmp_path / "data.npz")


def test_an_encrypted_archive_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    zipped(path, {"X": npy(), "y": npy((2,))})
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of each member, twice in the file
        start = content.find(magic)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(magic, start + 4)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"data.npz is not a whole .npz archive of numbers: .*encrypted, password"):
        gc.data.load_npz(path)


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.ones((50, 4)), y=np.ones(50))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[300] ^= 255
    for damaged in (whole[:-200], whole[:40], b"", b"width,height\n1,2\n", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"data.npz is not a whole .npz archive of numbers: "):
            gc.data.load_npz(path)


@pytest.mark.parametrize("load", [gc.data.load_npz, gc.data.load_csv])
def test_a_missing_file_is_named(tmp_path, load):
    with pytest.raises(FileNotFoundError, match=r"absent\.data"):
        load(tmp_path / "absent.data")


# Comma-separated text


def csv_file(folder, text):
    path = folder / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_written_by_numpy_comes_back_exactly(tmp_path):
    table = np.random.default_rng(1).normal(size=(7, 4))
    np.savetxt(tmp_path / "data.csv", table, delimiter=",", fmt="%.17g")
    X, y = gc.data.load_csv(tmp_path / "data.csv")
    assert np.array_equal(np.column_stack([X, y]), table)
    assert (X.dtype, y.dtype) == (np.float64, np.float64)


@pytest.mark.parametrize(
    ("text", "X", "y"),
    [
        ("1,2,0\n3,4,1\n", [[1, 2], [3, 4]], [0, 1]),
        ("a,b,c\r\n1,2,0\r\n3,4,1", [[1, 2], [3, 4]], [0, 1]),
        ('\n"a", "b"\n\n 1.5 ,"7"\n\n', [[1.5]], [7]),
        ("\ufeffa,b\n1e-3,-2\n", [[1e-3]], [-2]),
        ("1,0.0\n2,3.0\n", [[1], [2]], [0, 3]),
    ],
)
def test_whole_targets_are_labels_with_and_without_a_header(tmp_path, text, X, y):
    inputs, labels = gc.data.load_csv(csv_file(tmp_path, text))
    assert labels.dtype == np.int64
    assert inputs.tolist() == X
    assert labels.tolist() == y


def test_targets_beyond_the_whole_floats_stay_floats(tmp_path):
    assert gc.data.load_csv(csv_file(tmp_path, "1,9007199254740991\n"))[1].tolist() == [2**53 - 1]
    for number in (2**53 - 1, 1 - 2**53):
        assert gc.data.load_csv(csv_file(tmp_path, f"1,{number}\n"))[1].dtype == np.int64
    for number in (2**53, 2**53 + 1, -(2**53) - 1):  # the second is read as the first
        assert gc.data.load_csv(csv_file(tmp_path, f"1,{number}\n"))[1].dtype == np.float64


def test_names_that_read_as_numbers_do_not_make_a_header_a_row(tmp_path):
    for header in ("width,inf,kind", "NaN,infinity,kind", ",nan,kind", "1_000,a,b"):
        X, y = gc.data.load_csv(csv_file(tmp_path, f"{header}\n1,2,0\n3,4,1\n"))
        assert (X.tolist(), y.tolist()) == ([[1, 2], [3, 4]], [0, 1])
    assert gc.data.load_csv(csv_file(tmp_path, "a,inf\n1,2\n"), target="inf")[1].tolist() == [2]


@pytest.mark.parametrize("header", ["0,1,2", "0, 1, 2 "])
def test_a_first_line_that_may_be_the_header_of_pandas_is_pointed_out(tmp_path, header):
    path = csv_file(tmp_path, f"{header}\n5,6,1\n")
    with pytest.warns(UserWarning, match=r"data.csv, 0,1,2…, is read as numbers: .* write with header=False") as caught:
        X, _ = gc.data.load_csv(path)
    assert caught[0].filename == __file__
    assert X.tolist() == [[0, 1], [5, 6]]


@pytest.mark.parametrize("text", ["0,1\n5,0\n", "0.0,1,2\n", "1,2,3\n", "5,6,7\n0,1,2\n", "x,y,z\n0,1,2\n"])
def test_other_first_lines_pass_without_a_warning(tmp_path, text):
    gc.data.load_csv(csv_file(tmp_path, text))


def test_a_named_column_holds_the_targets(tmp_path):
    path = csv_file(tmp_path, "kind,width,price\n1,2,0.5\n0,3,0.25\n")
    X, y = gc.data.load_csv(path, target="kind")
    assert X.tolist() == [[2, 0.5], [3, 0.25]]
    assert y.tolist() == [1, 0]
    assert gc.data.load_csv(path, target="price")[1].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("", None, r"data.csv is empty"),
        ("\n , \n", None, r"data.csv is empty"),
        ("a,b\n", None, r"data.csv holds a header and no numbers"),
        ("1\n2\n", None, r"data.csv must have at least two columns separated by commas, got 1"),
        ("a;b\n1;2\n", None, r"at least two columns separated by commas, got 1"),
        ("1,2\n3,4,5\n", None, r"data.csv, line 2: 3 columns, but the first line has 2"),
        ("a,b\n1,2\n\n3\n", None, r"data.csv, line 4: 1 columns, but the first line has 2"),
        ("a,b\n1,2\n3,cat\n", None, r"data.csv, line 3, column 2 \(b\): 'cat' is not a number"),
        ("1,2\n1_000,2\n", None, r"data.csv, line 2, column 1: '1_000' is not a number"),
        ("nan,inf\n1,2\n", None, r"data.csv, line 1, column 1: must be finite, got nan"),
        (",nan\n1,2\n", None, r"data.csv, line 1, column 1: nothing, where a number was expected"),
        ("1,cat\n", None, r"data.csv, line 1, column 2: 'cat' is not a number"),
        ("1,2\n,4\n", None, r"data.csv, line 2, column 1: nothing, where a number was expected"),
        ("a,b\nnan,4\n", None, r"data.csv, line 2, column 1 \(a\): must be finite, got nan"),
        ("1,2\n1,-inf\n", None, r"data.csv, line 2, column 2: must be finite, got -inf"),
        ("1,2\n", "b", r"target='b' needs a header with names of columns, and .*data.csv has none"),
        ("a,b\n1,2\n", "c", r"target 'c' is not among the columns of .*data.csv: a, b"),
        ("a,a\n1,2\n", "a", r"target 'a' is twice among the columns of .*data.csv: a, a"),
        (b"\xff\xfe1,2\n", None, r"data.csv is not text in UTF-8"),
        ('1,"2\n', None, r"data.csv is not comma-separated text"),
    ],
)
def test_a_bad_table_is_refused_with_its_line_and_column(tmp_path, text, target, message):
    with pytest.raises(ValueError, match=message):
        gc.data.load_csv(csv_file(tmp_path, text), target)


# IDX


def idx_bytes(array, magic=None):
    header = [0x0800 + array.ndim if magic is None else magic, *array.shape]
    return b"".join(int(number).to_bytes(4, "big") for number in header) + array.astype(np.uint8).tobytes()


IMAGES = np.random.default_rng(2).integers(0, 256, (5, 3, 4))
LABELS = np.array([9, 0, 3, 3, 1])


def gzipped(content):
    """Compress without the time of day: tests that run side by side must see the same bytes."""
    return gzip.compress(content, mtime=0)


def idx_files(folder, images, labels):
    (folder / "images").write_bytes(images)
    (folder / "labels").write_bytes(labels)
    return folder / "images", folder / "labels"


@pytest.mark.parametrize("pack", [bytes, gzipped])
def test_images_come_back_as_rows_between_zero_and_one(tmp_path, pack):
    X, y = gc.data.load_idx(*idx_files(tmp_path, pack(idx_bytes(IMAGES)), pack(idx_bytes(LABELS))))
    assert np.array_equal(np.round(255 * X), IMAGES.reshape(5, 12))
    assert (X.dtype, y.dtype) == (np.float64, np.int64)
    assert np.array_equal(y, LABELS)
    assert X.max() <= 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx_bytes(LABELS), idx_bytes(LABELS), r"images must begin with the magic number 2051 of IDX images, got 2049"),
        (idx_bytes(IMAGES), idx_bytes(IMAGES), r"labels must begin with the magic number 2049 of IDX labels, got 2051"),
        (idx_bytes(IMAGES, 0x0D03), idx_bytes(LABELS), r"magic number 2051 of IDX images, got 3331"),
        (idx_bytes(IMAGES)[:-1], idx_bytes(LABELS), r"images is truncated: its header says 76 bytes, got 75"),
        (idx_bytes(IMAGES)[:10], idx_bytes(LABELS), r"images is truncated: 10 bytes, where the header alone takes 16"),
        (b"", idx_bytes(LABELS), r"images is truncated: 0 bytes"),
        (idx_bytes(IMAGES), idx_bytes(LABELS) + b"\0", r"labels is too long: its header says 13 bytes, got 14"),
        (idx_bytes(IMAGES), idx_bytes(LABELS[:4]), r"images holds 5 images, but .*labels holds 4 labels"),
        (idx_bytes(IMAGES[:0]), idx_bytes(LABELS[:0]), r"images holds no pixels: its header says 0 × 3 × 4"),
        (gzipped(idx_bytes(IMAGES))[:-9], idx_bytes(LABELS), r"images is a truncated or damaged gzip file"),
        (b"\x1f\x8bnonsense at all", idx_bytes(LABELS), r"images is a truncated or damaged gzip file"),
    ],
)
def test_bad_image_files_are_refused(tmp_path, images, labels, message):
    with pytest.raises(ValueError, match=message):
        gc.data.load_idx(*idx_files(tmp_path, images, labels))


def test_missing_image_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        gc.data.load_idx(tmp_path / "absent", tmp_path / "absent")
