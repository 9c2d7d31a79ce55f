"""Lessons of refusals, in the words that servers were heard to use, and in some of their kind."""

from __future__ import annotations

import json

import pytest

from assistant.servers import lessons
from assistant.servers.address import parse
from assistant.servers.refusals import refused

HERE = parse("http://127.0.0.1:1/v1#m")


def learned(status: int, said: object) -> Exception:
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    return refused(HERE, status, body, has_key=False)


def error(words: str, **more: object) -> dict[str, object]:
    return {"error": {"message": words, "type": "invalid_request_error", "code": None, **more}}


TOO_LONG = [
    ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 "
     "in the messages, 1000 in the completion). Please reduce the length of the messages.",
     4096, 5000),
    ("The decoder prompt (length 5000) is longer than the maximum model length of 1500. Make sure "
     "that `max_model_len` is no smaller than the number of text tokens.", 1500, 5000),
    ("Input validation error: `inputs` must have less than 1500 tokens. Given: 3000", 1500, 3000),
    ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 "
     "`inputs` tokens and 500 `max_new_tokens`", 4096, None),
    ("The number of tokens to keep from the initial prompt is greater than the context length "
     "(n_keep: 5223>= n_ctx: 4096).", 4096, 5223),
    ("Trying to keep the first 4000 tokens when context the overflows. However, the model is "
     "loaded with context length of only 3000 tokens, which is not enough.", 3000, 4000),
    ("prompt is too long: 215000 tokens > 200000 maximum", 200000, 215000),
    ("input length and `max_tokens` exceed context limit: 198000 + 20000 > 200000", 200000, None),
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
     1048576, 1200000),
    ("The input (5000 tokens) is longer than the model's context length (4096 tokens).",
     4096, 5000),
    ("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
     "context length", 32768, 40000),
    ("too many tokens: total number of tokens in the prompt cannot exceed 4081", 4081, None),
    ("Context size has been exceeded.", None, None),
    ("prompt tokens (9000) + max_tokens (1000) exceeds model limit (8192)", 8192, 9000),
    ("Token limit exceeded: 9000/8192", 8192, 9000),
    ("Prompt has 9000 tokens, max 8192. Please reduce your prompt", 8192, 9000),
    ("Range of input length should be [1, 30720]", 30720, None),
    ("llama_decode failed: prompt exceeds n_ctx", None, None),
    ("Sequence length 5000 exceeds max_seq_len 4096", 4096, 5000),
    ("the total number of input tokens 5000 exceeds 4096", 4096, 5000),
    ("Prompt length (5000) exceeds maximum (4096)", 4096, 5000),
    ("Your request has 9,000 tokens, which is more than the 8,192 this model reads.", 8192, 9000),
    ("Your prompt exceeds the context window by 904 tokens", None, 904),
    ("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000", 6000,
     9000),
    ("Please reduce the length of the messages or completion.", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("words", "limit", "counted"), TOO_LONG)
@pytest.mark.parametrize("shape", ["openai", "text", "detail", "list", "nested"])
def test_a_length(words: str, limit: int | None, counted: int | None, shape: str) -> None:
    said = {
        "openai": error(words),
        "text": {"error": words, "error_type": "validation"},
        "detail": {"detail": words},
        "list": [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}],
        "nested": error(json.dumps(error(words))),
    }[shape]
    found = learned(400, said)
    assert isinstance(found, lessons.ContextExceededError), found
    assert found.limit == limit
    assert found.counted == counted or counted is None


PICTURES = [
    ("At most 1 image(s) may be provided in one prompt.", 1),
    ("At most 0 image(s) may be provided in one prompt.", 0),
    ("This model supports up to 5 images per request, but 7 were provided.", 5),
    ("Too many images in request: the maximum is 20", 20),
    ("Only one image is supported.", 1),
    ("Multiple images are not supported by this model", None),
    ("messages.0.content: the number of images exceeds the limit of 3", 3),
    ("image input is not supported - hint: if this is unexpected, provide the mmproj", 0),
    ("tiny is not a multimodal model", 0),
    ("This model does not support image input.", 0),
    ("Model m doesn't support images", 0),
    ("Invalid content type. image_url is not supported for this model.", 0),
    ("Failed to deserialize the JSON body: unknown variant `image_url`, expected `text`", 0),
    ("messages[1].content must be a string", 0),
    ("Maximum number of images exceeded: 4 > 2", 2),
    ("messages: too many images: 25 (limit 20)", 20),
    ("This model can process at most five images.", 5),
    ("Got 3 images but the model expects 1", 1),
    ("the number of images must not be greater than 8", 8),
    ("Number of images (9) exceeds maximum of 8", 8),
    ("No endpoints found that support image input", 0),
    ("Invalid content type: expected text, got image_url", 0),
    ("this model is missing data required for image input", 0),
]  # fmt: skip


