"""Text augmentation against a local server that answers, fails and counts; resumed, cached, tried dry."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from jmmrec.augment import PROMPT, Answers, Endpoint, Item, augment, encode, in_order, read_items
from jmmrec.cli.main import main
from jmmrec.errors import ConfigError, DataError

pytestmark = pytest.mark.enable_socket  # to the server below, on this machine
PICTURE = b"\x89PNG not really"


class Service:
    """What was asked, and which answers go wrong: number of the request -> status or body."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.wrong: dict[int, int | bytes] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.keys.append(self.headers.get("Authorization"))
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.asked.append({"path": self.path, **body})
                wrong = service.wrong.get(len(service.asked))
                text = body["messages"][0]["content"][-1]["text"].rpartition(": ")[2]
                content = json.dumps({"choices": [{"message": {"content": f"Better:\n{text}"}}]}).encode()
                self.send_response(wrong if isinstance(wrong, int) else 200)
                self.end_headers()
                self.wfile.write(wrong if isinstance(wrong, bytes) else content)

            def log_message(self, *args) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def endpoint(self, **options) -> Endpoint:
        return Endpoint(self.url, "stub", wait=0.0, timeout=10.0, **options)


@pytest.fixture
def service():
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def table(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(PICTURE)
    path = tmp_path / "items.tsv"
    path.write_text('itemID\ttext\timage\n0\tA "red" cup.\t\n1\tA hat.\tpictures/1.png\n2\tA saw.\t\n')
    return path


def test_every_item_is_asked_once_with_text_and_picture(service, table, tmp_path) -> None:
    items = read_items(table)
    found = augment(items, service.endpoint(key="secret"), tmp_path / "out")
    assert found.texts == {"0": 'Better: A "red" cup.', "1": "Better: A hat.", "2": "Better: A saw."}
    assert [request["path"] for request in service.asked] == ["/v1/chat/completions"] * 3
    assert {request["model"] for request in service.asked} == {"stub"} and set(service.keys) == {"Bearer secret"}
    plain, pictured = (request["messages"][0]["content"] for request in service.asked[:2])
    assert [part["type"] for part in plain] == ["text"] and plain[0]["text"] == Item("0", 'A "red" cup.').prompt()
    assert "picture" not in plain[0]["text"] and pictured[1]["text"] == PROMPT.replace("{text}", "A hat.")
    url = pictured[0]["image_url"]["url"]
    assert pictured[0]["type"] == "image_url" and base64.b64decode(url.partition("base64,")[2]) == PICTURE
    assert url.startswith("data:image/png;")
    written = (tmp_path / "out" / "augmented.tsv").read_text().splitlines()
    assert written == ["itemID\ttext", *(f"{name}\t{text}" for name, text in found.texts.items())]
    assert "secret" not in "".join(path.read_text() for path in (tmp_path / "out").iterdir())


def test_it_goes_on_where_it_stopped_and_asks_anew_what_changed(service, table, tmp_path) -> None:
    items, out = read_items(table), tmp_path / "out"
    service.wrong = {2: 400}
    with pytest.raises(DataError, match=r"failed for item 1 \(400 Bad Request\); what was answered before is kept"):
        augment(items, service.endpoint(), out)
    assert len(service.asked) == 2 and not (out / "augmented.tsv").exists()
    again = augment(items, service.endpoint(), out)
    assert again.asked == 2 and len(service.asked) == 4
    assert augment(items, service.endpoint(), out).asked == 0
    (tmp_path / "pictures" / "1.png").write_bytes(b"another")
    assert augment(items, service.endpoint(), out).asked == 1
    assert augment(items, service.endpoint(), out, template="Say it: {text}").asked == 3
    assert augment(items, Endpoint(service.url, "other"), out).asked == 3
    cache = out / "answers.jsonl"
    cache.write_text(cache.read_text()[:-5])  # a kill in the middle of a line
    assert augment(items, Endpoint(service.url, "other"), out).asked == 1
    cache.write_text("x\n" + cache.read_text())
    with pytest.raises(DataError, match="line 1 cannot be read"):
        augment(items, service.endpoint(), out)


def test_an_answer_whose_line_was_not_ended_is_kept_and_so_is_the_next(service, table, tmp_path) -> None:
    items, out = read_items(table), tmp_path / "out"
    service.wrong = {2: 400}
    with pytest.raises(DataError, match="failed for item 1"):
        augment(items, service.endpoint(), out)
    cache = out / "answers.jsonl"
    cache.write_bytes(cache.read_bytes().removesuffix(b"\n"))  # a kill just before the end of the line
    assert augment(items, service.endpoint(), out).asked == 2
    assert [json.loads(line)["id"] for line in cache.read_text().splitlines()] == ["0", "1", "2"]
    assert augment(items, service.endpoint(), out).asked == 0 and len(service.asked) == 4


def test_a_dry_run_shows_the_first_question_that_would_be_asked(service, table, tmp_path) -> None:
    items, out, told = read_items(table), tmp_path / "out", []
    augment(items[:1], service.endpoint(), out)
    assert augment(items, service.endpoint(), out, dry_run=True, say=told.append).asked == 2
    assert told[0] == f"2 of 3 items would be asked of {service.endpoint().name}; the first question:"
    assert told[1].startswith("[picture] ") and told[1].endswith("A hat.")
    told.clear()
    assert augment(items[:1], service.endpoint(), out, dry_run=True, say=told.append).asked == 0
    assert told == [f"0 of 1 items would be asked of {service.endpoint().name}."] and len(service.asked) == 1


def test_a_busy_service_is_asked_again(service, table, tmp_path) -> None:
    service.wrong = {1: 503, 2: 429, 3: b"no json"}
    assert len(augment(read_items(table), service.endpoint(), tmp_path / "out").texts) == 3
    assert len(service.asked) == 6
    service.wrong = dict.fromkeys(range(7, 99), 500)
    with pytest.raises(DataError, match="500 Internal Server Error"):
        augment(read_items(table), service.endpoint(tries=2), tmp_path / "two")
    assert len(service.asked) == 8
    service.wrong = {9: b'{"choices": []}'}
    with pytest.raises(DataError, match="answered nothing for item 0"):
        augment(read_items(table), service.endpoint(), tmp_path / "three")


def test_dry_runs_and_answers_from_a_file(service, table, tmp_path, capsys) -> None:
    command = ["data", "augment-text", str(table), "--out", str(tmp_path / "out")]
    assert main([*command, "--url", service.url, "--model", "stub", "--dry-run"]) == 0
    told = capsys.readouterr().err
    assert "3 of 3 items would be asked of stub" in told and 'follows: A "red" cup.' in told
    assert not service.asked and not (tmp_path / "out").exists()
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"id": n, "text": f"Text {n}"}) + "\n" for n in range(3)))
    assert main([*command, "--answers", str(answers)]) == 0
    assert "3 texts, 3 of them asked now" in capsys.readouterr().out
    assert (tmp_path / "out" / "augmented.tsv").read_text().endswith("2\tText 2\n")
    short = tmp_path / "short.jsonl"
    short.write_text('{"id": 0, "text": "x"}\n')
    with pytest.raises(DataError, match="has no answer for item 1"):
        augment(read_items(table), Answers(short), tmp_path / "other")
    for more, word in (([], "say whom to ask"), (["--answers", "nowhere"], "nowhere cannot be read")):
        assert main([*command[:3], "--out", str(tmp_path / "new"), *more]) == 2
        assert word in capsys.readouterr().err


