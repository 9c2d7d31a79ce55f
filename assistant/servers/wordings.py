"""Words of refusals, as servers, gateways and vendors were heard to use them."""

from __future__ import annotations

import re

TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size|limit)|exceed_context|context.{0,20}overflow"
    r"|(?:maximum|max)[ _](?:model|prompt|input|sequence|context)[ _]len"
    r"|number of tokens allowed|token count|too many (?:input |prompt )?tokens"
    r"|(?:prompt|inputs?|messages?|conversation)\W[^.]{0,60}(?:too (?:long|large)|longer than)"
    r"|less than \d+ tokens|tokens? \+ `?max_new_tokens|reduce (?:the length|your prompt)"
    r"|(?:prompt|input|total|sequence|token)[ _-]?(?:tokens?|length|size)\b[^.]{0,60}"
    r"(?:exceed|longer|greater|more than|larger|too|maximum)|range of input length"
    r"|(?:string|chat|conversation) too long|exceeds? (?:the )?max(?:imum)? length|[超过]长|上下文"
    r"|token limit|tokens in the prompt|tokens per minute|tokens\b[^.]{0,40}(?:window is|not fit)"
    r"|\d tokens\W[^.]{0,40}(?:more than|exceed)"
    r"|\b(?:n_ctx|max_seq_len|max_(?:total|input|prompt|num)_tokens|max_position_embeddings)\b"
    r"|KV[ _-]?cache|too_long|above_max_length|tokens_limit|character limit|max_?length: \d"
    r"|longer than \d+ tokens|(?:max\w*|limit\w*|size|only)\b[^.\d]{0,30}\d{3,9} tokens"
    r"|\d tokens?\b[^.]{0,40}(?:limit|max)|prompt length \d+ >"
    r"|exceed[^.]{0,30}(?:input|prompt) size"
    # in other languages: the context, or tokens beside a limit, or "too long"
    r"|kontextl|contexto|contexte\b|contesto|контекст|コンテキスト|컨텍스트"
    r"|长度.{0,6}超|超出.{0,16}长度"
    r"|(?:jetons|token|токен|トークン|토큰)[^.。]{0,40}(?:maxim|höchst|límite|limite|лимит|上限|最大|최대)"
    r"|(?:最大|最多|最长|上限)\D{0,8}\d{3,9}(?!\d| ?(?:px|[KM]B|像素))"
    r"|zu lang\b|trop long|demasiado larg|muito long|troppo lung"
    r"|слишком (?:длин|больш)|長すぎ|너무 (?:길|긴|깁)",
    re.IGNORECASE,
)
LIMITS = (
    re.compile(
        r"(?:context (?:length|window|size|limit)|n_ctx|(?:model|prompt|input|sequence) length"
        r"|tokens allowed|must be <=|less than|exceeds?|at most|limit(?: of)?"
        r"|max(?:_(?:input|total|prompt|num)_tokens|imum|_seq_len|(?!_\w*tokens))"
        r"|more than|>|\[[0-9]+,|(?<=[0-9])/)"
        r"(?:(?!request|used|given|got)\D){0,25}?(?<!by )(?<![0-9])([0-9]{3,9})",
        re.IGNORECASE,
    ),
    re.compile(r"([0-9]{3,9})(?: tokens?)? (?:maximum|max\b|token limit|limit|available)", re.I),
    re.compile(
        r"(?:available|longer than|supports?|máxim\w*|maximal\w*|massim\w*|höchstens|límite|limite"
        r"|лимит\w*|не более|上限|最大|最多|최대|length must be in \(0, )\D{0,45}?"
        r"([0-9]{3,9})", re.I
    ),
)  # fmt: skip
COUNTED = re.compile(r"(?:has|have|resulted in|contains?) ([0-9]{2,9}) (?:input |prompt )?tokens")
"""The server's count of a prompt, also of one that leaves too little room for an answer."""
SUM = re.compile(r"[0-9]+ \+ [0-9]+ > ([0-9]{3,9})")
NUMBER = re.compile(r"(?<![\w.])(?<!by )[0-9]{3,9}(?![\w.]*\w)")
OUTPUT = re.compile(
    r"(?<!\+ )max_(?:completion_|output_|new_)?tokens\W(?:(?!context).){0,80}"
    r"(?:too large|at most|less than or equal|maximum)",
    re.IGNORECASE,
)
"""The budget of the reply is refused, not the conversation."""

