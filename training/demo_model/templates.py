"""Question templates about one picture, as grammars (see `grammar`)."""

# ruff: noqa: E501 (one grammar or question a line, whatever its length)

from __future__ import annotations

TELL = (
    "(please |can you |could you |would you |could you please |can you please |)"
    "(tell me|say|name|give me|let me know|state|identify)"
)
"""The beginning of a request that goes on with a noun phrase."""

WONDER = (
    "((please |can you |could you |can you please |could you please |)(tell me|say|see|tell|let me know)"
    "|do you know|do you see|i (want|would like|'d like|need) to know|tell me please|any idea|i wonder|i am asking"
    "|what would you say, |so|and|ok,|look,|hey,|now|well,|question:)"
)
"""The beginning of a request that goes on with an indirect question."""

COLOUR = "(colour|color|colour|color|hue|shade)"
KIND = (
    "(shape|kind of shape|type of shape|geometric shape|figure|geometric figure|form|sort of shape)"
)
THING = "(shape|object|thing|figure|item|form|one)"
HERE = "( in (the|this|that) (picture|image|photo|drawing)| here| shown| in it| on the (picture|image)| you see| there|||||||)"
WHAT = "(what|which)"
IS = "( is|'s)"

# {s} is the name of a shape ("circle"), {c} of a colour ("red"); {at} is where ("" or " in the first picture").

SYNONYMS = {
    "circle": ("disc", "disk", "dot", "round shape"),
    "square": ("box", "rectangle"),
    "triangle": ("triangular shape",),
    "star": ("star shape",),
}
"""Other names of the shapes, used now and then in questions and never in replies."""

COLOUR_OF_KIND = (
    f"what {COLOUR} is the {{s}}{{at}}",
    f"what {COLOUR} is the {{s}}{{at}}",
    f"{WHAT}{IS} the {COLOUR} of the {{s}}{{at}}",
    f"which {COLOUR} (is|has) the {{s}}{{at}}",
    f"{WHAT} {COLOUR} does the {{s}}{{at}} have",
    f"(the |){COLOUR} of the {{s}}{{at}}",
    f"{TELL} the {COLOUR} of the {{s}}{{at}}",
    f"{WONDER} {WHAT} {COLOUR} the {{s}}{{at}} (is|has)",
    f"{WONDER} what the {COLOUR} of the {{s}}{{at}} is",
    "the {s}{at} (is|has) (what|which) " + COLOUR,
    f"(in|with) {WHAT} {COLOUR} is the {{s}}{{at}} (drawn|painted|filled|shown|coloured|colored)",
    "how is the {s}{at} (coloured|colored|painted)",
    f"how would you describe the {COLOUR} of the {{s}}{{at}}",
    f"what {COLOUR} would you (say|call) the {{s}}{{at}}( is|)",
    f"there is a {{s}}{{at}}(, |. ){WHAT} {COLOUR} is it",
    f"i see a {{s}}{{at}}. {WHAT} {COLOUR} is it",
    f"look at the {{s}}{{at}}(, |. |: ){WHAT} {COLOUR} is it",
    "{s}{at} " + COLOUR,
    "{s} " + COLOUR,
)

KIND_OF_COLOUR = (
    f"{WHAT} {KIND} is {{c}}{{at}}",
    f"which {THING} is {{c}}{{at}}",
    f"{WHAT} (shape|figure|object|thing) is (the |){{c}} (one|){{at}}",
    f"{WHAT}{IS} the {KIND} of the {{c}} {THING}{{at}}",
    f"{WHAT}{IS} (the|that) {{c}} {THING}{{at}}",
    f"{WHAT} {KIND} does the {{c}} {THING}{{at}} have",
    f"{WHAT} {KIND} is the {{c}} {THING}{{at}}",
    f"{TELL} the (shape|form|kind) of the {{c}} {THING}{{at}}",
    f"{TELL} {WHAT} (shape|figure) is {{c}}{{at}}",
    f"{WONDER} {WHAT} {KIND} (the {{c}} {THING}{{at}} is|is {{c}}{{at}})",
    "what is {c}{at}",
    "what('s| is) {c}{at}",
    "what('s| is) the {c} (thing|shape|object){at}",
    f"what kind of {THING} is {{c}}{{at}}",
    "which of the (shapes|figures|things) is {c}{at}",
    "the {c} (one|shape|thing){at}(, what|: what| is what|, which) (shape|figure)( is it|)",
    "what form has the {c} (shape|thing|one){at}",
    "{c} (shape|thing|one){at}",
)