def test_features_of_new_texts(tmp_path) -> None:
    path = tmp_path / "text_feat.npy"
    found = encode(["a", "bcd"], lambda texts: np.array([[len(text), 1.0] for text in texts]), path)
    np.testing.assert_array_equal(found, np.load(path))
    assert found.dtype == np.float32 and found[:, 0].tolist() == [1.0, 3.0]
    for bad in (np.ones((1, 2)), np.ones(2), np.full((2, 2), np.nan)):
        with pytest.raises(DataError, match="it must give each a row"):
            encode(["a", "b"], lambda texts, bad=bad: bad, path)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.tsv", "itemID\ttext\n", "holds no item"),
        ("a.tsv", "item\ttext\n0\tx\n", "no column itemID"),
        ("a.csv", "id,words\n0,x\n", "no column text"),
        ("a.csv", "id,text\n0,x\n0,y\n", "line 3 has item 0 twice"),
        ("a.csv", "id,text\n,x\n", "line 2 has no id"),
        ("a.csv", "id,text,image\n0,x,gone.png\n", "gone.png is not there"),
        ("a.jsonl", "{", "cannot be read"),
        ("a.csv", "id,text\n0," + "x" * 200_000, "field larger than field limit"),
        ("a.csv", "", "a.csv is empty"),
        ("a.xlsx", "", "ends in '.xlsx'"),
    ],
)
def test_tables_that_cannot_be_asked_about(tmp_path, name, content, word) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=word):
        read_items(tmp_path / name)


