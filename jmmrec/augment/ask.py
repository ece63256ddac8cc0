"""Whom to ask: any endpoint that speaks the chat-completions protocol, or a file of answers made elsewhere."""

import base64
import dataclasses
import functools
import hashlib
import http.client
import json
import mimetypes
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from jmmrec.augment.items import Item
from jmmrec.data.files import read_text
from jmmrec.errors import ConfigError, DataError, check_range, check_whole

AGAIN = (408, 409, 429, 500, 502, 503, 504)


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A chat-completions service.

    Attributes:
      url: up to and without `/chat/completions`. model: its name there. key: sent as bearer token, if any; never
        written anywhere. timeout: seconds for one answer. tries: in all, where the service is busy or fails; the
        waits between double from `wait` seconds.

    >>> Endpoint("http://localhost:8000/v1", "some-model").name
    'some-model at http://localhost:8000/v1'
    """

    url: str
    model: str
    key: str = dataclasses.field(default="", repr=False)
    timeout: float = 120.0
    tries: int = 5
    wait: float = 1.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            what = f"{self.url!r}, its model {self.model!r}"
            raise ConfigError(f"the endpoint is {what}; give an http(s) URL and a model.")
        object.__setattr__(self, "key", self.key.strip())
        if not (self.key.isascii() and self.key.isprintable()):  # or the refusal of the header would quote it
            raise ConfigError("the key of the endpoint holds characters that no header can carry; set it again.")
        check_range("timeout", self.timeout, 0, float("inf"), open_low=True)
        check_whole("tries", self.tries, 1, 100)

    @property
    def name(self) -> str:
        """Who answers."""
        return f"{self.model} at {self.url}"

    def source(self, item: Item) -> str:
        """What an answer depends on, beside the question."""
        return self.name

    def answer(self, item: Item, template: str) -> str:
        """The improved text.

        Raises:
          DataError: the service refuses, does not answer, or answers with nothing; what was answered before is kept.
        """
        content: list[dict[str, Any]] = [{"type": "text", "text": item.prompt(template)}]
        if item.image is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": _inline(item.image)}})
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": content}]}).encode()
        found = self._post(body, item)
        try:
            text = str(found["choices"][0]["message"]["content"] or "").strip()
        except (KeyError, IndexError, TypeError):
            text = ""
        if not text:
            raise DataError(f"{self.name} answered nothing for item {item.id}; look at the service, then call again.")
        return " ".join(text.split())

    def _post(self, body: bytes, item: Item) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        reason = ""
        for number in range(self.tries):
            if number:
                time.sleep(self.wait * 2 ** (number - 1))
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.reason}"
                if error.code not in AGAIN:
                    break
            except (OSError, ValueError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", error))
        raise DataError(
            f"{self.name} failed for item {item.id} ({reason}); what was answered before is kept: call again to go on."
        )


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers made elsewhere: JSON lines with `id` and `text`.

    Attributes:
      path: of the file.
    """

    path: Path

    @property
    def name(self) -> str:
        """Who answers."""
        return f"the file {Path(self.path).name}"

    def source(self, item: Item) -> str:
        """The answer itself: a file that was changed is read anew."""
        text = self._texts().get(item.id, "")
        return f"{self.name} {hashlib.sha256(text.encode()).hexdigest()}"

    def _texts(self) -> dict[str, str]:
        path = Path(self.path)
        return _texts(path, path.stat().st_mtime_ns if path.exists() else 0)

    def answer(self, item: Item, template: str) -> str:
        """The text in the file.

        Raises:
          DataError: the file cannot be read or lacks the item.
        """
        texts = self._texts()
        if item.id not in texts:
            raise DataError(f"{self.path} has no answer for item {item.id}; add a line with its id and text.")
        return " ".join(texts[item.id].split())


@functools.lru_cache(maxsize=4)
def _texts(path: Path, changed: int) -> dict[str, str]:
    """Of the file as it was at that time; read once for all items."""
    try:
        lines = [json.loads(line) for line in read_text(path).split("\n") if line.strip()]
        return {str(line["id"]): str(line["text"]) for line in lines if line["text"]}  # null is no answer
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); give JSON lines with id and text.") from error


def _inline(image: Path) -> str:
    kind = mimetypes.guess_type(image.name)[0] or "image/jpeg"
    return f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode()}"