_PICTURE = r"(?:images?|pictures?|photos?|image_urls?|vision|multi-?modal\w*|attachments?)"
_PICTURE_ABROAD = (
    r"(?:\bbild(?:er|ern|es)?\b|im[áa]gen\w*|imagens?\b|images?\b|immagin\w*|изображени\w*"
    r"|картин\w*|画像|이미지|图[片像]|afbeelding\w*|obraz\w*)"
)
_NOT_ABROAD = (
    r"(?:unterstützt (?:\w+ )?keine|nicht unterstützt|\bno (?:admite|soporta|acepta)"
    r"|\bne (?:prend|supporte|accepte|gère)|não (?:suporta|aceita)|non (?:supporta|accetta)"
    r"|не (?:поддерж|принима)|サポートしていません|対応していません|지원하지|不支持)"
)
ANY_PICTURE = re.compile(rf"{_PICTURE}|{_PICTURE_ABROAD}", re.IGNORECASE)
LAST_ONLY = re.compile(
    rf"{_PICTURE}[^.]{{0,50}}\b(?:last|latest|final|most recent|current)\b[^.]{{0,20}}"
    rf"(?:message|turn)|only the (?:last|latest|final|current)[^.]{{0,40}}{_PICTURE}",
    re.IGNORECASE,
)
"""Pictures are taken in the question alone."""
NO_EYES = re.compile(
    r"(?:not|n't) (?:support|accept|take|allow|handle|understand|have|see)\w*\W+(?:\w+\W+){0,3}?"
    rf"{_PICTURE}|\bno (?:vision|eyes)|not a (?:vision|multi-?modal)|text-only"
    rf"|{_PICTURE}[^.]{{0,30}}(?:(?:not|n't) (?:be )?(?:support|allow|enabl|permit|accept|availab)"
    rf"|unsupported)|{_PICTURE}[^.]{{0,20}}only (?:be )?(?:supported|available|allowed)"
    r"|(?:un(?:supported|known|expected)|invalid) [\w ]{0,24}\W{1,4}image|\(not \Wlist\W\)"
    r"|only (?:\w+ )?\W?text\W[^.]{0,20}(?:content|type|input|message)"
    r"|(?:图[片像]|视觉)[^。]{0,12}不|不支持[^。]{0,8}图"
    r"|\bno \w+ (?:found )?(?:that )?support\w* image|got \W*image|required for image"
    r"|unknown variant \W*image|content[^.]{0,40}(?:must be|should be|expected)[^.]{0,20}string"
    rf"|{_PICTURE_ABROAD}[^.。]{{0,40}}{_NOT_ABROAD}|{_NOT_ABROAD}[^.。]{{0,40}}{_PICTURE_ABROAD}"
    r"|mmproj|(?:can't|cannot|unable to) (?:process|see|read|handle) (?:\w+ )?(?:images|pictures)"
    r"|\b(?:images?|vision)\b[^.]{0,20}(?:disabled|not implemented)|\btext only\b"
    r"|not vision[ -]capable|multi-?modal\w* [^.]{0,30}only (?:be )?(?:enabled|available)"
    r"|unmarshal array into [^.]*[^ ]*content|sequence, expected a string|content\W[^.]*array",
    re.IGNORECASE,
)
SOME_EYES = re.compile(
    rf"(?:at most|up to|only|maximum|max|more than|too many|exceeds?|limit\w*|multiple|allow\w*"
    r"|\bmulti[- ]?(?=image|picture))"
    rf"[^.]{{0,60}}{_PICTURE}|{_PICTURE}[^.]{{0,60}}"
    r"(?:at most|up to|maximum|more than|exceeds?|limit|per (?:prompt|request|message)"
    r"|\bexpects?\b|greater|(?:less|fewer) than)|too much media|图[片像][^。]{0,12}(?:超|最多)",
    re.IGNORECASE,
)
_NUMERAL = r"([0-9]{1,3}|(?:a )?single|one|two|three|four|five|six|eight|ten)\b"
MOST = re.compile(
    r"(?:at most|up to|only|max(?:imum)?(?: is| of)?|limit(?: of| is)?|more than|greater than|>"
    rf"|expects?|accepts?|allows?|supports?|or equal to|最多\D{{0,4}})\W{{0,3}}{_NUMERAL}",
    re.IGNORECASE,
)
MOST_ABROAD = re.compile(
    rf"{_PICTURE_ABROAD}\D{{0,20}}(?:höchstens|maximal|máximo|massimo|au plus|maximum|не более|最大"
    r"|最多|최대)\D{0,6}([0-9]{1,3})(?! ?[KMG])",
    re.IGNORECASE,
)
HOW_MANY = re.compile(
    rf"\b{_NUMERAL}\W*(?:\(?s\)?\W*)?(?:\w+ )?{_PICTURE}"
    rf"|{_PICTURE}[^.0-9]{{0,40}}?\b([0-9]{{1,3}})\b",
    re.IGNORECASE,
)
WORDS_FOR = {
    "one": 1, "single": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "eight": 8, "ten": 10,
}  # fmt: skip
KIND = re.compile(
    r"image/\w+|\b(?:jpe?g|png)\b|(?:image|picture|file)[ _](?:format|type)|mime|media[ _]?type",
    re.IGNORECASE,
)
"""The format of a picture."""
PLAIN_URL = re.compile(
    r"image_url\W[^.]{0,40}(?:must|should|expect\w*)[^.]{0,15}\bstring", re.IGNORECASE
)
TOO_LARGE = re.compile(
    r"\b(?:payload|entity|body|request)\b[^.]{0,30}too large"
    r"|\bbody\b[^.]{0,60}(?:limit|exceed|larger|length)|max(?:imum)? bytes"
    r"|\b[0-9.]+ ?(?:[KMG]i?B|bytes|megabytes|pixels)\b|(?:file|image)[^.]{0,30}too (?:large|big)"
    r"|dimensions?[^.]{0,30}(?:exceed|too)|resolution[^.]{0,20}(?:high|large|exceed|\d)"
    r"|(?:longest|max\w*|<=|exceed\w*)[^.]{0,20}\d ?px\b"
    r"|(?:base64|data[ -]ur[il])[^.]{0,40}(?:too long|exceed)|maximum resolution"
    rf"|{_PICTURE_ABROAD}[^.。]{{0,30}}(?:zu groß|taille maximale|demasiado grande|слишком больш"
    r"|大きすぎ|너무 (?:크|큽))",
    re.IGNORECASE,
)
NO_SYSTEM = re.compile(
    r"(?:system|developer)[^.]{0,40}(?:not (?:supported|allowed|enabled|permitted)|unsupported"
    r"|is not|must not)|(?:n't support|not support|unsupported|unexpected|unknown|invalid)"
    r"[^.]{0,40}\b(?:system|developer)\b|only[^.]{0,20}user[^.]{0,20}assistant"
    r"|roles must alternate|first message[^.]{0,30}\buser\b|\broles?\b[^.]{0,60}\buser\b"
    r"|(?:permitted|one of)[^.]{0,20}\buser\b|'user' or 'assistant'|alternate between user"
    r"|start with (?:a |an )?\W?user",
    re.IGNORECASE,
)
UNWILLING = re.compile(
    r"unsupported|not (?:\w+ )?(?:support|permit|allow|accept|valid|recogni[sz]ed|known|implement"
    r"|compatible|available|enabl)|unknown|unrecogni[sz]ed|unexpected|extra|invalid|cannot|can't|n't|must"
    r"|only (?:one|use)|too (?:large|high)|forbidden|disabled|deprecated|instead|bad value"
    r"|maximum|at most|greater|less|range|not exist|no such|remove|wrong"
    r"|has to|have to|should|\bonly\b"
    r"|[≥>]|不支持|取值|nicht|не ",
    re.IGNORECASE,
)