def test_what_makes_no_sense(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"no \{text\}"):
        augment([Item("0", "x")], Answers(tmp_path / "a"), tmp_path, template="Improve it")
    with pytest.raises(ConfigError, match=r"give an http\(s\) URL"):
        Endpoint("localhost", "m")
    with pytest.raises(ConfigError, match="URL and a model"):
        Endpoint("http://localhost", "")


def test_rows_of_features_stand_in_the_order_of_the_data_set() -> None:
    texts = {"2": "c", "0": "a", "1": "b"}
    assert in_order(texts, np.arange(3), "toy") == ["a", "b", "c"]
    with pytest.raises(DataError, match="1 of 4 items of toy have no text, first item 3"):
        in_order(texts, np.arange(4), "toy")


def test_an_encoder_needs_the_data_set(table, tmp_path, capsys) -> None:
    command = ["data", "augment-text", str(table), "--out", str(tmp_path / "out"), "--answers", "x", "--encoder", "e"]
    assert main(command) == 2 and "name it with --data" in capsys.readouterr().err


def test_answers_that_were_changed_are_read_anew(table, tmp_path) -> None:
    answers, items = tmp_path / "answers.jsonl", read_items(table)
    for text in ("old", "new"):
        answers.write_text("".join(json.dumps({"id": n, "text": f"{text}\u2028{n}"}, ensure_ascii=False) + "\n"
                                   for n in range(3)))  # fmt: skip
        found = augment(items, Answers(answers), tmp_path / "out")
        assert found.asked == 3 and found.texts["1"] == f"{text} 1"
    assert augment(items, Answers(answers), tmp_path / "out").asked == 0


def test_json_lines_may_leave_columns_out(tmp_path) -> None:
    (tmp_path / "1.png").write_bytes(PICTURE)
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": 0, "text": "a"}\n{"id": 1, "text": "b", "image": "1.png"}\n')
    assert [item.image is None for item in read_items(path)] == [True, False]


def test_the_key_is_never_told(service, table, tmp_path) -> None:
    assert Endpoint("http://x", "m", key="secret\r\n").key == "secret"
    with pytest.raises(ConfigError) as told:
        Endpoint("http://x", "m", key="sec\rret")
    assert "ret" not in str(told.value)
    wrong = Endpoint("http://localhost:80a/v1", "m", tries=1)
    with pytest.raises(DataError, match="failed for item 0"):
        augment(read_items(table), wrong, tmp_path / "out")


def test_files_of_other_programs(tmp_path, capsys) -> None:
    """A byte-order mark is no part of a name, null no answer, and prompts are UTF-8."""
    table, answers, prompt = tmp_path / "items.csv", tmp_path / "answers.jsonl", tmp_path / "prompt.txt"
    table.write_text("\ufeffid,text\r\n0,a\r\n1,b\r\n", encoding="utf-8")
    assert [item.text for item in read_items(table)] == ["a", "b"]
    answers.write_text('\ufeff{"id": 0, "text": "A"}\n{"id": 1, "text": null}\n', encoding="utf-8")
    with pytest.raises(DataError, match="has no answer for item 1"):
        augment(read_items(table), Answers(answers), tmp_path / "out")
    prompt.write_bytes("Schöner: {text}".encode("latin-1"))
    command = ["data", "augment-text", str(table), "--out", str(tmp_path / "out"), "--answers", str(answers)]
    assert main([*command, "--prompt", str(prompt)]) == 2 and "line 1 is not UTF-8" in capsys.readouterr().err
