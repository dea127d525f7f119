# Completions of kiln(1) for bash.

# The options of a command, as its --help has them.
_kiln_options() {
  case $1 in
    '') echo --version --help ;;
    run) echo --timing --python --help ;;
    warm) echo --json --python --most-used --quiet --help ;;
    'explain run') echo --json --python --help ;;
    precompile) echo --python -j --jobs -o --invalidation-mode --legacy --exclude --force --check -q --quiet --json --help ;;
    watch) echo --policy --python --follow --help ;;
    list) echo --state --python --sort --limit --json --help ;;
    explain | status) echo --json --help ;;
    clean) echo --orphans --all --dry-run --help ;;
    gc) echo --limit --json --help ;;
    inspect) echo --dis --json --help ;;
    stats) echo --json --reset --help ;;
    doctor) echo --json --help ;;
    config) echo --json --path --describe --help ;;
    'daemon logs') echo --lines -n -f --follow --json --help ;;
    *) echo --help ;;
  esac
}

# Whether the words between a command and the cursor are Kiln's own options: what follows a program is the program's.
_kiln_before_program() {
  local at
  for ((at = $1; at < COMP_CWORD; ++at)); do
    case ${COMP_WORDS[at]} in
      --timing | --json) ;;
      --python) [[ ${COMP_WORDS[at + 1]} == = ]] && ((++at)); ((++at)) ;;
      *) return 1 ;;
    esac
  done
}

# Interpreters on PATH; else a path, by bash itself.
_kiln_interpreters() {
  mapfile -t COMPREPLY < <(compgen -c -- "$1" | grep -E '^(python|pypy)[0-9.]*$' | sort -u)
}

_kiln_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# Where nothing is put into COMPREPLY, bash completes names of files.
_kiln() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} first=2
  # Of --state=e bash makes three words.
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
  [[ $current == = ]] && current=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    local commands='run x warm shell-init precompile list explain clean gc watch unwatch inspect status stats doctor config daemon'
    [[ $current == -* ]] && commands=$(_kiln_options '')
    _kiln_words "$commands" "$current"
    return
  fi
  if [[ $command == explain && ${COMP_WORDS[2]} == run ]] && ((COMP_CWORD > 2)); then
    command='explain run' first=3
  fi
  [[ $command == daemon && ${COMP_WORDS[2]} == logs ]] && ((COMP_CWORD > 2)) && command='daemon logs'
  case $command in
    run | warm | 'explain run') _kiln_before_program "$first" || return ;;
    x) ((COMP_CWORD == 2)) || return ;;
  esac
  case $before in
    --python) _kiln_interpreters "$current" && return ;;
    --invalidation-mode) _kiln_words 'timestamp checked-hash unchecked-hash' "$current" && return ;;
    --policy) _kiln_words 'imported all' "$current" && return ;;
    --state) _kiln_words 'fresh stale error orphan' "$current" && return ;;
    --sort) _kiln_words 'path state size time cost' "$current" && return ;;
    -o) _kiln_words '0 1 2' "$current" && return ;;
    -j | --jobs | --exclude | --limit | --lines) return ;;
  esac
  if [[ $current == -* ]]; then
    _kiln_words "$(_kiln_options "$command")" "$current"
    return
  fi
  case $command in
    shell-init) _kiln_words 'bash zsh fish' "$current" ;;
    daemon) ((COMP_CWORD > 2)) || _kiln_words 'start stop restart reload run logs' "$current" ;;
    explain)
      compopt -o filenames 2>/dev/null
      ((COMP_CWORD == 2)) && mapfile -t COMPREPLY < <(compgen -W run -- "$current"; compgen -f -- "$current")
      ;;
    x) mapfile -t COMPREPLY < <(compgen -c -- "$current" | sort -u) ;;
    watch | unwatch)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      ;;
    inspect)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current"; compgen -f -X '!*.pyc' -- "$current" | grep -v '/$')
      ;;
  esac
}

complete -o bashdefault -o default -F _kiln kiln