COLOUR_ASKED = (
    f"what {COLOUR} is (it|this|that|the {THING}|this {THING}){{at}}",
    f"what {COLOUR} is (the|this) {THING}{{at}}",
    f"{WHAT}{IS} the {COLOUR} of (the|this) {THING}{{at}}",
    f"{WHAT} {COLOUR} does the {THING}{{at}} have",
    f"(the |){COLOUR} of the {THING}{{at}}",
    f"{TELL} the {COLOUR} (of the {THING}|){{at}}",
    f"{WONDER} {WHAT} {COLOUR} the {THING}{{at}} (is|has)",
    f"{WHAT} {COLOUR} (do you see|can you see|is shown|is there){{at}}",
    f"how is the {THING}{{at}} (coloured|colored)",
    f"{WHAT} {COLOUR}{{at}}",
    f"the {THING}{{at}} (is|has) {WHAT} {COLOUR}",
    f"in {WHAT} {COLOUR} is the {THING}{{at}} (drawn|painted|shown)",
)

KIND_ASKED = (
    f"{WHAT} {KIND} is (it|this|that){{at}}",
    f"{WHAT} {KIND} is (this|that|it|there|here|shown){{at}}",
    f"{WHAT} {KIND} (do|can) you see{{at}}",
    f"{WHAT} {KIND} is (shown|drawn|depicted|visible|there){{at}}",
    f"{WHAT}{IS} the (shape|form|figure|geometric shape){{at}}",
    f"{TELL} the (shape|form|figure){{at}}",
    f"{WONDER} {WHAT} {KIND} (this is|it is|is shown|you see){{at}}",
    f"{WHAT} {KIND} does (it|the (object|thing|picture)) have{{at}}",
    f"{WHAT} (object|thing|figure) is (this|it|shown){{at}}",
    f"{WHAT} (shape|figure|form){{at}}",
    "(is|what is) (it|this) (called|the name of the shape){at}",
    "which of the shapes is it{at}",
    "name (the|this) (shape|figure){at}",
    f"{WHAT} {KIND} is in (the|this) (picture|image)",
    f"{WHAT} {KIND} (is|is there|was){{at}}",
    "(please |can you |could you |)(identify|name|recognise|recognize|classify) the (shape|figure|form|object){at}",
    "(please |can you |could you |)identify the (shape|figure){at}",
    f"what kind of {THING} is (it|this|that){{at}}",
)

DESCRIBE = (
    "(please |can you |could you |)(describe|explain|caption|show me what is in) (this|the|that|my) (picture|image|photo|drawing|scene){at}",
    "what (do|can) you see{at}",
    "what do you (see|notice|recognise|recognize|observe|make out){at}",
    "what('s| is) (in|on|shown in|depicted in|visible in) (the|this|that) (picture|image|photo|drawing)",
    "what('s| is) (shown|drawn|visible|there|here|depicted|in there){at}",
    "what does (the|this|that) (picture|image|photo|drawing) show",
    "what is (this|that|it){at}",
    "what('s| is) this( a picture of|)",
    "(please |can you |could you |)(tell me|say) what (you see|is (in|on) (the|this) (picture|image)|this (picture|image) shows|is shown|is there)",
    "(please |can you |)describe (it|this|what you see|what is shown|what's there){at}",
    "what am i looking at{at}",
    "(describe|picture description|description|caption)( please|)",
    "give (me |)a (short |brief |)(description|caption|summary) of (the|this) (picture|image|photo)",
    "(look at|have a look at|take a look at|check|see|here is|here's|this is) (this|the|my|a|another) (picture|image|photo|one)( please|)",
    "(what's|what is) going on{at}",
    "what (shapes|things|objects|figures|colours|colors|shapes and colours|shapes and colors|colours and shapes) (do|can) you see{at}",
    "(which|what) (shapes|figures|objects|things) (are|is) (there|shown|in the picture|in this image|here){at}",
    "(list|name) (the|all|all the) (shapes|objects|things|figures|shapes and (their |)colors|shapes and (their |)colours){at}",
    "(tell me|say) (something|more) about (this|the) (picture|image){at}",
    "what (shape and (colour|color)|(colour|color) and shape) is (it|this|that|the object){at}",
    "and (this|here|this one|now|what about this|that one)",
)

