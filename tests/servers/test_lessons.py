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
    ("Your prompt exceeds the context window by 904 tokens", None, None),
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


def relayed(words: str) -> dict[str, object]:
    """The refusal of a vendor behind OpenRouter."""
    metadata = {"raw": json.dumps(error(words), indent=2), "provider_name": "Azure"}
    return {"error": {"message": "Provider returned error", "code": 400, "metadata": metadata}}


def aws(words: str) -> dict[str, object]:
    return {"message": f"The model returned the following errors: {words}"}


MORE_LENGTHS = [
    (400, error("This endpoint's maximum context length is 163840 tokens. However, you requested "
                "about 172900 tokens (4429 of text input, 4631 of tool input, 163840 in the "
                "output). Please reduce the length of either one."), 163840),
    (400, error("Please reduce the length of the messages or completion. Current length is 9120 "
                "while limit is 8192"), 8192),
    (400, error("This model's maximum prompt length is 131072 but the request contains 537812 "
                "tokens."), 131072),
    (400, error("prompt token count of 140000 exceeds the limit of 128000"), 128000),
    (400, error("invalid params, context window exceeds limit (2013)"), None),
    (400, error("Your request exceeded model token limit: 262144 (requested: 291351)"), 262144),
    (400, {"message": "Input is too long for requested model."}, None),
    (400, {"message": "Too many input tokens. Max input tokens: 8192, request input token count: "
                      "9279 "}, 8192),
    (400, relayed("This model's maximum context length is 4096 tokens. However, your messages "
                  "resulted in 5000 tokens."), 4096),
    (400, error("the request exceeds the available context size, try increasing it", n_ctx=4096,
                n_prompt_tokens=5041), 4096),
    (400, {"message": "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or "
                      "fewer inputs. The limit for this model is 128000 tokens."}, 128000),
    (400, error("<400> InternalError.Algo.InvalidParameter: Range of input length should be "
                "[1, 129024]"), 129024),
    (400, {"error": {"code": "1261", "message": "Prompt 超长"}}, None),
    (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, None),
    (500, {"detail": "Request (9000 tokens) longer than context window (8192)"}, 8192),
    (400, error("Invalid 'messages[0].content': string too long. Expected a string with maximum "
                "length 1048576, but got a string with length 1500000 instead."), 1048576),
    (500, error("RuntimeError: The sequence length 5000 exceeds the max_num_tokens 4096"), 4096),
    (400, error("Prompt length 5000 should not exceed max_num_tokens (4096)"), 4096),
    (500, error("rpc error: code = Unknown desc = the prompt is too long for the context size "
                "(4096)"), 4096),
    (400, error("input tokens exceed the configured limit of 272000 tokens. Your messages resulted "
                "in 300000 tokens."), 272000),
    (413, error("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested "
                "9000, please reduce your message size"), 6000),
    (400, error("Input exceeds the model's capacity: 12000 tokens given, max_input_tokens=8192"),
     8192),
    (400, error("The total token length (prompt + max_tokens) of 9000 is greater than the maximum "
                "of 8192"), 8192),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "limit"), MORE_LENGTHS)
def test_a_length_in_the_words_of_vendors(status: int, said: object, limit: int | None) -> None:
    found = learned(status, said)
    assert isinstance(found, lessons.ContextExceededError), found
    assert found.limit == limit


