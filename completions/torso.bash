
_clap_complete_torso() {
    local IFS=$'\013'
    local _CLAP_COMPLETE_INDEX=${COMP_CWORD}
    local _CLAP_COMPLETE_COMP_TYPE=${COMP_TYPE}
    if compopt +o nospace 2> /dev/null; then
        local _CLAP_COMPLETE_SPACE=false
    else
        local _CLAP_COMPLETE_SPACE=true
    fi
    local words=() word n i joins=no
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        n=${#words[@]}
        if [[ $i -eq $COMP_CWORD && "$word" != = ]]; then
            word="$2"
        fi
        if [[ "$word" == = && $n -gt 0 && "${words[n-1]}" == --* ]]; then
            words[n-1]+="="
            joins=yes
        elif [[ $joins == yes ]]; then
            words[n-1]+="$word"
            joins=no
        else
            words+=("$word")
        fi
    done
    _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1))
    local joined=""
    if [[ "$2" != --* && "${words[_CLAP_COMPLETE_INDEX]}" == --*=* ]]; then
        joined="${words[_CLAP_COMPLETE_INDEX]%%=*}="
    fi
    COMPREPLY=( $( \
        _CLAP_IFS="$IFS" \
        _CLAP_COMPLETE_INDEX="$_CLAP_COMPLETE_INDEX" \
        _CLAP_COMPLETE_COMP_TYPE="$_CLAP_COMPLETE_COMP_TYPE" \
        _CLAP_COMPLETE_SPACE="$_CLAP_COMPLETE_SPACE" \
        TORSO_COMPLETE="bash" \
        "torso" -- "${words[@]}" \
    ) )
    if [[ $? != 0 ]]; then
        unset COMPREPLY
    elif [[ $_CLAP_COMPLETE_SPACE == false ]] && [[ "${COMPREPLY-}" =~ [=/:]$ ]]; then
        compopt -o nospace
    fi
    if [[ -n "$joined" && ${#COMPREPLY[@]} -gt 0 ]]; then
        COMPREPLY=("${COMPREPLY[@]#"$joined"}")
    fi
    if [[ "$2" != [\"\']* ]]; then
        local i
        for i in "${!COMPREPLY[@]}"; do
            if [[ "${COMPREPLY[i]}" == *[[:blank:]\&\;\(\)\<\>\|\'\"\$\`\\*?]* ]]; then
                COMPREPLY[i]=$(printf '%q' "${COMPREPLY[i]}")
            fi
        done
    fi
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -o nospace -o bashdefault -o nosort -F _clap_complete_torso torso
else
    complete -o nospace -o bashdefault -F _clap_complete_torso torso
fi

