"""Question templates about places, sizes, printed text and bar charts (see `grammar`)."""

# ruff: noqa: E501 (one grammar a line, whatever its length)

from __future__ import annotations

# {x} is a shape ("red circle", "circle"), {y} another; {d} a direction; {at} where ("" or " in picture 2").

BESIDE = (
    "(what|which shape|what shape) is {d} the {x}{at}",
    "(what|which shapes|what) (do|can) you see {d} the {x}{at}",
    "(is there anything|what is there) {d} the {x}{at}",
    "(please |can you |)(tell me|say) what is {d} the {x}{at}",
    "which (shape|object|thing|figure) (is|stands|lies) {d} the {x}{at}",
)
IS_BESIDE = (
    "is the {x} {d} the {y}{at}",
    "(please |)(tell me|say) (if|whether) the {x} is {d} the {y}{at}",
    "the {x} is {d} the {y}{at}, (right|isn't it|correct)",
    "is it true that the {x} is {d} the {y}{at}",
)
DIRECTIONS = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "beneath", "lower than"),
}
END = {
    "left": ("on the left", "furthest to the left", "on the far left", "leftmost"),
    "right": ("on the right", "furthest to the right", "on the far right", "rightmost"),
    "above": ("at the top", "highest", "on top", "furthest up"),
    "below": ("at the bottom", "lowest", "furthest down"),
    "largest": ("largest", "biggest", "the largest", "the biggest"),
    "smallest": ("smallest", "the smallest", "tiniest"),
}
AT_END = (
    "(which|what) (shape|object|thing|figure|one) is {d}{at}",
    "(what|which) is {d}{at}",
    "(please |can you |)(tell me|say|name) (which|what) (shape|thing) is {d}{at}",
    "what do you see {d}{at}",
)
SUPERLATIVE = (
    "(which|what) is the {d} (shape|object|thing|figure|one){at}",
    "(name|tell me|find) the {d} (shape|object|thing|figure){at}",
    "the {d} (shape|object|one){at}",
    "(what|which) (shape|thing) is the {d}{at}",
)
EVERYTHING = (
    "(please |can you |)tell me everything (about it|you see|about (the|this) picture|you can see){at}",
    "(please |)(describe|explain) (it|the picture|this picture|everything) (in detail|in full|exactly|as well as you can|at length){at}",
    "(give me |)(a (long|full|detailed|complete)|all the) (description|details)( of (it|the picture)| please|){at}",
    "(say|tell me) as much as you can( about it| about the picture|){at}",
    "(everything|all details|in detail)( please|){at}",
    "what (else |)can you tell me about (it|the picture|this picture){at}",
)

READ = (
    "what does (it|this|the (text|sign|picture|image|label|page|writing)) say{at}",
    "(read|transcribe) (it|this|the (text|word|words|sign|line|label|page|number|writing)){at}( to me| for me| please| aloud|)",
    "(please |can you |could you |)(read|transcribe|copy|spell) (it|this|the (text|word|words|line|sign|label|number)){at}",
    "what (is|'s|was) (written|printed|the text|the writing)( here| there| in it|){at}",
    "(what|which) (text|word|words|number|line|letters) (is|are|do you see|can you see) (here|there|written|printed|shown|){at}",
    "what('s| is) the (text|word|number|line|writing|caption){at}",
    "what (do|can) you read{at}",
    "what text is (in|on) (it|this|this picture|the picture|the sign)",
    "{tell} (the (text|word|number|words)|what it says|what is written|what the text says){at}",
    "which word is (it|this|that|written|shown){at}",
    "what number (is (it|this|that|shown|written)|do you see|does it show){at}",
)
WHICH_WORD = (
    "(what|which) is the {nth} word{at}",
    "(read|tell me|say) the {nth} word{at}",
    "the {nth} word{at}",
    "(what|which) word (is|comes|stands) {nth}{at}",
)
HOW_MANY_WORDS = (
    "how many words (are there|are there in the text|do you see|does it have|are printed|can you read){at}",
    "(please |)count the words{at}",
    "(number of|how many) words{at}",
)
SAYS = (
    "does (it|the text|the sign|the picture) say {q}{at}",
    "is the word {q} (there|in it|in the text|printed|written)( here|){at}",
    "is there the word {q}{at}",
    "(do|can) you (see|read) (the word |){q}{at}",
    "does the text contain {q}{at}",
)
INK = (
    "(what|which) {colour} (is|has) the (text|writing|ink|word|print|lettering|font){at}",
    "what('s| is) the {colour} of the (text|writing|ink|letters|word|words){at}",
    "(in|with) (which|what) {colour} is (it|the text|the word) (written|printed){at}",
)

TALLEST = (
    "(which|what) (is the|bar is the|bar is) (tallest|highest|largest|biggest)( bar| one|){at}",
    "(which|what) (one|bar|label|column) is the (tallest|highest|largest|biggest|longest){at}",
    "(name|tell me|find) the (tallest|highest|biggest|largest) (bar|column|one){at}",
    "(which|what) (bar|label|one) has the (highest|largest|biggest|greatest) value{at}",
    "(the |what is the )(maximum|tallest bar|highest value|highest bar){at}",
)
SHORTEST = (
    "(which|what) (is the|bar is the|bar is) (shortest|lowest|smallest)( bar| one|){at}",
    "(which|what) (one|bar|label|column) is the (shortest|lowest|smallest){at}",
    "(name|tell me|find) the (shortest|lowest|smallest) (bar|column|one){at}",
    "(which|what) (bar|label|one) has the (lowest|smallest|least) value{at}",
    "(the |what is the )(minimum|shortest bar|lowest value|lowest bar){at}",
)
TITLE = (
    "(what|which) is the title( of (the|this) (chart|graph|picture|diagram)|){at}",
    "what('s| is) (the chart|the graph|this chart|it) (called|titled|about){at}",
    "(read|tell me) the (title|heading|headline)( of the chart|){at}",
    "(the |)title( please|){at}",
    "what is (written|printed) (above|over) the (bars|chart){at}",
)
VALUE = (
    "(what|which) is the value (of|for) {b}{at}",
    "(how (high|tall|large|big)|what) is {b}{at}",
    "(what|which) value (has|does) {b}( have| show|){at}",
    "how (much|many) (is|has|for|does) {b}( have| show|){at}",
    "(tell me |)the value of (the bar |){b}{at}",
    "(read|give me) (the value of |){b}{at}",
)
COMPARE_BARS = (
    "(which|what) is (taller|higher|larger|bigger|greater), {b} or {c}{at}",
    "is {b} (taller|higher|larger|bigger|greater|more) than {c}{at}",
    "(please |)compare {b} (and|with) {c}{at}",
    "{b} or {c}: which is (taller|higher|larger|more){at}",
    "which of {b} and {c} is (taller|higher|bigger){at}",
)
HOW_MANY_BARS = (
    "how many (bars|columns) (are there|do you see|does (it|the chart) have|are shown|can you see){at}",
    "(please |)count the (bars|columns){at}",
    "(number of|how many) bars{at}",
)
BAR_LABELS = (
    "(what|which) (bars|labels|categories|names) (are there|are shown|do you see|does it have){at}",
    "(name|list|read) (all |)the (bars|labels|categories|names of the bars){at}",
    "what are the (bars|labels|categories)( called|){at}",
)

COUNT_ALL = (
    "how many (shapes|objects|things) are (there |)in (both|all|all the|the two|these) pictures( together| in all|)",
    "how many shapes (have you seen|are there) (in all|altogether|in total|so far)",
    "(please |)count (the|all) shapes (in|of) (all|both|all the|the) pictures",
)