MORE_PICTURES = [
    (400, relayed("Exceeded maximum number of images (50) allowed in the request."), 50),
    (400, error("Too many images in request: 11 images provided, but the model supports a maximum "
                "of 10 images."), 10),
    (500, error("too many images in the message, max allowed is 16"), 16),
    (400, error("too many images and documents: 120 + 0 > 100"), 100),
    (400, error("Too much media: 0 document pages + 107 images > 100"), 100),
    (400, aws("messages: too many images: image_count > 20"), 20),
    (400, error("Number of images in the request 5 should be less than or equal to 3"), 3),
    (400, error("Can only get 3 images, but the model allows 2"), 2),
    (400, {"error": {"code": "1210", "message": "图片数量超过限制，最多支持 5 张"}}, 5),
    (400, {"message": "This model doesn't support the image content block that you provided."}, 0),
    (400, {"error": "Unknown modality: image"}, 0),
    (500, {"code": 500, "message": 'Failed to parse messages: Unsupported content part type: '
                                   '"image_url"; messages = [ { "role": "user" } ]'}, 0),
    (500, error('can only concatenate str (not "list") to str'), 0),
    (400, error("Invalid content type. image_url is only supported by certain models."), 0),
    (422, {"detail": [{"type": "string_type", "loc": ["body", "messages", 0, "content"],
                       "msg": "Input should be a valid string"}]}, 0),
    (400, error("image_url content is not permitted for text models"), 0),
    (400, error("mlx_lm only supports 'text' content type."), 0),
    (404, error("Only 'text' content type is supported."), 0),
    (400, "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`", 0),
    (400, error("该模型不支持图片输入"), 0),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "most"), MORE_PICTURES)
def test_pictures_in_the_words_of_vendors(status: int, said: object, most: int | None) -> None:
    found = learned(status, said)
    assert isinstance(found, lessons.PicturesRefusedError), found
    assert found.most == most


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (413, ""),
        (413, {"error": {"message": "failed to parse request", "code": ""}}),
        (400, aws("messages.0.content.2.image: image exceeds 5 MB maximum: 7167852 bytes")),
        (400, {"message": "1 validation error detected: Value at 'body' failed to satisfy "
                          "constraint: Member must have length less than or equal to 25000000"}),
        (400, error("Exceeded limit on max bytes per data-uri item : 10485760")),
        (400, error("PayloadTooLargeError: request entity too large")),
        (500, "Maximum request body size 1048576 exceeded, actual body size 2000000"),
    ],
)  # fmt: skip
def test_a_size_in_the_words_of_vendors(status: int, said: object) -> None:
    assert isinstance(learned(status, said), lessons.TooLargeError)


@pytest.mark.parametrize(
    ("status", "said", "field"),
    [
        (400, {"message": "Malformed input request: #: extraneous key [stream_options] is not "
                          "permitted, please reformat your input and try again."},
         "stream_options"),
        (400, error("litellm.UnsupportedParamsError: bedrock does not support parameters: "
                    "['logprobs', 'top_logprobs'], for model=x."), "logprobs"),
        (403, error("You are not allowed to request logprobs from this model"), "logprobs"),
        (400, {"error": {"message": "Logprobs is not enabled for models/gemini-2.0-flash"}},
         "logprobs"),
        (400, {"message": "The maximum tokens you requested exceeds the model limit of 4096. Try "
                          "again with a maximum tokens value that is lower than 4096."},
         "max_tokens"),
        (400, error("Range of max_tokens should be [1, 8192]"), "max_tokens"),
        (400, "unknown field `logprobs`, expected one of `messages`, `model`", "logprobs"),
    ],
)  # fmt: skip
def test_a_field_in_the_words_of_vendors(status: int, said: object, field: str) -> None:
    found = learned(status, said)
    assert isinstance(found, lessons.NotTakenError), found
    assert field in found.fields


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "The response was filtered due to the prompt triggering Azure "
                              "OpenAI's content management policy.", "code": "content_filter"}},
        {"error": {"message": "No.", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        error("Your request was rejected as a result of our safety system."),
        error("Output data may contain inappropriate content.", code="data_inspection_failed"),
        {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}},
    ],
)  # fmt: skip
def test_a_filter(said: object) -> None:
    found = learned(400, said)
    assert found.args[0].endswith("begin a new chat.")
    assert isinstance(found, lessons.FilteredError)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "404 page not found", "There is no OpenAI-compatible server"),
        (404, "<html>Not found</html>", "There is no OpenAI-compatible server"),
        (400, "<html>Bad</html>", "refuses this (error 400)."),
        (400, "Bad Request", "refuses this (error 400)."),
        (400, "your client is too old", "(error 400): your client is too old"),
        (402, error("It requires more credits, or fewer max_tokens."), "wants to be paid"),
        (529, error("Overloaded"), "try again"),
    ],
)  # fmt: skip
def test_words_that_are_no_json(status: int, body: object, words: str) -> None:
    assert words in str(learned(status, body))
