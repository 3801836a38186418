"""Scripts for completion in shells."""

from typer._completion_classes import completion_init
from typer._completion_shared import get_completion_script

# A name that ends with a slash is the beginning of a key: no space after it.
_BASH = """
_configsvc_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _CONFIGSVC_COMPLETE=complete_bash "$1" ) )
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
    return 0
}

complete -o default -F _configsvc_completion configsvc
"""


def script(shell: str) -> str:
    """Return the script for a shell."""
    if shell == "bash":
        return _BASH.strip()
    return get_completion_script(prog_name="configsvc", complete_var="_CONFIGSVC_COMPLETE", shell=shell)


def prepare_completion() -> None:
    """Let the program answer the scripts."""
    completion_init()
