"""More words of refusals: other languages, codes alone, gateways, misleading statuses."""

from __future__ import annotations

import pytest

from assistant.servers import lessons
from tests.servers.test_lessons import error, learned

LENGTHS = [
    (
        400,
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's "
            "maximum context length is 8192 tokens and your request has 5000 input "
            "tokens (4096 > 8192 - 5000)."
        ),
        8192,
    ),
    (400, {"message": "#/messages: input exceeds 24000 character limit"}, None),
    (
        424,
        {"error": ("Request failed during generation: Server error: Ran out of KV cache blocks")},
        None,
    ),
    (
        500,
        {
            "error": {
                "message": "the input prompt is larger than the KV cache",
                "type": "server_error",
            }
        },
        None,
    ),
    (500, "KV cache is full", None),
    (400, "Input text is longer than 16384 tokens", 16384),
    (
        400,
        ("El contexto máximo de este modelo es de 4096 tokens, pero su petición tiene 5000."),
        4096,
    ),
    (
        400,
        (
            "La longueur maximale du contexte de ce modèle est de 4096 jetons ; votre "
            "requête en compte 5000."
        ),
        4096,
    ),
    (
        400,
        ("Die maximale Kontextlänge dieses Modells beträgt 4096 Token, Ihre Anfrage hat 5000."),
        4096,
    ),
    (400, "Превышена максимальная длина контекста: 5000 токенов при лимите 4096", 4096),
    (400, "このモデルの最大コンテキスト長は4096トークンです。リクエストは5000トークンです。", 4096),
    (400, "모델의 최대 컨텍스트 길이 4096 토큰을 초과했습니다 (5000).", 4096),
    (400, "输入内容超出模型最大长度限制，最大 8192 tokens", 8192),
    (400, "输入tokens数量过多，最大支持4096", 4096),
    (400, {"error": {"code": "1261", "message": "Prompt 长度超过限制"}}, None),
    (
        400,
        {
            "error": {
                "code": "tokens_too_long",
                "message": ("Messages token length must be in (0, 1048576], but got 2000000"),
            }
        },
        1048576,
    ),
    (400, {"errorCode": "context_length_exceeded", "message": "Request rejected"}, None),
    (400, {"error": {"message": "Bad request", "code": "context_length_exceeded"}}, None),
    (400, {"error": {"message": "Bad request", "type": "exceed_context_size_error"}}, None),
    (413, {"error": ("Request entity too large: prompt has 9000 tokens, the limit is 8192")}, 8192),
    (400, {"detail": "Context window exceeded: requested 9000, available 8192"}, 8192),
    (400, "Context length exceeded: you have used 12,345 of 8,192 available tokens", 8192),
    (400, {"error": {"message": "tokenized prompt length 9000 > 8192"}}, 8192),
    (400, {"error": {"message": "messages exceed model's input size"}}, None),
    (
        413,
        {
            "error": {
                "message": ("Request body too large for gpt-4o-mini model. Max size: 8000 tokens."),
                "code": "tokens_limit_reached",
            }
        },
        8000,
    ),
]
PICTURES = [
    (400, "Found 6 images in the messages, but this model only supports 5 images", 5),
    (400, "Demasiadas imágenes: máximo 4", 4),
    (400, "Zu viele Bilder: höchstens 2 pro Anfrage", 2),
    (400, "Слишком много изображений: не более 4", 4),
    (400, "画像は最大2枚までです", 2),
    (400, "Dieses Modell unterstützt keine Bilder.", 0),
    (400, "Este modelo no admite imágenes.", 0),
    (400, "Ce modèle ne prend pas en charge les images.", 0),
    (400, "Модель не поддерживает изображения", 0),
    (400, "このモデルは画像入力をサポートしていません", 0),
    (400, "이 모델은 이미지를 지원하지 않습니다", 0),
    (400, "Cannot process multimodal content: model was loaded without mmproj", 0),
    (
        400,
        (
            "json: cannot unmarshal array into Go struct field "
            "ChatMessage.messages.content of type string"
        ),
        0,
    ),
    (400, "invalid type: sequence, expected a string at line 1 column 52", 0),
    (400, "The model `x` can't process images. Use a vision-capable model.", 0),
    (400, "Image inputs are disabled for this deployment", 0),
    (400, "this model is text only", 0),
    (400, "Model is not vision capable", 0),
    (501, "images: not implemented", 0),
    (
        400,
        {
            "errors": [
                {
                    "message": (
                        "AiError: Bad input: Error: oneOf at '/' not met, 0 "
                        "matches: required properties at '/' are 'prompt', Type "
                        "mismatch of '/messages/0/content', 'array' not in "
                        "'string'"
                    ),
                    "code": 5006,
                }
            ],
            "success": False,
            "result": {},
            "messages": [],
        },
        0,
    ),
]
SIZES = [
    (400, "Image is 4000x3000 which exceeds the maximum resolution 1568"),
    (400, "image longest side must be <= 1568 px"),
    (400, "Image resolution too high"),
    (400, {"error": {"message": "base64 image string too long: 9,437,184 > 5,242,880"}}),
    (400, "L'image dépasse la taille maximale de 4 Mo"),
    (400, "data URI exceeds 4194304 chars"),
]
SYSTEM = [
    (400, "Input should be 'user' or 'assistant' (messages.0.role)"),
    (400, "Conversation must start with a user message"),
    (400, "A conversation must start with a user message."),
    (400, "Please ensure that multiturn requests alternate between user and model."),
]
FIELDS = [
    (400, "KeyError: 'output_top_logprobs'", "top_logprobs"),
    (400, "log probabilities are not available for this model", "logprobs"),
    (400, "Stream options can only be defined when `stream=True`.", "stream_options"),
    (400, "unrecognized key 'include_usage'", "stream_options"),
    (400, "include_usage is not supported", "stream_options"),
    (400, "streamed responses are not supported for this model", "stream"),
    (400, "enable_thinking is not a recognised parameter", "chat_template_kwargs"),
    (403, {"error": {"message": "You are not allowed to use stream_options"}}, "stream_options"),
]
FILTERS = [
    (
        403,
        {
            "error": {
                "message": "Your input was flagged by moderation",
                "metadata": {"reasons": ["violence"]},
            }
        },
    ),
    (400, {"error": {"message": "Content Exists Risk"}}),
    (400, {"error": {"message": "Prompt blocked: PROHIBITED_CONTENT"}}),
    (400, {"error": {"message": "The request was blocked by guardrails", "code": "guardrail"}}),
    (400, {"error": {"message": "输入内容包含违禁词"}}),
]
HOPELESS = [
    (
        400,
        {
            "error": {
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
            }
        },
        "unauthorized",
    ),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key expired. Please renew the API key.",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        "unauthorized",
    ),
    (
        404,
        {
            "error": {
                "message": ("The model `x` does not exist or you do not have access to it."),
                "code": "model_not_found",
            }
        },
        "no_such_model",
    ),
    (404, {"error": {"message": "model 'x' not found, try pulling it first"}}, "no_such_model"),
    (400, {"error": {"message": "x is not a valid model ID", "code": 400}}, "no_such_model"),
    (
        400,
        {
            "error": {
                "message": ("The model `x` has been decommissioned and is no longer supported."),
                "code": "model_decommissioned",
            }
        },
        "no_such_model",
    ),
    (
        400,
        {
            "error": {
                "message": (
                    "invalid model name passed in model=x. Call `/v1/models` "
                    "to view available models for your key."
                )
            }
        },
        "no_such_model",
    ),
    (
        400,
        {
            "error": {
                "message": (
                    "Your credit balance is too low to access the API. Please "
                    "go to Plans & Billing to upgrade or purchase credits."
                )
            }
        },
        "refused",
    ),
    (400, {"error": {"message": "Insufficient Balance"}}, "refused"),
]
EARLIER = [
    (400, "Images can only be attached to the last message"),
    (400, "messages.2.content.0: image blocks are only allowed in the final user turn"),
]