COUNT = (
    "how many (shapes|objects|figures|things|items|geometric shapes|forms) (are there|are there in (the|this) (picture|image)|do you see|can you see|are shown|are in (the|this) (picture|image)|are visible|are here|does it have|does the picture show){at}",
    "(please |can you |could you |)count (the|all|all the) (shapes|objects|figures|things|items){at}",
    "how many{at}",
    "{tell} (how many (shapes|objects|things|figures) (there are|you see|are shown|are in the picture)|the number of (shapes|objects|things)){at}",
    "what('s| is) the number of (shapes|objects|figures|things){at}",
    "(number of|amount of) (shapes|objects|things){at}",
    "(is there one shape or two|one or two shapes|one shape or two){at}",
)

COUNT_KIND = (
    "how many {s}s (are there|do you see|can you see|are shown|are in (the|this) picture|are visible|are here){at}",
    "(please |can you |)count the {s}s{at}",
    "(how many|number of) {s}s{at}",
    "{tell} how many {s}s (there are|you see){at}",
)

COUNT_COLOUR = (
    "how many {c} (shapes|objects|things|figures|ones) (are there|do you see|can you see|are shown|are in (the|this) picture){at}",
    "(please |)count the {c} (shapes|objects|things){at}",
)

IS_THERE = (
    "is there (a|any|some) {x}{at}",
    "is there (a|an|one) {x}{at}",
    "(do|can|did) you see (a|any) {x}{at}",
    "does (the|this|that) (picture|image|photo|drawing) (show|have|contain|include) a {x}",
    "(is|was) a {x} (in (the|this) (picture|image)|shown|visible|there|here){at}",
    "(can you |do you |)(find|spot|notice) a {x}{at}",
    "any {x}{at}",
    "(please |)(tell me|say) (if|whether) (there is|you see) a {x}{at}",
    "are there any {x}s{at}",
    "is it true that there is a {x}{at}",
    "there is a {x}{at}, (right|isn't there|is that right|correct|yes or no)",
)

IS_IT_KIND = (
    "(is|was) (it|this|that|the {thing}|the {c} {thing}) (a|really a) {s}{at}",
    "(is|was) (the|this) {thing}{at} a {s}",
    "(it's|it is|this is|that is) a {s}{at}, (right|isn't it|correct|yes|is that right)",
    "(please |)(tell me|say) (if|whether) (it|this|the {thing}) is a {s}{at}",
    "would you say (it|this) is a {s}{at}",
    "(a|is it a) {s}{at}",
)

IS_IT_COLOUR = (
    "(is|was) (it|this|that|the {thing}|the {s}|the {s}) (really |)(a |){c}{at}",
    "(is|was) the {s}{at} {c}",
    "(is|was) the {s}{at} {c}",
    "(it's|it is|this is|the {s} is) {c}{at}, (right|isn't it|correct|yes|is that right)",
    "(please |)(tell me|say) (if|whether) the {s} is {c}{at}",
    "would you say (it|the {s}) is {c}{at}",
    "does the {s}{at} (look|seem) {c} (to you|)",
    "is the {colour} of the {s}{at} {c}",
)

WHICH_OF_TWO_COLOURS = (
    "is (it|the {s}|the {thing}) {c} or {d}{at}",
    "is the {s}{at} {c} or {d}",
    "{c} or {d}{at}",
    "(what is|which is|what do you see) the {s}{at}: {c} or {d}",
)

WHICH_OF_TWO_KINDS = (
    "is (it|this|that|the {thing}) a {s} or a {t}{at}",
    "(a |){s} or (a |){t}{at}",
    "(do|can) you see a {s} or a {t}{at}",
    "is there a {s} or a {t}{at}",
)

GROUND = (
    "(what|which) {colour} is the background{at}",
    "what('s| is) the (background|{colour} of the background|background {colour}){at}",
    "is the background (light or dark|dark or light|bright or dark){at}",
    "(please |can you |)(describe|tell me about) the background{at}",
    "(what|which) (kind of |)background (is it|is there|does (it|the picture) have){at}",
    "how (light|dark|bright) is the background{at}",
    "what is behind the (shape|{s}){at}",
)
