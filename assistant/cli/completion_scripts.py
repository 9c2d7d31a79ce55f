"""How bash, zsh and fish ask phichat to complete a word, and show what it offers.

click's own protocol and scripts, with two kinds of offers more: paths (which
are quoted, and a folder is not followed by a blank) and offers with a title.
"""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    FishComplete,
    ZshComplete,
    add_completion_class,
)

from assistant.cli.completion_words import TITLED

VARIABLE = "_PHICHAT_COMPLETE"
"""What click looks for to find out that a shell asks."""

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' completion type value
    COMPREPLY=()
    for completion in $(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
            COMP_TYPE=$COMP_TYPE %(complete_var)s=bash_complete "$1" 2>/dev/null); do
        type=${completion%%%%,*}
        value=${completion#*,}
        if [[ $type == path ]]; then
            compopt -o filenames
            value=${value%%/}
        fi
        COMPREPLY+=("$value")
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a response plain titled files folders
    local type key descr
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type key descr in ${response}; do
        if [[ $type == path && $key == */ ]]; then
            folders+=("$key")
        elif [[ $type == path ]]; then
            files+=("$key")
        elif [[ $descr == _ ]]; then
            plain+=("$key")
        else
            titled+=("$key":"$descr")
        fi
    done
    (( $#titled )) && _describe -V unsorted titled -U
    (( $#plain )) && compadd -U -V unsorted -a plain
    (( $#folders )) && compadd -U -q -S '' -V unsorted -a folders
    (( $#files )) && compadd -U -V unsorted -a files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    for completion in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
            COMP_CWORD=(commandline -t) %(prog_name)s 2>/dev/null)
        string replace -r '^[^,]*,' '' -- $completion
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

_ONE_IS_INSERTED = ("37", "42")
"""COMP_TYPE of menu completion, where bash puts an offer into the line as it stands."""


class Bash(BashComplete):
    """Shows titles beside the offers when there are several; bash itself knows none."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words, put together where bash takes them apart: at colons and equals signs."""
        words, incomplete = super().get_completion_args()
        whole: list[str] = []
        joins = False
        for word in (*words, incomplete):
            if whole and (word == ":" or joins):
                whole[-1] += word
            elif word != "=" or not whole or not whole[-1].startswith("--"):
                whole.append(word)
            joins = word == ":"
        if incomplete == "=":
            whole.append("")
        return whole[:-1], whole[-1]

    def complete(self) -> str:
        """The offers, one a line, as what stands behind the last colon of the word."""
        words, incomplete = self.get_completion_args()
        offers = self.get_completions(words, incomplete)
        is_list = len(offers) > 1 and os.environ.get("COMP_TYPE") not in _ONE_IS_INSERTED
        there = incomplete.rpartition(":")
        begun = there[0] + there[1]
        return "\n".join(
            f"{one.type},{one.value}  ({one.help})"
            if is_list and one.type == TITLED and one.help
            else f"{one.type},{one.value.removeprefix(begun)}"
            for one in offers
        )


class Zsh(ZshComplete):
    """Paths are quoted by zsh itself."""

    source_template = _ZSH


class Fish(FishComplete):
    """fish quotes paths itself, and puts no blank after a slash."""

    source_template = _FISH


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Let click answer these shells in our way."""
    for shell in SHELLS.values():
        add_completion_class(shell)