def found(status: int, said: object) -> Exception:
    return learned(status, error(said) if isinstance(said, str) else said)


@pytest.mark.parametrize(("status", "said", "limit"), LENGTHS, ids=str)
def test_a_length(status: int, said: object, limit: int | None) -> None:
    refusal = found(status, said)
    assert isinstance(refusal, lessons.ContextExceededError), refusal
    assert refusal.limit == limit


def test_a_count_that_leaves_too_little_room_is_read() -> None:
    refusal = found(*LENGTHS[0][:2])
    assert isinstance(refusal, lessons.ContextExceededError)
    assert (refusal.limit, refusal.counted) == (8192, 5000)


@pytest.mark.parametrize(("status", "said", "most"), PICTURES, ids=str)
def test_pictures(status: int, said: object, most: int) -> None:
    refusal = found(status, said)
    assert isinstance(refusal, lessons.PicturesRefusedError), refusal
    assert refusal.most == most


@pytest.mark.parametrize(("status", "said", "field"), FIELDS, ids=str)
def test_a_field(status: int, said: object, field: str) -> None:
    refusal = found(status, said)
    assert isinstance(refusal, lessons.NotTakenError), refusal
    assert field in refusal.fields


@pytest.mark.parametrize(("status", "said", "code"), HOPELESS, ids=str)
def test_what_no_other_request_helps_against(status: int, said: object, code: str) -> None:
    refusal = found(status, said)
    assert isinstance(refusal, lessons.HopelessError), refusal
    assert refusal.code == code


OTHERS = [
    *((lessons.TooLargeError, *row) for row in SIZES),
    *((lessons.SystemRefusedError, *row) for row in SYSTEM),
    *((lessons.FilteredError, *row) for row in FILTERS),
    *((lessons.EarlierPicturesRefusedError, *row) for row in EARLIER),
]


@pytest.mark.parametrize(("kind", "status", "said"), OTHERS, ids=str)
def test_another_lesson(kind: type[Exception], status: int, said: object) -> None:
    refusal = found(status, said)
    assert isinstance(refusal, kind), refusal
