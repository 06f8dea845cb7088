"""Completion in bash and fish; that of zsh is click's.

In bash click's own script forgets the words where files are offered too, and breaks words at colons; in fish
it cuts values at commas.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    split_arg_string,
)

_BASH = r"""%(complete_func)s() {
    local IFS=$'\n' answer line kind value files="" words="" part=""
    COMPREPLY=()
    answer=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" \
        %(complete_var)s=bash_complete "$1" 2>/dev/null) || return 0
    while IFS= read -r line; do
        kind=${line%%%%,*} value=${line#*,}
        case $kind in
            plain) COMPREPLY+=("$value"); words=1 ;;
            part) COMPREPLY+=("$value"); words=1 part=1 ;;
            file | dir) files=$line ;;
        esac
    done <<< "$answer"
    if [[ -n $files && -z $words ]]; then
        # readline's own: it knows of ~ and of quotes
        if [[ ${files%%%%,*} == dir ]]; then compopt -o dirnames; else compopt -o default; fi
    elif [[ -n $files ]]; then
        while IFS= read -r value; do
            [[ -z $value ]] && continue
            [[ -d $value ]] && value+=/
            case ${COMP_WORDS[COMP_CWORD]} in \"* | \'*) ;; *) printf -v value %%q "$value" ;; esac
            COMPREPLY+=("$value")
        done < <(compgen -f -- "${files#*,}")
    fi
    [[ -n $part || ${COMPREPLY[0]-} == */ ]] && compopt -o nospace
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""
_FISH = """function %(complete_func)s
    set -l answer (env COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -ct) \\
        %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
    for line in $answer
        set -l parts (string split --max 1 , -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case '*'
                echo $parts[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""
_BREAKS = ":="
"""Where bash breaks a word; what stands before the last one on the line is not to be said again."""


class Bash(BashComplete):
    """bash, from 4.0 on."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = _BASH

    @staticmethod
    def _check_version() -> None:
        """The script asks for nothing that bash does not have; a process to look is not needed."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words of the line up to the cursor, without quotes; the last one is to be completed."""
        # the dot ends the last word, also where it is empty or its quote is open
        *words, last = split_arg_string(os.environ["COMP_WORDS"] + ".")
        self._said = last.removesuffix(".")
        word = os.environ.get("COMP_WORD", "")
        rest = "" if set(word) <= set(_BREAKS) else split_arg_string(f"{word}.")[0].removesuffix(".")
        before = self._said.removesuffix(rest)
        self._before = before if before.endswith(tuple(_BREAKS)) else ""
        return words[1:], self._said

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """A line of the answer, without what stands on the command line already."""
        kind = "part" if item.part else item.type
        return f"{kind},{str(item.value).removeprefix(self._before)}"


class Fish(FishComplete):
    """fish, whose own functions find the files."""

    name: ClassVar[str] = "fish"
    source_template: ClassVar[str] = _FISH


add_completion_class(Bash)
add_completion_class(Fish)
