"""Bodies of chat requests: messages, sampling parameters, and what a known model's server needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from assistant.servers.catalogue import ServerModel
from assistant.servers.limits import Limits
from assistant.servers.messages import as_json, messages, without_system
from assistant.servers.pictures import KnownPictures, ServerPictures, picture_url
from assistant.servers.thoughts import Habits, switches
from assistant.values.chances import OTHERS
from assistant.values.conversation import Role
from assistant.values.events import Progressed, Stage
from assistant.values.generation import Pixels
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import PARAMETERS, Sampling

MOST_STOPS = 4
"""Stop texts that the API takes; the engine finds all of them by itself, too."""

CROPS = "mm_processor_kwargs"
"""Field of vLLM's requests with the number of crops."""


class PictureUrls:
    """Data URLs of the pictures of one chat: those of the last prompt are kept."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._urls: dict[Slot, str] = {}

    def clear(self) -> None:
        """Make all of them again, because the server takes no such ones."""
        self._urls.clear()

    def encode(
        self, prompt: Prompt, form: ServerPictures, pixels: Callable[[str], Pixels]
    ) -> Iterator[Progressed]:
        """Make those of the prompt's pictures that are missing."""
        slots = list(dict.fromkeys(prompt.slots))
        missing = [slot for slot in slots if slot not in self._urls]
        for done, slot in enumerate(missing):
            yield Progressed(Stage.PICTURES, done, len(missing))
            shown = pixels(slot.pixels_sha256)
            limits = self._limits
            self._urls[slot] = picture_url(
                shown, form, slot.detail, halved=limits.halved, only=limits.kind
            )
        self._urls = {slot: self._urls[slot] for slot in slots}

    def of(self, slot: Slot) -> dict[str, str] | str:
        """Return the address of a picture, as a message has it."""
        url = self._urls[slot]
        return {"url": url} if self._limits.takes_url_objects else url


def body_of(
    prompt: Prompt,
    sampling: Sampling,
    found: ServerModel,
    form: ServerPictures,
    limits: Limits,
    habits: Habits,
    urls: PictureUrls,
) -> dict[str, Any]:
    """Return the request for a reply, without what this server is known to refuse."""
    said = messages(prompt, alone=limits.asks_alone)
    if not limits.takes_system:
        said = without_system(said)
    chosen = {
        one.request: getattr(sampling, name)
        for name, one in PARAMETERS.items()
        if one.request and not (one.only_if_set and getattr(sampling, name) == one.default)
    }
    if "stop" in chosen:
        chosen["stop"] = chosen["stop"][:MOST_STOPS]
    if said[-1].role is Role.ASSISTANT:
        chosen.pop("response_format", None)  # it would ask for a second JSON within the first
    elif sampling.schema:
        answer = {"name": "answer", "strict": True, "schema": json.loads(sampling.schema)}
        chosen["response_format"] = {"type": "json_schema", "json_schema": answer}
    if said[-1].role is Role.ASSISTANT and found.owner == "vllm":
        # others take a last message of the assistant for the beginning of the reply, or don't
        chosen |= {"continue_final_message": True, "add_generation_prompt": False}
    request = {
        "model": found.address.model,
        "messages": [as_json(one, urls.of) for one in said],
        "stream": True,
        "stream_options": {"include_usage": True},
        "logprobs": True,
        "top_logprobs": OTHERS + 1,  # the chosen one is among them
        **chosen,
        **switches(sampling.thinking, found.address, found.owner, habits),
        **_of_known(prompt, found, form),
    }
    return limits.without_refused(request)


def _of_known(prompt: Prompt, found: ServerModel, form: ServerPictures) -> dict[str, Any]:
    """Return the fields with which vLLM does for a model that we know as its authors do.

    Its chat template has no beginning of the text (BOS), and none is added unasked;
    phichat-vllm's has one, and is asked to leave it to the tokenizer. The number of crops is
    one for the whole request.
    """
    if found.owner != "vllm" or not isinstance(form, KnownPictures):
        return {}
    fields = {"add_special_tokens": True, "chat_template_kwargs": {"bos": False}}
    most = max((slot.detail for slot in prompt.slots), default=form.own)
    return fields | ({CROPS: {"num_crops": most}} if most != form.own else {})
