"""Question templates about several pictures and earlier turns, as grammars (see `grammar`)."""

# ruff: noqa: E501 (one grammar a line, whatever its length)

from __future__ import annotations

from training.demo_model.templates import COLOUR

COMPARE = (
    "what('s| is| are) the differences? between (these|the|those|both|my) (two |)(pictures|images|photos|ones)",
    "what('s| is) (different|the difference)( between them| between the two| here| in these pictures|)",
    "(please |can you |could you |)compare (the|these|both|those|my) (two |)(pictures|images|photos)",
    "(please |can you |could you |)compare (them|both|the two|the first and the second picture|picture 1 and picture 2|picture 1 and 2|the first picture with the second)",
    "how (do|are) (the|these|both) (two |)(pictures|images|photos) (differ|different|compare)",
    "how (do|does) (they|the two|the first picture and the second) (differ|compare)",
    "(please |)(tell me|say|describe|explain|spot|find|list) the differences?( between (the|these) (two |)(pictures|images)|)",
    "(please |can you |)describe (both|the two|both of the|these two|all the) (pictures|images|photos)",
    "what (is|do you see) (in|on) (both|the two|each|each of the|these) (pictures|images|picture)",
    "what do (the|both|these) (two |)(pictures|images|photos) show",
    "what has changed( between (the|these) (two |)(pictures|images)|)",
    "how is (the second|this|the new) (picture|one|image) different( from the (first|other|previous)( one| picture|)|)",
    "what('s| is) the difference between (the first and the second (picture|image)|the first picture and the second( one|)|picture 1 and picture 2|picture one and picture two|image 1 and image 2|this picture and the (first|previous|last|other)( one| picture|)|this one and the first( one|))",
    "(difference|differences|comparison|compare)( please|)",
    "(what|how) about both( pictures|)",
)

SAME = (
    "are (the|these|those|both) (two |)(pictures|images|photos) (the same|identical|equal|alike)",
    "are they (the same|identical|equal|alike|different)",
    "(do|does) (the|both|these) (two |)(pictures|images) show the same( thing| shape|)",
    "is (it|this|the second picture|this one|this picture) the same( as (before|the first( one| picture|)|the last one)|)",
    "(same picture|same|the same)( as before| again|)",
    "is there (a|any) difference( between (the|these|both) (two |)(pictures|images)|)",
)

COMPARE_PAIR = (
    "(please |can you |)compare {a} (and|with|to) {b}",
    "what('s| is) (the difference|different) between {a} and {b}",
    "how (does|is) {b} (differ|different) from {a}",
    "(is|are) {a} and {b} (the same|different)",
    "is {b} the same as {a}",
    "(please |can you |)describe {a} and {b}",
    "{a} (and|vs|versus|or) {b}",
)

COMPARE_ALL = (
    "(please |can you |)(compare|describe) (the|all|these|all the|my) (three |)(pictures|images|photos)",
    "what('s| is| are) the differences? between (the|these|all) (three |)(pictures|images|photos)",
    "what (do|did) (the|all|these) (three |)(pictures|images) show",
    "(please |)(list|summarise|summarize) (what is in |)(the|all|all the) (pictures|images)",
    "what (have you seen|did you see)( so far| until now|)",
    "(describe|compare) all (of them|three)",
)

WHICH_PICTURE = (
    "which (picture|image|photo|one) (shows|has|contains|showed|had) (a|the) {x}",
    "in (which|what) (picture|image|photo|one) (is|was) (a|the) {x}",
    "where did you see (a|the) {x}",
    "on which (picture|image) (can|do|did) you see (a|the) {x}",
)

REFERENCES = (
    "the {nth} (picture|image|picture|image|photo|one|pic|drawing)",
    "(picture|image|picture|image|photo|pic) {k}",
    "the {nth} (picture|image|picture)",
    "(picture|image) (number |no. |#|nr ){k}",
    "(picture|image) {word}",
    "the {nth} (picture|image|one) (i sent|i showed you|i attached|of this chat|you saw|from me)",
)
LAST = (
    "the (last|latest|newest|new|current|most recent) (picture|image|one|photo)",
    "this (picture|image|one|photo)",
)
BEFORE_LAST = (
    "the (previous|preceding) (picture|image|one|photo)",
    "the (picture|image|one) before( this one| that|)",
    "the picture before this",
)
OF_TWO = ("the (other|earlier|old|older) (picture|image|one)",)

ITS_COLOUR = (
    f"(and |)(what|which) {COLOUR} (is|was) it",
    f"(and |)(what('s| is| was)|) its {COLOUR}",
    f"(and |)(what about|how about|what is|what was) (its|the) {COLOUR}",
    f"(and |)the {COLOUR}",
    f"(and |so |)what {COLOUR} does it have",
    f"(and |)in (what|which) {COLOUR}( is it|)",
    f"(can you |please |)tell me (its|the) {COLOUR}( too| as well| again|)",
    f"what {COLOUR} (is|was) that( one| shape| again|)",
    f"do you remember (its|the) {COLOUR}",
    f"what {COLOUR}",
)

ITS_KIND = (
    "(and |)(what|which) (shape|figure|form|kind of shape) (is|was) it",
    "(and |)(what('s| is| was)|) its (shape|form)",
    "(and |)(what about|how about|what is|what was) (its|the) (shape|form)",
    "(and |)the shape",
    "(and |so |)what shape does it have",
    "(can you |please |)tell me (its|the) shape( too| as well| again|)",
    "what shape (is|was) that( one| again|)",
    "do you remember (its|the) shape",
    "(and |)what (is|was) it",
    "what shape",
)
