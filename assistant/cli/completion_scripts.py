"""Completion scripts for bash, zsh and fish.

click's protocol with two more kinds of offers: paths (quoted, without a blank behind a folder)
and offers with a title. click's own scripts can't stand in: bash shows no titles there, quotes
no blanks in file names and takes addresses apart at their colons.
"""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from assistant.cli.completion_words import TITLED, paths

VARIABLE = "_PHICHAT_COMPLETE"
"""The variable that tells click to complete instead of to run."""

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


class _WithPaths(ShellComplete):
    """Paths where click leaves them to the shell, and whole words behind ``--option=``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        offers: list[CompletionItem[str]] = []
        for one in super().get_completions(args, incomplete):
            if one.type in ("file", "dir"):
                offers += paths(one.value, () if one.type == "dir" else None)
            else:
                offers.append(one)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):  # zsh and fish replace the word as a whole
            for one in offers:
                one.value = option + equals + one.value
        return offers


class Bash(_WithPaths, BashComplete):
    """Offers with titles beside them, where there are several: bash itself has no titles."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Join the words that bash splits at colons and equals signs."""
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
        """Return the offers, one a line, without the part up to the word's last colon."""
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


class Zsh(_WithPaths, ZshComplete):
    """zsh, which quotes paths itself."""

    source_template = _ZSH


class Fish(_WithPaths, FishComplete):
    """fish, which quotes paths itself and adds no blank after a slash."""

    source_template = _FISH


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Register these shells with click."""
    for shell in SHELLS.values():
        add_completion_class(shell)