@pytest.mark.parametrize(("words", "most"), PICTURES)
def test_pictures(words: str, most: int | None) -> None:
    found = learned(400, error(words))
    assert isinstance(found, lessons.PicturesRefusedError), found
    assert found.most == most


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
        (413, error("Payload Too Large")),
        (400, error("image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes")),
        (
            400,
            error(
                "messages.0.content.1.image: image dimensions exceed max allowed size: 8000 pixels"
            ),
        ),
        (400, error("request body too large")),
        (400, error("Failed to buffer the request body: length limit exceeded")),
        (400, error("Image too big: 4000x3000, max 2048x2048")),
        (422, error("The image is too large, the file must be smaller than 20MiB")),
    ],
)
def test_a_size(status: int, said: object) -> None:
    assert isinstance(learned(status, said), lessons.TooLargeError)


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        'Error rendering prompt with jinja template: "System role not supported".',
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "messages[0].role: unknown variant, does not support 'system'",
        "messages.0.role: value is not a valid enumeration member; permitted: 'user', 'assistant'",
        "First message must be from user",
        "Please use a valid role: user, model.",
    ],
)
def test_a_system_message(words: str) -> None:
    assert isinstance(learned(400, error(words)), lessons.SystemRefusedError)


FIELDS = [
    (error("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
           "'max_completion_tokens' instead."), "max_tokens"),
    (error("`temperature` and `top_p` cannot both be specified for this model."), "top_p"),
    (error("Unsupported value: 'temperature' does not support 0 with this model."), "temperature"),
    ({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc":
      ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}}, "stream_options"),
    ({"detail": [{"loc": ["body", "seed"], "msg": "field not known"}]}, "seed"),
    (error("Unrecognized request argument supplied: stream_options"), "stream_options"),
    (error("property 'min_p' is unsupported"), "min_p"),
    (error("Unknown field: stream_options", param="stream_options"), "stream_options"),
    (error("max_tokens is too large: 100000. This model supports at most 16384 completion tokens"),
     "max_tokens"),
    (error("max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens"),
     "max_tokens"),
    (error("Streaming is not supported: set stream to false"), "stream"),
    ([{"error": {"code": 400, "message": 'Invalid JSON payload. Unknown name "seed": Cannot find '
      'field.', "status": "INVALID_ARGUMENT"}}], "seed"),
    (error("property stream_options does not exist in schema"), "stream_options"),
    (error("Sorry, top_k isn't something we know"), "top_k"),
    (error("seed: no such option"), "seed"),
    (error("streamOptions: what is that?"), "stream_options"),
    (error("Please remove top-p from your request"), "top_p"),
    ("{\"detail\": \"stop must be a list of at most 4 strings\"}", "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "field"), FIELDS)
def test_a_field(said: object, field: str) -> None:
    found = learned(400, said)
    assert isinstance(found, lessons.NotTakenError), found
    assert field in found.fields


@pytest.mark.parametrize(
    ("words", "wants_plain_url"),
    [
        ("Unsupported image format: jpeg", False),
        ("invalid media type image/png; use JPEG or WebP", False),
        ("Invalid MIME type: only image/png is accepted", False),
        ("messages content image_url: Input should be a valid string", True),
        ("`image_url` must be a string", True),
    ],
)
def test_a_format_of_pictures(words: str, wants_plain_url: bool) -> None:
    found = learned(400, error(words))
    assert isinstance(found, lessons.KindRefusedError)
    assert found.wants_plain_url is wants_plain_url


@pytest.mark.parametrize(
    "words",
    ["Could not process image", "Provider disconnected", "Internal error", "Bad luck today"],
)
def test_other_words_teach_nothing_about_the_request(words: str) -> None:
    found = learned(400, error(words))
    fields = getattr(found, "fields", frozenset())
    assert not fields & {"temperature", "top_p", "stream", "stop", "seed", "max_tokens"}
    assert not isinstance(found, (lessons.PicturesRefusedError, lessons.ContextExceededError))
