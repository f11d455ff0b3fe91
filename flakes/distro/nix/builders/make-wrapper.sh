# makeWrapper and wrapProgram, with the options of nixpkgs' own and the text that it
# writes today (one statement a line, every value quoted by bash's @Q).
# Needs: runtimeShell, the bash that the wrappers name.

assertExecutable() {
  [[ -f $1 && -x $1 ]] || { echo "Cannot wrap '$1' because it is not an executable file" >&2; return 1; }
}

# _listOp prefix|suffix NAME SEPARATOR VALUE: add to a list; each element of VALUE on
# its own, last first for a prefix, so that they end up in the order that they have.
_listOp() {
  local operation=$1 name=$2 separator=$3 value=$4 element
  local quoted=${separator@Q}
  local -a elements=() ordered=()
  [[ -n $value ]] || return 0
  set -f
  IFS=$separator read -ra elements -d '' < <(printf '%s\0' "$value") || true
  set +f
  for element in "${elements[@]}"; do
    if [[ $operation = prefix ]]; then ordered=("$element" "${ordered[@]}"); else ordered+=("$element"); fi
  done
  for element in "${ordered[@]}"; do
    printf '%s\n' "$name=\${$name:+$quoted\$$name$quoted}"
    if [[ $operation = prefix ]]; then
      printf '%s\n' "$name=\${$name/$quoted${element@Q}$quoted/$quoted}" "$name=${element@Q}\$$name"
    else
      printf '%s\n' "if [[ \$$name != *$quoted${element@Q}$quoted* ]]; then" "    $name=\$$name${element@Q}" "fi"
    fi
    printf '%s\n' "$name=\${$name#$quoted}" "$name=\${$name%$quoted}" "export $name"
  done
}

# makeShellWrapper PROGRAM WRAPPER OPTION...
makeShellWrapper() {
  local original=$1 wrapper=$2 argv0='' flagsBefore='' flagsAfter='' part value
  shift 2
  assertExecutable "$original"
  mkdir -p "$(dirname "$wrapper")"
  {
    echo "#! $runtimeShell -e"
    while (($#)); do
      case $1 in
        --set) printf '%s\n' "export $2=${3@Q}"; shift 3 ;;
        --set-default) printf '%s\n' "export $2=\${$2-${3@Q}}"; shift 3 ;;
        --unset) printf '%s\n' "unset $2"; shift 2 ;;
        --chdir) printf '%s\n' "cd ${2@Q}"; shift 2 ;;
        --run) printf '%s\n' "$2"; shift 2 ;;
        --prefix | --suffix) _listOp "${1#--}" "$2" "$3" "$4"; shift 4 ;;
        --prefix-each | --suffix-each)
          part=${1#--}
          for value in $4; do _listOp "${part%-each}" "$2" "$3" "$value"; done
          shift 4 ;;
        --prefix-contents | --suffix-contents)
          part=${1#--}
          for value in $4; do _listOp "${part%-contents}" "$2" "$3" "$(cat "$value")"; done
          shift 4 ;;
        --add-flags) flagsBefore+=" $2"; shift 2 ;;
        --append-flags) flagsAfter+=" $2"; shift 2 ;;
        --add-flag) flagsBefore+=" ${2@Q}"; shift 2 ;;
        --append-flag) flagsAfter+=" ${2@Q}"; shift 2 ;;
        --argv0) argv0=$2; shift 2 ;;
        --inherit-argv0) argv0='$0'; shift ;;
        --resolve-argv0) shift ;;
        *) echo "makeWrapper doesn't understand the arg $1" >&2; return 1 ;;
      esac
    done
    echo exec ${argv0:+-a \"$argv0\"} \""$original"\" "$flagsBefore" '"$@"' "$flagsAfter"
  } > "$wrapper.new"
  mv "$wrapper.new" "$wrapper"
  chmod 555 "$wrapper"
}

makeWrapper() { makeShellWrapper "$@"; }

# wrapProgramShell PROGRAM OPTION...: the program moves out of the way, a wrapper takes its place.
wrapProgramShell() {
  local program=$1 hidden
  shift
  assertExecutable "$program"
  hidden=$(dirname "$program")/.$(basename "$program")-wrapped
  while [[ -e $hidden ]]; do hidden+=_; done
  mv "$program" "$hidden"
  makeShellWrapper "$hidden" "$program" --inherit-argv0 "$@"
}

wrapProgram() { wrapProgramShell "$@"; }