FILTERED = re.compile(
    r"content[_ ](?:filter|management|policy|moderation)|responsible ?ai|safety (?:system|filter)"
    r"|usage polic|\bflagged\b|inspection ?failed|inappropriate content|content exists risk"
    r"|prohibited[ _]content"
    r"|(?:blocked|refused|rejected) by (?:\w+ ){0,3}(?:guardrail|moderat|safety)"
    r"|敏感|违规|违禁",
    re.IGNORECASE,
)
"""The words of the conversation are refused: the same ones are not sent again."""

NO_NUMBER = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))|\(2013\)")
"""Commas of thousands, and MiniMax's code for bad parameters."""

NO_KEY = re.compile(
    r"api[ _-]?key[^.]{0,40}(?:not valid|invalid|expired|incorrect|missing|revoked|required|wrong)"
    r"|(?:invalid|incorrect|expired|missing|wrong)[^.]{0,20}api[ _-]?key|unauthenticated",
    re.IGNORECASE,
)
"""A key that is not accepted, also with other statuses than those for it."""

NO_MODEL = re.compile(
    r"model_not_found|not a valid model|(?:invalid|unknown|no such) model\b(?! (?:input|config))"
    r"|\bmodel\b[^.]{0,60}(?:not (?:found|exist)|n't exist|decommissioned"
    r"|no longer (?:supp|avail))",
    re.IGNORECASE,
)
"""The model that was asked for is not there."""

UNPAID = re.compile(
    r"insufficient[ _](?:balance|funds|credit|quota)|(?:credit|balance)[^.]{0,20}too low"
    r"|余额不足|欠费",
    re.IGNORECASE,
)
"""Nothing is answered before it is paid, whatever is asked."""

WAIT = re.compile(
    r"(?:try again|retry|wait)\D{0,20}?(?:([0-9]+)m(?:in\w*)? ?)?([0-9.]+) ?(ms|s)", re.IGNORECASE
)
"""The wait that a busy server names in its words."""

SYNONYMS = (
    (re.compile(r"\blog[ _-]?prob(?:abilitie)?s?\b"), "logprobs"),
    (re.compile(r"output_top_logprobs"), "top_logprobs"),
    (re.compile(r"stream options|include_usage"), "stream_options"),
    (re.compile(r"stream(?:ing|ed)\b"), "stream"),
    (re.compile(r"enable_thinking"), "chat_template_kwargs"),
    (re.compile(r"max(?:imum)? (?:output |new )?tokens"), "max_tokens"),
)
"""Names of fields in other words."""
