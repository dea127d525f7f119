#compdef kiln
# Completions of kiln(1) for zsh.

_kiln_interpreters() {
  local -a interpreters=(${(M)${(k)commands}:#(python|pypy)[0-9.]#})
  _alternative 'interpreters:interpreter:compadd -a interpreters' 'files:path:_files'
}

# What is a program of the caller's, with its own arguments.
_kiln_program() {
  _arguments -S $@ \
    '--python=[the interpreter]:interpreter:_kiln_interpreters' \
    '(- *)'{-h,--help}'[the options]' \
    '(-)1:program:_files' '*:argument:_files'
}

_kiln_command() {
  local -a help=('(- *)'{-h,--help}'[the options]')
  local json='--json[one JSON document]'
  case $1 in
    run) _kiln_program '--timing[tell where the milliseconds went]' ;;
    warm) _kiln_program $json '--most-used[the programs that are run most often]' '--quiet[tell nothing]' ;;
    shell-init) _arguments $help '1:shell:(bash zsh fish)' ;;
    x) _arguments $help '(-)1:program:_path_commands' '*:argument:_files' ;;
    explain)
      if [[ $words[2] == run ]] && (( CURRENT > 2 )); then
        shift words
        (( CURRENT-- ))
        _kiln_program $json
      else
        _arguments $help $json '1:source or bytecode:{_files; compadd run}'
      fi ;;
    precompile)
      _arguments $help $json \
        '*--python=[an interpreter whose bytecode is wanted]:interpreter:_kiln_interpreters' \
        '(-j --jobs)'{-j+,--jobs=}'[compile this many files at once]:number' \
        '*-o+[optimization level]:level:(0 1 2)' \
        '--invalidation-mode=[how Python tells that it is stale]:mode:(timestamp checked-hash unchecked-hash)' \
        '--legacy[write NAME.pyc beside the source]' \
        '*--exclude=[leave out what matches]:pattern' \
        '--force[compile what is fresh, too]' \
        '--check[write nothing, name what is missing or stale]' \
        '(-q --quiet)'{-q,--quiet}'[print errors only]' \
        '*:file or directory:_files' ;;
    watch)
      _arguments $help \
        '--policy=[what is kept compiled]:policy:(imported all)' \
        '*--python=[with the policy all, an interpreter]:interpreter:_kiln_interpreters' \
        '--follow[print what is compiled by itself]' \
        '*:directory:_files -/' ;;
    unwatch) _arguments $help '*:directory:_files -/' ;;
    list)
      _arguments $help $json '--state=[only these]:state:(fresh stale error orphan)' \
        '--python=[only those of this interpreter]:interpreter:_kiln_interpreters' \
        '--sort=[what comes first]:order:(path state size time cost)' '--limit=[only the first N]:number' \
        '*:source or directory:_files' ;;
    clean)
      _arguments $help '--orphans[bytecode whose source is gone]' '--all[end the daemon, and remove the cache]' \
        '--dry-run[only tell what would be removed]' '*:source or directory:_files' ;;
    gc) _arguments $help $json '--limit=[of the store]:size' ;;
    inspect)
      _arguments $help '(--json)--dis[disassemble it]' '(--dis)--json[one JSON document a file]' \
        '*:bytecode file:_files -g "*.pyc"' ;;
    status) _arguments $help $json ;;
    doctor) _arguments $help $json ;;
    stats) _arguments $help $json '--reset[count from zero from now on]' ;;
    config)
      _arguments $help '(--describe)--json[one JSON document]' '(--describe)--path[the files that are read]' \
        '(--json --path)--describe[all keys, in the form of a kiln.toml]' '1:path:_files' ;;
    daemon)
      if [[ $words[2] == logs ]] && (( CURRENT > 2 )); then
        shift words
        (( CURRENT-- ))
        _arguments $help $json '(-n --lines)'{-n+,--lines=}'[only the last N lines]:number' \
          '(-f --follow)'{-f,--follow}'[then what is added]'
      else
        _arguments $help '1:action:(start stop restart reload run logs)'
      fi ;;
  esac
}

_kiln() {
  local curcontext=$curcontext state
  local -a line
  local -a names=(
    'run:run a program as python would, warm'
    'x:run a program that is written in Python, such as pytest, warm'
    'warm:have a program run ahead before it is run'
    'shell-init:have new terminals warm what is run most often'
    'precompile:compile files and directories to bytecode'
    'list:the bytecode files that Kiln knows of, and how they are'
    "explain:why a file's bytecode is as it is, and who imports it"
    'clean:remove bytecode whose source is gone, or all that Kiln keeps'
    'gc:shrink the store of compiled code to its limit'
    'watch:keep the bytecode of directories up to date from now on'
    'unwatch:watch directories no longer'
    'inspect:show what bytecode files hold, and whether they are fresh'
    'status:daemon, images, cache, interpreters'
    'stats:how many runs were served, and why others were not'
    'doctor:what is wrong with Kiln here, and what mends it'
    'config:every setting, with its value and where that comes from'
    'daemon:start, stop, restart, run the daemon; show its logs'
  )
  _arguments -C '(- *)'{-V,--version}'[version of this program]' '(- *)'{-h,--help}'[the commands]' \
    '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe -t commands command names ;;
    argument) _kiln_command $line[1] ;;
  esac
}

# Autoloaded, this file is the function; sourced, it is not.
if [[ $funcstack[1] == _kiln ]]; then
  _kiln "$@"
elif (( $+functions[compdef] )); then
  compdef _kiln kiln
fi
